//! The doors of Refundry: HTTP surfaces over one engine.
//!
//! A door reads requests into the engine's inputs and prints the engine's answers in its own words;
//! it decides nothing about money. Doors see `engine` and `domain`, never the store or the
//! providers. A new door is a folder under `doors` and its lines in `site`.

#![warn(clippy::wildcard_enum_match_arm)]

mod doors;
mod hosted;
mod http;
mod openapi;
mod ops;
mod site;

pub use self::http::limits::{Peer, RateLimits};
use self::http::{limits, route};
pub use doors::yoco::Settings as YocoSettings;

use crate::openapi::RenderedDocument;
use ::http::{Method, Uri};
use axum::Router;
use axum::response::Response;
use engine::Engine;
use engine::access::KeyScope;
use governor::clock::MonotonicClock;
use std::sync::Arc;
use std::time::Duration;

/// The configuration of the doors.
#[derive(Clone)]
pub struct ApiConfig {
    pub max_body_bytes: usize,
    /// The largest webhook of a provider, in bytes. Providers batch.
    pub max_webhook_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// The longest that `Prefer: wait=N` can wait.
    pub max_wait: Duration,
    /// Rate limits; `None` for none.
    pub rate_limits: Option<RateLimits>,
    pub elasticpay: ElasticPayConfig,
    /// Settings of the Yoco door.
    pub yoco: YocoSettings,
    /// Prints the metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Routes that the server adds to those of the doors.
    pub mounts: Router,
}

#[derive(Clone, Copy, Debug)]
pub struct ElasticPayConfig {
    /// How long a refund waits for the provider's answer.
    pub wait: Duration,
    /// Take only the reasons that its documentation lists.
    pub strict_reasons: bool,
}

impl Default for ElasticPayConfig {
    /// 10 seconds, any reason.
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), strict_reasons: false }
    }
}

impl Default for ApiConfig {
    /// Bodies of 64 KiB, webhooks of 1 MiB, 30 seconds for either to arrive, waits of up to a
    /// minute, no rate limits, no metrics.
    fn default() -> Self {
        Self {
            max_body_bytes: 64 * 1024,
            max_webhook_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            max_wait: Duration::from_mins(1),
            rate_limits: None,
            elasticpay: ElasticPayConfig::default(),
            yoco: YocoSettings::default(),
            metrics: Arc::new(String::new),
            mounts: Router::new(),
        }
    }
}

/// The state that all operations share.
struct App {
    engine: Engine,
    config: ApiConfig,
    limits: Option<limits::Limits>,
    documents: &'static [RenderedDocument],
    /// The answer to a path at which there is nothing.
    unknown_path: fn(&App, &str) -> Response,
}

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
    site::routes().into_iter().map(|route| (route.method, route.path, route.permission)).collect()
}
