//! The doors. Each owns its paths, its wire types and its error table.

pub mod native;
mod simulator;

use crate::ops;
use crate::route::Route;
use engine::Engine;

/// Every operation of every door.
pub fn routes() -> Vec<Route> {
    [native::routes(), simulator::routes(), ops::routes()].into_iter().flatten().collect()
}

/// False for operations that this installation does not have.
pub fn is_offered(route: &Route, engine: &Engine) -> bool {
    engine.simulator().is_some() || !route.path.starts_with(simulator::PREFIX)
}
