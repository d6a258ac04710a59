//! Statements of a provider (or of a person with proof) about a refund: the same words from the
//! adapter that reads an answer to the state machine that books it.

use crate::codes::codes;
use crate::money::Money;
use crate::time::Timestamp;

codes! {
    /// The state of a refund at its provider, or the result of the call that asked for it.
    pub enum ProviderOutcome {
        /// Certain: no byte of the request left this machine.
        NeverSent = 1 "never_sent",
        /// The request may have been sent and no usable answer came back.
        Unknown = 2 "lost",
        /// The provider has the refund and works on it.
        Accepted = 3 "accepted",
        /// Someone must act at the provider before the refund goes on.
        ActionRequired = 4 "action_required",
        /// The merchant's balance there is too small; ask again later with the same key.
        WaitingForFunds = 5 "waiting_for_funds",
        Completed = 6 "completed",
        /// The provider refused the refund or took it back.
        Failed = 7 "failed",
        /// The provider canceled the refund.
        Canceled = 8 "canceled",
    }
}

codes! {
    /// How an outcome became known.
    pub enum Source {
        /// The answer to our own call.
        Submit = 1 "submit",
        /// A look-up by our key or the provider's refund id.
        Lookup = 2 "lookup",
        /// The provider's list of the payment's refunds.
        List = 3 "list",
        Webhook = 4 "webhook",
        /// A person who looked.
        Operator = 5 "operator",
    }
}

/// A stable word, such as `insufficient_funds` or `timeout`, and a sentence for people. Neither
/// ever holds a secret or a card number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Box<str>,
    pub message: Box<str>,
}

impl Failure {
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// A statement about one refund. `None` where it says nothing.
///
/// Only a parsed, authentic answer can say [`ProviderOutcome::Failed`]; only a call of which no
/// byte left can end as [`ProviderOutcome::NeverSent`]; everything else is
/// [`ProviderOutcome::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub outcome: ProviderOutcome,
    pub provider_refund_id: Option<Box<str>>,
    /// Compared with the refund's own amount and currency.
    pub money: Option<Money>,
    /// Compared with the payment's own id.
    pub provider_payment_id: Option<Box<str>>,
    /// The provider's own time of this state, by which statements are put in order.
    pub at: Option<Timestamp>,
    /// Why the refund was refused, or why there was no usable answer.
    pub failure: Option<Failure>,
}

impl Said {
    /// An outcome and nothing else.
    pub const fn new(outcome: ProviderOutcome) -> Self {
        Self {
            outcome,
            provider_refund_id: None,
            money: None,
            provider_payment_id: None,
            at: None,
            failure: None,
        }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, failure: Failure) -> Self {
        Self { failure: Some(failure), ..self }
    }

    /// There was no usable answer.
    pub fn unknown(why: Failure) -> Self {
        Self::new(ProviderOutcome::Unknown).because(why)
    }
}

/// A statement about one refund, and how it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub source: Source,
    pub said: Said,
}
