//! The random acts of a run.

use crate::rng::SeededRng;
use crate::world::{CallerRequest, World};
use domain::decide::Refusal;
use domain::money::Money;
use domain::refund::Refund;
use engine::{Answered, Error, RefundView, Sweep};
use testkit::RefundRequest;

/// Scripts that the provider simulator follows for a refund. `succeed` stands here several times,
/// since most refunds succeed.
const SCRIPTS: &[&str] = &[
    "succeed",
    "succeed",
    "succeed",
    "succeed_after:500",
    "succeed_after:90000",
    "refuse",
    "timeout_after_booking",
    "timeout_before_booking",
    "server_error",
    "garbage",
    "wrong_amount",
    "stay_pending",
    "no_funds_then_ok",
    "webhook_twice",
    "webhook_out_of_order",
    "webhook_never",
    "webhook_forged",
    "late_failure",
    "late_failure:120000",
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    RegisterPayment,
    CreateRefund,
    CreateAndHangUp,
    RepeatCreate,
    Cancel,
    RefundInDashboard,
    FailAtProvider,
    CompleteAtProvider,
    WorkOnDueRefund,
    StepProvider,
    ReleaseOneCall,
    LetTimePass,
    ExpireAndPrune,
    NodeDies,
    NodeIsReplaced,
}

impl Act {
    pub(crate) fn draw(rng: &mut SeededRng) -> Self {
        match rng.below(100) {
            0..2 => Self::RegisterPayment,
            2..20 => Self::CreateRefund,
            20..24 => Self::CreateAndHangUp,
            24..30 => Self::RepeatCreate,
            30..33 => Self::Cancel,
            33..35 => Self::RefundInDashboard,
            35..38 => Self::FailAtProvider,
            38..40 => Self::CompleteAtProvider,
            40..62 => Self::WorkOnDueRefund,
            62..74 => Self::StepProvider,
            74..77 => Self::ReleaseOneCall,
            77..94 => Self::LetTimePass,
            94..95 => Self::ExpireAndPrune,
            95..98 => Self::NodeDies,
            _ => Self::NodeIsReplaced,
        }
    }
}

impl World {
    pub(crate) async fn play(&mut self, act: Act) {
        match act {
            Act::RegisterPayment => {
                let captured = self.rng.between(1, 30_000);
                self.payments.push(self.rig.pay(captured, "USD").await);
            }
            Act::CreateRefund => {
                if let Some(key) = self.make_request().await {
                    self.create(&key).await;
                }
            }
            Act::CreateAndHangUp => {
                if let Some(key) = self.make_request().await {
                    self.create_and_hang_up(&key).await;
                }
            }
            Act::RepeatCreate => {
                let keys: Vec<String> = self.requests.keys().cloned().collect();
                if let Some(key) = self.rng.pick(&keys) {
                    self.create(key).await;
                }
            }
            Act::Cancel => self.cancel().await,
            Act::RefundInDashboard => self.refund_in_dashboard().await,
            Act::FailAtProvider | Act::CompleteAtProvider => self.decide_at_provider(act).await,
            Act::WorkOnDueRefund => {
                self.work().await;
            }
            Act::StepProvider => self.step_simulator().await,
            Act::ReleaseOneCall => self.release_one_call().await,
            Act::LetTimePass => {
                let spans = [1, 20, 500, 2_000, 60_000, 60_000, 120_000, 3_600_000];
                let longest = *self.rng.pick(&spans).unwrap_or(&1);
                let ms = self.rng.between(1, longest);
                self.rig.clock.advance(ms);
            }
            Act::ExpireAndPrune => {
                self.rig.engine.step_expire(100).await.expect("a step");
                let mut sweep = Sweep::START;
                while sweep != Sweep::Done {
                    sweep = self.rig.engine.step_prune(sweep, 10).await.expect("a step");
                }
            }
            Act::NodeDies => self.replace_node(true),
            Act::NodeIsReplaced => self.replace_node(false),
        }
    }

    /// Makes a refund request under a new idempotency key. One in ten asks for more than is
    /// refundable.
    async fn make_request(&mut self) -> Option<String> {
        let at = self.rng.index(self.payments.len())?;
        let payment = self.rig.payment(self.payments[at].capture.id).await;
        let left = payment.refundable();
        let script = self.rng.pick(SCRIPTS).copied().unwrap_or("succeed");
        let mut request = self.rig.refund(&payment).simulate(script);
        match self.rng.below(10) {
            0 => {}
            1 => request = request.amount(left + 1),
            2 => request = request.amount(left.max(1)),
            _ => request = request.amount(self.rng.between(1, (left / 3).max(1))),
        }
        let key = format!("key-{}", self.requests.len());
        if self.rng.percent(30) {
            request = request.reference(&format!("reference-{}", self.requests.len()));
        }
        let request = request.key(&key);
        self.requests.insert(key.clone(), CallerRequest { request, script, answered: None });
        Some(key)
    }

    fn request(&self, key: &str) -> RefundRequest {
        self.requests[key].request.clone().of(&self.rig.engine)
    }

    /// Sends a request, for the first time or again. The same key must always return the same
    /// refund.
    pub(crate) async fn create(&mut self, key: &str) {
        let answer = self.request(key).try_create().await;
        self.wait_for_calls().await;
        self.note_answer(key, answer);
    }

    fn note_answer(&mut self, key: &str, answer: Result<Answered<RefundView>, Error>) {
        let asked = self.requests.get_mut(key).expect("the request was sent");
        match answer {
            Ok(answered) => {
                let id = answered.value.refund.id;
                assert!(
                    asked.answered.is_none_or(|known| known == id),
                    "{key} returned another refund"
                );
                assert!(
                    asked.answered.is_none() || answered.replayed,
                    "{key} was answered as new twice"
                );
                asked.answered = Some(id);
            }
            Err(Error::Refused(Refusal::OverRefund { .. } | Refusal::NothingRefundable { .. })) => {
                assert_eq!(asked.answered, None, "{key} was acknowledged and is refused now");
            }
            Err(error) => panic!("{key}: {error:?}"),
        }
    }

    /// Sends a request and drops it before the answer. The request under the same key must then
    /// return whatever the first one created.
    async fn create_and_hang_up(&mut self, key: &str) {
        let ask = self.request(key).try_create();
        tokio::select! {
            biased;
            answer = ask => self.note_answer(key, answer),
            () = tokio::task::yield_now() => {}
        }
        self.wait_for_calls().await;
        // The committer answers in order, so the first request is over once the second one is
        // answered.
        self.create(key).await;
    }

    async fn any_refund(&mut self) -> Option<Refund> {
        let at = self.rng.index(self.payments.len())?;
        let refunds = self.rig.refunds_of(&self.payments[at]).await;
        self.rng.pick(&refunds).cloned()
    }

    async fn cancel(&mut self) {
        let Some(refund) = self.any_refund().await else { return };
        match self.rig.engine.cancel_refund(self.rig.tenant, refund.id, None).await {
            Ok(_) | Err(Error::Refused(Refusal::TooLateToCancel(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn refund_in_dashboard(&mut self) {
        let Some(at) = self.rng.index(self.payments.len()) else { return };
        let capture = self.payments[at].capture.clone();
        let minor = self.rng.between(1, (capture.captured / 4).max(1));
        let money = Money::new(minor, capture.currency);
        let charge = &capture.provider_payment_id;
        let made = self.rig.simulator.dashboard_refund(self.rig.tenant, charge, money).await;
        made.expect("the dashboard makes it");
    }

    async fn decide_at_provider(&mut self, act: Act) {
        let Some(at) = self.rng.index(self.payments.len()) else { return };
        let book = self.rig.book(&self.payments[at]).await;
        let Some(refund) = self.rng.pick(&book.refunds) else { return };
        let (simulator, tenant) = (&self.rig.simulator, self.rig.tenant);
        // The provider may have decided the refund already, which is fine.
        let _ = match act {
            Act::FailAtProvider => simulator.fail_refund(tenant, &refund.id).await,
            _ => simulator.complete_refund(tenant, &refund.id).await,
        };
    }
}
