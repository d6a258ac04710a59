//! Kills one of three nodes with `kill -9` under load, repeatedly: no acknowledged refund is lost,
//! none is paid twice. All nodes send refunds to a simulated provider that they share.

use crate::harness::{Demo, eventually};
use crate::load::Load;
use crate::postgres::{envs, keep};
use crate::webhooks::receiver::Receiver;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use testkit::postgres::cluster;

const KILLS: [usize; 9] = [1, 0, 2, 0, 1, 2, 2, 1, 0];

const PAYMENTS: usize = 6;
/// Number of clients, more than can send at once, and of refunds for each.
const MANY_CLIENTS: usize = 24;
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn killing_nodes_under_load_loses_no_refund_and_pays_none_twice() {
    let load = Load::start("nodes", cluster().database().await, 3).await;
    load.kill(&KILLS).await;
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nodes_are_killed_every_webhook_is_sent_at_least_once_and_in_order() {
    let receiver = Receiver::start().await;
    let endpoint = json!({
        "url": receiver.url("/"), "format": "refundry",
        "events": ["refund.created", "refund.succeeded", "refund.failed"],
    });
    let url = cluster().database().await;
    let load = Load::start_with_endpoint("told", url, 3, Some(&endpoint)).await;
    load.kill(&KILLS[..4]).await;
    let nodes = load.finish(100).await;
    let demo = nodes[0].read().await;
    eventually("every webhook", Duration::from_secs(90), async || {
        let pending = demo.get("/api/v1/webhooks/deliveries?status=pending").await;
        pending.data().as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let mut arrived: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for one in receiver.all() {
        let seq = one.json()["seq"].as_u64().unwrap();
        arrived.entry(one.subject()).or_default().push((seq, one.kind()));
    }
    let refunds = demo.list("/api/v1/refunds").await;
    for refund in &refunds {
        let mut kinds = arrived.remove(refund["id"].as_str().unwrap()).unwrap_or_default();
        assert!(kinds.is_sorted(), "{refund}: {kinds:?}");
        kinds.dedup();
        let end = format!("refund.{}", refund["status"].as_str().unwrap());
        let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, ["refund.created", &end], "{refund}");
    }
    assert!(arrived.is_empty(), "webhooks of unknown refunds: {arrived:?}");
}

/// Number of calls with which a node submitted refunds.
async fn submits(node: &Demo) -> usize {
    let metrics = node.get("/metrics").await.text;
    let name = "refundry_provider_calls_total{provider=\"simulator\",call=\"submit\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_under_load_send_every_refund_once() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, mut envs) = envs().await;
    let book = folder.path().join("book.db").display().to_string();
    envs.push(("REFUNDRY_SIMULATOR__BOOK", keep(book)));
    envs.push(("REFUNDRY_RATE_LIMITS__ENABLED", "false"));
    // The limit is so low that most refunds wait in the queue, and both nodes claim them.
    envs.push(("REFUNDRY_DISPATCH_LIMIT", "4"));
    let one = Demo::start(folder.path(), &envs).await;
    let mut payments = Vec::new();
    for n in 0..PAYMENTS {
        payments.push(one.pay(&format!("nodes_{n}"), 500_000_000).await);
    }
    let payments = Arc::new(payments);
    let two = one.join(other.path(), &[]).await;
    let nodes = Arc::new([one, two]);
    let clients: Vec<_> = (0..MANY_CLIENTS)
        .map(|client| {
            let (nodes, payments) = (nodes.clone(), payments.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let payment = &payments[(client + n) % PAYMENTS];
                    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 5});
                    nodes[n % 2].post("/api/v1/refunds", &body).await.data();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let [one, two] = &*nodes;
    one.wait_until_decided(Duration::from_mins(1)).await;

    let calls = [submits(one).await, submits(two).await];
    assert_eq!(calls.iter().sum::<usize>(), MANY_CLIENTS * EACH, "{calls:?}");
    assert!(calls.iter().all(|calls| *calls > 0), "both send: {calls:?}");
    let mut keys = BTreeSet::new();
    for n in 0..PAYMENTS {
        let book = two.get(&format!("/simulator/payments/nodes_{n}")).await.json;
        let (refunds, payouts) = (book["refunds"].as_array(), book["payouts"].as_array());
        assert_eq!(refunds.map(Vec::len), payouts.map(Vec::len));
        for refund in refunds.unwrap() {
            assert_eq!(refund["calls"], 1, "{refund}");
            assert!(keys.insert(refund["key"].as_str().unwrap().to_owned()), "{refund}");
        }
    }
    let refunds = one.list("/api/v1/refunds").await;
    assert_eq!(refunds.len(), MANY_CLIENTS * EACH);
    let mut waited = 0;
    for refund in refunds {
        let id = refund["id"].as_str().unwrap();
        assert!(keys.remove(id), "{refund}");
        let timeline = one.list(&format!("/api/v1/refunds/{id}/timeline")).await;
        let count = |field: &str, word: &str| timeline.iter().filter(|e| e[field] == word).count();
        assert_eq!(count("source", "submit"), 1, "{timeline:?}");
        assert_eq!(refund["sends"], 1, "{refund}");
        waited += count("statusDetail", "queued");
    }
    assert!(waited > 100, "only {waited} refunds were queued before a node sent them");
}
