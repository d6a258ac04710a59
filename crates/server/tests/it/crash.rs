//! Kills the server with `kill -9` under load, repeatedly: no acknowledged refund is lost, none is
//! paid twice.

use crate::harness::Demo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::RwLock;

const KILLS: u32 = 20;
const CLIENTS: u32 = 12;
const PAYMENTS: usize = 16;
const SCRIPTS: &[&str] = &[
    "succeed",
    "succeed",
    "succeed",
    "succeed_after:60",
    "refuse",
    "timeout_after_booking",
    "timeout_before_booking",
    "server_error",
    "garbage",
    "no_funds_then_ok",
    "webhook_twice",
    "webhook_out_of_order",
    "webhook_never",
];

/// A linear congruential generator. The test needs varied numbers, not secure ones.
fn next(random: &mut u64) -> u64 {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

type Acknowledged = Arc<Mutex<BTreeMap<String, Value>>>;

/// Creates refunds until `stop` is set and repeats each request under its key until it is answered.
async fn client(
    number: u32,
    demo: Arc<RwLock<Demo>>,
    payments: Vec<String>,
    stop: Arc<AtomicBool>,
    acknowledged: Acknowledged,
) {
    let mut random = u64::from(number) + 99;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let key = format!("client-{number}-{count}");
        let pick = |n: u64, len: usize| usize::try_from(n).unwrap() % len;
        let payment = &payments[pick(next(&mut random), payments.len())];
        let script = SCRIPTS[pick(next(&mut random), SCRIPTS.len())];
        let body = json!({
            "sourceType": "payment", "sourceId": payment, "amount": 1 + next(&mut random) % 500,
            "metadata": {"simulate": script}, "reference": key,
        });
        loop {
            let reply = demo.read().await.try_post("/api/v1/refunds", Some(&key), &body).await;
            match reply {
                Some(reply) if reply.status == 201 => {
                    let refund = reply.data().clone();
                    acknowledged
                        .lock()
                        .unwrap()
                        .insert(refund["id"].as_str().unwrap().into(), refund);
                    break;
                }
                Some(reply) if reply.status.is_server_error() => {
                    assert_eq!(reply.status, 503, "{}", reply.json);
                }
                Some(reply) => panic!("{} {}", reply.status, reply.json),
                None => {}
            }
            // The server is down. The killer holds the lock until the server runs again.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_random_moments_under_load_loses_nothing_and_pays_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let envs = [("REFUNDRY_LEASE_SECONDS", "2"), ("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1")];
    let demo = Demo::start(folder.path(), &envs).await;
    let mut payments = Vec::new();
    for n in 0..PAYMENTS {
        payments.push(demo.pay(&format!("crash_{n}"), 500_000_000).await);
    }
    let demo = Arc::new(RwLock::new(demo));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged: Acknowledged = Arc::default();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            tokio::spawn(client(n, demo.clone(), payments.clone(), stop, acknowledged))
        })
        .collect();

    let mut random = 7;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(40 + next(&mut random) % 300)).await;
        kill_and_restart(&demo).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }

    let demo = Arc::into_inner(demo).unwrap();
    let mut demo = demo.into_inner();
    demo.wait_until_decided(Duration::from_secs(90)).await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    compare(&demo, ("crash", &payments), &acknowledged, 200).await;
    assert!(demo.stop().await, "the server stops with exit code 0");
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    println!("{} refunds were acknowledged over {KILLS} kills", acknowledged.len());
}

/// Kills the server without waiting for the requests under way, then starts it again.
async fn kill_and_restart(demo: &Arc<RwLock<Demo>>) {
    let pid = demo.read().await.pid();
    let killed =
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let mut demo = demo.write().await;
    demo.kill();
    demo.restart().await;
}

/// Compares acknowledged refunds, stored refunds and payouts. Charge ids are `charges` and a
/// number.
pub async fn compare(
    demo: &Demo,
    (charges, payments): (&str, &[String]),
    acknowledged: &BTreeMap<String, Value>,
    at_least: usize,
) {
    assert!(acknowledged.len() > at_least, "only {} refunds were made", acknowledged.len());
    let mut refunds = BTreeMap::new();
    for refund in demo.list("/api/v1/refunds").await {
        refunds.insert(refund["id"].as_str().unwrap().to_owned(), refund);
    }
    for (id, answer) in acknowledged {
        let kept =
            refunds.get(id).unwrap_or_else(|| panic!("{id} was acknowledged, but is not stored"));
        for field in ["amount", "currency", "sourceId", "reference", "createdAt"] {
            assert_eq!(kept[field], answer[field], "{id} {field}");
        }
    }
    for (n, payment) in payments.iter().enumerate() {
        let book = demo.get(&format!("/simulator/payments/{charges}_{n}")).await;
        let mut paid: BTreeMap<&str, i64> = BTreeMap::new();
        let payouts = book.json["payouts"].as_array().cloned().unwrap_or_default();
        for payout in &payouts {
            let key = payout["key"].as_str().expect("every payout has our key");
            let amount = payout["amount"].as_i64().unwrap();
            assert_eq!(paid.insert(key, amount), None, "{key} was paid twice");
        }
        let succeeded: BTreeMap<&str, i64> = refunds
            .values()
            .filter(|r| r["sourceId"] == json!(payment) && r["status"] == "succeeded")
            .map(|r| (r["id"].as_str().unwrap(), r["amount"].as_i64().unwrap()))
            .collect();
        assert_eq!(succeeded, paid, "succeeded refunds and payouts of {payment}");
        let balance = demo.get(&format!("/api/v1/payments/{payment}")).await;
        assert_eq!(balance.data()["amountRefunded"], json!(paid.values().sum::<i64>()));
        assert_eq!(balance.data()["amountReserved"], 0);
    }
    let balances = demo.get("/api/v1/ledger/balances").await;
    let sums: Vec<i64> = balances
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["balance"].as_i64().unwrap())
        .collect();
    assert_eq!(sums.iter().sum::<i64>(), 0, "the ledger sums to zero");
}
