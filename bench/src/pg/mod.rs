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

/// One round of refunds through one node, some payments hot.
pub fn one_node(shared: &Shared, wrk: &Wrk, rounds: &mut Rounds, time: Duration) -> Result<()> {
    let server = shared.serve()?;
    let address = server.address.to_string();
    rounds.round(wrk, &aim(&address, shared.bearer(), CONNECTIONS, time))?;
    server.stop()
}

/// One round of refunds through each of these nodes at once, with as many clients each and no payment
/// hot: a hot one is the business of one node at a time.
pub fn nodes<'s>(
    shared: impl IntoIterator<Item = &'s Shared>,
    wrk: &Wrk,
    rounds: &mut Rounds,
    time: Duration,
) -> Result<()> {
    let nodes = shared.into_iter().map(|node| Ok((node.serve()?, node.bearer())));
    let nodes: Vec<_> = nodes.collect::<Result<_>>()?;
    let load = |duration| {
        let run = |(server, bearer): &(Server, &str)| {
            let address = server.address.to_string();
            wrk.run(&Aim { hot: false, ..aim(&address, bearer, CONNECTIONS, duration) })
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = nodes.iter().map(|node| scope.spawn(move || run(node))).collect();
            let mut found = None;
            for client in clients {
                let one = client.join().map_err(|_| anyhow!("a client died"))??;
                found = Some(found.map_or(one, |all: Found| all.with(one)));
            }
            found.ok_or_else(|| anyhow!("there is no node"))
        })
    };
    load(WARM_UP)?;
    rounds.add(load(time)?);
    nodes.into_iter().try_for_each(|(server, _)| server.stop())
}

/// Lists of the newest refunds of the account, and of one payment after another.
pub fn lists(shared: &Shared, wrk: &Wrk, time: Duration) -> Result<[Found; 2]> {
    let server = shared.serve()?;
    let address = server.address.to_string();
    let load = |duration, by_payment| {
        let (bearer, connections) = (shared.bearer(), READERS);
        let aim = Aim { address: &address, path: "", bearer, connections, duration, hot: false };
        wrk.list(&aim, by_payment)
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
