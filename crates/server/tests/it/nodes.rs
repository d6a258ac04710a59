//! `kill -9` of one of three nodes under load, again and again: nothing acknowledged is lost,
//! nothing is paid twice. The first node has the simulated provider; any of them may die.

use crate::load::Load;
use std::time::Duration;
use testkit::postgres::cluster;

const KILLS: [usize; 9] = [1, 0, 2, 0, 1, 2, 0, 1, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_under_load_loses_nothing_and_nothing_is_paid_twice() {
    let load = Load::start("nodes", cluster().database().await, 3).await;
    let nodes = &load.nodes;
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
    load.finish(100).await;
}
