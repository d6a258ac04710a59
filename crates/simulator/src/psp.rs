//! The PSP half: handles requests for refunds.
//!
//! The PSP half believes every statement about a payment and does not check how much of the payment
//! is left. Refundry must never pay out too much, and a check here would hide such an error.

use crate::book::Book;
use crate::outcome::{Outcome, PspError};
use crate::rows::{Refund, TaskKind};
use crate::script::{Script, WORDS};
use crate::timeline::{self, next_at};
use crate::wire::{RawAnswer, TransportFault};
use crate::worker::Fault;
use crate::{RefundStatus, Simulator, SimulatorConfig};
use domain::money::Money;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use rusqlite::Result;

/// The delay of scripts that act a moment later.
const MOMENT_MS: i64 = 20;

const LIST_LIMIT: usize = 1_000;

#[derive(Debug)]
pub(crate) struct RefundRequest {
    pub(crate) tenant: Tenant,
    pub(crate) key: Box<str>,
    pub(crate) payment_id: Box<str>,
    pub(crate) captured: Money,
    pub(crate) asked: Money,
}

impl Simulator {
    /// Does a call on the book and answers it.
    pub(crate) async fn receive<F>(&self, work: F) -> Result<RawAnswer, TransportFault>
    where
        F: FnOnce(&mut Book) -> Result<Outcome> + Send + 'static,
    {
        match self.worker.ask(work).await {
            Ok(outcome) => outcome.into_answer(),
            Err(Fault::Busy) => {
                Ok(PspError::new(503, "overloaded", "too many calls; try again").into_answer())
            }
            Err(Fault::Failed) => Ok(PspError::internal().into_answer()),
            Err(Fault::Closed) => Err(TransportFault::NotConnected),
        }
    }
}

impl Refund {
    /// The refund in its first state.
    pub(crate) fn when_booked(self) -> Self {
        let paid = self.paid_at == Some(self.booked_at);
        Self {
            status: if paid { RefundStatus::Succeeded } else { RefundStatus::Pending },
            at: self.booked_at,
            code: None,
            message: None,
            ..self
        }
    }

    fn is_asked_by(&self, request: &RefundRequest) -> bool {
        self.payment_id == request.payment_id
            && self.asked == request.asked.minor
            && self.money.currency == request.asked.currency
    }
}

/// Returns the refund of the first name that matches one.
pub(crate) fn show_refund(book: &Book, tenant: Tenant, names: &[Box<str>]) -> Result<Outcome> {
    for name in names {
        if let Some(refund) = book.find_refund(tenant, name)? {
            return Ok(Outcome::Refund(refund));
        }
    }
    Ok(Outcome::Error(PspError::new(404, "no_such_refund", "there is no such refund")))
}

pub(crate) fn list_refunds(book: &Book, tenant: Tenant, payment_id: &str) -> Result<Outcome> {
    book.newest_of_payment(tenant, payment_id, LIST_LIMIT).map(Outcome::List)
}

pub(crate) fn show_payment(book: &Book, tenant: Tenant, payment_id: &str) -> Result<Outcome> {
    let unknown = || PspError::new(404, "no_such_payment", "there is no such payment");
    let captured = book.find_payment(tenant, payment_id)?;
    Ok(captured.map_or_else(|| Outcome::Error(unknown()), Outcome::Payment))
}

pub(crate) fn make_refund(
    book: &mut Book,
    request: RefundRequest,
    script: Script,
    config: SimulatorConfig,
) -> Result<Outcome> {
    let now = book.now();
    let first = book.find_by_key(request.tenant, &request.key)?;
    let booked_before = first.is_some();
    if config.honour_keys
        && let Some(first) = first
    {
        book.count_call(&first)?;
        return Ok(replay(first, &request));
    }
    if let Some(error) = check(book, &request, now)? {
        return Ok(Outcome::Error(error));
    }
    let called_at = script
        .spares_the_book_once()
        .then(|| book.find_unbooked_call(request.tenant, &request.key))
        .transpose()?
        .flatten();
    let seen = booked_before || called_at.is_some();
    let script = if seen { script.after_first_call() } else { script };
    if script.spares_the_book_once() {
        book.insert_unbooked_call(request.tenant, &request.key, now)?;
        return Ok(spare(&script, now));
    }
    if let Some(error) = refusal(&script) {
        return Ok(Outcome::Error(error.at(now)));
    }
    let booked_at = called_at.map_or(now, |called_at| next_at(now, called_at));
    let calls = if called_at.is_some() && !booked_before { 2 } else { 1 };
    book_refund(book, request, &script, (booked_at, calls), config)
}

/// Answers a repeated key with the first refund, or with an error if the request is for another
/// refund.
fn replay(first: Refund, request: &RefundRequest) -> Outcome {
    if first.is_asked_by(request) {
        return Outcome::Refund(first.when_booked());
    }
    Outcome::Error(PspError::new(
        409,
        "idempotency_key_reused",
        "this idempotency key belongs to a refund of another payment or amount",
    ))
}

/// Refuses amounts and currencies that no refund of the payment can have.
fn check(book: &Book, request: &RefundRequest, now: Timestamp) -> Result<Option<PspError>> {
    let captured = learn_payment(book, request)?;
    let asked = request.asked;
    if asked.minor < 1 {
        let error = PspError::new(422, "invalid_amount", "a refund is of one minor unit at least");
        return Ok(Some(error.at(now)));
    }
    if asked.currency != captured.currency {
        let message = format!("the payment is in {}, not {}", captured.currency, asked.currency);
        return Ok(Some(PspError::new(422, "currency_mismatch", &message).at(now)));
    }
    Ok(None)
}

/// The captured amount of the payment. The PSP stores the amount that the first call about the
/// payment states.
fn learn_payment(book: &Book, request: &RefundRequest) -> Result<Money> {
    if let Some(captured) = book.find_payment(request.tenant, &request.payment_id)? {
        return Ok(captured);
    }
    book.insert_payment(request.tenant, &request.payment_id, request.captured)?;
    Ok(request.captured)
}

/// The answer to the first call of a script that books nothing.
fn spare(script: &Script, now: Timestamp) -> Outcome {
    match script {
        Script::NoFundsThenOk => Outcome::Error(
            PspError::new(402, "insufficient_funds", "the merchant's balance does not cover it")
                .at(now),
        ),
        Script::ServerError => Outcome::Error(PspError::internal()),
        _ => Outcome::AnswerLost,
    }
}

fn refusal(script: &Script) -> Option<PspError> {
    match script {
        Script::Refuse { code } => {
            let message = "the simulator was told to refuse this refund";
            Some(PspError::new(422, code, message))
        }
        Script::Unknown { word } => {
            let message = format!("the simulator does not know {word:?}; it knows {WORDS}");
            Some(PspError::new(422, "unknown_script", &message))
        }
        _ => None,
    }
}

fn book_refund(
    book: &mut Book,
    request: RefundRequest,
    script: &Script,
    (at, calls): (Timestamp, u32),
    config: SimulatorConfig,
) -> Result<Outcome> {
    let amount = match script {
        Script::WrongAmount => another_amount(request.asked.minor),
        _ => request.asked.minor,
    };
    let money = Money::new(amount, request.asked.currency);
    let refund = Refund {
        key: Some(request.key),
        asked: request.asked.minor,
        calls,
        ..Refund::booked(book.new_id(at), request.tenant, request.payment_id, money, at)
    };
    let refund = if script.leaves_pending() { refund } else { refund.paid() };
    book.save_refund(&refund)?;
    if *script == Script::WebhookForged {
        timeline::forge(book, &refund, at.plus_ms(MOMENT_MS))?;
    }
    if let Some((delay_ms, kind)) = what_follows(script, config) {
        book.insert_task(&refund, at.plus_ms(delay_ms), kind, None)?;
    }
    Ok(match script {
        Script::TimeoutAfterBooking => Outcome::AnswerLost,
        Script::Garbage => Outcome::Garbage,
        _ => Outcome::Refund(refund),
    })
}

/// The task that follows a booked refund, and its delay in milliseconds.
fn what_follows(script: &Script, config: SimulatorConfig) -> Option<(i64, TaskKind)> {
    match script {
        Script::SucceedAfter { ms } => Some((*ms, TaskKind::Settle)),
        Script::WebhookTwice => Some((MOMENT_MS, TaskKind::SettleTellTwice)),
        Script::WebhookOutOfOrder => Some((MOMENT_MS, TaskKind::SettleTellOutOfOrder)),
        Script::WebhookNever => Some((MOMENT_MS, TaskKind::SettleSilently)),
        // The forged webhook comes before the payout.
        Script::WebhookForged => Some((MOMENT_MS.saturating_mul(2), TaskKind::Settle)),
        Script::LateFailure { after_ms } => {
            Some((after_ms.unwrap_or(config.late_failure_after_ms), TaskKind::TakeBack))
        }
        Script::Succeed
        | Script::Refuse { .. }
        | Script::TimeoutAfterBooking
        | Script::TimeoutBeforeBooking
        | Script::ServerError
        | Script::Garbage
        | Script::WrongAmount
        | Script::StayPending
        | Script::NoFundsThenOk
        | Script::Unknown { .. } => None,
    }
}

/// An amount that differs by one minor unit and is still positive.
fn another_amount(asked: i64) -> i64 {
    if asked > 1 { asked.saturating_sub(1) } else { asked.saturating_add(1) }
}
