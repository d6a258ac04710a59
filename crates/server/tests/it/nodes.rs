//! `kill -9` of one of three nodes under load, again and again: nothing acknowledged is lost,
//! nothing is paid twice. All of them send, through a simulated provider that they share.

use crate::harness::{Demo, eventually};
use crate::postgres::{envs, keep};
use crate::webhooks::receiver::Receiver;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;

const CLIENTS: usize = 9;
const PAYMENTS: usize = 6;
/// Clients that make more refunds than can be sent at once, and how many each.
const CROWD: usize = 24;
const EACH: usize = 20;
const KILLS: [usize; 9] = [1, 0, 2, 0, 1, 2, 2, 1, 0];
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

/// Three nodes that all send, on one database and one book.
struct Three {
    nodes: Nodes,
    payments: Vec<String>,
    _folders: Vec<tempfile::TempDir>,
}

impl Three {
    async fn start() -> Self {
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut envs = envs_with_book(folders[0].path()).await;
        envs.push(("REFUNDRY_LEASE_SECONDS", "2"));
        envs.push(("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1"));
        envs.push(("REFUNDRY_WEBHOOKS__TIMEOUT_SECONDS", "1"));
        let first = Demo::start(folders[0].path(), &envs).await;
        let payments = pay(&first).await;
        let (second, third) =
            (first.join(folders[1].path(), &[]).await, first.join(folders[2].path(), &[]).await);
        let nodes: Nodes = Arc::new([first, second, third].map(RwLock::new));
        Self { nodes, payments, _folders: folders }
    }

    /// Asks for refunds while nodes are killed, one after another. What was acknowledged.
    async fn under_fire(&self, kills: &[usize]) -> BTreeMap<String, Value> {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (nodes, payments) = (self.nodes.clone(), self.payments.clone());
                tokio::spawn(client(n, nodes, payments, stop.clone()))
            })
            .collect();
        for (round, victim) in (0_u64..).zip(kills) {
            tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
            let pid = self.nodes[*victim].read().await.pid().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            // The other two go on meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut node = self.nodes[*victim].write().await;
            node.kill();
            node.restart().await;
        }
        stop.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeMap::new();
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
        assert!(acknowledged.len() > 100, "only {} refunds were made", acknowledged.len());
        self.nodes[0].read().await.settle(Duration::from_secs(90)).await;
        acknowledged
    }
}

async fn pay(demo: &Demo) -> Vec<String> {
    let mut payments = Vec::new();
    for n in 0..PAYMENTS {
        payments.push(demo.pay(&format!("nodes_{n}"), 500_000_000).await);
    }
    payments
}

async fn envs_with_book(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let (_, mut envs) = envs().await;
    envs.push(("REFUNDRY_SIMULATOR__BOOK", keep(folder.join("book.db").display().to_string())));
    envs.push(("REFUNDRY_RATE_LIMITS__ENABLED", "false"));
    envs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_under_load_loses_nothing_and_nothing_is_paid_twice() {
    let three = Three::start().await;
    let acknowledged = three.under_fire(&KILLS).await;
    let demo = three.nodes[0].read().await;
    crate::crash::compare(&demo, ("nodes", &three.payments), &acknowledged, 100).await;
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nodes_are_killed_everything_is_told_at_least_once_and_in_order() {
    let three = Three::start().await;
    let receiver = Receiver::start().await;
    let endpoint = json!({
        "url": receiver.url("/"), "format": "refundry",
        "events": ["refund.created", "refund.succeeded", "refund.failed"],
    });
    let demo = three.nodes[0].read().await;
    demo.post("/api/v1/webhooks", &endpoint).await.data();
    drop(demo);
    three.under_fire(&KILLS[..4]).await;
    let demo = three.nodes[0].read().await;
    eventually("every webhook", Duration::from_secs(90), async || {
        let pending = demo.get("/api/v1/webhooks/deliveries?status=pending").await;
        pending.data().as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let mut told: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for one in receiver.all() {
        let seq = one.json()["seq"].as_u64().unwrap();
        told.entry(one.subject()).or_default().push((seq, one.kind()));
    }
    let refunds = demo.list("/api/v1/refunds").await;
    for refund in &refunds {
        let mut kinds = told.remove(refund["id"].as_str().unwrap()).unwrap_or_default();
        assert!(kinds.is_sorted(), "{refund}: {kinds:?}");
        kinds.dedup();
        let end = format!("refund.{}", refund["status"].as_str().unwrap());
        let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, ["refund.created", &end], "{refund}");
    }
    assert!(told.is_empty(), "of refunds that nobody has: {told:?}");
}

/// Calls to submit a refund that a node has made.
async fn submits(node: &Demo) -> usize {
    let metrics = node.get("/metrics").await.text;
    let name = "refundry_provider_calls_total{provider=\"simulator\",call=\"submit\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_under_load_send_every_refund_once() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut envs = envs_with_book(folder.path()).await;
    // So few that most refunds wait, and both nodes want them.
    envs.push(("REFUNDRY_DISPATCH_LIMIT", "4"));
    let one = Demo::start(folder.path(), &envs).await;
    let payments = Arc::new(pay(&one).await);
    let two = one.join(other.path(), &[]).await;
    let nodes = Arc::new([one, two]);
    let clients: Vec<_> = (0..CROWD)
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
    one.settle(Duration::from_mins(1)).await;

    let calls = [submits(one).await, submits(two).await];
    assert_eq!(calls.iter().sum::<usize>(), CROWD * EACH, "{calls:?}");
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
    assert_eq!(refunds.len(), CROWD * EACH);
    let mut waited = 0;
    for refund in refunds {
        let id = refund["id"].as_str().unwrap();
        assert!(keys.remove(id), "{refund}");
        let timeline = one.list(&format!("/api/v1/refunds/{id}/timeline")).await;
        let count = |field: &str, word: &str| timeline.iter().filter(|e| e[field] == word).count();
        let (sent, answered) = (count("statusDetail", "sending"), count("source", "submit"));
        assert_eq!((sent, answered), (1, 1), "{timeline:?}");
        waited += count("statusDetail", "queued");
    }
    assert!(waited > 100, "only {waited} refunds waited for a node to send them");
}
