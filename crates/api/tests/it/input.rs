//! Bad input: each request gets a 4xx with a code and a field and changes nothing.

use crate::world::{Ask, World};
use domain::tenant::Mode;

#[tokio::test]
async fn bad_bodies_change_nothing() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    let before = world.books(&key).await;
    let wrap = |fields: &str| format!(r#"{{"chargeId":"ch_1",{fields}}}"#).into_bytes();
    let pairs = |count: usize| {
        let pairs: Vec<_> = (0..count).map(|n| format!(r#""{n}":"""#)).collect();
        format!(r#""metadata":{{{}}}"#, pairs.join(","))
    };
    let mut latin = wrap(r#""reason":"caf?""#);
    if let Some(byte) = latin.iter_mut().find(|byte| **byte == b'?') {
        *byte = 0xe9;
    }
    for (body, expected) in [
        (wrap(r#""amount":0"#), "400 validation_error amount"),
        (wrap(r#""amount":-5"#), "400 validation_error amount"),
        (wrap(r#""amount":1.5"#), "400 validation_error amount"),
        (wrap(r#""amount":1e3"#), "400 validation_error amount"),
        (wrap(r#""amount":"5""#), "400 validation_error amount"),
        (wrap(r#""amount":true"#), "400 validation_error amount"),
        (wrap(r#""amount":[]"#), "400 validation_error amount"),
        (wrap(r#""amount":9007199254740992"#), "400 validation_error amount"),
        (wrap(r#""amount":99999999999999999999999"#), "400 validation_error amount"),
        (wrap(r#""amount":5,"amount":5"#), "400 validation_error amount"),
        (wrap(r#""x":5,"x":5"#), "400 validation_error x"),
        (wrap(r#""currency":"XYZ""#), "400 validation_error currency"),
        (wrap(r#""currency":"usd""#), "400 validation_error currency"),
        (wrap(r#""currency":"EUR""#), "400 validation_error currency"),
        (wrap(r#""expectedRefundable":-1"#), "400 validation_error expectedRefundable"),
        (wrap(r#""sourceType":"subscription""#), "400 validation_error sourceType"),
        (wrap(r#""sourceType":"invoice","sourceId":"cs_1""#), "400 validation_error sourceId"),
        (wrap(r#""reason":5"#), "400 validation_error reason"),
        (wrap(&format!(r#""reason":"{}""#, "x".repeat(501))), "400 validation_error reason"),
        (wrap(r#""reference":"""#), "400 validation_error reference"),
        (wrap(r#""metadata":{"a":1}"#), "400 validation_error metadata.a"),
        (wrap(r#""metadata":{"a":"1","a":"1"}"#), "400 validation_error metadata.a"),
        (wrap(&pairs(51)), "400 validation_error metadata"),
        (wrap(&pairs(10_000)), "413 payload_too_large"),
        (vec![b' '; 10 * 1024 * 1024], "413 payload_too_large"),
        (latin, "400 validation_error"),
        (b"{}".to_vec(), "400 validation_error sourceId"),
        (b"".to_vec(), "400 validation_error"),
        (b"null".to_vec(), "400 validation_error"),
        (b"[]".to_vec(), "400 validation_error"),
        (b"{".to_vec(), "400 validation_error"),
        (b"{\"chargeId\":\"ch_1\"".to_vec(), "400 validation_error"),
        (b"chargeId=ch_1".to_vec(), "400 validation_error"),
    ] {
        let text = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        let reply = world.send(Ask::post("/api/v1/refunds", body).bearer(&key)).await;
        assert_eq!(reply.problem(), expected, "{text}");
    }
    assert_eq!(world.books(&key).await, before);
}

#[tokio::test]
async fn only_json_is_taken() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
    {
        let mut ask = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch_1"}"#).bearer(&key);
        ask.headers[0].1 = kind.to_owned();
        assert_eq!(world.send(ask).await.problem(), "415 unsupported_media_type", "{kind}");
    }
    let mut ask = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch_1"}"#).bearer(&key);
    ask.headers.remove(0);
    assert_eq!(world.send(ask).await.problem(), "415 unsupported_media_type");
}

#[tokio::test]
async fn bad_queries_are_refused_by_parameter() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    for (target, field) in [
        ("refunds?limit=0", "limit"),
        ("refunds?limit=-1", "limit"),
        ("refunds?limit=1000", "limit"),
        ("refunds?limit=abc", "limit"),
        ("refunds?limit=5&limit=5", "limit"),
        ("refunds?cursor=abc", "cursor"),
        ("refunds?cursor=%F0%9F", "cursor"),
        ("refunds?order=up", "order"),
        ("refunds?status=paid", "status"),
        ("refunds?status=", "status"),
        ("refunds?createdAfter=soon", "createdAfter"),
        ("refunds?sourceId=a&sourceId=b", "sourceId"),
        ("refunds?chargeId=%00", "chargeId"),
        ("payments?createdBefore=2026-02-30", "createdBefore"),
        ("ledger?sourceType=nonsense", "sourceType"),
        ("events?type=refund.exploded", "type"),
        ("events?occurredAfter=x", "occurredAfter"),
    ] {
        let reply = world.send(Ask::get(&format!("/api/v1/{target}")).bearer(&key)).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{target}");
    }
    for target in [
        "refunds?sourceId=nothing",
        "refunds?chargeId=pay_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "refunds?unknown=1&unknown=2",
        "ledger?code=platform_fee",
        "ledger?sourceType=payout",
        "ledger?txId=nothing",
        "events?type=refund.failed",
    ] {
        let reply = world.send(Ask::get(&format!("/api/v1/{target}")).bearer(&key)).await;
        assert_eq!(reply.data(200), &serde_json::json!([]), "{target}");
    }
}
