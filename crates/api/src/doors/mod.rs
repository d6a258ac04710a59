//! The doors. Each owns its paths, its wire types and its error table.

pub mod native;
mod simulator;
pub mod yoco;

use crate::openapi::Chapter;
use crate::route::Route;
use crate::{hosted, ops};
use engine::Engine;

/// Every operation of every door.
pub fn routes() -> Vec<Route> {
    let unlimited = simulator::routes().into_iter().chain(ops::routes()).map(Route::unlimited);
    let doors = native::routes().into_iter().chain(yoco::routes());
    doors.chain(hosted::routes()).chain(unlimited).collect()
}

/// What every door says about itself in the OpenAPI document.
pub fn chapters() -> Vec<Chapter> {
    vec![
        native::chapter(),
        yoco::chapter(),
        hosted::chapter(),
        simulator::chapter(),
        ops::chapter(),
    ]
}

/// False for operations that this installation does not have.
pub fn is_offered(route: &Route, engine: &Engine) -> bool {
    engine.simulator().is_some() || !route.path.starts_with(simulator::PREFIX)
}
