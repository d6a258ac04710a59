//! Nodes under a load of refunds, and what must be true of them afterwards, whatever happened meanwhile.

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

/// How long a node may take to say anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// How long it may take until all goes on.
const PATIENCE: Duration = Duration::from_secs(30);

type Nodes = Arc<[RwLock<Demo>]>;

/// Nodes on one database, and clients that ask them for refunds. All of them send, through a simulated
/// provider that they share.
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
    /// Starts `nodes` nodes on a database, and the clients. Leases and limits are short. The charges
    /// are called `charges` and a number.
    pub async fn start(charges: &'static str, url: String, nodes: usize) -> Self {
        Self::start_telling(charges, url, nodes, None).await
    }

    /// The same with an endpoint that is told from the first refund on.
    pub async fn start_telling(
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

    /// Waits until this many more refunds were acknowledged.
    pub async fn goes_on(&self, more: usize) {
        let count = || self.acknowledged.load(Ordering::SeqCst);
        let enough = count() + more;
        eventually("the load to go on", PATIENCE, async || (count() >= enough).then_some(())).await;
    }

    /// Asks a node for a refund under a key of its own. The status, and how long it took.
    pub async fn ask(&self, number: usize, key: &str) -> (u16, Duration) {
        let body = json!({"sourceType": "payment", "sourceId": self.payments[0], "amount": 1});
        let node = self.nodes[number].read().await;
        let start = Instant::now();
        let reply = node.try_post("/api/v1/refunds", Some(key), &body).await.expect("an answer");
        (reply.status.as_u16(), start.elapsed())
    }

    /// Waits until a node answers like this.
    pub async fn answers(&self, number: usize, key: &str, status: u16) {
        let asked = async || (self.ask(number, key).await.0 == status).then_some(());
        eventually("that answer", PATIENCE, asked).await;
    }

    /// `kill -9` of one node after another, each of which starts again.
    pub async fn kill(&self, victims: &[usize]) {
        for (round, victim) in (0_u64..).zip(victims) {
            tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
            let pid = self.nodes[*victim].read().await.pid().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            // The others go on meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut node = self.nodes[*victim].write().await;
            node.kill();
            node.restart().await;
        }
    }

    /// Ends the load. What was acknowledged is there, what was paid was paid once, all adds up. Gives
    /// the nodes.
    pub async fn finish(self, at_least: usize) -> Nodes {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeMap::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        let demo = self.nodes[0].read().await;
        demo.settle(Duration::from_secs(90)).await;
        let charges = (self.charges, &*self.payments);
        crate::crash::compare(&demo, charges, &acknowledged, at_least).await;
        let (code, text) = demo.run(&["verify"]);
        assert_eq!(code, 0, "{text}");
        drop(demo);
        self.nodes
    }
}

/// Asks for refunds until told to stop, each request at the next node until one answers it.
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
            assert!(took < ANSWERED_WITHIN, "a node said nothing for {took:?}");
            match reply {
                Some(reply) if reply.status == 201 => {
                    let refund = reply.data().clone();
                    acknowledged.insert(refund["id"].as_str().unwrap().to_owned(), refund);
                    answered.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Some(reply) => {
                    // The commit of the request before this one may still be under way.
                    let under_way = reply.json["error"]["code"] == "idempotency_in_progress";
                    assert!(reply.status == 503 || under_way, "{} {}", reply.status, reply.json);
                    assert!(!reply.header("retry-after").is_empty(), "when to try again");
                }
                None => {}
            }
            drop(node);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    acknowledged
}
