//! One test per word of the simulator: where the refund ends, and what the books hold then.

use domain::ledger::Code::{Cash, RevenueRefund};
use domain::payment::Payment;
use domain::refund::{Refund, State, State as S};
use engine::Direction::{Credit, Debit};
use testkit::{EngineRig, Leg};

const ASKED: i64 = 2_500;

/// The transfers of a refund of [`ASKED`] that succeeds, and of one that is taken back.
const POSTED: [Leg; 2] = [(RevenueRefund, Debit, ASKED), (Cash, Credit, ASKED)];
const TAKEN_BACK: [Leg; 2] = [(Cash, Debit, ASKED), (RevenueRefund, Credit, ASKED)];

/// A refund of [`ASKED`] out of 10,000, followed to the end of everything.
struct Story {
    rig: EngineRig,
    payment: Payment,
    refund: Refund,
    states: Vec<State>,
    legs: Vec<Leg>,
}

async fn play(script: &str) -> Story {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(ASKED).simulate(script).create().await;
    assert_eq!(rig.amounts(&payment).await, (0, ASKED, 0));
    rig.run_until_quiet().await;
    Story::read(rig, payment, refund).await
}

impl Story {
    async fn read(rig: EngineRig, payment: Payment, refund: Refund) -> Self {
        rig.verify_clean().await;
        let states = rig.states(&refund).await;
        let legs = rig.legs(&refund).await;
        let refund = rig.reload(&refund).await;
        Self { rig, payment, refund, states, legs }
    }

    /// The customer has the money, once, and all books say so.
    async fn assert_refunded(&self) {
        assert_eq!(self.refund.state, State::Succeeded);
        assert_eq!(self.refund.failure, None);
        assert!(self.refund.provider_refund_id.is_some());
        assert_eq!(self.rig.amounts(&self.payment).await, (ASKED, 0, 0));
        assert_eq!(self.legs, POSTED);
        assert_eq!(self.rig.verify_paid_as_booked(&self.payment).await, ASKED);
    }

    /// The merchant has the money, and all books say so.
    async fn assert_not_refunded(&self) {
        assert_eq!(self.refund.state, State::Failed);
        assert_eq!(self.rig.amounts(&self.payment).await, (0, 0, 0));
        assert_eq!(self.rig.verify_paid_as_booked(&self.payment).await, 0);
    }

    fn failure_code(&self) -> Option<&str> {
        self.refund.failure.as_ref().map(|failure| &*failure.code)
    }
}

#[tokio::test]
async fn succeed_is_over_with_the_first_answer() {
    let story = play("succeed").await;
    assert_eq!(story.states, [S::Queued, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn succeed_after_is_submitted_until_its_webhook_comes() {
    let story = play("succeed_after:500").await;
    assert_eq!(story.states, [S::Queued, S::Submitted, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn refuse_frees_the_money_and_keeps_the_reason() {
    let story = play("refuse:card_closed").await;
    assert_eq!(story.states, [S::Queued, S::Failed]);
    assert_eq!(story.failure_code(), Some("card_closed"));
    assert!(!story.refund.late);
    assert_eq!(story.legs, []);
    story.assert_not_refunded().await;
    assert_eq!(story.rig.book(&story.payment).await.payouts, []);
    let all = story.rig.refund(&story.payment).create().await;
    assert_eq!(all.amount, 10_000, "everything is refundable again");
}

#[tokio::test]
async fn timeout_after_booking_is_found_by_a_look_up_and_not_paid_again() {
    let story = play("timeout_after_booking").await;
    assert_eq!(story.states, [S::Queued, S::Unknown, S::Succeeded]);
    story.assert_refunded().await;
    assert_eq!(story.rig.book(&story.payment).await.refunds.len(), 1);
}

#[tokio::test]
async fn timeout_before_booking_is_sent_again_under_its_key() {
    let story = play("timeout_before_booking").await;
    assert_eq!(story.states, [S::Queued, S::Unknown, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn server_error_is_no_refusal_and_is_sent_again_under_its_key() {
    let story = play("server_error").await;
    assert_eq!(story.states, [S::Queued, S::Unknown, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn garbage_is_no_answer_and_a_look_up_finds_that_it_was_paid() {
    let story = play("garbage").await;
    assert_eq!(story.states, [S::Queued, S::Unknown, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn wrong_amount_needs_a_person_and_the_money_stays_reserved() {
    let story = play("wrong_amount").await;
    assert_eq!(story.states, [S::Queued, S::NeedsReview]);
    assert_eq!(story.failure_code(), Some("amount_mismatch"));
    let message = story.refund.failure.map(|failure| failure.message);
    let message = message.expect("a message");
    assert!(message.contains("24.99 USD") && message.contains("25.00 USD"), "{message}");
    assert_eq!(story.rig.amounts(&story.payment).await, (0, ASKED, 0));
    assert_eq!(story.legs, []);
    assert_eq!(story.rig.paid_out(&story.payment).await, ASKED - 1);
    assert!(story.refund.needs_attention, "a person was told");
    assert_eq!(story.refund.due_at, None, "nothing more happens by itself");
}

#[tokio::test]
async fn stay_pending_is_asked_about_ever_more_rarely_and_settled_by_the_provider() {
    for (succeeds, state) in [(true, State::Succeeded), (false, State::Failed)] {
        let rig = EngineRig::open().await;
        let payment = rig.pay(10_000, "USD").await;
        let refund = rig.refund(&payment).amount(ASKED).simulate("stay_pending").create().await;
        rig.run_for(24 * 60 * 60_000).await;
        let pending = rig.reload(&refund).await;
        assert_eq!(pending.state, State::Submitted);
        assert!((20..60).contains(&pending.checks), "{} look-ups in a day", pending.checks);
        assert_eq!(rig.amounts(&payment).await, (0, ASKED, 0));

        let key = refund.provider_key();
        let by_hand = if succeeds {
            rig.simulator.complete_refund(rig.tenant, &key).await
        } else {
            rig.simulator.fail_refund(rig.tenant, &key).await
        };
        by_hand.expect("settled by hand");
        rig.run_now().await;
        let story = Story::read(rig, payment, refund).await;
        assert_eq!(story.states, [S::Queued, S::Submitted, state]);
        if succeeds {
            story.assert_refunded().await;
        } else {
            assert_eq!(story.failure_code(), Some("refund_failed"));
            story.assert_not_refunded().await;
        }
    }
}

#[tokio::test]
async fn no_funds_then_ok_waits_for_funds_and_is_sent_again() {
    let story = play("no_funds_then_ok").await;
    // Sending it again is not told.
    let waited = [S::Queued, S::WaitingForFunds, S::Succeeded];
    assert_eq!(story.states, waited);
    story.assert_refunded().await;
}

#[tokio::test]
async fn webhook_twice_is_booked_once() {
    let story = play("webhook_twice").await;
    assert_eq!(story.states, [S::Queued, S::Submitted, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn webhook_out_of_order_leaves_the_newer_state_standing() {
    let story = play("webhook_out_of_order").await;
    assert_eq!(story.states, [S::Queued, S::Submitted, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn webhook_never_is_found_out_by_asking() {
    let story = play("webhook_never").await;
    assert_eq!(story.states, [S::Queued, S::Submitted, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn webhook_forged_is_refused_and_changes_nothing() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(ASKED).simulate("webhook_forged").create().await;
    rig.run_now().await;
    rig.clock.advance(20);
    let step = rig.step_simulator().await;
    assert_eq!((step.delivered, step.refused), (0, 1), "the forged one is refused");
    assert_eq!(rig.reload(&refund).await.state, State::Submitted);
    assert_eq!(rig.amounts(&payment).await, (0, ASKED, 0));

    rig.run_until_quiet().await;
    let story = Story::read(rig, payment, refund).await;
    assert_eq!(story.states, [S::Queued, S::Submitted, S::Succeeded]);
    story.assert_refunded().await;
}

#[tokio::test]
async fn late_failure_is_booked_back_and_marked_as_late() {
    let story = play("late_failure").await;
    assert_eq!(story.states, [S::Queued, S::Succeeded, S::Failed]);
    assert!(story.refund.late);
    assert_eq!(story.failure_code(), Some("late_failure"));
    assert_eq!(story.legs, [POSTED, TAKEN_BACK].concat());
    story.assert_not_refunded().await;
    let payouts = story.rig.book(&story.payment).await.payouts;
    assert_eq!(payouts.len(), 1, "paid once and returned");
}

#[tokio::test]
async fn a_word_the_simulator_does_not_know_is_a_refusal() {
    let story = play("sucede").await;
    assert_eq!(story.failure_code(), Some("unknown_script"));
    story.assert_not_refunded().await;
}
