//! The contract of an adapter, as the engine relies on it. An adapter passes it by giving the provider
//! that its tests play: a [`ProviderFake`], and one call of [`check`].

mod checks;
mod log;

pub use checks::check;

use async_trait::async_trait;
use domain::money::Money;
use domain::time::Timestamp;
use providers::{InboundWebhook, Provider, RefundInstruction};
use std::sync::Arc;

/// A provider that a test plays.
#[async_trait]
pub trait ProviderFake: Send + Sync {
    /// The adapter, with its credentials, connected to this fake.
    fn provider(&self) -> Arc<dyn Provider>;

    /// Codes of currencies that the provider takes: one without digits behind the point, one with two,
    /// one with three, as far as it takes such.
    fn currencies(&self) -> Vec<&'static str> {
        vec!["JPY", "USD", "KWD"]
    }

    /// A refund of a captured payment that the fake knows, under this key. Each key has a payment of its
    /// own.
    fn instruction(&self, key: &str, money: Money) -> RefundInstruction;

    /// Lets the next call that asks for this refund meet a fault, and returns the instruction to ask
    /// with. `None` when the fake cannot play the fault.
    async fn expect(
        &self,
        fault: Fault,
        instruction: RefundInstruction,
    ) -> Option<RefundInstruction>;

    /// The amounts of the refunds that were made under the instruction's key, in minor units.
    async fn made(&self, instruction: &RefundInstruction) -> Vec<i64>;

    /// Number of calls about the instruction's payment that reached the fake.
    async fn calls(&self, instruction: &RefundInstruction) -> usize;

    /// An authentic webhook about a refund that was made. `None` for a provider without webhooks.
    async fn webhook(&self, instruction: &RefundInstruction) -> Option<InboundWebhook>;

    /// The time at the fake.
    fn now(&self) -> Timestamp;

    /// Lets time pass at the fake.
    fn advance(&self, ms: i64);

    /// Texts that no log and no statement may contain: the credentials, in every form in which they are
    /// sent or might be printed.
    fn secrets(&self) -> Vec<String>;
}

/// One thing that goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens.
    NotConnected,
    /// The call arrives and is forgotten; the connection ends without an answer.
    CallLost,
    /// The refund is made; the connection ends without an answer.
    AnswerLost,
    /// The refund is made; the answer comes a byte at a time, for longer than the call may take.
    Drips,
    /// The refund is made; the answer is not what the provider sends.
    Garbage,
    /// The refund is made; the answer does not end within any sensible size.
    Huge,
    /// Nothing is made; a gateway answers with a page for people and this status.
    Html(u16),
    /// The provider refuses, in its own words.
    Refused,
    /// The provider refuses for now, and says when to come again.
    Throttled,
    /// The refund is made; the answer speaks of another amount.
    OtherAmount,
    /// The refund is made; the answer speaks of another currency.
    OtherCurrency,
    /// The refund is made; the answer speaks of another payment.
    OtherPayment,
    /// The refund is there, in a status that the provider invents tomorrow.
    NewStatus,
}

impl Fault {
    /// Statuses with which gateways answer.
    pub const HTML: [u16; 8] = [400, 401, 403, 404, 409, 429, 500, 502];
}
