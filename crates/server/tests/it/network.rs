//! A database whose network or servers fail under load: every answer comes in time and is true, and
//! no node needs a restart afterwards.

use crate::load::Load;
use std::time::Duration;
use testkit::postgres::{Fault, Proxy, ReplicatedPair, Role, cluster, pgbouncer};

/// Short time limits for the node and the server.
const SHORT_TIME_LIMITS: &str = "&answer_timeout=2&connect_timeout=2\
     &options=-c%20idle_in_transaction_session_timeout%3D1000";

#[tokio::test(flavor = "multi_thread")]
async fn network_faults_under_load_lose_no_refund_and_pay_none_twice() {
    let network = Proxy::start(cluster()).await;
    let url = network.url(&cluster().database().await) + SHORT_TIME_LIMITS;
    let load = Load::start("network", url, 1).await;
    for fault in Fault::ALL {
        network.at_next_commit(fault);
        network.struck().await;
        load.wait_for_refunds(10).await;
    }
    for round in 0..2 {
        network.stall(true);
        // The first request may already be on its way when the stall begins, so a second one follows.
        let first = load.create(0, &format!("first-{round}")).await;
        for (status, took) in [first, load.create(0, &format!("second-{round}")).await] {
            assert!(took < Duration::from_secs(10), "{status} after {took:?}");
            assert_eq!(status, 503);
        }
        let read = load.nodes[0].read().await.get("/api/v1/refunds?limit=1").await;
        assert_eq!(read.status, 503, "{}", read.json);
        assert!(!read.header("retry-after").is_empty());
        network.stall(false);
        load.wait_for_status(0, &format!("second-{round}"), 201).await;
        load.wait_for_refunds(20).await;
    }
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_primary_is_killed_its_standby_takes_over_and_no_refund_is_lost() {
    let pair = ReplicatedPair::start().await;
    // The server's statement timeout is shorter than the node's wait. Even so, the node must not
    // take a commit that waits for the standby for a finished one.
    let url =
        pair.url() + "&answer_timeout=3&connect_timeout=2&options=-c%20statement_timeout%3D1000";
    let load = Load::start("failover", url, 2).await;
    load.wait_for_refunds(50).await;
    // A refund that only the primary has must not be acknowledged.
    pair.freeze(Role::Standby).await;
    // The database can be read all the while.
    assert_eq!(load.readiness(1).await, 503);
    let (status, took) = load.create(0, "frozen").await;
    assert_eq!(status, 503, "after {took:?}");
    pair.thaw(Role::Standby).await;
    load.wait_for_status(0, "frozen", 201).await;
    load.wait_for_refunds(20).await;

    pair.kill_primary().await;
    for node in 0..2 {
        load.wait_for_status(node, "nowhere", 503).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    pair.promote_standby().await;
    for node in 0..2 {
        load.wait_for_status(node, "nowhere", 201).await;
    }
    load.wait_for_refunds(50).await;
    let written = pair.log().matches("read-only transaction").count();
    assert_eq!(written, 0, "a standby was written to");
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_leave_a_frozen_primary_and_it_acknowledges_nothing_afterwards() {
    let pair = ReplicatedPair::start().await;
    let load = Load::start("frozen", pair.url() + "&answer_timeout=1&connect_timeout=1", 2).await;
    load.wait_for_refunds(50).await;
    pair.freeze(Role::Primary).await;
    for node in 0..2 {
        load.wait_for_status(node, "nowhere", 503).await;
    }
    pair.promote_standby().await;
    for node in 0..2 {
        load.wait_for_status(node, "nowhere", 201).await;
    }
    pair.thaw(Role::Primary).await;
    load.wait_for_refunds(50).await;
    // A node that starts now must not take the old primary for the current one.
    pair.kill_primary().await;
    load.finish(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_pgbouncer_lose_no_refund_and_pay_none_twice() {
    let url = pgbouncer().await.url(&cluster().database().await);
    let load = Load::start("bouncer", url, 2).await;
    load.wait_for_refunds(200).await;
    load.finish(100).await;
}
