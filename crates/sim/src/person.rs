//! A person who looks at the provider and decides what the engine cannot.

use crate::world::{HOUR_MS, World};
use domain::payment::Payment;
use domain::refund::{Origin, Refund, State};
use domain::time::Clock;
use engine::{Decision, Error, Resolution};
use simulator::{DashboardRefund, RefundStatus};

/// How often a person comes back in the end.
const VISITS: usize = 4;

/// How often a payment is asked about until an answer comes.
const TRIES: usize = 100;

impl World {
    /// A person decides one refund that waits for one.
    pub(crate) async fn person_looks_at_one(&mut self) {
        let Some(at) = self.rng.index(self.payments.len()) else { return };
        let payment = self.payments[at].clone();
        let waiting: Vec<Refund> = self.waiting_refunds(&payment).await;
        if let Some(refund) = self.rng.pick(&waiting).cloned() {
            self.resolve(&payment, &refund).await;
        }
    }

    /// A person ends everything that is still open: decides what waits for one, and pays at the provider
    /// what waits there.
    pub(crate) async fn person_ends_everything(&mut self) {
        for _ in 0..VISITS {
            let topped_up = self.rig.simulator.top_up(self.rig.tenant).await;
            topped_up.expect("the simulator is there");
            let mut is_done = true;
            for payment in self.payments.clone() {
                for theirs in self.rig.book(&payment).await.refunds {
                    if theirs.status == RefundStatus::Pending {
                        let (tenant, simulator) = (self.rig.tenant, &self.rig.simulator);
                        simulator.complete_refund(tenant, &theirs.id).await.expect("completed");
                        is_done = false;
                    }
                }
                for refund in self.waiting_refunds(&payment).await {
                    self.resolve(&payment, &refund).await;
                    is_done = false;
                }
            }
            self.run_for(3 * HOUR_MS).await;
            if is_done {
                break;
            }
        }
    }

    async fn waiting_refunds(&self, payment: &Payment) -> Vec<Refund> {
        let mut refunds = self.rig.refunds_of(payment).await;
        refunds.retain(|refund| refund.state == State::NeedsReview || refund.needs_attention);
        refunds
    }

    /// Decides as the provider's own book says, or not while the provider may still change its mind.
    async fn resolve(&mut self, payment: &Payment, refund: &Refund) {
        let Some(decision) = self.decide(payment, refund).await else { return };
        self.network.counts.count(
            "person",
            match decision.resolution {
                Resolution::Succeeded { amount: None } => "it succeeded",
                Resolution::Succeeded { amount: Some(_) } => "another amount moved",
                Resolution::Failed => "it failed",
                Resolution::SendAgain => "send it again",
            },
        );
        let engine = self.any_node();
        match engine.resolve_refund(self.rig.tenant, refund.id, decision, None).await {
            Ok(_) | Err(Error::Refused(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        let book = self.rig.book(payment).await;
        if book.payouts_of(&refund.provider_key()).count() > 1 {
            // Now that it is clear which payout is this refund, the provider is asked for the others.
            for _ in 0..TRIES {
                if self.hint_at(payment).await {
                    break;
                }
            }
        }
    }

    async fn decide(&mut self, payment: &Payment, refund: &Refund) -> Option<Decision> {
        let key = refund.provider_key();
        let known = refund.provider_refund_id.as_deref();
        let book = self.rig.book(payment).await;
        let is_its = |theirs: &&DashboardRefund| match refund.origin {
            Origin::Api => theirs.key.as_ref() == Some(&key),
            Origin::External => Some(theirs.id.as_str()) == known,
        };
        let theirs: Vec<_> = book.refunds.iter().filter(is_its).collect();
        let is_open = |theirs: &&DashboardRefund| {
            !matches!(theirs.status, RefundStatus::Succeeded | RefundStatus::Failed)
        };
        let (lag_ms, now) = (self.profile.simulator.list_lag_ms, self.rig.clock.now());
        let is_hidden = theirs.len() > 1 && theirs.iter().any(|it| it.at.plus_ms(lag_ms) > now);
        if theirs.iter().any(is_open) || is_hidden || self.hangs(&key) {
            return None;
        }
        let ours = self.rig.refunds_of(payment).await;
        let is_booked = |theirs: &DashboardRefund| {
            ours.iter().any(|other| {
                other.id != refund.id
                    && other.state == State::Succeeded
                    && other.provider_refund_id.as_deref() == Some(theirs.id.as_str())
            })
        };
        let paid = theirs.iter().find(|theirs| {
            theirs.status == RefundStatus::Succeeded
                && known.is_none_or(|known| known == theirs.id)
                && !is_booked(theirs)
        });
        let text = Some("the provider's dashboard says so".into());
        if let Some(paid) = paid {
            let amount = (paid.amount != refund.amount).then_some(paid.amount);
            let resolution = Resolution::Succeeded { amount };
            return Some(Decision {
                resolution,
                provider_refund_id: Some(paid.id.as_str().into()),
                text,
            });
        }
        let can_be_sent = theirs.is_empty()
            && known.is_none()
            && matches!(refund.state, State::NeedsReview | State::Unknown);
        let sends = can_be_sent && !self.network.faults_ended() && self.rng.percent(50);
        let resolution = if sends { Resolution::SendAgain } else { Resolution::Failed };
        Some(Decision { resolution, provider_refund_id: None, text })
    }
}
