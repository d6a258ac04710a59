//! What a provider (or a person with proof) said about a refund.

use crate::codes::codes;
use crate::money::Money;
use crate::time::Timestamp;

codes! {
    /// Where evidence came from.
    pub enum Source {
        /// The answer to our own call.
        Submit = 1 "submit",
        /// A look-up by our key or the provider's refund id.
        Lookup = 2 "lookup",
        /// The provider's list of the payment's refunds.
        List = 3 "list",
        /// An authentic webhook.
        Webhook = 4 "webhook",
        /// A person who looked.
        Operator = 5 "operator",
    }
}

codes! {
    /// What the evidence claims.
    pub enum Claim {
        /// Certain: no byte of the request left this machine.
        NeverSent = 1 "never_sent",
        /// The request may have been sent and no usable answer came back.
        Lost = 2 "lost",
        /// The provider has the refund and works on it.
        Accepted = 3 "accepted",
        /// Someone must act at the provider before it goes on.
        ActionRequired = 4 "action_required",
        /// The merchant's balance there does not cover it yet; ask again later with the same key.
        WaitingForFunds = 5 "waiting_for_funds",
        /// The money went back.
        Completed = 6 "completed",
        /// The provider refused it or took it back.
        Failed = 7 "failed",
        /// The provider canceled it.
        Canceled = 8 "canceled",
    }
}

/// One thing that was said about one refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where it came from.
    pub source: Source,
    /// What it claims.
    pub claim: Claim,
    /// The provider's own id of the refund.
    pub provider_refund_id: Option<Box<str>>,
    /// The amount it speaks of. Compared with what was asked.
    pub money: Option<Money>,
    /// The provider's payment id it speaks of. Compared with what was asked.
    pub provider_payment_id: Option<Box<str>>,
    /// A stable word for a refusal or a lost answer, such as `insufficient_funds` or `timeout`.
    pub code: Option<Box<str>>,
    /// A sentence for people. Never holds a secret or a card number.
    pub message: Option<Box<str>>,
    /// The provider's own time of this state, to order what arrives out of order.
    pub at: Option<Timestamp>,
}

impl Evidence {
    /// Evidence of `claim` from `source` that says nothing else.
    pub const fn new(source: Source, claim: Claim) -> Self {
        Self {
            source,
            claim,
            provider_refund_id: None,
            money: None,
            provider_payment_id: None,
            code: None,
            message: None,
            at: None,
        }
    }

    /// The same with a stable word and a sentence for people.
    #[must_use]
    pub fn because(mut self, code: &str, message: &str) -> Self {
        self.code = Some(code.into());
        self.message = Some(message.into());
        self
    }
}
