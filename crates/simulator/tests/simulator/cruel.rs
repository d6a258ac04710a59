//! Scripts and configurations that do what real providers do to whoever trusts them.

use crate::psp::*;
use domain::outcome::{Again, ProviderOutcome as O};
use domain::provider::{Funds, Idempotency, Times, WebhookTrust};
use providers::http::Deadline;
use providers::{Call, Hint, Lookup, Provider, RefundInstruction};
use simulator::{RefundStatus, SimulatorConfig};
use std::time::Duration;

const HOUR_MS: i64 = 60 * 60_000;

async fn lookup(psp: &Psp, order: &RefundInstruction) -> Lookup {
    psp.simulator.lookup(order, call()).await
}

/// The refunds of the test payment as the list shows them: key and id, newest first.
async fn list(psp: &Psp) -> Vec<(Option<String>, Box<str>)> {
    let (mut after, mut shown) = (None, Vec::new());
    loop {
        let payment = capture(tenant(), None);
        let page = psp.simulator.list(&payment, after.as_deref(), call()).await.expect("a page");
        let named = page
            .notices
            .into_iter()
            .map(|notice| (notice.key, notice.said.provider_refund_id.expect("an id")));
        shown.extend(named);
        after = page.next;
        if after.is_none() {
            return shown;
        }
    }
}

#[tokio::test]
async fn a_forgotten_key_pays_again() {
    let psp = Psp::open();
    let order = order("k1", "forget_keys_after:1000");
    unknown(psp.submit(&order).await);
    psp.clock.advance(999);
    let first = completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
    psp.clock.advance(1);
    unknown(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
    let second = completed(psp.submit(&order).await);
    assert_ne!(second.provider_refund_id, first.provider_refund_id, "the newer one is replayed");
    assert_eq!(psp.paid_out().await, 2 * ASKED);
}

#[tokio::test]
async fn keys_that_are_kept_for_a_while_are_told_in_the_traits() {
    let kept_ms = Some(24 * HOUR_MS);
    let psp = Psp::open_with(SimulatorConfig { keys_kept_ms: kept_ms, ..Default::default() });
    let expected = Idempotency::Key { kept_ms, replays_errors: false };
    assert_eq!(psp.simulator.traits().idempotency, expected);
    let order = order("k1", "succeed");
    completed(psp.submit(&order).await);
    psp.clock.advance(24 * HOUR_MS - 1);
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
    psp.clock.advance(1);
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
}

#[tokio::test]
async fn a_repeat_can_be_refused_with_the_first_ones_name() {
    let config = SimulatorConfig { refuses_repeats: true, ..SimulatorConfig::default() };
    let psp = Psp::open_with(config);
    assert_eq!(psp.simulator.traits().idempotency, Idempotency::Twin { kept_ms: None });
    let order = order("k1", "timeout_after_booking");
    unknown(psp.submit(&order).await);
    let twin = of_outcome(psp.submit(&order).await, O::Twin);
    assert_eq!(twin.provider_refund_id, completed(psp.look_up(&order).await).provider_refund_id);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn a_held_refund_is_there_and_paid_by_a_top_up() {
    let psp = Psp::open();
    let order = order("k1", "hold_for_funds");
    let held = of_outcome(psp.submit(&order).await, O::Held);
    let id = held.provider_refund_id.expect("an id");
    of_outcome(psp.submit(&order).await, O::Held);
    of_outcome(psp.look_up(&order).await, O::Held);
    assert_eq!(psp.paid_out().await, 0);
    assert_eq!(psp.simulator.top_up(tenant()).await, Ok(1));
    assert_eq!(psp.paid_out().await, ASKED);
    assert_eq!(psp.after(0).await.delivered, 1);
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(completed(notice.said).provider_refund_id, Some(id));
    of_outcome(psp.submit(&order).await, O::Held);
    assert_eq!(psp.simulator.top_up(tenant()).await, Ok(0));
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn a_held_refund_can_also_be_completed_or_failed() {
    let psp = Psp::open();
    for key in ["k1", "k2"] {
        of_outcome(psp.submit(&order(key, "hold_for_funds")).await, O::Held);
    }
    psp.simulator.complete_refund(tenant(), "k1").await.expect("completed");
    psp.simulator.fail_refund(tenant(), "k2").await.expect("failed");
    assert_eq!(psp.simulator.top_up(tenant()).await, Ok(0));
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn a_provider_that_holds_refuses_nothing_for_lack_of_funds() {
    let config = SimulatorConfig { holds_for_funds: true, ..SimulatorConfig::default() };
    let psp = Psp::open_with(config);
    assert_eq!(psp.simulator.traits().funds, Funds::Holds);
    of_outcome(psp.submit(&order("k1", "no_funds_then_ok")).await, O::Held);
    assert_eq!(psp.simulator.top_up(tenant()).await, Ok(1));
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn a_repeat_can_be_refused_since_nothing_is_left() {
    let psp = Psp::open();
    let order = order("k1", "already_refunded_on_repeat");
    unknown(psp.submit(&order).await);
    for _ in 0..2 {
        let said = of_outcome(psp.submit(&order).await, O::Spent);
        assert_eq!(said.failure.map(|why| why.code).as_deref(), Some("already_refunded"));
    }
    completed(psp.look_up(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn a_refund_in_progress_is_nowhere_until_it_is_booked() {
    let psp = Psp::open();
    let order = order("k1", "in_progress:500");
    unknown(psp.submit(&order).await);
    of_outcome(psp.submit(&order).await, O::InProgress);
    assert!(psp.is_absent(&order).await);
    assert_eq!(list(&psp).await, []);
    assert_eq!(psp.paid_out().await, 0);
    assert!(psp.after(499).await.is_idle());
    let step = psp.after(1).await;
    assert_eq!((step.changed, step.delivered), (1, 1));
    let first = completed(psp.submit(&order).await);
    assert_eq!(first.at, Some(START.plus_ms(500)));
    assert_eq!(completed(psp.look_up(&order).await), first);
    assert_eq!(completed(psp.notices().remove(0).said), first);
    assert_eq!(psp.paid_out().await, ASKED);

    let late = self::order("k2", "in_progress:500");
    unknown(psp.submit(&late).await);
    psp.clock.advance(60_000);
    let second = completed(psp.submit(&late).await);
    assert_eq!(second.at, Some(START.plus_ms(1_000)), "in time, though no step was made");
    assert_eq!(list(&psp).await.len(), 2);
    assert_eq!(psp.after(0).await.delivered, 1);
    assert_eq!(completed(psp.notices().remove(0).said), second);
}

#[tokio::test]
async fn a_webhook_can_come_before_every_answer_and_without_the_key() {
    let psp = Psp::open();
    let order = order("k1", "webhook_without_key_first");
    unknown(psp.submit(&order).await);
    assert_eq!(psp.after(0).await.delivered, 1);
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(notice.key, None);
    let told = completed(notice.said);
    let answer = completed(psp.submit(&order).await);
    assert_eq!(answer.provider_refund_id, told.provider_refund_id);
    psp.simulator.fail_refund(tenant(), "k1").await.expect("failed");
    psp.after(0).await;
    assert_eq!(psp.notices()[0].key, None, "later ones neither");
}

#[tokio::test]
async fn times_can_be_missing() {
    let psp = Psp::open();
    let order = order("k1", "no_times");
    assert_eq!(completed(psp.submit(&order).await).at, None);
    assert_eq!(completed(psp.look_up(&order).await).at, None);
    psp.simulator.fail_refund(tenant(), "k1").await.expect("failed");
    psp.after(0).await;
    assert_eq!(psp.notices()[0].said.at, None);

    let psp = Psp::open_with(SimulatorConfig { names_times: false, ..Default::default() });
    assert_eq!(psp.simulator.traits().times, Times::None);
    let order = self::order("k1", "succeed");
    assert_eq!(completed(psp.submit(&order).await).at, None);
    let (refused, _) = rejected(psp.submit(&self::order("k2", "refuse")).await);
    assert_eq!(refused.at, None);
}

#[tokio::test]
async fn times_can_be_whole_seconds() {
    let config = SimulatorConfig { time_resolution_ms: 1_000, ..SimulatorConfig::default() };
    let psp = Psp::open_with(config);
    assert_eq!(psp.simulator.traits().times, Times::Ordered { resolution_ms: 1_000 });
    psp.clock.advance(1_900);
    let said = completed(psp.submit(&order("k1", "succeed")).await);
    assert_eq!(said.at, Some(START.plus_ms(1_000)));
}

#[tokio::test]
async fn a_throttled_call_does_nothing_and_says_when_to_come_again() {
    let psp = Psp::open();
    let order = order("k1", "throttle:3");
    for _ in 0..3 {
        let said = of_outcome(psp.submit(&order).await, O::NotDone);
        assert_eq!(said.again, Again::AfterMs(1_000));
        assert!(psp.is_absent(&order).await);
    }
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, ASKED);
    assert_eq!(psp.book().await.refunds[0].calls, 4);
}

#[tokio::test]
async fn a_call_can_hang_for_as_long_as_its_caller_has_time() {
    let psp = Psp::open();
    let short = Call { deadline: Deadline::within(Duration::from_millis(20)), ..call() };
    for (script, paid) in [("hang_before_booking", 0), ("hang_after_booking", ASKED)] {
        let order = order(script, script);
        let said = psp.simulator.submit(&order, short).await;
        assert_eq!(&*unknown(said), "timeout");
        assert_eq!(psp.paid_out().await, paid, "{script}");
    }
    let order = order("hang_before_booking", "hang_before_booking");
    completed(psp.submit(&order).await);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
}

#[tokio::test]
async fn a_second_payout_has_the_key_and_another_id() {
    let psp = Psp::open();
    let order = order("k1", "second_payout:500");
    let first = completed(psp.submit(&order).await);
    assert!(psp.after(499).await.is_idle());
    let step = psp.after(1).await;
    assert_eq!((step.changed, step.delivered), (1, 1));
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(notice.key.as_deref(), Some("k1"));
    assert_ne!(completed(notice.said).provider_refund_id, first.provider_refund_id);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
    assert_eq!(completed(psp.submit(&order).await), first, "a repeat gets the first");
    assert_eq!(completed(psp.look_up(&order).await), first);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
}

#[tokio::test]
async fn another_currency_or_payment_is_said_as_it_is() {
    let psp = Psp::open();
    for (code, other) in [("USD", "EUR"), ("EUR", "USD")] {
        let payment = domain::payment::Capture {
            currency: currency(code),
            provider_payment_id: code.into(),
            ..capture(tenant(), None)
        };
        let money = domain::money::Money::new(5, currency(code));
        let payment = std::sync::Arc::new(payment);
        let order = RefundInstruction { payment, money, ..order(code, "other_currency") };
        for _ in 0..2 {
            let said = completed(psp.submit(&order).await);
            assert_eq!(said.money, Some(domain::money::Money::new(5, currency(other))));
        }
    }
    let said = completed(psp.submit(&order("k1", "other_payment")).await);
    assert_eq!(said.provider_payment_id.as_deref(), Some("ch_1_other"));
}

#[tokio::test]
async fn a_status_of_tomorrow_is_accepted_with_its_id() {
    let psp = Psp::open();
    let order = order("k1", "new_status");
    let accepted = accepted(psp.submit(&order).await);
    psp.after(20).await;
    assert_eq!(
        completed(psp.look_up(&order).await).provider_refund_id,
        accepted.provider_refund_id
    );
}

#[tokio::test]
async fn pages_for_people_and_endless_answers_say_nothing() {
    let psp = Psp::open();
    for (script, code, paid) in
        [("html_error", "http_403", 0), ("huge_answer", "answer_too_large", ASKED)]
    {
        let order = order(script, script);
        assert_eq!(&*unknown(psp.submit(&order).await), code);
        assert_eq!(psp.paid_out().await, paid);
        completed(psp.submit(&order).await);
        psp.simulator.fail_refund(tenant(), script).await.expect("taken back");
    }
}

#[tokio::test]
async fn an_error_can_be_replayed_for_as_long_as_the_key_is_known() {
    let psp = Psp::open();
    let order = order("k1", "replays_errors");
    for _ in 0..3 {
        assert_eq!(&*unknown(psp.submit(&order).await), "internal_error");
        psp.clock.advance(365 * 24 * HOUR_MS);
    }
    assert!(psp.is_absent(&order).await);
    assert_eq!(psp.paid_out().await, 0);

    let kept_ms = Some(24 * HOUR_MS);
    let config =
        SimulatorConfig { keys_kept_ms: kept_ms, replays_errors: true, ..Default::default() };
    let psp = Psp::open_with(config);
    let expected = Idempotency::Key { kept_ms, replays_errors: true };
    assert_eq!(psp.simulator.traits().idempotency, expected);
    let no_funds = self::order("k1", "no_funds_then_ok");
    let server_error = self::order("k2", "server_error");
    for _ in 0..2 {
        of_outcome(psp.submit(&no_funds).await, O::WaitingForFunds);
        unknown(psp.submit(&server_error).await);
        psp.clock.advance(24 * HOUR_MS - 1);
    }
    psp.clock.advance(1);
    assert_eq!(psp.paid_out().await, 0);
    completed(psp.submit(&no_funds).await);
    completed(psp.submit(&server_error).await);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
}

#[tokio::test]
async fn a_booked_refund_can_be_invisible_for_a_while() {
    let lag = SimulatorConfig { list_lag_ms: 500, ..SimulatorConfig::default() };
    for (psp, script) in [(Psp::open(), "list_lag:500"), (Psp::open_with(lag), "succeed")] {
        let order = order("k1", script);
        let id = completed(psp.submit(&order).await).provider_refund_id;
        let named = RefundInstruction { provider_refund_id: id, ..order.clone() };
        psp.clock.advance(499);
        assert!(psp.is_absent(&order).await && psp.is_absent(&named).await);
        assert_eq!(list(&psp).await, []);
        completed(psp.submit(&order).await);
        psp.clock.advance(1);
        completed(psp.look_up(&order).await);
        assert_eq!(list(&psp).await.len(), 1);
    }
    let lag = SimulatorConfig { list_lag_ms: 500, ..SimulatorConfig::default() };
    assert_eq!(Psp::open_with(lag).simulator.traits().lookup.lag_ms, 500);
}

#[tokio::test]
async fn a_provider_can_be_unable_to_find_a_key() {
    let config = SimulatorConfig {
        looks_up_by_key: false,
        echoes_keys: false,
        absence_proved_after_ms: Some(HOUR_MS),
        ..SimulatorConfig::default()
    };
    let psp = Psp::open_with(config);
    let by = psp.simulator.traits().lookup;
    assert_eq!((by.our_key, by.proves_absence_after_ms), (false, Some(HOUR_MS)));
    let order = order("k1", "succeed_after:10");
    let id = accepted(psp.submit(&order).await).provider_refund_id;
    assert!(matches!(lookup(&psp, &order).await, Lookup::Unknown(_)));
    let named = RefundInstruction { provider_refund_id: id.clone(), ..order };
    accepted(psp.look_up(&named).await);
    assert_eq!(list(&psp).await, [(None, id.expect("an id"))]);
    psp.after(10).await;
    assert_eq!(psp.notices()[0].key, None);
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    for page_size in [1, 2, 3, 100] {
        let psp = Psp::open_with(SimulatorConfig { page_size, ..SimulatorConfig::default() });
        for n in 0..4 {
            completed(psp.submit(&order(&format!("k{n}"), "succeed")).await);
        }
        let keys: Vec<_> = list(&psp).await.into_iter().filter_map(|(key, _)| key).collect();
        assert_eq!(keys, ["k3", "k2", "k1", "k0"], "{page_size}");
    }
}

#[tokio::test]
async fn a_webhook_can_be_no_more_than_a_hint() {
    let config = SimulatorConfig { webhooks_only_hint: true, ..SimulatorConfig::default() };
    let psp = Psp::open_with(config);
    assert_eq!(psp.simulator.traits().webhook, WebhookTrust::SignedHint);
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.after(0).await;
    let [(_, webhook)] = psp.webhooks().try_into().expect("one webhook");
    let inbound = read(&psp.simulator, &webhook).await.expect("authentic");
    assert_eq!(inbound.notices, []);
    assert_eq!(inbound.hints, [Hint::Payment(PAYMENT.into())]);
}

#[tokio::test]
async fn all_of_this_survives_a_kill() {
    let psp = Psp::open();
    for script in ["hold_for_funds", "in_progress:500", "replays_errors", "throttle:2", "no_times"]
    {
        psp.submit(&order(script, script)).await;
    }
    let psp = psp.kill_and_restart();
    let again = async |script: &str| psp.submit(&order(script, script)).await.outcome;
    assert_eq!(again("hold_for_funds").await, O::Held);
    assert_eq!(again("in_progress:500").await, O::InProgress);
    assert_eq!(again("replays_errors").await, O::Unknown);
    assert_eq!(again("throttle:2").await, O::NotDone);
    assert_eq!(again("throttle:2").await, O::Completed);
    assert_eq!(psp.look_up(&order("no_times", "no_times")).await.at, None);
    let book = psp.book().await.refunds;
    let status = |key: &str| book.iter().find(|r| r.key.as_deref() == Some(key)).map(|r| r.status);
    assert_eq!(status("hold_for_funds"), Some(RefundStatus::Held));
    assert_eq!(status("in_progress:500"), Some(RefundStatus::Processing));
}
