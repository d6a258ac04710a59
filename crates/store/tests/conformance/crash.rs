//! `kill -9` of the server under load, again and again.

use crate::world::{NOW, World};
use domain::decide::Done;
use domain::ids::{PaymentId, RefundId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{RefundFilter, StoreError};
use testkit::postgres::{Cluster, PgBouncer};
use testkit::{eventually, within_limit};

const CLIENTS: u8 = 6;
const KILLS: usize = 4;

/// Creates refunds one after another, each under a key that is repeated until there is an answer.
async fn client(
    world: Arc<World>,
    (number, payment): (u8, PaymentId),
    stop: Arc<AtomicBool>,
) -> Vec<RefundId> {
    let mut acknowledged = Vec::new();
    for count in 1..=u8::MAX {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let mut key = [number; 16];
        key[1] = count;
        // Every try pauses by itself while the server is away; the test as a whole has a limit.
        let answer = loop {
            let command = world.refund_under(payment, 10, key);
            match world.try_run(NOW, vec![command]).await {
                Ok(mut answers) => break answers.remove(0),
                Err(StoreError::Away(_) | StoreError::OutcomeUnknown) => {}
                Err(error) => panic!("{error:?}"),
            }
        };
        match answer.expect("it is not refused") {
            Done::Refund { refund, .. } => acknowledged.push(refund.id),
            other => panic!("{other:?}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_server_that_is_killed() {
    let cluster = Cluster::start();
    let world = World::at(cluster.database().await).await;
    survive(&cluster, world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_server_that_is_killed_behind_pgbouncer() {
    let cluster = Cluster::start();
    let url = cluster.database().await;
    let bouncer = PgBouncer::start(&cluster).await;
    let world = World::at(bouncer.url(&url)).await;
    survive(&cluster, world).await;
}

async fn survive(cluster: &Cluster, world: World) {
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let mut payments = Vec::new();
    for number in 1..=CLIENTS {
        payments.push((number, world.pay(number, 1_000_000).await.capture.id));
    }
    let clients: Vec<_> = payments
        .into_iter()
        .map(|payment| tokio::spawn(client(world.clone(), payment, stop.clone())))
        .collect();
    for _ in 0..KILLS {
        let page = store::PageQuery {
            limit: 1,
            after: None,
            order: store::SortOrder::Descending,
            from: None,
            until: None,
        };
        let newest = async || {
            let page = world.store.list_refunds(world.tenant, RefundFilter::default(), page).await;
            page.ok()?.items.first().map(|view| view.refund.id)
        };
        let before = eventually("a refund", newest).await;
        eventually("another one", async || newest().await.filter(|id| *id != before)).await;
        cluster.kill_and_restart().await;
    }
    eventually("the server", async || world.store.next_due().await.ok()).await;
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = 0;
    for client in clients {
        for id in within_limit("a client", client).await.expect("no panic") {
            let found = world.store.find_refund(world.tenant, id).await.expect("a read");
            assert!(found.is_some(), "{id} is lost");
            acknowledged += 1;
        }
    }
    let report = world.store.verify().await.expect("a verification");
    assert_eq!(report.differences, []);
    assert_eq!(report.refunds, acknowledged, "a refund per key, each acknowledged once");
}
