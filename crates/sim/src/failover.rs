//! Going back to a copy of the database that is behind, and reading from the provider what happened since.

use crate::lossy_provider::HINT;
use crate::world::World;
use domain::payment::Payment;
use domain::sending::everyone;
use domain::time::{Clock, Timestamp};
use engine::{Engine, InboundWebhook, Place, Span, SpanStep, WebhookError};

/// How many steps through a span are made until it counts as endless.
const STEPS: usize = 10_000;

/// How much earlier than the copy the span begins that is read.
const BEFORE_COPY_MS: i64 = 10 * 60_000;

impl World {
    /// The database is lost, and the standby takes its place. Callers know what they were told.
    pub(crate) async fn fail_over(&mut self) {
        let Some(standby) = self.standby.clone() else { return };
        self.network.counts.count("database", "goes back to an old copy");
        self.rig.fail_over_to(&standby.file);
        self.replace_all_nodes(true);
        self.network.forget_what_was_told();
        self.network.forget_disputes_but(&standby.disputes_told);
        self.failed_over = true;
        let engine = self.any_node();
        self.stop_sending(&engine, everyone(self.rig.tenant.mode())).await;
        if self.rng.percent(50) {
            self.tell_of_a_dispute().await;
        }
        self.register_lost_payments().await;
        self.forget_lost_ends().await;
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
        // Where the provider cannot tell what changed, the refunds of older payments are found only so.
        let tells_changes = self.profile.simulator.tells_changes;
        let began_at = standby.copied_at.plus_ms(-BEFORE_COPY_MS);
        self.read_span(if tells_changes { began_at } else { self.began_at }).await;
        self.start_sending(&engine).await;
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

    /// Reads a span to its end, as `refundry reconcile --since` does.
    pub(crate) async fn read_span(&mut self, since: Timestamp) {
        let engine = self.any_node();
        let asked = engine.askable(self.rig.tenant).await.expect("a read");
        let asked = asked.iter().find(|asked| asked.name() == "simulator").expect("it is asked");
        let clock = self.rig.clock.clone();
        let shown = clock.now().plus_ms(-self.profile.simulator.list_lag_ms);
        self.network.begin_span();
        let mut place = Some(Place::Changes(None));
        for _ in 0..STEPS {
            let Some(here) = place.clone() else { break };
            let span = Span { since, until: None };
            match engine.reconcile_span(self.rig.tenant, asked, span, here).await.expect("a page") {
                SpanStep::Read(tally, next) => {
                    self.network.counts.add("span", "booked", tally.booked);
                    self.network.counts.add("span", "kept", tally.unmatched);
                    place = next;
                }
                SpanStep::Wait(until) => {
                    clock.advance_to(until.unwrap_or_else(|| clock.now().plus_ms(1_000)));
                }
                SpanStep::Failed(_) => self.network.counts.count("span", "a page was lost"),
            }
        }
        self.network.end_span();
        assert_eq!(place, None, "the span was not read to its end");
        self.check_span(since, shown).await;
    }

    /// A node reads what changed at the provider.
    pub(crate) async fn step_reconcile(&self, engine: &Engine, pages: u32) -> u32 {
        let step = engine.step_reconcile(pages).await.expect("a step");
        self.network.counts.add("reconcile step", "booked", step.tally.booked);
        self.network.counts.add("reconcile step", "kept", step.tally.unmatched);
        step.pages
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
