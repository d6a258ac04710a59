//! The random acts of a run.

use crate::facts::Standby;
use crate::rng::SeededRng;
use crate::world::{CallerRequest, HOUR_MS, World};
use domain::decide::Refusal;
use domain::money::Money;
use domain::refund::Refund;
use domain::time::Clock;
use engine::{Answered, Error, RefundView, Sweep};
use testkit::RefundRequest;

/// Refunds of one payment, at most, so that all of them fit on the pages that are read.
const REFUNDS_OF_A_PAYMENT: usize = 60;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    RegisterPayment,
    CreateRefunds,
    CreateAndHangUp,
    RepeatCreate,
    Cancel,
    RefundInDashboard,
    FailAtProvider,
    CompleteAtProvider,
    TopUp,
    PersonLooks,
    WorkOnDueRefunds,
    StepProvider,
    ReleaseCalls,
    HintAtPayment,
    LetTimePass,
    ClockGoesBack,
    ExpireAndPrune,
    NodeStarts,
    NodeDies,
    NodeIsReplaced,
    CopyDatabase,
    FailOver,
    DisputeMoves,
    TellOfDispute,
    PersonHolds,
    PersonEndsHold,
    ReadChanges,
    LookAtWaiting,
    ThrowSwitch,
}

impl Act {
    pub(crate) fn draw(rng: &mut SeededRng) -> Self {
        match rng.below(330) {
            0..6 => Self::RegisterPayment,
            6..36 => Self::CreateRefunds,
            36..42 => Self::CreateAndHangUp,
            42..50 => Self::RepeatCreate,
            50..55 => Self::Cancel,
            55..59 => Self::RefundInDashboard,
            59..64 => Self::FailAtProvider,
            64..68 => Self::CompleteAtProvider,
            68..71 => Self::TopUp,
            71..78 => Self::PersonLooks,
            78..168 => Self::WorkOnDueRefunds,
            168..205 => Self::StepProvider,
            205..220 => Self::ReleaseCalls,
            220..223 => Self::HintAtPayment,
            223..278 => Self::LetTimePass,
            278..281 => Self::ClockGoesBack,
            281..282 => Self::ExpireAndPrune,
            282..285 => Self::NodeStarts,
            285..289 => Self::NodeDies,
            289..293 => Self::NodeIsReplaced,
            293..296 => Self::CopyDatabase,
            296..297 => Self::FailOver,
            297..303 => Self::DisputeMoves,
            303..312 => Self::TellOfDispute,
            312..315 => Self::PersonHolds,
            315..317 => Self::PersonEndsHold,
            317..321 => Self::ReadChanges,
            321..324 => Self::LookAtWaiting,
            324..327 => Self::ThrowSwitch,
            _ => Self::LetTimePass,
        }
    }
}

impl World {
    pub(crate) async fn play(&mut self, act: Act) {
        match act {
            Act::RegisterPayment => {
                let captured = self.rng.between(1, 3_000_000);
                self.payments.push(self.rig.pay(captured, "USD").await);
            }
            Act::CreateRefunds => {
                for _ in 0..self.rng.between(1, 6) {
                    if let Some(key) = self.make_request().await {
                        self.create(&key).await;
                    }
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
            Act::TopUp => {
                let topped_up = self.rig.simulator.top_up(self.rig.tenant).await;
                topped_up.expect("the simulator is there");
            }
            Act::PersonLooks => self.person_looks_at_one().await,
            Act::WorkOnDueRefunds => {
                if self.sending_is_stopped && self.rng.percent(5) {
                    let engine = self.any_node();
                    self.start_sending(&engine).await;
                }
                for _ in 0..self.rng.between(1, 3) {
                    let engine = self.any_node();
                    let limit = u32::try_from(self.rng.between(1, 6)).unwrap_or(1);
                    self.work(&engine, limit).await;
                }
                if self.rng.percent(30) {
                    let engine = self.any_node();
                    engine.step_notices(4).await.expect("a step");
                }
            }
            Act::StepProvider => {
                for _ in 0..self.rng.between(1, 6) {
                    self.step_simulator().await;
                }
            }
            Act::ReleaseCalls => {
                for _ in 0..self.rng.between(1, 4) {
                    self.release_one_call().await;
                }
            }
            Act::HintAtPayment => {
                if let Some(at) = self.rng.index(self.payments.len()) {
                    let payment = self.payments[at].clone();
                    self.hint_at(&payment).await;
                }
            }
            Act::LetTimePass => {
                let spans =
                    [1, 500, 2_000, 10_000, 60_000, 60_000, 120_000, 600_000, HOUR_MS, 4 * HOUR_MS];
                let longest = *self.rng.pick(&spans).unwrap_or(&1);
                let ms = self.rng.between(1, longest);
                self.rig.clock.advance(ms);
            }
            Act::ClockGoesBack => {
                let ms = self.rng.between(1, 1_000);
                self.rig.clock.advance(-ms);
                self.network.counts.count("clock", "goes back");
            }
            Act::ExpireAndPrune => {
                self.rig.engine.step_expire(100).await.expect("a step");
                let mut sweep = Sweep::START;
                while sweep != Sweep::Done {
                    sweep = self.rig.engine.step_prune(sweep, 10).await.expect("a step");
                }
            }
            Act::NodeStarts => self.start_node(),
            Act::NodeDies => {
                self.end_node(true);
                self.network.counts.count("node", "dies");
            }
            Act::NodeIsReplaced => {
                self.end_node(false);
                self.network.counts.count("node", "is slow and replaced");
            }
            Act::CopyDatabase => {
                let (file, copied_at) = (self.rig.copy_database().await, self.rig.clock.now());
                let disputes_told = self.network.disputes_told();
                self.standby = Some(Standby { file, copied_at, disputes_told });
            }
            Act::FailOver => self.fail_over().await,
            Act::DisputeMoves => self.dispute_moves(),
            Act::TellOfDispute => self.tell_of_a_dispute().await,
            Act::PersonHolds => self.person_holds().await,
            Act::PersonEndsHold => self.person_ends_hold().await,
            Act::ReadChanges => {
                let engine = self.any_node();
                let pages = u32::try_from(self.rng.between(1, 4)).unwrap_or(1);
                self.step_reconcile(&engine, pages).await;
            }
            Act::LookAtWaiting => self.look_at_waiting().await,
            Act::ThrowSwitch => self.throw_switch().await,
        }
    }

    /// A node tells persons of refunds that wait for too long.
    async fn look_at_waiting(&mut self) {
        let engine = self.any_node();
        let limit = u32::try_from(self.rng.between(1, 20)).unwrap_or(1);
        let after = engine.step_ageing(self.aged_until, limit).await.expect("a step");
        self.aged_until = after;
        engine.step_left(limit).await.expect("a step");
    }

    /// Makes a refund request under a new idempotency key. A few ask for more than is
    /// refundable, or for all of it.
    async fn make_request(&mut self) -> Option<String> {
        let at = self.rng.index(self.payments.len())?;
        let payment = self.payments[at].clone();
        let left = self.rig.payment(payment.capture.id).await.refundable();
        let is_full = self.rig.book(&payment).await.refunds.len() >= REFUNDS_OF_A_PAYMENT;
        if is_full || left == 0 && self.rng.percent(90) {
            return None;
        }
        let script = self.profile.draw_script(&mut self.rng);
        let mut request = self.rig.refund(&payment).simulate(script);
        match self.rng.below(30) {
            0 => request = request.amount(left + 1),
            1 if self.rng.percent(30) => {}
            _ => request = request.amount(self.rng.between(1, (left / 8).max(1))),
        }
        let key = format!("key-{}", self.asked);
        if self.rng.percent(30) {
            request = request.reference(&format!("reference-{}", self.asked));
        }
        self.asked += 1;
        self.network.counts.count("script", script);
        let request = request.key(&key);
        self.requests
            .insert(key.clone(), CallerRequest { request, payment, script, answered: None });
        Some(key)
    }

    fn request(&mut self, key: &str) -> RefundRequest {
        let engine = self.any_node();
        self.requests[key].request.clone().of(&engine)
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
        let engine = self.any_node();
        match engine.cancel_refund(self.rig.tenant, refund.id, None).await {
            Ok(_) | Err(Error::Refused(Refusal::TooLateToCancel(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn refund_in_dashboard(&mut self) {
        let Some(at) = self.rng.index(self.payments.len()) else { return };
        let capture = self.payments[at].capture.clone();
        let minor = self.rng.between(1, (capture.captured / 10).max(1));
        let money = Money::new(minor, capture.currency);
        let charge = &capture.provider_payment_id;
        let made = self.rig.simulator.dashboard_refund(self.rig.tenant, charge, money).await;
        made.expect("the dashboard makes it");
        self.network.counts.count("provider", "refunds by itself");
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
