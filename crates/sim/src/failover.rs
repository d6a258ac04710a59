//! Going back to a copy of the database that is behind, and asking the provider what happened since.

use crate::lossy_provider::HINT;
use crate::world::World;
use domain::payment::Payment;
use domain::time::Clock;
use engine::{InboundWebhook, WebhookError};

/// How often a payment is asked about until an answer comes.
const TRIES: usize = 100;

impl World {
    /// The database is lost, and the standby takes its place. Callers know what they were told.
    pub(crate) async fn fail_over(&mut self) {
        let Some(copy) = self.standby.clone() else { return };
        self.network.counts.count("database", "goes back to an old copy");
        self.rig.fail_over_to(&copy);
        self.replace_all_nodes(true);
        self.network.forget_what_was_told();
        self.failed_over = true;
        self.register_lost_payments().await;
        let mut lost = Vec::new();
        for (key, asked) in &self.requests {
            if let Some(id) = asked.answered
                && self.rig.find(id).await.is_none()
            {
                lost.push(key.clone());
            }
        }
        for key in lost {
            // The caller asks again under the same key.
            self.requests.get_mut(&key).expect("the request was sent").answered = None;
        }
        self.reconcile().await;
    }

    async fn register_lost_payments(&mut self) {
        for at in 0..self.payments.len() {
            let capture = self.payments[at].capture.clone();
            let found = self.rig.engine.find_payment(self.rig.tenant, capture.id).await;
            if found.expect("a read").is_some() {
                continue;
            }
            let code = capture.currency;
            let charge = &capture.provider_payment_id;
            let new = self.rig.new_payment(charge, capture.captured, code.as_str());
            let registered = self.rig.engine.register_payment(new, None).await;
            self.payments[at] = registered.expect("the payment is accepted").value;
            // Its refunds were asked for under an id that is gone.
            self.requests.retain(|_, asked| asked.payment.capture.id != capture.id);
        }
    }

    /// Asks the provider about every payment.
    pub(crate) async fn reconcile(&mut self) {
        for payment in self.payments.clone() {
            for _ in 0..TRIES {
                if self.hint_at(&payment).await {
                    break;
                }
            }
        }
    }

    /// Hints at a payment, so that a node asks for the list of its refunds. `false` when that failed.
    pub(crate) async fn hint_at(&mut self, payment: &Payment) -> bool {
        let now = self.rig.clock.now();
        let charge = payment.capture.provider_payment_id.to_string();
        let webhook = InboundWebhook {
            url: "".into(),
            headers: vec![(HINT.to_owned(), charge)],
            body: Vec::new(),
            received_at: now,
        };
        let engine = self.any_node();
        match engine.receive_webhook(self.rig.tenant, "simulator", None, webhook).await {
            Ok(_) => true,
            Err(WebhookError::NotAsked(_)) => false,
            Err(error) => panic!("{error:?}"),
        }
    }
}
