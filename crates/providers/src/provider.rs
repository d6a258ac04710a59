//! The interface that every provider adapter implements.

use async_trait::async_trait;
use domain::money::Money;
use domain::outcome::{Failure, Said};
use domain::payment::Capture;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::sync::Arc;

/// A refund as a provider is asked to make it.
#[derive(Clone, Debug)]
pub struct RefundInstruction {
    /// The refund's one idempotency key for life; also our reference at the provider.
    pub key: String,
    /// The payment to refund.
    pub payment: Arc<Capture>,
    /// How much, in the payment's currency.
    pub money: Money,
    /// The caller's reason.
    pub reason: Option<Box<str>>,
    /// The caller's own id of the refund.
    pub reference: Option<Box<str>>,
    /// The caller's key-value pairs, a JSON object.
    pub metadata: Option<Box<str>>,
    /// The provider's id of the refund, where it is known already.
    pub provider_refund_id: Option<Box<str>>,
}

/// The abilities of a provider, which decide how a refund in doubt is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The same key again returns the first result instead of paying twice.
    pub honours_idempotency_keys: bool,
    /// A refund can be found by our key or by the provider's refund id.
    pub can_look_up: bool,
    /// The refunds of a payment can be listed.
    pub can_list: bool,
    /// Refunds of less than the captured amount are possible.
    pub partial_refunds: bool,
}

/// The result of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The refund, as it stands there.
    Found(Said),
    /// The provider answered, and knows no such refund (yet).
    Absent,
    /// No usable answer.
    Unknown(Failure),
}

/// A webhook as it came in.
#[derive(Clone, Debug)]
pub struct InboundWebhook {
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
}

impl InboundWebhook {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// One thing that an authentic webhook (or a list) says about one refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The provider's payment id.
    pub provider_payment_id: Box<str>,
    /// Our key, where the provider echoes it. `None` for refunds made at the provider itself.
    pub key: Option<String>,
    pub said: Said,
}

/// Why a webhook is not believed. The text is safe to answer with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    /// The signature is missing, wrong or too old.
    #[error("the webhook's signature does not verify")]
    Forged,
    /// The body is not what this provider sends.
    #[error("the webhook's body cannot be read: {0}")]
    Malformed(String),
}

/// A payment as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentReport {
    /// The captured amount.
    pub captured: Money,
    /// When it settled, if it has.
    pub settled_at: Option<Timestamp>,
}

/// A payment provider with the credentials of one account and mode.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name payments are registered with, such as `stripe`.
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;

    /// Asks for a refund. Called again with the same instruction, and so the same key, when an answer was
    /// lost and the provider honours keys.
    async fn submit(&self, instruction: &RefundInstruction) -> Said;

    /// Finds a refund by our key or its own id.
    async fn lookup(&self, instruction: &RefundInstruction) -> Lookup;

    /// Lists the refunds of a payment, ours and others.
    async fn list_for_payment(&self, payment: &Capture) -> Result<Vec<Notice>, Failure>;

    /// Reads a payment. `Ok(None)` when the provider knows no such payment.
    async fn fetch_payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentReport>, Failure>;

    /// Authenticates and reads a webhook. Never changes anything.
    fn parse_webhook(&self, webhook: &InboundWebhook) -> Result<Vec<Notice>, WebhookRefused>;
}
