//! The end of a call, and what it says about a refund.

use super::answer::Answer;
use domain::outcome::{Failure, ProviderOutcome, Said};

/// The end of a call.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// Certain: no byte of the request left this machine. There was no connection: the name was not
    /// found, nobody accepted, TLS was not agreed on, or the time was up before that.
    NotConnected(Failure),
    /// The request may have left, whole or in part, and no complete answer came back.
    SentNoAnswer(Failure),
    /// A complete answer, whatever it says.
    Answered(Answer),
}

impl Exchange {
    /// For a call that asks for a refund: the answer, or the statement that follows from having
    /// none. This is the only way to [`ProviderOutcome::NeverSent`].
    #[expect(clippy::result_large_err, reason = "made once per call to a provider")]
    pub fn for_submit(self) -> Result<Answer, Said> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::NotConnected(why) => Err(Said::new(ProviderOutcome::NeverSent).because(why)),
            Self::SentNoAnswer(why) => Err(Said::unknown(why)),
        }
    }

    /// For a call that only reads: the answer, or why there is none. A call that was not sent says
    /// nothing about the refund that it was to find.
    pub fn for_lookup(self) -> Result<Answer, Failure> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::NotConnected(why) | Self::SentNoAnswer(why) => Err(why),
        }
    }
}
