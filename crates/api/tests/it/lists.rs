//! Lists, pages and the read-only resources.

use crate::world::{Ask, Key, World};
use domain::tenant::Mode;
use serde_json::{Value, json};

/// Walks a list to its end and gives the ids in order.
async fn walk(world: &World, key: &Key, path: &str, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let target = format!("/api/v1/{path}?{query}&cursor={cursor}");
        let reply = world.send(Ask::get(&target).bearer(key)).await;
        let items = reply.data(200).as_array().expect("a list").clone();
        ids.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        let meta = &reply.body["meta"];
        assert_eq!(meta["hasMore"], meta["page"]["hasMore"]);
        assert_eq!(meta["cursor"], meta["page"]["nextCursor"]);
        match meta["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return ids,
        }
        assert!(ids.len() < 1_000, "a walk ends");
    }
}

async fn settled_refund(world: &World, key: &Key, body: &Value) -> String {
    let ask = Ask::post("/api/v1/refunds", body.to_string()).bearer(key);
    let reply = world.send(ask.header("Prefer", "wait=10")).await;
    reply.data(201)["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_walk_sees_every_refund_once_in_either_order() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    world.payment(&key, "ch_2").await;
    let mut made = Vec::new();
    for n in 0..7 {
        let charge = if n == 3 { "ch_2" } else { "ch_1" };
        made.push(settled_refund(&world, &key, &json!({"chargeId": charge, "amount": 5})).await);
    }
    assert_eq!(walk(&world, &key, "refunds", "limit=3&order=asc").await, made);
    let other = made.remove(3);
    let source = format!("limit=2&order=asc&sourceId={payment}");
    assert_eq!(walk(&world, &key, "refunds", &source).await, made);
    assert_eq!(walk(&world, &key, "refunds", "limit=2&direction=asc&chargeId=ch_2").await, [other]);
    made.reverse();
    assert_eq!(walk(&world, &key, "refunds", "limit=1&chargeId=ch_1").await, made);
    let status = walk(&world, &key, "refunds", "limit=2&chargeId=ch_1&status=succeeded").await;
    assert_eq!(status, made);
    let none = walk(&world, &key, "refunds", &format!("sourceId={payment}&chargeId=ch_2")).await;
    assert!(none.is_empty(), "two names that mean different payments");
    let range = "createdAfter=2026-05-12T10:42:00Z&createdBefore=2026-05-12T10:42:00.001Z";
    assert_eq!(walk(&world, &key, "refunds", &format!("{range}&limit=4")).await.len(), 7);
    assert!(walk(&world, &key, "refunds", "createdBefore=2026-05-12T10:42:00Z").await.is_empty());
}

#[tokio::test]
async fn the_ledger_shows_both_legs_and_balances() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    let refund = settled_refund(&world, &key, &json!({"chargeId": "ch_1", "amount": 2500})).await;
    let target = format!("/api/v1/ledger?sourceType=refund&sourceId={refund}&order=asc");
    let reply = world.send(Ask::get(&target).bearer(&key)).await;
    let entries = reply.data(200).as_array().expect("a list");
    let legs: Vec<_> =
        entries.iter().map(|e| (&e["code"], &e["direction"], &e["amount"])).collect();
    assert_eq!(
        legs,
        [
            (&json!("revenue_refund"), &json!("debit"), &json!(2500)),
            (&json!("cash"), &json!("credit"), &json!(2500)),
        ]
    );
    let entry = &entries[0];
    assert_eq!(entry["txId"], entries[1]["txId"]);
    assert_eq!(
        (&entry["sourceType"], &entry["sourceId"], &entry["memo"]),
        (&json!("refund"), &json!(refund), &json!("refund"))
    );
    assert!(entry["id"].as_str().is_some_and(|id| id.starts_with("le_")));
    let tx = entry["txId"].as_str().expect("an id");
    assert_eq!(walk(&world, &key, "ledger", &format!("txId={tx}&limit=1")).await.len(), 2);
    assert_eq!(walk(&world, &key, "ledger", "code=cash&limit=1").await.len(), 2);
    assert_eq!(walk(&world, &key, "ledger", &format!("sourceId={payment}&limit=1")).await.len(), 2);
    assert_eq!(walk(&world, &key, "ledger", "limit=3").await.len(), 4);
    let reply = world.send(Ask::get("/api/v1/ledger/balances").bearer(&key)).await;
    let mut balances = reply.data(200).as_array().expect("a list").clone();
    balances.sort_by_key(|balance| balance["code"].to_string());
    assert_eq!(
        balances,
        [
            json!({"code": "cash", "currency": "USD", "debits": 10000, "credits": 2500, "balance": 7500}),
            json!({"code": "revenue", "currency": "USD", "debits": 0, "credits": 10000, "balance": -10000}),
            json!({"code": "revenue_refund", "currency": "USD", "debits": 2500, "credits": 0, "balance": 2500}),
        ]
    );
    assert!(reply.body["meta"].get("cursor").is_none());
}

#[tokio::test]
async fn events_show_their_subject_as_it_was() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    let refund = settled_refund(&world, &key, &json!({"chargeId": "ch_1"})).await;
    let reply = world.send(Ask::get("/api/v1/events?order=asc").bearer(&key)).await;
    let events = reply.data(200).as_array().expect("a list").clone();
    let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types.first(), Some(&"payment.created"));
    for wanted in ["refund.created", "refund.succeeded", "payment.refunded"] {
        assert!(types.contains(&wanted), "{types:?}");
    }
    let created = events.iter().find(|e| e["type"] == "refund.created").expect("an event");
    assert_eq!(created["data"]["object"]["status"], "pending");
    assert_eq!(created["data"]["aggregateType"], "refund");
    assert_eq!(created["data"]["aggregateId"], refund);
    assert_eq!(
        (&created["accountId"], &created["mode"]),
        (&json!(world.account.to_string()), &json!("test"))
    );
    let refunded = events.iter().find(|e| e["type"] == "payment.refunded").expect("an event");
    assert_eq!(refunded["data"]["object"]["status"], "refunded");
    assert_eq!(refunded["data"]["aggregateId"], payment);
    let id = created["id"].as_str().expect("an id");
    let reply = world.send(Ask::get(&format!("/api/v1/events/{id}")).bearer(&key)).await;
    assert_eq!(reply.data(200), created);
    let all = walk(&world, &key, "events", "limit=1&order=asc").await;
    assert_eq!(all.len(), events.len());
    assert_eq!(walk(&world, &key, "events", "type=refund.created&limit=1").await, [id]);
    let reply = world.send(Ask::get("/api/v1/events/types").bearer(&key)).await;
    assert!(
        reply.data(200).as_array().is_some_and(|types| types.contains(&json!("refund.failed")))
    );
}

#[tokio::test]
async fn invoices_are_found_by_when_they_were_asked_for() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let make = async |status: &str| {
        let lines = json!([{"description": "Tea", "quantity": 1, "unitAmount": 500}]);
        let body = json!({"customerId": "c", "currency": "USD", "lines": lines, "status": status});
        let ask = Ask::post("/api/v1/invoices", body.to_string()).bearer(&key);
        world.send(ask).await.data(201)["id"].as_str().expect("an id").to_owned()
    };
    let late = make("draft").await;
    world.clock.advance(1);
    let draft = make("draft").await;
    world.clock.advance(1);
    let early = make("open").await;
    let noon = world.now_s() + 3600;
    world.clock.advance(2 * 3600 * 1000);
    let finalize = Ask::post(&format!("/api/v1/invoices/{late}/finalize"), "{}").bearer(&key);
    world.send(finalize).await.data(200);
    let find = async |query: &str| walk(&world, &key, "invoices", query).await;
    assert_eq!(find(&format!("issuedAfter={noon}")).await, [late.as_str()], "written before");
    assert_eq!(find(&format!("issuedBefore={noon}")).await, [early.as_str()]);
    let both = format!("issuedAfter=0&issuedBefore={}&limit=1&order=asc", noon + 7200);
    assert_eq!(find(&both).await, [early.clone(), late.clone()], "by the time of asking");
    assert_eq!(find("limit=1&order=asc").await, [late, draft, early]);
}
