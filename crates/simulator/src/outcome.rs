//! The results of the PSP half's calls, and their form on the wire.

use crate::rows::{Refund, print_id};
use crate::wire::{
    ErrorAnswer, ErrorBody, ListAnswer, PaymentAnswer, RawAnswer, RefundAnswer, RefundBody,
    TransportFault,
};
use domain::money::Money;
use domain::time::Timestamp;

/// The result of a call to the PSP.
pub(crate) enum Outcome {
    Refund(Refund),
    List(Vec<Refund>),
    Payment(Money),
    Error(PspError),
    /// An answer that is not JSON.
    Garbage,
    AnswerLost,
}

pub(crate) struct PspError {
    status: u16,
    body: ErrorAnswer,
}

impl Outcome {
    pub(crate) fn into_answer(self) -> Result<RawAnswer, TransportFault> {
        match self {
            Self::Refund(refund) => Ok(RawAnswer::json(200, &refund.into_answer())),
            Self::List(refunds) => {
                let refunds = refunds.into_iter().map(Refund::into_answer).collect();
                Ok(RawAnswer::json(200, &ListAnswer { refunds }))
            }
            Self::Payment(captured) => {
                let currency = captured.currency.as_str().into();
                Ok(RawAnswer::json(200, &PaymentAnswer { captured: captured.minor, currency }))
            }
            Self::Error(error) => Ok(error.into_answer()),
            Self::Garbage => {
                Ok(RawAnswer { status: 200, body: b"<html>Bad gateway</html>".to_vec() })
            }
            Self::AnswerLost => Err(TransportFault::AnswerLost),
        }
    }
}

impl PspError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        let error = ErrorBody { code: code.into(), message: message.into() };
        Self { status, body: ErrorAnswer { at: None, error } }
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "internal_error", "something went wrong here")
    }

    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.body.at = Some(at.0);
        self
    }

    pub(crate) fn into_answer(self) -> RawAnswer {
        RawAnswer::json(self.status, &self.body)
    }
}

impl Refund {
    pub(crate) fn into_answer(self) -> RefundAnswer {
        RefundAnswer { at: self.at.0, data: self.into_body() }
    }

    pub(crate) fn into_body(self) -> RefundBody {
        RefundBody {
            refund_id: print_id(self.id).into(),
            key: self.key.map(String::from),
            payment_id: self.payment_id,
            amount: self.money.minor,
            currency: self.money.currency.as_str().into(),
            status: self.status.as_str().into(),
            code: self.code,
            message: self.message,
        }
    }
}
