//! The way back, on which webhooks are turned away and come twice.

use crate::rng::SeededRng;
use async_trait::async_trait;
use domain::account::Scope;
use engine::simulator::WebhookSink;
use engine::{Engine, InboundWebhook};
use std::sync::{Mutex, PoisonError};

/// Brings the simulator's webhooks to an engine.
pub(crate) struct LossyWebhooks<'a> {
    engine: &'a Engine,
    /// Who decides what becomes of a webhook. Without, every one arrives.
    rng: Option<Mutex<&'a mut SeededRng>>,
}

impl<'a> LossyWebhooks<'a> {
    pub(crate) fn reliable(engine: &'a Engine) -> Self {
        Self { engine, rng: None }
    }

    pub(crate) fn unreliable(engine: &'a Engine, rng: &'a mut SeededRng) -> Self {
        Self { engine, rng: Some(Mutex::new(rng)) }
    }

    async fn bring(&self, scope: Scope, webhook: InboundWebhook) -> bool {
        self.engine.receive_webhook(scope, "simulator", webhook).await.is_ok()
    }
}

#[async_trait]
impl WebhookSink for LossyWebhooks<'_> {
    async fn deliver(&self, scope: Scope, webhook: InboundWebhook) -> bool {
        let throw = self
            .rng
            .as_ref()
            .map(|rng| rng.lock().unwrap_or_else(PoisonError::into_inner).below(100));
        match throw {
            Some(0..30) => false,
            // It was taken in, but the acknowledgement is lost.
            Some(30..45) => {
                self.bring(scope, webhook).await;
                false
            }
            Some(45..55) => {
                self.bring(scope, webhook.clone()).await;
                self.bring(scope, webhook).await
            }
            Some(_) | None => self.bring(scope, webhook).await,
        }
    }
}
