//! Runs nodes under a load of refunds and checks their data afterwards, whatever the test did to
//! them.

use crate::harness::{Demo, eventually};
use crate::postgres::{envs_for, keep};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

const CLIENTS: usize = 9;
const PAYMENTS: usize = 6;
const SCRIPTS: [&str; 6] = [
    "succeed",
    "refuse",
    "timeout_after_booking",
    "timeout_before_booking",
    "server_error",
    "webhook_twice",
];

/// Longest wait for an answer of a node.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Longest wait until the load continues.
const CONTINUES_WITHIN: Duration = Duration::from_secs(30);

type Nodes = Arc<[RwLock<Demo>]>;

/// Nodes on one database, and clients that create refunds on them. All nodes send refunds to a
/// simulated provider that they share.
pub struct Load {
    pub nodes: Nodes,
    charges: &'static str,
    payments: Vec<String>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<BTreeMap<String, Value>>>,
    _folders: Vec<TempDir>,
}

impl Load {
    /// Starts `nodes` nodes on a database, and the clients. Leases and time limits are short.
    /// Charge ids are `charges` and a number.
    pub async fn start(charges: &'static str, url: String, nodes: usize) -> Self {
        Self::start_with_endpoint(charges, url, nodes, None).await
    }

    /// Like `start`, with a webhook endpoint that is registered before the first refund.
    pub async fn start_with_endpoint(
        charges: &'static str,
        url: String,
        nodes: usize,
        endpoint: Option<&Value>,
    ) -> Self {
        let folders: Vec<_> = (0..nodes).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut envs = envs_for(url);
        let book = folders[0].path().join("book.db").display().to_string();
        envs.push(("REFUNDRY_SIMULATOR__BOOK", keep(book)));
        envs.push(("REFUNDRY_WEBHOOKS__TIMEOUT_SECONDS", "1"));
        envs.push(("REFUNDRY_LEASE_SECONDS", "2"));
        envs.push(("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1"));
        envs.push(("REFUNDRY_COMMIT_TIMEOUT_SECONDS", "4"));
        envs.push(("REFUNDRY_RATE_LIMITS__ENABLED", "false"));
        let first = Demo::start(folders[0].path(), &envs).await;
        let mut payments = Vec::new();
        for n in 0..PAYMENTS {
            payments.push(first.pay(&format!("{charges}_{n}"), 500_000_000).await);
        }
        if let Some(endpoint) = endpoint {
            first.post("/api/v1/webhooks", endpoint).await.data();
        }
        let mut started = vec![first];
        for folder in &folders[1..] {
            let next = started[0].join(folder.path(), &[]).await;
            started.push(next);
        }
        let nodes: Nodes = started.into_iter().map(RwLock::new).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let clients = (0..CLIENTS)
            .map(|n| {
                let (stop, count) = (stop.clone(), acknowledged.clone());
                tokio::spawn(client(n, nodes.clone(), payments.clone(), stop, count))
            })
            .collect();
        Self { nodes, charges, payments, stop, acknowledged, clients, _folders: folders }
    }

    /// Waits until `more` further refunds were acknowledged.
    pub async fn wait_for_refunds(&self, more: usize) {
        let count = || self.acknowledged.load(Ordering::SeqCst);
        let enough = count() + more;
        eventually("the load to continue", CONTINUES_WITHIN, async || {
            (count() >= enough).then_some(())
        })
        .await;
    }

    /// Creates a refund on a node under `key`. Returns the status and the time to the answer.
    pub async fn create(&self, number: usize, key: &str) -> (u16, Duration) {
        let body = json!({"sourceType": "payment", "sourceId": self.payments[0], "amount": 1});
        let node = self.nodes[number].read().await;
        let start = Instant::now();
        let reply = node.try_post("/api/v1/refunds", Some(key), &body).await.expect("an answer");
        (reply.status.as_u16(), start.elapsed())
    }

    /// The status of a node's readiness. A sign from before may count for a second.
    pub async fn readiness(&self, number: usize) -> u16 {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        self.nodes[number].read().await.get("/readyz").await.status.as_u16()
    }

    /// Waits until a node answers with `status`.
    pub async fn wait_for_status(&self, number: usize, key: &str, status: u16) {
        let status_matches = async || (self.create(number, key).await.0 == status).then_some(());
        eventually("the expected status", CONTINUES_WITHIN, status_matches).await;
    }

    /// Kills one node after another with `kill -9` and starts each again.
    pub async fn kill(&self, victims: &[usize]) {
        for (round, victim) in (0_u64..).zip(victims) {
            tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
            let pid = self.nodes[*victim].read().await.pid().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            // The other nodes run on for a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut node = self.nodes[*victim].write().await;
            node.kill();
            node.restart().await;
        }
    }

    /// Ends the load and checks that no acknowledged refund is lost, that none was paid twice, and
    /// that the books balance. Returns the nodes.
    pub async fn finish(self, at_least: usize) -> Nodes {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeMap::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        let demo = self.nodes[0].read().await;
        demo.wait_until_decided(Duration::from_secs(90)).await;
        let charges = (self.charges, &*self.payments);
        crate::crash::compare(&demo, charges, &acknowledged, at_least).await;
        let (code, text) = demo.run(&["verify"]);
        assert_eq!(code, 0, "{text}");
        drop(demo);
        self.nodes
    }
}

/// Creates refunds until `stop` is set. Each request goes to one node after another until one
/// answers it.
async fn client(
    number: usize,
    nodes: Nodes,
    payments: Vec<String>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
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
            let start = Instant::now();
            let reply = node.try_post("/api/v1/refunds", Some(&key), &body).await;
            let took = start.elapsed();
            assert!(took < ANSWERED_WITHIN, "a node did not answer for {took:?}");
            match reply {
                Some(reply) if reply.status == 201 => {
                    let refund = reply.data().clone();
                    acknowledged.insert(refund["id"].as_str().unwrap().to_owned(), refund);
                    answered.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Some(reply) => {
                    // The commit of the previous request under this key may still be under way.
                    let under_way = reply.json["error"]["code"] == "idempotency_in_progress";
                    assert!(reply.status == 503 || under_way, "{} {}", reply.status, reply.json);
                    assert!(
                        !reply.header("retry-after").is_empty(),
                        "the answer says when to retry"
                    );
                }
                None => {}
            }
            drop(node);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    acknowledged
}
