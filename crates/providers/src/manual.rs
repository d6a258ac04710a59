//! The provider of payments that were taken by hand: cash, or a transfer to the merchant's bank. Nobody can be
//! called, so a person pays each refund and says so.

use crate::{
    Call, Inbound, InboundWebhook, Listed, Lookup, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::{OutcomeBy, Traits};
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Payments that were taken by hand.
#[derive(Clone, Copy, Debug)]
pub struct Manual;

impl Manual {
    /// The name that such payments are registered with.
    pub const NAME: &str = "manual";
}

/// Why nobody was called.
fn nobody() -> Failure {
    Failure::new("paid_by_hand", "the payment was taken by hand, so there is nobody to ask")
}

#[async_trait]
impl Provider for Manual {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn traits(&self) -> Traits {
        Traits { outcome: OutcomeBy::Person, ..Traits::UNKNOWN }
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, _: &RefundInstruction, _: Call) -> Said {
        Said::new(ProviderOutcome::ActionRequired).because(nobody())
    }

    async fn lookup(&self, _: &RefundInstruction, _: Call) -> Lookup {
        Lookup::Unknown(nobody())
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        Err(nobody())
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        Err(nobody())
    }

    async fn receive(&self, _: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        Err(WebhookRefused::Forged)
    }
}
