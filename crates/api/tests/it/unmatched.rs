//! Statements of providers that fit nothing yet.

use crate::world::{Ask, World};
use domain::money::{Currency, Money};
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::tenant::Mode;
use domain::time::Timestamp;
use providers::{DisputeNotice, DisputeStage, Inbound, Notice};
use serde_json::{Value, json};

pub fn told(refund: &str, outcome: ProviderOutcome, amount: i64) -> Inbound {
    let usd = Currency::parse("USD").expect("a currency");
    let notice = Notice {
        provider_payment_id: "ch_early".into(),
        key: Some("somebody else's".into()),
        said: Said {
            provider_refund_id: Some(refund.into()),
            money: Some(Money::new(amount, usd)),
            at: Some(Timestamp(1_778_582_400_000)),
            failure: Some(Failure::new("why", "because")),
            ..Said::new(outcome)
        },
    };
    Inbound { notices: vec![notice], ..Inbound::default() }
}

#[tokio::test]
async fn a_statement_that_fits_nothing_is_listed_until_it_does() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let list = async |query: &str| {
        let path = format!("/api/v1/unmatched-notices{query}");
        world.send(Ask::get(&path).bearer(&key)).await
    };
    assert_eq!(list("").await.data(200), &json!([]));
    world.hear(told("re_1", ProviderOutcome::Completed, 300)).await;
    world.hear(told("re_1", ProviderOutcome::Completed, 300)).await;
    world.clock.advance(1_000);
    world.hear(told("re_2", ProviderOutcome::Failed, 400)).await;
    let reply = list("?order=asc").await;
    let [first, second] = &reply.data(200).as_array().expect("a list")[..] else {
        panic!("a repeated statement is kept once: {}", reply.body)
    };
    let mut shown = first.clone();
    let next = shown["nextTryAt"].take();
    assert!(next.as_str() > Some("2026-05-12T10:42:00"), "{next}");
    assert_eq!(
        shown,
        json!({
            "id": first["id"],
            "provider": "telling",
            "providerAccount": null,
            "providerPaymentId": "ch_early",
            "providerRefundId": "re_1",
            "refundKey": "somebody else's",
            "outcome": "completed",
            "dispute": null,
            "disputeStage": null,
            "amount": 300,
            "currency": "USD",
            "providerAt": "2026-05-12T10:40:00.000Z",
            "failureCode": "why",
            "failureMessage": "because",
            "source": "webhook",
            "reason": "payment_not_registered",
            "tries": 0,
            "nextTryAt": null,
            "receivedAt": "2026-05-12T10:42:00.000Z",
        })
    );
    assert_eq!(second["providerRefundId"], "re_2");
    let page = list("?limit=1").await;
    assert_eq!(page.data(200)[0], *second);
    let cursor = page.body["meta"]["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(list(&format!("?limit=1&cursor={cursor}")).await.data(200)[0], *first);
    let later = list("?receivedAfter=2026-05-12T10:42:01Z").await;
    assert_eq!(later.data(200), &json!([second]));
    assert_eq!(list("?receivedAfter=soon").await.problem(), "400 validation_error receivedAfter");
    let other = world.key(Some(Mode::Live), "*").await;
    let reply = world.send(Ask::get("/api/v1/unmatched-notices").bearer(&other)).await;
    assert_eq!(reply.data(200), &json!([]));

    let body = json!({"amount": 1000, "currency": "USD", "provider": "telling",
        "providerPaymentId": "ch_early"});
    let reply = world.send(Ask::post("/api/v1/payments", body.to_string()).bearer(&key)).await;
    assert_eq!(reply.data(201)["amountRefunded"], 300);
    let left = list("").await;
    let left: Vec<&Value> = left.data(200).as_array().into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_dispute_that_fits_nothing_is_listed_until_it_does() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let usd = Currency::parse("USD").expect("a currency");
    let told = |stage| {
        let dispute = DisputeNotice {
            provider_payment_id: "ch_early".into(),
            dispute: "dp_1".into(),
            money: Money::new(700, usd),
            stage,
        };
        Inbound { disputes: vec![dispute], ..Inbound::default() }
    };
    world.hear(told(DisputeStage::Open)).await;
    let list = Ask::get("/api/v1/unmatched-notices").bearer(&key);
    let kept = world.send(list.clone()).await.data(200)[0].clone();
    assert_eq!(
        [&kept["dispute"], &kept["disputeStage"], &kept["outcome"], &kept["amount"]],
        [&json!("dp_1"), &json!("open"), &Value::Null, &json!(700)]
    );
    let body = json!({"amount": 1000, "currency": "USD", "provider": "telling",
        "providerPaymentId": "ch_early"});
    let reply = world.send(Ask::post("/api/v1/payments", body.to_string()).bearer(&key)).await;
    let payment = reply.data(201);
    assert_eq!((&payment["amountHeld"], &payment["amountRefundable"]), (&json!(700), &json!(300)));
    assert_eq!(world.send(list).await.data(200), &json!([]));
    let holds = format!("/api/v1/payments/{}/holds", payment["id"].as_str().expect("an id"));
    world.hear(told(DisputeStage::Lost)).await;
    let hold = world.send(Ask::get(&holds).bearer(&key)).await.data(200)[0].clone();
    assert_eq!(
        [&hold["status"], &hold["source"], &hold["reference"], &hold["reason"]],
        [&json!("booked"), &json!("webhook"), &json!("dp_1"), &json!("dispute")]
    );
}
