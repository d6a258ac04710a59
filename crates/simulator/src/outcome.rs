//! The results of the PSP half's calls, and their form on the wire.

use crate::rows::{Quirk, Refund, print_id};
use crate::wire::{
    ErrorAnswer, ErrorBody, ListAnswer, PaymentAnswer, RawAnswer, RefundAnswer, RefundBody,
    TransportFault,
};
use crate::{RefundStatus, SimulatorConfig};
use domain::money::Money;
use domain::time::Timestamp;
use ulid::Ulid;

/// The text of a pending refund in a status that no adapter knows.
const NEW_STATUS: &str = "reviewing";

/// The size of an answer that nobody reads to its end.
const HUGE_BYTES: usize = 4 * 1024 * 1024;

/// The result of a call to the PSP.
pub(crate) enum Outcome {
    Refund(Refund),
    /// A refund in an answer that is too large.
    Huge(Refund),
    /// A page of refunds, and where the next one begins.
    List(Vec<Refund>, Option<Box<str>>),
    Payment(Money),
    Error(PspError),
    /// An answer as it is.
    Raw(RawAnswer),
    AnswerLost,
    /// No answer comes, and the connection stays open.
    Hangs,
}

pub(crate) struct PspError {
    status: u16,
    retry_after_s: Option<u32>,
    body: ErrorAnswer,
}

impl Outcome {
    pub(crate) fn into_answer(self, config: &SimulatorConfig) -> Result<RawAnswer, TransportFault> {
        match self {
            Self::Refund(refund) => Ok(RawAnswer::json(200, &refund.into_answer(config))),
            Self::Huge(refund) => {
                let mut answer = RawAnswer::json(200, &refund.into_answer(config));
                answer.body.resize(HUGE_BYTES, b' ');
                Ok(answer)
            }
            Self::List(refunds, next) => {
                let refunds = refunds.into_iter().map(|refund| refund.into_answer(config));
                Ok(RawAnswer::json(200, &ListAnswer { refunds: refunds.collect(), next }))
            }
            Self::Payment(captured) => {
                let currency = captured.currency.as_str().into();
                Ok(RawAnswer::json(200, &PaymentAnswer { captured: captured.minor, currency }))
            }
            Self::Error(error) => Ok(error.timed_by(config).into_answer()),
            Self::Raw(answer) => Ok(answer),
            Self::AnswerLost | Self::Hangs => Err(TransportFault::AnswerLost),
        }
    }
}

impl PspError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        let error = ErrorBody { code: code.into(), message: message.into(), refund_id: None };
        Self { status, retry_after_s: None, body: ErrorAnswer { at: None, error } }
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "internal_error", "something went wrong here")
    }

    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.body.at = Some(at.0);
        self
    }

    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The error names a refund.
    pub(crate) fn of_refund(mut self, id: Ulid) -> Self {
        self.body.error.refund_id = Some(print_id(id).into());
        self
    }

    fn timed_by(mut self, config: &SimulatorConfig) -> Self {
        self.body.at = self.body.at.and_then(|at| config.print_time(Timestamp(at)));
        self
    }

    pub(crate) fn into_answer(self) -> RawAnswer {
        let retry_after_s = self.retry_after_s;
        RawAnswer { retry_after_s, ..RawAnswer::json(self.status, &self.body) }
    }
}

impl SimulatorConfig {
    /// A time as the PSP prints it; `None` where it names none.
    fn print_time(&self, at: Timestamp) -> Option<i64> {
        let unit = self.time_resolution_ms.max(1);
        self.names_times.then(|| at.0.div_euclid(unit).saturating_mul(unit))
    }
}

impl Refund {
    pub(crate) fn into_answer(self, config: &SimulatorConfig) -> RefundAnswer {
        RefundAnswer { at: self.printed_at(config), data: self.into_body(config) }
    }

    pub(crate) fn printed_at(&self, config: &SimulatorConfig) -> Option<i64> {
        config.print_time(self.at).filter(|_| self.quirk != Quirk::NoTimes)
    }

    pub(crate) fn into_body(self, config: &SimulatorConfig) -> RefundBody {
        let payment_id = match self.quirk {
            Quirk::OtherPayment => format!("{}_other", self.payment_id).into(),
            _ => self.payment_id,
        };
        let status = match (self.quirk, self.status) {
            (Quirk::NewStatus, RefundStatus::Pending) => NEW_STATUS,
            (_, status) => status.as_str(),
        };
        RefundBody {
            refund_id: print_id(self.id).into(),
            key: self.key.filter(|_| config.echoes_keys).map(String::from),
            payment_id,
            amount: self.money.minor,
            currency: self.money.currency.as_str().into(),
            status: status.into(),
            code: self.code,
            message: self.message,
        }
    }
}
