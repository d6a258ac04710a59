//! Delivers the simulator's webhooks; some are refused, some are lost, some are delivered twice.

use crate::lossy_provider::Network;
use crate::rng::SeededRng;
use async_trait::async_trait;
use domain::tenant::Tenant;
use engine::{Engine, InboundWebhook};
use providers::http::Deadline;
use providers::{Call, Provider};
use simulator::WebhookSink;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Delivers the simulator's webhooks to the nodes.
pub(crate) struct LossyWebhooks<'a> {
    nodes: Vec<Engine>,
    network: &'a Network,
    /// Draws the fault of each webhook. Without it, every webhook is delivered once.
    rng: Option<Mutex<&'a mut SeededRng>>,
    /// Webhooks come one after another, so that the order follows from the seed.
    turn: tokio::sync::Mutex<()>,
}

impl<'a> LossyWebhooks<'a> {
    pub(crate) fn reliable(engine: Engine, network: &'a Network) -> Self {
        Self { nodes: vec![engine], network, rng: None, turn: tokio::sync::Mutex::default() }
    }

    pub(crate) fn unreliable(
        nodes: Vec<Engine>,
        network: &'a Network,
        rng: &'a mut SeededRng,
    ) -> Self {
        Self { nodes, network, rng: Some(Mutex::new(rng)), turn: tokio::sync::Mutex::default() }
    }

    async fn receive(&self, node: usize, tenant: Tenant, webhook: InboundWebhook) -> bool {
        let now = webhook.received_at;
        let engine = &self.nodes[node];
        let taken =
            engine.receive_webhook(tenant, "simulator", None, webhook.clone()).await.is_ok();
        if taken {
            self.network.tell_of_dispute(&webhook);
            let call = Call { now, deadline: Deadline::within(Duration::from_secs(20)) };
            let read = Provider::receive(&*self.network.simulator, &webhook, call).await;
            for notice in read.map(|inbound| inbound.notices).unwrap_or_default() {
                self.network.tell(&notice.said);
            }
        }
        taken
    }
}

#[async_trait]
impl WebhookSink for LossyWebhooks<'_> {
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        let _turn = self.turn.lock().await;
        let drawn = self.rng.as_ref().map(|rng| {
            let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
            (rng.below(100), rng.index(self.nodes.len()).unwrap_or(0))
        });
        let Some((roll, node)) = drawn else { return self.receive(0, tenant, webhook).await };
        let count = |what| self.network.counts.count("webhook", what);
        match roll {
            0..25 => {
                count("refused");
                false
            }
            // The engine receives the webhook, and the acknowledgement is lost.
            25..38 => {
                count("acknowledgement lost");
                self.receive(node, tenant, webhook).await;
                false
            }
            38..48 => {
                count("twice");
                self.receive(node, tenant, webhook.clone()).await;
                self.receive(node, tenant, webhook).await
            }
            48..55 => {
                count("lost for good");
                true
            }
            _ => self.receive(node, tenant, webhook).await,
        }
    }
}
