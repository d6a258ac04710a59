//! Which webhooks are sent, to which endpoints and in which order.

use super::receiver::{Answer, Received};
use super::world::{LEASE_MS, World, verify_plugipay, verify_standard};
use domain::ids::HoldId;
use domain::outcome::Source;
use domain::webhook::{Format, Status};
use engine::{End, NewHold};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn both_formats_send_a_refund_and_verify_with_their_own_secret_only() {
    let world = World::open().await;
    let standard = world.endpoint("/standard", "refund.created refund.succeeded", Format::Refundry);
    let standard = standard.await;
    let plugipay = world.endpoint("/plugipay", "", Format::Plugipay).await;
    let refund = world.refund().await;
    world.send().await;
    let now_s = world.now().0 / 1000;
    let all = world.receiver.all();
    let at = |path: &str| all.iter().filter(|one| one.path == path).cloned().collect::<Vec<_>>();
    let (of_standard, of_plugipay) = (at("/standard"), at("/plugipay"));
    assert_eq!(
        of_standard.iter().map(Received::kind).collect::<Vec<_>>(),
        ["refund.created", "refund.succeeded"]
    );
    assert_eq!(
        of_plugipay.iter().map(Received::kind).collect::<Vec<_>>(),
        ["plugipay.refund.issued.v1", "plugipay.refund.succeeded.v1"]
    );
    for one in &of_standard {
        assert_eq!(verify_standard(one, &standard.secret, now_s), Some(0));
        assert_eq!(verify_standard(one, &plugipay.secret, now_s), None);
        assert_eq!(one.header("webhook-id"), one.json()["id"]);
        assert_eq!(one.header("content-type"), "application/json");
        assert!(one.header("user-agent").starts_with("Refundry/"));
    }
    for one in &of_plugipay {
        assert_eq!(verify_plugipay(one, &plugipay.secret, now_s), Some(0));
        assert_eq!(verify_plugipay(one, &standard.secret, now_s), None);
        let body = one.json();
        let mut keys: Vec<_> = body.as_object().expect("an object").keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["accountId", "data", "id", "occurredAt", "type"]);
        assert_eq!(one.json()["data"]["aggregateType"], "refund");
        assert_eq!(one.subject(), refund.id.to_string());
    }
    let object = |at: usize| of_plugipay[at].json()["data"]["object"].clone();
    assert_eq!(object(0)["status"], "pending");
    assert_eq!(object(0)["amount"], 100);
    assert_eq!(object(1)["status"], "succeeded");
    assert_eq!(of_plugipay[1].json()["accountId"], json!(world.account.to_string()));
}

#[tokio::test]
async fn holds_are_told_with_the_payment_as_it_was() {
    let world = World::open().await;
    let events = "payment.hold_placed payment.hold_released payment.hold_booked";
    world.endpoint("/holds", events, Format::Refundry).await;
    world.endpoint("/plugipay", "*", Format::Plugipay).await;
    let payment = world.rig.pay(10_000, "USD").await.capture.id;
    let (engine, tenant) = (world.engine(), world.rig.tenant);
    let place = async |amount| {
        let new = NewHold {
            tenant,
            payment,
            amount,
            currency: None,
            reason: "chargeback".into(),
            reference: None,
            source: Source::Operator,
        };
        engine.place_hold(new, None).await.expect("placed").value.id
    };
    let (first, second) = (place(7_000).await, place(4_000).await);
    engine.end_hold(tenant, payment, first, End::Release, None).await.expect("released");
    let book = End::Book { amount: Some(500) };
    engine.end_hold(tenant, payment, second, book, None).await.expect("booked");
    world.send().await;
    let all = world.receiver.all();
    let told = all.iter().filter(|one| one.path == "/holds").map(|one| {
        let (kind, data) = (one.kind(), one.json()["data"].clone());
        let payment = ["amountHeld", "amountHeldExcess", "amountRefunded"];
        (kind, data["hold"].clone(), payment.map(|name| data["object"][name].clone()))
    });
    let hold = |id: HoldId, amount: i64| json!({"id": id.to_string(), "amount": amount, "reason": "chargeback"});
    let expected = [
        ("payment.hold_placed", hold(first, 7_000), [7_000, 0, 0]),
        ("payment.hold_placed", hold(second, 4_000), [10_000, 1_000, 0]),
        ("payment.hold_released", hold(first, 7_000), [4_000, 0, 0]),
        ("payment.hold_booked", hold(second, 500), [0, 0, 500]),
    ];
    let expected =
        expected.map(|(kind, hold, sums)| (kind.to_owned(), hold, sums.map(Value::from)));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let plugipay = all.iter().filter(|one| one.path == "/plugipay").map(Received::kind);
    let refund = ["plugipay.refund.issued.v1", "plugipay.refund.succeeded.v1"];
    assert_eq!(plugipay.collect::<Vec<_>>(), refund, "this format has no holds");
}

#[tokio::test]
async fn an_endpoint_gets_its_events_under_the_names_of_either_format() {
    let world = World::open().await;
    world.endpoint("/all", "", Format::Refundry).await;
    world.endpoint("/star", "*", Format::Refundry).await;
    world.endpoint("/theirs", "plugipay.refund.issued.v1", Format::Refundry).await;
    world.endpoint("/ours", "refund.created", Format::Plugipay).await;
    world.endpoint("/never", "plugipay.payout.paid.v1", Format::Plugipay).await;
    world.refund().await;
    world.send().await;
    let count = |path: &str| world.receiver.count(path);
    // The events created, succeeded, and the payment's partially_refunded.
    assert_eq!([count("/all"), count("/star")], [3, 3]);
    assert_eq!([count("/theirs"), count("/ours"), count("/never")], [1, 1, 0]);
    // The payment's registration and the steps between are on the timeline only.
    let mut kinds = world.receiver.kinds();
    kinds.retain(|kind| kind.contains("payment.created") || kind.contains("updated"));
    assert_eq!(kinds, [""; 0]);
}

#[tokio::test]
async fn endpoints_of_the_other_mode_and_other_accounts_get_nothing() {
    let world = World::open().await;
    world.endpoint("/here", "", Format::Refundry).await;
    let other = world.engine().create_account("Other").await.expect("an account");
    let tenant = domain::tenant::Tenant::new(other.number, domain::tenant::Mode::Test);
    let mut new = world.rig.new_payment("ch_other", 5_000, "USD");
    new.tenant = tenant;
    let payment = world.engine().register_payment(new, None).await.expect("a payment").value;
    world.rig.refund(&payment).create().await;
    world.rig.run_now().await;
    assert_eq!(world.send().await, 0);
    assert!(world.receiver.all().is_empty());
}

#[tokio::test]
async fn a_later_event_of_a_refund_waits_for_the_earlier_one_and_other_refunds_do_not() {
    let world = World::open().await;
    world.endpoint("/", "refund.created refund.succeeded", Format::Refundry).await;
    let first = world.refund().await.id.to_string();
    let stuck = first.clone();
    world.receiver.answers(move |one| {
        let refused = one.subject() == stuck && one.kind() == "refund.created";
        Answer::status(if refused { 500 } else { 200 })
    });
    world.send().await;
    let second = world.refund().await.id.to_string();
    world.send().await;
    let received = |subject: &str| {
        let all = world.receiver.all();
        let of = all.iter().filter(|one| one.subject() == subject).map(Received::kind);
        of.collect::<Vec<_>>()
    };
    assert_eq!(received(&first), ["refund.created"], "the success waits");
    assert_eq!(received(&second), ["refund.created", "refund.succeeded"]);
    world.receiver.answers(|_| Answer::status(204));
    world.advance(6_000);
    world.send().await;
    assert_eq!(received(&first), ["refund.created", "refund.created", "refund.succeeded"]);
    assert_eq!(world.statuses().await, [Status::Succeeded; 4]);
}

#[tokio::test]
async fn events_of_many_refunds_arrive_in_order_when_half_the_answers_are_errors() {
    let world = World::open().await;
    world.endpoint("/", "refund.created refund.succeeded", Format::Refundry).await;
    let mut turn = 0;
    world.receiver.answers(move |_| {
        turn += 1;
        Answer::status(if turn % 2 == 0 { 503 } else { 200 })
    });
    for _ in 0..20 {
        world.refund().await;
    }
    while world.statuses().await.contains(&Status::Pending) {
        world.send().await;
        world.advance(6 * 60 * 1000);
    }
    assert_eq!(world.statuses().await, [Status::Succeeded; 40]);
    let all = world.receiver.all();
    for subject in all.iter().map(Received::subject) {
        let kinds: Vec<_> =
            all.iter().filter(|one| one.subject() == subject).map(Received::kind).collect();
        assert!(kinds.is_sorted(), "{subject}: {kinds:?}");
    }
}

#[tokio::test]
async fn the_new_and_the_old_secret_both_sign_for_a_day_after_a_rotation() {
    let world = World::open().await;
    let standard = world.endpoint("/standard", "refund.created", Format::Refundry).await;
    let plugipay = world.endpoint("/plugipay", "refund.created", Format::Plugipay).await;
    let mut fresh = Vec::new();
    for made in [&standard, &plugipay] {
        let id = made.endpoint.id;
        let rotated = world.engine().rotate_endpoint_secret(world.rig.tenant, id).await;
        let rotated = rotated.expect("a new secret");
        fresh.push(secrecy::ExposeSecret::expose_secret(&rotated.secret).to_owned());
    }
    let check = async |old: Option<usize>| {
        world.receiver.forget();
        world.refund().await;
        world.send().await;
        let now_s = world.now().0 / 1000;
        for one in world.receiver.all() {
            if one.path == "/standard" {
                assert_eq!(verify_standard(&one, &fresh[0], now_s), Some(0));
                assert_eq!(verify_standard(&one, &standard.secret, now_s), old);
            } else {
                assert_eq!(verify_plugipay(&one, &fresh[1], now_s), Some(0));
                assert_eq!(verify_plugipay(&one, &plugipay.secret, now_s), old);
            }
        }
        assert_eq!(world.receiver.all().len(), 2);
    };
    check(Some(1)).await;
    world.advance(24 * 60 * 60 * 1000 - 1);
    check(Some(1)).await;
    world.advance(1);
    check(None).await;
}

#[tokio::test]
async fn the_log_holds_the_exact_body_and_every_attempt_sends_that_body() {
    let world = World::open().await;
    world.endpoint("/", "refund.created", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(500));
    world.refund().await;
    // Before the first attempt, the log shows the body that will be sent.
    let (before, log) = world.only_delivery().await;
    assert!(log.is_empty());
    world.send().await;
    world.advance(6_000);
    world.receiver.answers(|_| Answer::status(201));
    world.send().await;
    let (view, log) = world.only_delivery().await;
    let all = world.receiver.all();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].body, all[1].body);
    assert_eq!(&*view.body, all[0].text());
    assert_eq!(view.body, before.body);
    assert_eq!(view.delivery.attempts, 2);
    assert_eq!(log.len(), 2);
    let first: &domain::webhook::Attempt = &log[0];
    assert_eq!((first.number, first.outcome.response_code), (1, Some(500)));
    assert_eq!(first.outcome.explain().as_deref(), Some("HTTP 500"));
    assert!(first.next_at.is_some());
    assert_eq!((log[1].number, log[1].outcome.response_code), (2, Some(201)));
    assert_eq!(log[1].next_at, None);
}

#[tokio::test]
async fn a_slow_endpoint_does_not_delay_others() {
    let world = World::open().await;
    world.endpoint("/slow", "refund.created", Format::Refundry).await;
    world.endpoint("/quick", "refund.created", Format::Refundry).await;
    world.receiver.answers(|one| {
        let slow = one.path == "/slow";
        Answer::status(200).after(Duration::from_secs(if slow { 600 } else { 0 }))
    });
    let payment = world.rig.pay(100_000, "USD").await;
    for _ in 0..200 {
        world.rig.refund(&payment).amount(1).create().await;
    }
    // The same steps as in the server's loop: claim, spawn, claim again.
    let engine = world.engine().clone();
    let sending = tokio::spawn(async move {
        loop {
            let look = engine.lease_deliveries(64).await.expect("a look");
            let idle = look.leased.is_empty();
            for leased in look.leased {
                let worker = engine.clone();
                tokio::spawn(async move { worker.deliver(leased).await });
            }
            if idle {
                engine.deliveries_arrived().await;
            }
        }
    });
    testkit::eventually("the fast endpoint to receive everything", async || {
        (world.receiver.count("/quick") == 200).then_some(())
    })
    .await;
    // The slow endpoint uses its share of calls and no more.
    assert!(world.receiver.count("/slow") <= 2 * 64, "{}", world.receiver.count("/slow"));
    sending.abort();
}

#[tokio::test]
async fn a_claimed_delivery_without_a_record_is_sent_again_after_its_lease() {
    let mut world = World::open().await;
    world.endpoint("/", "refund.created", Format::Refundry).await;
    world.refund().await;
    let engine = world.engine().clone();
    let look = engine.lease_deliveries(10).await.expect("a look");
    assert_eq!(look.leased.len(), 1);
    // Simulates the end of the process; `server.rs` kills a real one.
    drop(look);
    world.restart();
    assert_eq!(world.send().await, 0, "the lease still runs");
    world.advance(LEASE_MS);
    assert_eq!(world.send().await, 1);
    let (view, _) = world.only_delivery().await;
    assert_eq!(view.delivery.status, Status::Succeeded);
    assert_eq!(&*view.body, world.receiver.all()[0].text());
}

#[tokio::test]
async fn a_retry_makes_one_attempt_and_is_refused_while_queued_or_disabled() {
    let world = World::open().await;
    let made = world.endpoint("/", "refund.created", Format::Refundry).await;
    world.refund().await;
    let id = world.only_delivery().await.0.delivery.id;
    let retry = || world.engine().retry_delivery(world.rig.tenant, world.account, id);
    let refused = async || retry().await.err().map(|error| error.to_string());
    assert_eq!(refused().await.as_deref(), Some("the delivery is queued already"));
    world.send().await;
    // Retries a delivery that succeeded.
    assert_eq!(retry().await.expect("queued").delivery.status, Status::Pending);
    world.receiver.answers(|_| Answer::status(500));
    assert_eq!(world.send().await, 1);
    let (view, log) = world.only_delivery().await;
    assert_eq!(view.delivery.status, Status::Failed, "one attempt, with any outcome");
    assert_eq!((view.delivery.next_at, log.len()), (None, 2));
    // Retries a delivery that failed.
    world.receiver.answers(|_| Answer::status(200));
    retry().await.expect("queued");
    assert_eq!(world.send().await, 1);
    assert_eq!(world.only_delivery().await.0.delivery.status, Status::Succeeded);
    world.set_active(&made, false).await;
    assert_eq!(refused().await.as_deref(), Some("the webhook endpoint is not active"));
    world.set_active(&made, true).await;
    retry().await.expect("queued");
}

#[tokio::test]
async fn pausing_an_endpoint_fails_its_queue_and_nothing_is_sent_until_it_is_active_again() {
    let world = World::open().await;
    let made = world.endpoint("/", "refund.created refund.succeeded", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(500));
    world.refund().await;
    world.send().await;
    assert_eq!(world.reload(&made).await.consecutive_failures, 1);
    let paused = world.set_active(&made, false).await;
    assert_eq!((paused.active, paused.disabled_at), (false, None));
    assert_eq!(world.statuses().await, [Status::Failed; 2]);
    let last = &world.deliveries().await[1].delivery;
    assert_eq!(last.last_error.as_deref(), Some("the endpoint is not active"));
    world.refund().await;
    assert_eq!(
        world.deliveries().await.len(),
        2,
        "nothing is queued while the endpoint is inactive"
    );
    let active = world.set_active(&made, true).await;
    assert_eq!((active.consecutive_failures, active.failing_since), (0, None));
    world.receiver.answers(|_| Answer::status(200));
    world.receiver.forget();
    world.refund().await;
    world.send().await;
    assert_eq!(world.receiver.kinds(), ["refund.created", "refund.succeeded"]);
}

#[tokio::test]
async fn a_deleted_endpoint_leaves_its_log_and_nothing_queued() {
    let world = World::open().await;
    let made = world.endpoint("/", "refund.created refund.succeeded", Format::Plugipay).await;
    world.refund().await;
    let id = made.endpoint.id;
    world.engine().remove_endpoint(world.rig.tenant, id).await.expect("removed");
    assert_eq!(world.send().await, 0);
    assert_eq!(world.statuses().await, [Status::Failed; 2]);
    let body: Value = serde_json::from_str(&world.deliveries().await[0].body).expect("JSON");
    assert_eq!(body["type"], "plugipay.refund.issued.v1");
}

#[tokio::test]
async fn after_a_rotation_each_secret_is_sometimes_the_last_signature() {
    let world = World::open().await;
    let made = world.endpoint("/hook", "refund.created", Format::Plugipay).await;
    let rotated = world.engine().rotate_endpoint_secret(world.rig.tenant, made.endpoint.id).await;
    let new = rotated.expect("a secret").secret.expose_secret().to_owned();
    world.receiver.answers(|_| Answer::status(400));
    world.refund().await;
    world.send().await;
    for _ in 0..2 {
        world.advance(6 * 60 * 1000);
        world.send().await;
    }
    // Some verifiers read the last signature only.
    let signed = |one: &Received| {
        let header = one.header("x-plugipay-signature");
        let at = header["t=".len()..].split(',').next().expect("a time").parse().expect("a time");
        [&made.secret, &new].map(|secret| verify_plugipay(one, secret, at))
    };
    let signed: Vec<_> = world.receiver.all().iter().map(signed).collect();
    let (old_last, new_last) = ([Some(1), Some(0)], [Some(0), Some(1)]);
    assert_eq!(signed, [old_last, new_last, old_last]);
}
