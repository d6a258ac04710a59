//! The doors of Refundry: HTTP surfaces over one engine.
//!
//! A door reads requests into the engine's inputs and prints the engine's answers in its own words;
//! it decides nothing about money. Doors see `engine` and `domain`, never the store or the
//! providers. A new door is a folder under `doors` and its lines in `site`.

#![warn(clippy::wildcard_enum_match_arm)]

mod app;
mod doors;
mod hosted;
mod http;
mod openapi;
mod ops;
mod site;

pub use self::http::limits::{Peer, RateLimits};
pub use self::http::time::parse_query_time;
use self::http::{limits, route};
use app::App;
pub use app::{ApiConfig, ElasticPayConfig, YocoSettings};

use ::http::{Method, Uri};
use axum::Router;
use engine::Engine;
use engine::access::KeyScope;
use governor::clock::MonotonicClock;
use std::sync::Arc;

/// The router of every door. Install the metrics recorder first: operations take their counters
/// from it here.
pub fn router(engine: Engine, config: ApiConfig) -> Router {
    let mounts = config.mounts.clone();
    let limits = config.rate_limits.as_ref();
    let limits = limits.map(|limits| limits::Limits::new(limits, &MonotonicClock));
    let app = Arc::new(App {
        engine,
        limits,
        documents: &site::RENDERED,
        unknown_path: site::unknown_path,
        config,
    });
    site::routes()
        .into_iter()
        .fold(route::measured(mounts, &app), |router, route| route.add_to(router, &app))
        .fallback({
            let app = Arc::clone(&app);
            move |uri: Uri| async move { site::unknown_path(&app, uri.path()) }
        })
        .method_not_allowed_fallback(
            move |uri: Uri| async move { site::wrong_method(&app, uri.path()) },
        )
        // Binds the routes once instead of per request.
        .with_state(())
}

/// Every OpenAPI document by its name, the native one first: what `/openapi.json` and
/// `/openapi/{name}.json` answer and what `openapi/{name}.json` in the repository holds.
pub fn openapi() -> impl Iterator<Item = (&'static str, &'static str)> {
    site::RENDERED.iter().map(|document| (document.name, &*document.text))
}

/// The webhook formats of every door, for the engine to speak.
pub fn webhook_formats() -> Vec<Arc<dyn engine::webhooks::WebhookFormat>> {
    site::formats()
}

/// Every operation and the permission it takes; `None` when anybody may call it. For tests that
/// must not miss one.
pub fn operations() -> Vec<(Method, &'static str, Option<KeyScope>)> {
    site::operations()
}
