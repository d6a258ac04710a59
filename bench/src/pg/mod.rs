//! PostgreSQL: (h) refunds per second against one function call per refund, and two nodes against
//! one; (i) the same and lists with many millions of refunds stored.

mod one_call;
mod shared;

pub use one_call::best_rate;
pub use shared::Shared;

use crate::measure::real;
use crate::overhttp::{Rounds, aim};
use crate::process::Server;
use crate::wrk::{Aim, Found, Wrk};
use anyhow::{Result, anyhow};
use std::time::Duration;

/// Connections of all clients together.
const CONNECTIONS: u32 = 256;

/// Clients that list at the same time.
const READERS: u32 = 8;

/// The first, unmeasured part of every load.
const WARM_UP: Duration = Duration::from_secs(1);

/// One round of refunds through one node.
pub fn one_node(shared: &Shared, wrk: &Wrk, rounds: &mut Rounds, time: Duration) -> Result<()> {
    let server = shared.serve()?;
    let address = server.address.to_string();
    rounds.round(wrk, &aim(&address, shared.bearer(), CONNECTIONS, time))?;
    server.stop()
}

/// One round of refunds through two nodes, with as many clients in all.
pub fn two_nodes(shared: &Shared, wrk: &Wrk, rounds: &mut Rounds, time: Duration) -> Result<()> {
    let other = shared.join()?;
    let nodes = [shared.serve()?, other.serve()?];
    let load = |duration| at_once(&nodes, shared.bearer(), wrk, duration);
    load(WARM_UP)?;
    rounds.add(load(time)?);
    nodes.into_iter().try_for_each(Server::stop)
}

fn at_once(nodes: &[Server; 2], bearer: &str, wrk: &Wrk, duration: Duration) -> Result<Found> {
    let run =
        |node: &Server| wrk.run(&aim(&node.address.to_string(), bearer, CONNECTIONS / 2, duration));
    let [one, two] = std::thread::scope(|scope| {
        nodes
            .each_ref()
            .map(|node| scope.spawn(move || run(node)))
            .map(std::thread::ScopedJoinHandle::join)
    });
    let died = |_| anyhow!("a client died");
    Ok(one.map_err(died)??.with(two.map_err(died)??))
}

/// Lists of the newest refunds of the account, and of one payment after another.
pub fn lists(shared: &Shared, wrk: &Wrk, time: Duration) -> Result<[Found; 2]> {
    let server = shared.serve()?;
    let address = server.address.to_string();
    let load = |duration, by_payment| {
        let (bearer, connections) = (shared.bearer(), READERS);
        wrk.list(&Aim { address: &address, path: "", bearer, connections, duration }, by_payment)
    };
    let mut found = Vec::new();
    for by_payment in [false, true] {
        load(WARM_UP, by_payment)?;
        found.push(load(time, by_payment)?);
    }
    server.stop()?;
    found.try_into().map_err(|_| anyhow!("two lists were measured"))
}

/// A size for people, GB.
pub fn gigabytes(bytes: u64) -> f64 {
    real(bytes) / 1e9
}
