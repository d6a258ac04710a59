//! What can happen.

use crate::dice::Dice;
use crate::world::{Asked, World};
use domain::decide::Refusal;
use domain::money::Money;
use domain::refund::Refund;
use engine::{Answered, Error, RefundView, Sweep};
use testkit::RefundRequest;

/// What the simulator is told to do with refunds. Most go well, as in life.
pub(crate) const SCRIPTS: &[&str] = &[
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

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Pay,
    Ask,
    AskAndHangUp,
    AskAgain,
    Cancel,
    RefundInDashboard,
    FailAtProvider,
    CompleteAtProvider,
    Work,
    StepProvider,
    LetOneGo,
    LetTimePass,
    Forget,
    NodeDies,
    NodeIsReplaced,
}

impl Act {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..2 => Self::Pay,
            2..20 => Self::Ask,
            20..24 => Self::AskAndHangUp,
            24..30 => Self::AskAgain,
            30..33 => Self::Cancel,
            33..35 => Self::RefundInDashboard,
            35..38 => Self::FailAtProvider,
            38..40 => Self::CompleteAtProvider,
            40..62 => Self::Work,
            62..74 => Self::StepProvider,
            74..77 => Self::LetOneGo,
            77..94 => Self::LetTimePass,
            94..95 => Self::Forget,
            95..98 => Self::NodeDies,
            _ => Self::NodeIsReplaced,
        }
    }
}

impl World {
    pub(crate) async fn play(&mut self, act: Act) {
        match act {
            Act::Pay => {
                let captured = self.dice.between(1, 30_000);
                self.payments.push(self.rig.pay(captured, "USD").await);
            }
            Act::Ask => {
                if let Some(key) = self.make_up_request().await {
                    self.ask(&key).await;
                }
            }
            Act::AskAndHangUp => {
                if let Some(key) = self.make_up_request().await {
                    self.ask_and_hang_up(&key).await;
                }
            }
            Act::AskAgain => {
                let keys: Vec<String> = self.asked.keys().cloned().collect();
                if let Some(key) = self.dice.pick(&keys) {
                    self.ask(key).await;
                }
            }
            Act::Cancel => self.cancel().await,
            Act::RefundInDashboard => self.refund_in_dashboard().await,
            Act::FailAtProvider | Act::CompleteAtProvider => self.settle_by_hand(act).await,
            Act::Work => {
                self.work().await;
            }
            Act::StepProvider => self.step_simulator().await,
            Act::LetOneGo => self.let_one_go().await,
            Act::LetTimePass => {
                let spans = [1, 20, 500, 2_000, 60_000, 60_000, 120_000, 3_600_000];
                let longest = *self.dice.pick(&spans).unwrap_or(&1);
                let ms = self.dice.between(1, longest);
                self.rig.clock.advance(ms);
            }
            Act::Forget => {
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

    /// Makes up a request under a key of its own. Too much is asked for now and then.
    async fn make_up_request(&mut self) -> Option<String> {
        let at = self.dice.index(self.payments.len())?;
        let payment = self.rig.payment(self.payments[at].facts.id).await;
        let left = payment.refundable();
        let script = self.script();
        let mut request = self.rig.refund(&payment).simulate(script);
        match self.dice.below(10) {
            0 => {}
            1 => request = request.amount(left + 1),
            2 => request = request.amount(left.max(1)),
            _ => request = request.amount(self.dice.between(1, (left / 3).max(1))),
        }
        let key = format!("key-{}", self.asked.len());
        if self.dice.percent(30) {
            request = request.reference(&format!("reference-{}", self.asked.len()));
        }
        let request = request.key(&key);
        self.asked.insert(key.clone(), Asked { request, script, answered: None });
        Some(key)
    }

    fn request(&self, key: &str) -> RefundRequest {
        self.asked[key].request.clone().of(&self.rig.engine)
    }

    /// Asks, for the first time or again: the same key is always answered with the same refund.
    pub(crate) async fn ask(&mut self, key: &str) {
        let answer = self.request(key).try_create().await;
        self.settle().await;
        self.note_answer(key, answer);
    }

    fn note_answer(&mut self, key: &str, answer: Result<Answered<RefundView>, Error>) {
        let asked = self.asked.get_mut(key).expect("it was asked for");
        match answer {
            Ok(answered) => {
                let id = answered.value.refund.id;
                assert!(
                    asked.answered.is_none_or(|known| known == id),
                    "{key} made another refund"
                );
                assert!(
                    asked.answered.is_none() || answered.replayed,
                    "{key} is told as new twice"
                );
                asked.answered = Some(id);
            }
            Err(Error::Refused(Refusal::OverRefund { .. } | Refusal::NothingRefundable { .. })) => {
                assert_eq!(asked.answered, None, "{key} was acknowledged and is refused now");
            }
            Err(error) => panic!("{key}: {error:?}"),
        }
    }

    /// Asks, and does not wait for the answer: whatever comes of it must be found under the key.
    async fn ask_and_hang_up(&mut self, key: &str) {
        let ask = self.request(key).try_create();
        tokio::select! {
            biased;
            answer = ask => self.note_answer(key, answer),
            () = tokio::task::yield_now() => {}
        }
        self.settle().await;
        // The committer answers in order, so that after this the first request is over as well.
        self.ask(key).await;
    }

    async fn any_refund(&mut self) -> Option<Refund> {
        let at = self.dice.index(self.payments.len())?;
        let refunds = self.rig.refunds_of(&self.payments[at]).await;
        self.dice.pick(&refunds).cloned()
    }

    async fn cancel(&mut self) {
        let Some(refund) = self.any_refund().await else { return };
        match self.rig.engine.cancel_refund(self.rig.scope, refund.id, None).await {
            Ok(_) | Err(Error::Refused(Refusal::TooLateToCancel(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn refund_in_dashboard(&mut self) {
        let Some(at) = self.dice.index(self.payments.len()) else { return };
        let facts = self.payments[at].facts.clone();
        let minor = self.dice.between(1, (facts.captured / 4).max(1));
        let money = Money::new(minor, facts.currency);
        let charge = &facts.provider_payment_id;
        let made = self.rig.simulator.dashboard_refund(self.rig.scope, charge, money).await;
        made.expect("the dashboard makes it");
    }

    async fn settle_by_hand(&mut self, act: Act) {
        let Some(at) = self.dice.index(self.payments.len()) else { return };
        let book = self.rig.book(&self.payments[at]).await;
        let Some(refund) = self.dice.pick(&book.refunds) else { return };
        let (simulator, scope) = (&self.rig.simulator, self.rig.scope);
        // It may be too late for it, which is fine.
        let _ = match act {
            Act::FailAtProvider => simulator.fail_refund(scope, &refund.id).await,
            _ => simulator.complete_refund(scope, &refund.id).await,
        };
    }
}
