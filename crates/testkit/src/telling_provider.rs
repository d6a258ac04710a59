//! A provider whose webhooks say what the test says.

use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::Traits;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{
    Call, Inbound, InboundWebhook, Listed, Lookup, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// A provider that makes every refund and tells what it is given. A webhook to which nothing was given
/// is forged.
#[derive(Default)]
pub struct TellingProvider {
    words: Mutex<VecDeque<Inbound>>,
}

impl TellingProvider {
    pub const NAME: &str = "telling";

    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The next webhook says this.
    pub fn says(&self, inbound: Inbound) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).push_back(inbound);
    }
}

#[async_trait]
impl Provider for TellingProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn traits(&self) -> Traits {
        Traits::UNKNOWN
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, _: &RefundInstruction, _: Call) -> Said {
        Said::new(ProviderOutcome::Completed)
    }

    async fn lookup(&self, _: &RefundInstruction, _: Call) -> Lookup {
        Lookup::Absent
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        Ok(Listed::default())
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        Ok(None)
    }

    async fn receive(&self, _: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.pop_front().ok_or(WebhookRefused::Forged)
    }
}
