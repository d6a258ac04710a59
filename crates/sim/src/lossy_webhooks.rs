//! Delivers the simulator's webhooks; some are refused, and some are delivered twice.

use crate::rng::SeededRng;
use async_trait::async_trait;
use domain::tenant::Tenant;
use engine::{Engine, InboundWebhook};
use simulator::WebhookSink;
use std::sync::{Mutex, PoisonError};

/// Delivers the simulator's webhooks to an engine.
pub(crate) struct LossyWebhooks<'a> {
    engine: &'a Engine,
    /// Draws the fault of each webhook. Without it, every webhook is delivered once.
    rng: Option<Mutex<&'a mut SeededRng>>,
}

impl<'a> LossyWebhooks<'a> {
    pub(crate) fn reliable(engine: &'a Engine) -> Self {
        Self { engine, rng: None }
    }

    pub(crate) fn unreliable(engine: &'a Engine, rng: &'a mut SeededRng) -> Self {
        Self { engine, rng: Some(Mutex::new(rng)) }
    }

    async fn receive(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        self.engine.receive_webhook(tenant, "simulator", webhook).await.is_ok()
    }
}

#[async_trait]
impl WebhookSink for LossyWebhooks<'_> {
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        let roll = self
            .rng
            .as_ref()
            .map(|rng| rng.lock().unwrap_or_else(PoisonError::into_inner).below(100));
        match roll {
            Some(0..30) => false,
            // The engine receives the webhook, and the acknowledgement is lost.
            Some(30..45) => {
                self.receive(tenant, webhook).await;
                false
            }
            Some(45..55) => {
                self.receive(tenant, webhook.clone()).await;
                self.receive(tenant, webhook).await
            }
            Some(_) | None => self.receive(tenant, webhook).await,
        }
    }
}
