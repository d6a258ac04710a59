//! A provider whose calls stop at one point, like calls of a process that dies or hangs there.

use crate::within_limit;
use async_trait::async_trait;
use domain::outcome::{Failure, Said};
use domain::payment::Capture;
use domain::provider::Traits;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{
    Call, Inbound, InboundWebhook, Listed, Lookup, PaymentReport, Provider, RefundInstruction,
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

    fn traits(&self) -> Traits {
        self.inner.traits()
    }

    fn check(&self, order: &RefundInstruction, now: Timestamp) -> Result<(), Failure> {
        self.inner.check(order, now)
    }

    async fn submit(&self, order: &RefundInstruction, call: Call) -> Said {
        self.pass(StopAt::BeforeSubmit).await;
        let answer = self.inner.submit(order, call).await;
        self.pass(StopAt::AfterSubmit).await;
        answer
    }

    async fn lookup(&self, order: &RefundInstruction, call: Call) -> Lookup {
        self.pass(StopAt::BeforeLookup).await;
        let found = self.inner.lookup(order, call).await;
        self.pass(StopAt::AfterLookup).await;
        found
    }

    async fn list(
        &self,
        payment: &Capture,
        after: Option<&str>,
        call: Call,
    ) -> Result<Listed, Failure> {
        self.inner.list(payment, after, call).await
    }

    async fn payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        call: Call,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.inner.payment(tenant, provider_payment_id, call).await
    }

    async fn receive(
        &self,
        webhook: &InboundWebhook,
        call: Call,
    ) -> Result<Inbound, WebhookRefused> {
        Provider::receive(&*self.inner, webhook, call).await
    }
}
