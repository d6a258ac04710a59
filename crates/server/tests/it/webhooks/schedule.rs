//! Retries of failed webhooks, and when retries end.

use super::receiver::Answer;
use super::world::{World, verify_standard};
use domain::webhook::{Format, Status};
use serde_json::json;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const WAITS: [i64; 9] = [
    5_000,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

#[tokio::test]
async fn attempts_follow_the_schedule_and_the_tenth_failure_is_the_last() {
    let world = World::open().await;
    world.endpoint("/", "refund.created", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(302).with("location", "http://127.0.0.1:1/"));
    world.refund().await;
    assert_eq!(world.send().await, 1);
    for (at, wait) in WAITS.iter().enumerate() {
        let tried = world.now();
        let next = world.only_delivery().await.0.delivery.next_at.expect("a next time");
        let waits = next.ms_since(tried);
        assert!((wait * 9 / 10..=wait * 11 / 10).contains(&waits), "attempt {at}: {waits}");
        world.advance(waits - 1);
        assert_eq!(world.send().await, 0, "no attempt before its time");
        world.advance(1);
        assert_eq!(world.send().await, 1);
    }
    let (view, log) = world.only_delivery().await;
    assert_eq!((view.delivery.status, view.delivery.next_at), (Status::Failed, None));
    assert_eq!(log.len(), 10);
    assert!(log.iter().all(|attempt| attempt.outcome.response_code == Some(302)));
    assert_eq!(world.receiver.all().len(), 10, "no redirect was followed");
}

#[tokio::test]
async fn a_receiver_can_delay_the_retry() {
    for (answer, least, most) in [
        ("120", 120_000, 120_000),
        ("1", 4_500, 5_500),
        ("99999999", 24 * HOUR, 24 * HOUR),
        ("Tue, 14 Nov 2023 22:23:20 GMT", 10 * MINUTE, 10 * MINUTE),
        ("Tue, 14 Nov 2000 22:23:20 GMT", 4_500, 5_500),
        ("soon", 4_500, 5_500),
        ("-5", 4_500, 5_500),
    ] {
        let world = World::open().await;
        world.endpoint("/", "refund.created", Format::Refundry).await;
        world.receiver.answers(move |_| Answer::status(503).with("retry-after", answer));
        world.refund().await;
        let before = world.now();
        world.send().await;
        let next = world.only_delivery().await.0.delivery.next_at.expect("a next time");
        let waits = next.ms_since(before);
        assert!((least..=most).contains(&waits), "{answer}: {waits}");
    }
}

#[tokio::test]
async fn timeouts_and_refused_connections_are_logged_as_failures() {
    let world = World::open().await;
    world.endpoint("/", "refund.created", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(200).after(std::time::Duration::from_mins(1)));
    world.refund().await;
    world.send().await;
    let (view, log) = world.only_delivery().await;
    assert_eq!(view.delivery.last_error.as_deref(), Some("timed out after 700ms"));
    assert_eq!(log[0].outcome.response_code, None);

    let world = World::open().await;
    world.endpoint_at("http://127.0.0.1:1/", "refund.created", Format::Refundry).await;
    world.refund().await;
    world.send().await;
    let (view, _) = world.only_delivery().await;
    let error = view.delivery.last_error.expect("an error");
    assert!(error.starts_with("no connection: "), "{error}");
}

#[tokio::test]
async fn a_long_answer_is_cut_off_and_still_counts() {
    let world = World::open().await;
    world.endpoint("/", "refund.created refund.succeeded", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(200).long(50 * 1024 * 1024));
    world.refund().await;
    world.send().await;
    assert_eq!(world.statuses().await, [Status::Succeeded; 2]);
}

#[tokio::test]
async fn a_410_disables_the_endpoint_and_notifies_the_others() {
    let world = World::open().await;
    let gone = world.endpoint("/gone", "refund.created refund.succeeded", Format::Plugipay).await;
    let other = world.endpoint("/other", "webhook_endpoint.disabled", Format::Refundry).await;
    world.receiver.answers(|one| Answer::status(if one.path == "/gone" { 410 } else { 200 }));
    world.refund().await;
    world.send().await;
    let endpoint = world.reload(&gone).await;
    assert!(!endpoint.active);
    assert_eq!(endpoint.disabled_at, Some(world.now()));
    assert_eq!(endpoint.disabled_reason.as_deref(), Some("the receiver answered 410 Gone"));
    assert_eq!(world.receiver.count("/gone"), 1, "queued deliveries are not tried any more");
    let received =
        world.receiver.all().into_iter().find(|one| one.path == "/other").expect("a webhook");
    assert!(verify_standard(&received, &other.secret, world.now().0 / 1000).is_some());
    let body = received.json();
    assert_eq!(body["type"], "webhook_endpoint.disabled");
    let object = &body["data"]["object"];
    assert_eq!(object["id"], json!(gone.endpoint.id.to_string()));
    assert_eq!(object["active"], json!(false));
    assert_eq!(object["consecutiveFailures"], 1);
    assert_eq!(object["url"], json!(world.receiver.url("/gone")));
}

#[tokio::test]
async fn twenty_failures_in_a_row_over_a_day_disable_the_endpoint_and_fewer_or_faster_do_not() {
    let world = World::open().await;
    let made = world.endpoint("/", "refund.created", Format::Refundry).await;
    world.receiver.answers(|_| Answer::status(500));
    for _ in 0..25 {
        world.refund().await;
    }
    world.send().await;
    let endpoint = world.reload(&made).await;
    assert!(endpoint.active, "25 failures at once are a short outage");
    assert_eq!(endpoint.consecutive_failures, 25);
    // One success resets the count of failures.
    world.receiver.answers(|_| Answer::status(200));
    world.refund().await;
    world.send().await;
    assert_eq!(world.reload(&made).await.consecutive_failures, 0);
    world.receiver.answers(|_| Answer::status(500));
    let mut last = 0;
    let start = world.now();
    while world.now().ms_since(start) < 40 * HOUR {
        world.advance(6_000);
        world.send().await;
        let endpoint = world.reload(&made).await;
        last = endpoint.consecutive_failures;
        if !endpoint.active {
            break;
        }
        world.advance(HOUR);
    }
    let endpoint = world.reload(&made).await;
    assert!(!endpoint.active, "{last} failures in 40 hours");
    let since = endpoint.failing_since.expect("a first failure");
    assert!(world.now().ms_since(since) >= 24 * HOUR);
    assert!(endpoint.consecutive_failures >= 20);
    assert!(!world.statuses().await.contains(&Status::Pending));
    let reason = endpoint.disabled_reason.as_deref();
    assert_eq!(reason, Some("20 deliveries in a row failed over at least 24 hours"));
}
