//! The interface that every provider adapter implements.

use crate::http::Deadline;
use async_trait::async_trait;
use domain::money::Money;
use domain::outcome::{Failure, ProviderOutcome, Said, clean_id};
use domain::payment::Capture;
use domain::provider::Traits;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::sync::Arc;

/// A refund as a provider is asked to make it.
#[derive(Clone, Debug)]
pub struct RefundInstruction {
    /// The refund's one idempotency key for life; also our reference at the provider. An adapter brings
    /// it into the provider's form the same way each time.
    pub key: String,
    /// The payment to refund, with the adapter's own data of it.
    pub payment: Arc<Capture>,
    /// How much, in the payment's currency.
    pub money: Money,
    /// The part of the payment that was refunded or is under way without this refund, minor units.
    pub refunded_before: i64,
    /// The caller's reason.
    pub reason: Option<Box<str>>,
    /// The caller's own id of the refund.
    pub reference: Option<Box<str>>,
    /// The caller's key-value pairs, a JSON object.
    pub metadata: Option<Box<str>>,
    /// The provider's id of the refund, where it is known already.
    pub provider_refund_id: Option<Box<str>>,
    pub attempt: Attempt,
}

/// Whether the provider may know of the refund already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing of it is at the provider.
    First,
    /// A call since then may have made it.
    Again { first_sent_at: Timestamp },
}

/// The circumstances of one call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub now: Timestamp,
    /// When nobody waits for the answer any more.
    pub deadline: Deadline,
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

/// One page of the refunds of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub notices: Vec<Notice>,
    /// Where the next page begins, in the provider's own words. `None` after the last one.
    pub next: Option<Box<str>>,
}

/// The changes at a provider since a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub notices: Vec<Notice>,
    /// Where the next page begins, in the provider's own words. `None` after the last one.
    pub next: Option<Box<str>>,
}

/// A webhook as it came in.
#[derive(Clone, Debug)]
pub struct InboundWebhook {
    /// The URL that the provider called, as it was configured there.
    pub url: Box<str>,
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

impl Notice {
    /// The same with every text of the provider cut and freed of control characters.
    #[must_use]
    pub fn clean(self) -> Self {
        Self {
            provider_payment_id: clean_id(self.provider_payment_id),
            key: self.key.map(|key| clean_id(key.into()).into()),
            said: self.said.clean(),
        }
    }
}

/// A dispute of a payment, as its provider tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeNotice {
    /// The provider's payment id.
    pub provider_payment_id: Box<str>,
    /// The provider's id of the dispute.
    pub dispute: Box<str>,
    /// The disputed amount.
    pub money: Money,
    pub stage: DisputeStage,
}

impl DisputeNotice {
    /// The same with every text of the provider cut and freed of control characters.
    #[must_use]
    pub fn clean(self) -> Self {
        Self {
            provider_payment_id: clean_id(self.provider_payment_id),
            dispute: clean_id(self.dispute),
            ..self
        }
    }
}

/// How far a dispute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeStage {
    Open,
    /// The merchant keeps the money.
    Won,
    /// The money went back to the buyer.
    Lost,
}

impl DisputeStage {
    /// Every stage.
    pub const ALL: &[Self] = &[Self::Open, Self::Won, Self::Lost];

    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

/// Something that changed at the provider and must be asked for before it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A payment, by the provider's id.
    Payment(Box<str>),
    /// A refund that may be ours, by the provider's id. Where a provider names no payment, and refunds are made there
    /// as well, the adapter reads the refund itself and returns a notice.
    Refund(Box<str>),
}

/// A webhook as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    /// The provider's id of the event, by which a repetition is known.
    pub event: Option<Box<str>>,
    pub notices: Vec<Notice>,
    pub disputes: Vec<DisputeNotice>,
    pub hints: Vec<Hint>,
    /// The answer that the provider waits for, where it wants one of its own.
    pub answer: Option<WebhookAnswer>,
}

/// An answer in a provider's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAnswer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: &'static str,
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
    /// The provider's canonical id, where a payment has several.
    pub provider_payment_id: Box<str>,
    /// The captured amount.
    pub captured: Money,
    pub captured_at: Option<Timestamp>,
    /// The amount that was refunded there already, minor units, where the provider says so.
    pub refunded: Option<i64>,
    /// When it settled, if it has.
    pub settled_at: Option<Timestamp>,
    /// More that the adapter needs of the payment, a JSON object.
    pub data: Option<Box<str>>,
}

/// A payment provider with the credentials of one account and mode.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name payments are registered with, such as `stripe`.
    fn name(&self) -> &'static str;

    /// The facts about the provider from which the rules follow.
    fn traits(&self) -> Traits;

    /// Whether this provider can make the refund at all. Calls nobody; what it refuses is never sent.
    fn check(&self, instruction: &RefundInstruction, now: Timestamp) -> Result<(), Failure>;

    /// Asks for a refund. Called again with the same key when an answer was lost and the provider still
    /// knows the key.
    async fn submit(&self, instruction: &RefundInstruction, call: Call) -> Said;

    /// Finds a refund by our key or its own id.
    async fn lookup(&self, instruction: &RefundInstruction, call: Call) -> Lookup;

    /// Lists the refunds of a payment, ours and others, one page at a time.
    async fn list(
        &self,
        payment: &Capture,
        after: Option<&str>,
        call: Call,
    ) -> Result<Listed, Failure>;

    /// Takes back a refund that the provider has not made yet.
    async fn cancel(&self, _instruction: &RefundInstruction, _call: Call) -> Said {
        let why = Failure::new("cannot_cancel", "this provider cannot take a refund back");
        Said::new(ProviderOutcome::Impossible).because(why)
    }

    /// Reads a payment. `Ok(None)` when the provider knows no such payment.
    async fn payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        call: Call,
    ) -> Result<Option<PaymentReport>, Failure>;

    /// The refunds that changed since a time, one page at a time. `Ok(None)` where the provider cannot
    /// tell.
    async fn changes(
        &self,
        _tenant: Tenant,
        _since: Timestamp,
        _after: Option<&str>,
        _call: Call,
    ) -> Result<Option<Changes>, Failure> {
        Ok(None)
    }

    /// Authenticates and reads a webhook. Never changes anything.
    async fn receive(
        &self,
        webhook: &InboundWebhook,
        call: Call,
    ) -> Result<Inbound, WebhookRefused>;
}
