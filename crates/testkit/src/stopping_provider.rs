//! A provider whose calls stop at one point, like calls of a process that dies or hangs there.

use crate::within_limit;
use async_trait::async_trait;
use domain::outcome::{Failure, Said};
use domain::payment::Capture;
use domain::tenant::Tenant;
use providers::{
    Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The point at which a call stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAt {
    /// The intent is committed, and the provider was not called.
    BeforeSubmit,
    /// The provider handled the refund, and the outcome is not committed.
    AfterSubmit,
    /// The look-up was not sent yet.
    BeforeLookup,
    /// The look-up was answered, and the outcome is not committed.
    AfterLookup,
}

/// Passes calls on to another provider and stops each at one point.
pub struct StoppingProvider {
    inner: Arc<dyn Provider>,
    at: StopAt,
    stopped: Semaphore,
    gate: Semaphore,
}

impl StoppingProvider {
    pub fn new(inner: Arc<dyn Provider>, at: StopAt) -> Arc<Self> {
        Arc::new(Self { inner, at, stopped: Semaphore::new(0), gate: Semaphore::new(0) })
    }

    /// Waits until one more call has stopped.
    pub async fn stopped(&self) {
        let stopped = within_limit("a call to stop", self.stopped.acquire()).await;
        stopped.expect("the semaphore is never closed").forget();
    }

    /// Lets all stopped calls and all later calls pass.
    pub fn let_go(&self) {
        self.gate.close();
    }

    async fn pass(&self, point: StopAt) {
        if self.at == point {
            self.stopped.add_permits(1);
            // No code adds a permit; the call continues when `let_go` closes the gate.
            let _ = self.gate.acquire().await;
        }
    }
}

#[async_trait]
impl Provider for StoppingProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn submit(&self, order: &RefundInstruction) -> Said {
        self.pass(StopAt::BeforeSubmit).await;
        let answer = self.inner.submit(order).await;
        self.pass(StopAt::AfterSubmit).await;
        answer
    }

    async fn lookup(&self, order: &RefundInstruction) -> Lookup {
        self.pass(StopAt::BeforeLookup).await;
        let found = self.inner.lookup(order).await;
        self.pass(StopAt::AfterLookup).await;
        found
    }

    async fn list_for_payment(&self, payment: &Capture) -> Result<Vec<Notice>, Failure> {
        self.inner.list_for_payment(payment).await
    }

    async fn fetch_payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.inner.fetch_payment(tenant, provider_payment_id).await
    }

    fn parse_webhook(&self, webhook: &InboundWebhook) -> Result<Vec<Notice>, WebhookRefused> {
        self.inner.parse_webhook(webhook)
    }
}
