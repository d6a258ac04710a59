//! A database whose network or whose servers fail under load: every answer comes in time and is true,
//! and nothing has to be restarted afterwards.

use crate::load::Load;
use std::time::Duration;
use testkit::postgres::{Fault, Proxy, ReplicatedPair, Role, cluster, pgbouncer};

/// Both sides give up soon.
const IMPATIENT: &str = "&answer_timeout=2&connect_timeout=2\
     &options=-c%20idle_in_transaction_session_timeout%3D1000";

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_fails_under_load_loses_nothing_and_nothing_is_paid_twice() {
    let network = Proxy::start(cluster()).await;
    let url = network.url(&cluster().database().await) + IMPATIENT;
    let load = Load::start("network", url, 1).await;
    for fault in Fault::ALL {
        network.at_next_commit(fault);
        network.struck().await;
        load.goes_on(10).await;
    }
    for round in 0..2 {
        network.stall(true);
        // The first one may have been on its way already.
        let first = load.ask(0, &format!("first-{round}")).await;
        for (status, took) in [first, load.ask(0, &format!("second-{round}")).await] {
            assert!(took < Duration::from_secs(10), "{status} after {took:?}");
            assert_eq!(status, 503);
        }
        let read = load.nodes[0].read().await.get("/api/v1/refunds?limit=1").await;
        assert_eq!(read.status, 503, "{}", read.json);
        assert!(!read.header("retry-after").is_empty());
        network.stall(false);
        load.answers(0, &format!("second-{round}"), 201).await;
        load.goes_on(20).await;
    }
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_replaced_by_its_standby_and_nothing_is_lost() {
    let pair = ReplicatedPair::start().await;
    // The server gives a statement less time than a node waits for it: even so, a commit that waits
    // for the standby must not be taken for one that is through.
    let url =
        pair.url() + "&answer_timeout=3&connect_timeout=2&options=-c%20statement_timeout%3D1000";
    let load = Load::start("failover", url, 2).await;
    load.goes_on(50).await;
    // What only the primary has is not acknowledged.
    pair.freeze(Role::Standby).await;
    let (status, took) = load.ask(0, "frozen").await;
    assert_eq!(status, 503, "after {took:?}");
    pair.thaw(Role::Standby).await;
    load.answers(0, "frozen", 201).await;
    load.goes_on(20).await;

    pair.kill_primary().await;
    for node in 0..2 {
        load.answers(node, "nowhere", 503).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    pair.promote_standby().await;
    for node in 0..2 {
        load.answers(node, "nowhere", 201).await;
    }
    load.goes_on(50).await;
    let written = pair.log().matches("read-only transaction").count();
    assert_eq!(written, 0, "a standby was written to");
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stands_still_is_left_and_nothing_is_acknowledged_there_afterwards() {
    let pair = ReplicatedPair::start().await;
    let load = Load::start("frozen", pair.url() + "&answer_timeout=1&connect_timeout=1", 2).await;
    load.goes_on(50).await;
    pair.freeze(Role::Primary).await;
    for node in 0..2 {
        load.answers(node, "nowhere", 503).await;
    }
    pair.promote_standby().await;
    for node in 0..2 {
        load.answers(node, "nowhere", 201).await;
    }
    pair.thaw(Role::Primary).await;
    load.goes_on(50).await;
    // Whoever starts now must not take it for the primary.
    pair.kill_primary().await;
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_pgbouncer_lose_nothing_and_nothing_is_paid_twice() {
    let url = pgbouncer().await.url(&cluster().database().await);
    let load = Load::start("bouncer", url, 2).await;
    load.goes_on(200).await;
    load.finish(100).await;
}
