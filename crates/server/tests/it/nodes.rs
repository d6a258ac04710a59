//! `kill -9` of one of three nodes under load, again and again: nothing acknowledged is lost,
//! nothing is paid twice. The first node has the simulated provider; any of them may die.

use crate::harness::Demo;
use crate::postgres::envs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;

const CLIENTS: usize = 9;
const PAYMENTS: usize = 6;
const KILLS: [usize; 9] = [1, 0, 2, 0, 1, 2, 0, 1, 0];
const SCRIPTS: [&str; 6] = [
    "succeed",
    "refuse",
    "timeout_after_booking",
    "timeout_before_booking",
    "server_error",
    "webhook_twice",
];

type Nodes = Arc<[RwLock<Demo>]>;

/// Asks for refunds until told to stop, each request at the next node until one answers it.
async fn client(
    number: usize,
    nodes: Nodes,
    payments: Vec<String>,
    stop: Arc<AtomicBool>,
) -> BTreeMap<String, Value> {
    let mut acknowledged = BTreeMap::new();
    let (mut count, mut at) = (number, number);
    while !stop.load(Ordering::SeqCst) {
        count += 1;
        let key = format!("client-{number}-{count}");
        let body = json!({
            "sourceType": "payment", "sourceId": payments[count % payments.len()],
            "amount": 1 + count % 300, "metadata": {"simulate": SCRIPTS[count % SCRIPTS.len()]},
            "reference": key,
        });
        loop {
            at += 1;
            let node = nodes[at % nodes.len()].read().await;
            match node.try_post("/api/v1/refunds", Some(&key), &body).await {
                Some(reply) if reply.status == 201 => {
                    let refund = reply.data().clone();
                    acknowledged.insert(refund["id"].as_str().unwrap().to_owned(), refund);
                    break;
                }
                Some(reply) => assert_eq!(reply.status, 503, "{}", reply.json),
                None => {}
            }
            drop(node);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_under_load_loses_nothing_and_nothing_is_paid_twice() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (_, mut envs) = envs().await;
    envs.push(("REFUNDRY_LEASE_SECONDS", "2"));
    envs.push(("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1"));
    envs.push(("REFUNDRY_RATE_LIMITS__ENABLED", "false"));
    let first = Demo::start(folders[0].path(), &envs).await;
    let mut payments = Vec::new();
    for n in 0..PAYMENTS {
        payments.push(first.pay(&format!("nodes_{n}"), 500_000_000).await);
    }
    let (second, third) =
        (first.join(folders[1].path()).await, first.join(folders[2].path()).await);
    let nodes: Nodes = Arc::new([RwLock::new(first), RwLock::new(second), RwLock::new(third)]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(client(n, nodes.clone(), payments.clone(), stop.clone())))
        .collect();
    for (round, victim) in (0_u64..).zip(KILLS) {
        tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
        let pid = nodes[victim].read().await.pid().to_string();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        // The other two go on meanwhile.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut node = nodes[victim].write().await;
        node.kill();
        if victim == 0 {
            node.restart().await;
        } else {
            let folder = node.data.clone();
            *node = nodes[0].read().await.join(&folder).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = BTreeMap::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    assert!(acknowledged.len() > 100, "only {} refunds were made", acknowledged.len());
    let demo = nodes[0].read().await;
    demo.settle(Duration::from_secs(90)).await;
    crate::crash::compare(&demo, ("nodes", &payments), &acknowledged, 100).await;
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}
