//! PostgreSQL. (h): refunds per second against one function call per refund, and two nodes against
//! one node. (i): refunds and lists with millions of refunds stored.

mod database;
mod one_call;

pub use database::PostgresDatabase;
pub use one_call::best_rate;

use crate::over_http::{Rounds, wrk_load};
use crate::process::Server;
use crate::wrk::{Wrk, WrkLoad, WrkResult};
use anyhow::{Result, anyhow};
use std::time::Duration;

/// Connections per node.
const CONNECTIONS: u32 = 256;

/// Number of clients that list at the same time.
const READERS: u32 = 8;

/// Runs one round of refunds through all given nodes at once, with [`CONNECTIONS`] each. With
/// `hot`, some payments are refunded much more often than others.
pub fn nodes<'s>(
    database: impl IntoIterator<Item = &'s PostgresDatabase>,
    hot: bool,
    wrk: &Wrk,
    rounds: &mut Rounds,
    time: Duration,
) -> Result<()> {
    let nodes = database.into_iter().map(|node| Ok((node.serve()?, node.bearer())));
    let nodes: Vec<_> = nodes.collect::<Result<_>>()?;
    let load = |duration| {
        let run = |(server, bearer): &(Server, &str)| {
            let address = server.address.to_string();
            wrk.run(&WrkLoad { hot, ..wrk_load(&address, bearer, CONNECTIONS, duration) })
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = nodes.iter().map(|node| scope.spawn(move || run(node))).collect();
            let mut found = None;
            for client in clients {
                let one = client.join().map_err(|_| anyhow!("a client died"))??;
                found = Some(found.map_or(one, |all: WrkResult| all.with(one)));
            }
            found.ok_or_else(|| anyhow!("there is no node"))
        })
    };
    rounds.round_of(time, load)?;
    nodes.into_iter().try_for_each(|(server, _)| server.stop())
}

/// Runs one round of lists: first the newest refunds of the account, then the refunds of one
/// payment after another.
pub fn lists(
    database: &PostgresDatabase,
    wrk: &Wrk,
    rounds: &mut [Rounds; 2],
    time: Duration,
) -> Result<()> {
    let server = database.serve()?;
    let address = server.address.to_string();
    for (rounds, by_payment) in rounds.iter_mut().zip([false, true]) {
        rounds.round_of(time, |duration| {
            let (bearer, connections) = (database.bearer(), READERS);
            let wrk_load =
                WrkLoad { address: &address, path: "", bearer, connections, duration, hot: false };
            wrk.list(&wrk_load, by_payment)
        })?;
    }
    server.stop()
}
