//! One test per script.

use crate::psp::*;
use domain::outcome::ProviderOutcome;
use domain::time::Timestamp;
use simulator::RefundStatus;
use std::sync::Arc;

#[tokio::test]
async fn succeed_is_booked_and_answered_at_once_and_schedules_nothing() {
    let psp = Psp::open();
    let said = completed(psp.submit(&order("k1", "succeed")).await);
    assert_eq!(said.money, Some(usd(ASKED)));
    assert_eq!(said.provider_payment_id.as_deref(), Some(PAYMENT));
    assert_eq!(said.at, Some(START));
    let id = said.provider_refund_id.expect("an id");
    assert!(id.starts_with("sre_") && id.len() == 30, "{id}");

    assert_eq!(psp.simulator.next_due(), None);
    assert!(psp.after(1_000_000).await.is_idle());
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn without_a_word_a_refund_succeeds_and_the_payments_word_is_the_second_choice() {
    let psp = Psp::open();
    let plain = providers::RefundInstruction { metadata: None, ..order("k1", "") };
    completed(psp.submit(&plain).await);
    let payment = Arc::new(capture(tenant(), Some("stay_pending")));
    let of_payment = providers::RefundInstruction { payment, key: "k2".to_owned(), ..plain };
    accepted(psp.submit(&of_payment).await);
    let own = providers::RefundInstruction {
        metadata: Some(simulate("succeed")),
        key: "k3".to_owned(),
        ..of_payment
    };
    completed(psp.submit(&own).await);
}

#[tokio::test]
async fn succeed_after_is_pending_until_its_time_and_then_tells() {
    let psp = Psp::open();
    let order = order("k1", "succeed_after:500");
    let pending = accepted(psp.submit(&order).await);
    assert_eq!(psp.simulator.next_due(), Some(START.plus_ms(500)));
    assert!(psp.after(499).await.is_idle());
    accepted(psp.look_up(&order).await);
    assert_eq!(psp.paid_out().await, 0);

    let step = psp.after(1).await;
    assert_eq!((step.changed, step.delivered, step.refused), (1, 1, 0));
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(notice.key.as_deref(), Some("k1"));
    assert_eq!(&*notice.provider_payment_id, PAYMENT);
    let said = completed(notice.said);
    assert_eq!(said.provider_refund_id, pending.provider_refund_id);
    assert_eq!((said.money, said.at), (Some(usd(ASKED)), Some(START.plus_ms(500))));
    assert_eq!(completed(psp.look_up(&order).await), said);
    assert_eq!(psp.paid_out().await, ASKED);
    assert_eq!(psp.simulator.next_due(), None);
}

#[tokio::test]
async fn refuse_is_a_refusal_with_the_code_asked_for_and_pays_nothing() {
    let psp = Psp::open();
    let (said, why) = rejected(psp.submit(&order("k1", "refuse")).await);
    assert_eq!((&*why.code, said.at), ("refund_refused", Some(START)));
    let (_, why) = rejected(psp.submit(&order("k2", "refuse:card_closed")).await);
    assert_eq!(&*why.code, "card_closed");
    rejected(psp.submit(&order("k1", "refuse")).await);
    assert!(psp.is_absent(&order("k1", "refuse")).await);
    assert_eq!(psp.paid_out().await, 0);
}

#[tokio::test]
async fn timeout_after_booking_pays_and_loses_the_answer_that_the_same_key_then_gets() {
    let psp = Psp::open();
    let order = order("k1", "timeout_after_booking");
    assert_eq!(&*unknown(psp.submit(&order).await), "timeout");
    assert_eq!(psp.paid_out().await, ASKED);
    psp.clock.advance(5_000);
    let said = completed(psp.submit(&order).await);
    assert_eq!(said.at, Some(START), "the original success");
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn timeout_before_booking_books_nothing_until_the_same_key_comes_again() {
    let psp = Psp::open();
    let order = order("k1", "timeout_before_booking");
    assert_eq!(&*unknown(psp.submit(&order).await), "timeout");
    assert!(psp.is_absent(&order).await);
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn server_error_books_nothing_the_first_time() {
    let psp = Psp::open();
    let order = order("k1", "server_error");
    assert_eq!(&*unknown(psp.submit(&order).await), "internal_error");
    assert!(psp.is_absent(&order).await);
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn garbage_pays_and_says_nothing_usable_until_the_same_key_comes_again() {
    let psp = Psp::open();
    let order = order("k1", "garbage");
    assert_eq!(&*unknown(psp.submit(&order).await), "unreadable_answer");
    completed(psp.look_up(&order).await);
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn wrong_amount_books_and_reports_one_minor_unit_off() {
    let psp = Psp::open();
    let less = order("k1", "wrong_amount");
    assert_eq!(completed(psp.submit(&less).await).money, Some(usd(ASKED - 1)));
    assert_eq!(psp.paid_out().await, ASKED - 1);
    assert_eq!(completed(psp.submit(&less).await).money, Some(usd(ASKED - 1)), "a replay");
    let one = providers::RefundInstruction { money: usd(1), ..order("k2", "wrong_amount") };
    assert_eq!(completed(psp.submit(&one).await).money, Some(usd(2)));
}

#[tokio::test]
async fn stay_pending_stays_so_until_it_is_settled_by_hand() {
    let psp = Psp::open();
    let (good, bad) = (order("k1", "stay_pending"), order("k2", "stay_pending"));
    let id = accepted(psp.submit(&good).await).provider_refund_id.expect("an id");
    accepted(psp.submit(&bad).await);
    assert_eq!(psp.simulator.next_due(), None);
    assert!(psp.after(1_000_000).await.is_idle());
    accepted(psp.look_up(&good).await);

    psp.simulator.complete_refund(tenant(), &id).await.expect("completed");
    psp.simulator.fail_refund(tenant(), "k2").await.expect("failed");
    assert_eq!(psp.after(0).await.delivered, 2);
    let notices = psp.notices();
    completed(notices[0].said.clone());
    assert_eq!(&*rejected(notices[1].said.clone()).1.code, "refund_failed");
    assert_eq!(psp.paid_out().await, ASKED);
    assert!(psp.book().await.payouts.iter().all(|payout| payout.key.as_deref() == Some("k1")));
}

#[tokio::test]
async fn no_funds_then_ok_waits_for_funds_once_and_then_pays() {
    let psp = Psp::open();
    let order = order("k1", "no_funds_then_ok");
    let first = of_outcome(psp.submit(&order).await, ProviderOutcome::WaitingForFunds);
    assert_eq!(&*first.failure.as_ref().expect("a reason").code, "insufficient_funds");
    assert!(psp.is_absent(&order).await);
    let second = completed(psp.submit(&order).await);
    assert!(second.at > first.at, "a newer statement is newer though the clock stands still");
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn webhook_twice_delivers_the_same_webhook_twice() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "webhook_twice")).await);
    let step = psp.after(20).await;
    assert_eq!((step.changed, step.delivered), (1, 2));
    let bodies: Vec<_> = psp.webhooks().into_iter().map(|(_, webhook)| webhook.body).collect();
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn webhook_out_of_order_delivers_the_older_state_last() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "webhook_out_of_order")).await);
    assert_eq!(psp.after(20).await.delivered, 2);
    let [success, pending] = psp.notices().try_into().expect("two notices");
    assert_eq!(completed(success.said).at, Some(START.plus_ms(20)));
    assert_eq!(accepted(pending.said).at, Some(START));
}

#[tokio::test]
async fn webhook_never_succeeds_in_silence_and_only_a_look_up_tells() {
    let psp = Psp::open();
    let order = order("k1", "webhook_never");
    accepted(psp.submit(&order).await);
    let step = psp.after(20).await;
    assert_eq!((step.changed, step.delivered), (1, 0));
    assert!(psp.after(1_000_000).await.is_idle());
    completed(psp.look_up(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn webhook_forged_claims_a_failure_once_and_then_the_refund_succeeds() {
    let psp = Psp::open();
    let order = order("k1", "webhook_forged");
    accepted(psp.submit(&order).await);
    let step = psp.after(20).await;
    assert_eq!((step.changed, step.delivered, step.refused), (0, 0, 1));
    let [(_, forged)] = psp.webhooks().try_into().expect("one webhook");
    let body = String::from_utf8(forged.body.clone()).expect("text");
    assert!(body.contains("refund.failed"), "{body}");
    assert!(read(&psp.simulator, &forged).await.is_err());
    accepted(psp.look_up(&order).await);

    assert_eq!(psp.after(20).await.delivered, 1);
    let [notice] = psp.notices().try_into().expect("the authentic one");
    completed(notice.said);
    assert!(psp.after(1_000_000).await.is_idle(), "the forged one never comes again");
}

#[tokio::test]
async fn late_failure_takes_the_money_back_after_its_time() {
    let psp = Psp::open();
    let order = order("k1", "late_failure");
    let success = completed(psp.submit(&order).await);
    assert!(psp.after(999).await.is_idle());
    assert_eq!(psp.after(1).await.delivered, 1);
    let [notice] = psp.notices().try_into().expect("one notice");
    let (failure, why) = rejected(notice.said);
    assert_eq!(&*why.code, "late_failure");
    assert_eq!(failure.provider_refund_id, success.provider_refund_id);
    assert_eq!(failure.at, Some(START.plus_ms(1_000)));

    let book = psp.book().await;
    assert_eq!(book.refunds[0].status, RefundStatus::Failed);
    assert_eq!(book.payouts[0].at, START);
    assert_eq!(book.payouts[0].returned_at, Some(START.plus_ms(1_000)));
    assert_eq!(psp.paid_out().await, 0);
}

#[tokio::test]
async fn late_failure_takes_a_time_of_its_own_and_is_newer_even_at_once() {
    let psp = Psp::open();
    let success = completed(psp.submit(&order("k1", "late_failure:0")).await);
    assert_eq!(psp.after(0).await.changed, 1);
    let [notice] = psp.notices().try_into().expect("one notice");
    let (failure, _) = rejected(notice.said);
    assert_eq!(success.at, Some(START));
    assert_eq!(failure.at, Some(Timestamp(START.0 + 1)));
}

#[tokio::test]
async fn an_unknown_word_is_refused_with_the_words_there_are() {
    let psp = Psp::open();
    let (_, why) = rejected(psp.submit(&order("k1", "sucede")).await);
    assert_eq!(&*why.code, "unknown_script");
    assert!(why.message.contains("sucede") && why.message.contains("stay_pending"));
    assert_eq!(psp.paid_out().await, 0);
}
