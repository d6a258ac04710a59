//! Refusals, which only a provider's own error can make.

use super::answer::Answer;
use domain::outcome::{Failure, ProviderOutcome, Said};
use serde::de::DeserializeOwned;

/// Characters that are kept of a provider's code and of its message.
const CODE: usize = 64;
const MESSAGE: usize = 500;

/// The error body of one provider.
pub trait ProviderError: DeserializeOwned {
    /// True if the body has what this provider's errors always have, such as a known type beside a
    /// code. A form that reads `{}` or `{"error": "Forbidden"}` would believe any gateway.
    fn is_of_this_provider(&self) -> bool;

    /// The provider's code and message.
    fn failure(&self) -> Failure;

    /// True for a status with which this provider refuses. A 5xx or a 408 leaves open what happened.
    /// A provider that refuses with 200 says so here.
    fn refuses_with(status: u16) -> bool {
        (400..500).contains(&status) && status != 408
    }
}

/// Proof that a provider itself refused a call: its error, read and recognised. Only
/// [`Answer::refusal`] makes one.
///
/// It is the answer to this call. Whether an earlier call under the same key went through is another
/// question: a refund that was paid may be refused as "already refunded" when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<E> {
    status: u16,
    error: E,
}

impl Answer {
    /// Reads the answer as a refusal in the provider's own words. A failure leaves open what happened
    /// to the refund.
    pub fn refusal<E: ProviderError>(&self) -> Result<Refusal<E>, Failure> {
        let status = self.status();
        let unclear = |code: &str, why: &str| {
            Failure::new(code, &format!("the answer with status {status} {why}"))
        };
        if !E::refuses_with(status) {
            let code = if status >= 500 { "provider_trouble" } else { "answer_unexpected" };
            return Err(unclear(code, "is no refusal of this provider"));
        }
        let error: E = self.json()?;
        if !error.is_of_this_provider() {
            return Err(unclear("answer_unreadable", "is no error of this provider"));
        }
        Ok(Refusal { status, error })
    }
}

impl<E: ProviderError> Refusal<E> {
    pub const fn status(&self) -> u16 {
        self.status
    }

    pub const fn error(&self) -> &E {
        &self.error
    }

    /// The provider's code and message, cut to a length and without control characters.
    pub fn failure(&self) -> Failure {
        let Failure { code, message } = self.error.failure();
        Failure { code: printable(&code, CODE), message: printable(&message, MESSAGE) }
    }

    /// The statement that the refund failed.
    pub fn failed(&self) -> Said {
        Said::new(ProviderOutcome::Failed).because(self.failure())
    }
}

fn printable(text: &str, longest: usize) -> Box<str> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect()
}
