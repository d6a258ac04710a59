//! The configuration of the doors, and the state that all operations share.

use crate::http::limits::{Limits, RateLimits};
use crate::openapi::RenderedDocument;
use axum::Router;
use axum::response::Response;
use engine::Engine;
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
    pub yoco: YocoSettings,
    /// Prints the metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Routes of others that are served beside the doors.
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

/// Behaviour that the door's reference leaves open or changed over time.
#[derive(Clone, Debug)]
pub struct YocoSettings {
    /// Refund payments that were made with test keys.
    pub allow_test_refunds: bool,
    /// Refund whole payments only, as the first pages of this API said.
    pub full_refunds_only: bool,
    /// The status of a refund that was accepted.
    pub refund_status: &'static str,
    /// How long a refund waits for the provider's answer.
    pub refund_wait: Duration,
}

/// Possible words for the status of an accepted refund. With the last one the door does not wait
/// for the provider.
pub const REFUND_STATUSES: [&str; 3] = ["succeeded", "successful", PENDING];
pub const PENDING: &str = "pending";

impl Default for YocoSettings {
    /// No refunds in test mode, partial refunds, `succeeded`, and three seconds, which is less than
    /// the time-out of shop systems.
    fn default() -> Self {
        Self {
            allow_test_refunds: false,
            full_refunds_only: false,
            refund_status: "succeeded",
            refund_wait: Duration::from_secs(3),
        }
    }
}

impl YocoSettings {
    /// The status of accepted refunds called `word`, if that is one.
    pub fn status_from_text(word: &str) -> Option<&'static str> {
        REFUND_STATUSES.into_iter().find(|known| *known == word)
    }
}

/// The state that all operations share.
pub struct App {
    pub engine: Engine,
    pub config: ApiConfig,
    pub limits: Option<Limits>,
    pub documents: &'static [RenderedDocument],
    /// The answer to a path at which there is nothing.
    pub unknown_path: fn(&App, &str) -> Response,
}
