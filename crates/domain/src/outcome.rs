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
        /// Refused by this call for lack of the merchant's money; the provider kept nothing of the call.
        WaitingForFunds = 5 "waiting_for_funds",
        Completed = 6 "completed",
        /// The provider refused the refund or took it back.
        Failed = 7 "failed",
        /// The provider canceled the refund.
        Canceled = 8 "canceled",
        /// The provider has the refund and holds it until the merchant's money covers it.
        Held = 9 "held",
        /// This call did nothing, by the provider's own words, and a later one may.
        NotDone = 10 "not_done",
        /// An earlier call under the same key is still being worked on.
        InProgress = 11 "in_progress",
        /// The provider refused the call because it has this refund, and named it.
        Twin = 12 "twin",
        /// The payment has nothing left to refund, by the provider's books. After an earlier call this
        /// may be our own refund.
        Spent = 13 "spent",
        /// This provider cannot make such a refund. Found before anything was sent.
        Impossible = 14 "impossible",
        /// A complete look at the provider did not find the refund.
        Absent = 15 "absent",
    }
}

/// When a call that did nothing may be made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// When our own backoff says so.
    #[default]
    Later,
    /// After so many milliseconds, by the provider's own words.
    AfterMs(i64),
    /// When a person has mended the configuration, such as a wrong credential.
    WhenConfigured,
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
        /// The provider's list of the refunds that changed.
        Changes = 6 "changes",
    }
}

/// A stable word, such as `insufficient_funds` or `timeout`, and a sentence for people. Neither
/// ever holds a secret or a card number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Box<str>,
    pub message: Box<str>,
}

/// The longest code, message and id of a provider that is stored, in characters.
const CODE_CHARS: usize = 100;
const MESSAGE_CHARS: usize = 500;
const ID_CHARS: usize = 255;

impl Failure {
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    fn clean(self) -> Self {
        Self { code: clean(self.code, CODE_CHARS), message: clean(self.message, MESSAGE_CHARS) }
    }
}

/// A provider's id without control characters, cut.
pub fn clean_id(id: Box<str>) -> Box<str> {
    clean(id, ID_CHARS)
}

/// The text without control characters, cut after `most` characters. Some databases refuse a NUL.
fn clean(text: Box<str>, most: usize) -> Box<str> {
    let is_fine = text.len() <= most && !text.contains(char::is_control);
    if is_fine {
        return text;
    }
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(most).collect::<String>().into()
}

/// A statement about one refund. `None` where it says nothing.
///
/// Only a parsed, authentic answer can say [`ProviderOutcome::Failed`] or
/// [`ProviderOutcome::NotDone`]; only a call of which no byte left can end as
/// [`ProviderOutcome::NeverSent`]; everything else is [`ProviderOutcome::Unknown`].
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
    /// When to call again, for a call that did nothing.
    pub again: Again,
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
            again: Again::Later,
        }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, failure: Failure) -> Self {
        Self { failure: Some(failure), ..self }
    }

    /// The same with every text of the provider cut and freed of control characters.
    #[must_use]
    pub fn clean(self) -> Self {
        let id = |text: Option<Box<str>>| text.map(clean_id);
        Self {
            provider_refund_id: id(self.provider_refund_id),
            provider_payment_id: id(self.provider_payment_id),
            failure: self.failure.map(Failure::clean),
            ..self
        }
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
