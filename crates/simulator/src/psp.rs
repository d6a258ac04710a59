//! The PSP half: handles requests for refunds.
//!
//! The PSP half believes every statement about a payment and does not check how much of the payment
//! is left. Refundry must never pay out too much, and a check here would hide such an error.

use crate::book::Book;
use crate::outcome::{Outcome, PspError};
use crate::rows::{Refund, TaskKind, parse_id, print_id};
use crate::script::{Script, WORDS};
use crate::timeline::{self, next_at};
use crate::wire::{RawAnswer, TransportFault};
use crate::worker::Fault;
use crate::{RefundStatus, Simulator};
use domain::money::{Currency, Money};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use rusqlite::Result;
use std::time::Duration;
use ulid::Ulid;

/// The delay of scripts that act a moment later.
const MOMENT_MS: i64 = 20;

/// When a throttled caller may call again, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// The code of a refund that is past being taken back.
pub(crate) const NOT_CANCELABLE: &str = "not_cancelable";

#[derive(Debug)]
pub(crate) struct RefundRequest {
    pub(crate) tenant: Tenant,
    pub(crate) key: Box<str>,
    pub(crate) payment_id: Box<str>,
    pub(crate) captured: Money,
    pub(crate) asked: Money,
}

impl Simulator {
    /// Does a call on the book and answers it, or lets the caller wait for as long as it wants to.
    pub(crate) async fn receive<F>(
        &self,
        time_left: Duration,
        work: F,
    ) -> Result<RawAnswer, TransportFault>
    where
        F: FnOnce(&mut Book) -> Result<Outcome> + Send + 'static,
    {
        match self.worker.ask(work).await {
            Ok(Outcome::Hangs) => {
                let _ = tokio::time::timeout(time_left, std::future::pending::<()>()).await;
                Err(TransportFault::AnswerLost)
            }
            Ok(outcome) => outcome.into_answer(&self.config),
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
            status: if paid { RefundStatus::Succeeded } else { self.booked_as },
            at: self.booked_at,
            code: None,
            message: None,
            ..self
        }
    }

    /// True for a refund that look-up and list show.
    pub(crate) fn is_visible(&self, now: Timestamp) -> bool {
        self.status != RefundStatus::Processing && self.visible_at <= now
    }
}

/// Returns the refund of the first name that matches one.
pub(crate) fn show_refund(book: &Book, tenant: Tenant, names: &[Box<str>]) -> Result<Outcome> {
    let now = book.now();
    for name in names {
        if let Some(refund) = book.find_refund(tenant, name)?.filter(|r| r.is_visible(now)) {
            return Ok(Outcome::Refund(refund));
        }
    }
    Ok(no_such_refund())
}

fn no_such_refund() -> Outcome {
    Outcome::Error(PspError::new(404, "no_such_refund", "there is no such refund"))
}

/// Takes back a refund that waits for the merchant's money.
pub(crate) fn cancel_refund(book: &mut Book, tenant: Tenant, id: &str) -> Result<Outcome> {
    let now = book.now();
    let Some(refund) = book.find_refund(tenant, id)?.filter(|refund| refund.is_visible(now)) else {
        return Ok(no_such_refund());
    };
    if refund.status != RefundStatus::Held {
        let message = "only a refund that is held can be taken back";
        return Ok(Outcome::Error(PspError::new(422, NOT_CANCELABLE, message)));
    }
    timeline::take_back_held(book, refund, now).map(Outcome::Refund)
}

/// One page of a payment's refunds, newest first, from behind the refund `after`.
pub(crate) fn list_refunds(
    book: &Book,
    tenant: Tenant,
    payment_id: &str,
    after: Option<&str>,
) -> Result<Outcome> {
    let (now, size) = (book.now(), book.config.page_size.max(1));
    let mut page = book.newest_of_payment(tenant, payment_id, after, size)?;
    let next = page.last().filter(|_| page.len() == size).map(|refund| print_id(refund.id).into());
    page.retain(|refund| refund.is_visible(now));
    Ok(Outcome::List(page, next))
}

/// One page of the refunds that changed at `since` or later, oldest change first, from behind the change
/// `after`.
pub(crate) fn list_changes(
    book: &Book,
    tenant: Tenant,
    since: Timestamp,
    after: Option<&str>,
) -> Result<Outcome> {
    let first = (since.plus_ms(-1), Ulid::from_bytes([0xff; 16]));
    let Some(after) = after.map_or(Some(first), parse_change) else {
        let error = PspError::new(400, "no_such_page", "this is the beginning of no page");
        return Ok(Outcome::Error(error));
    };
    let (now, size) = (book.now(), book.config.page_size.max(1));
    let mut page = book.changed_refunds(tenant, after, size)?;
    let next = page.last().filter(|_| page.len() == size).map(print_change);
    page.retain(|refund| refund.is_visible(now));
    Ok(Outcome::List(page, next))
}

fn print_change(refund: &Refund) -> Box<str> {
    let at = match refund.status {
        RefundStatus::Processing => refund.visible_at,
        _ => refund.at,
    };
    format!("{}.{}", at.0, print_id(refund.id)).into()
}

fn parse_change(text: &str) -> Option<(Timestamp, Ulid)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp(at.parse().ok()?), parse_id(id)?))
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
) -> Result<Outcome> {
    let now = book.now();
    let kept_ms = match script {
        Script::ForgetKeysAfter { ms } => Some(ms),
        _ => book.config.keys_kept_ms,
    };
    let is_kept = |from: Timestamp| kept_ms.is_none_or(|ms| now < from.plus_ms(ms));
    if let Some((at, answer)) = book.find_replayed_error(request.tenant, &request.key)? {
        if is_kept(at) {
            return Ok(Outcome::Raw(answer));
        }
        book.forget_replayed_error(request.tenant, &request.key)?;
    }
    let first = book.find_asked(request.tenant, &request.key)?;
    let booked_before = first.is_some();
    if script == Script::AlreadyRefundedOnRepeat && booked_before {
        let message = "the payment has nothing left to refund";
        return Ok(Outcome::Error(PspError::new(422, "already_refunded", message).at(now)));
    }
    if book.config.honour_keys
        && let Some(first) = first.filter(|first| is_kept(first.booked_at))
    {
        book.count_call(&first)?;
        return replay(book, first, &request);
    }
    if let Some(error) = check(book, &request, now)? {
        return Ok(Outcome::Error(error));
    }
    let spares = script.spared_calls();
    let earlier = match spares {
        0 => None,
        _ => book.find_unbooked_calls(request.tenant, &request.key)?,
    };
    if !booked_before && earlier.map_or(0, |earlier| earlier.count) < spares {
        book.count_unbooked_call(request.tenant, &request.key, now)?;
        return spare(book, request, &script, now);
    }
    let script =
        if booked_before || earlier.is_some() { script.after_first_call() } else { script };
    if let Some(error) = refusal(&script) {
        return Ok(Outcome::Error(error.at(now)));
    }
    let booked_at = earlier.map_or(now, |earlier| next_at(now, earlier.last_at));
    let unbooked = earlier.filter(|_| !booked_before).map_or(0, |earlier| earlier.count);
    book_refund(book, request, &script, (booked_at, unbooked.saturating_add(1)))
}

/// Answers a repeated key with the first refund, or with an error if the request is for another
/// refund.
fn replay(book: &Book, first: Refund, request: &RefundRequest) -> Result<Outcome> {
    let currency = book.find_payment(request.tenant, &request.payment_id)?.map(|m| m.currency);
    let is_the_same = first.payment_id == request.payment_id
        && first.asked == request.asked.minor
        && currency == Some(request.asked.currency);
    let conflict = |code, message| PspError::new(409, code, message);
    Ok(if !is_the_same {
        let message = "this idempotency key belongs to a refund of another payment or amount";
        Outcome::Error(conflict("idempotency_key_reused", message))
    } else if first.status == RefundStatus::Processing {
        let message = "the first call with this idempotency key is still being worked on";
        Outcome::Error(conflict("in_progress", message))
    } else if book.config.refuses_repeats {
        let message = "this idempotency key was used before";
        Outcome::Error(conflict("duplicate", message).of_refund(first.id))
    } else {
        Outcome::Refund(first.when_booked())
    })
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

/// Answers a call that books nothing.
fn spare(
    book: &mut Book,
    request: RefundRequest,
    script: &Script,
    now: Timestamp,
) -> Result<Outcome> {
    let is_replayed = book.config.replays_errors || *script == Script::ReplaysErrors;
    let error = match script {
        Script::NoFundsThenOk if book.config.holds_for_funds => {
            return book_refund(book, request, &Script::HoldForFunds, (now, 1));
        }
        Script::NoFundsThenOk => {
            let message = "the merchant's balance does not cover it";
            PspError::new(402, "insufficient_funds", message).at(now)
        }
        Script::ServerError | Script::ReplaysErrors => PspError::internal(),
        Script::Throttle { .. } => {
            let error = PspError::new(429, "too_many_requests", "call again later");
            return Ok(Outcome::Error(error.retry_after(RETRY_AFTER_S)));
        }
        Script::HtmlError { status } => return Ok(Outcome::Raw(RawAnswer::html(*status))),
        Script::HangBeforeBooking => return Ok(Outcome::Hangs),
        _ => return Ok(Outcome::AnswerLost),
    };
    if is_replayed {
        let answer = error.into_answer();
        book.insert_replayed_error(request.tenant, &request.key, now, &answer)?;
        return Ok(Outcome::Raw(answer));
    }
    Ok(Outcome::Error(error))
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
) -> Result<Outcome> {
    let asked = request.asked;
    let money = match script {
        Script::WrongAmount => Money::new(another_amount(asked.minor), asked.currency),
        Script::OtherCurrency => Money::new(asked.minor, another_currency(asked.currency)),
        _ => asked,
    };
    let lag_ms = match script {
        Script::ListLag { ms } | Script::InProgress { ms } => *ms,
        _ => book.config.list_lag_ms,
    };
    let refund = Refund {
        key: Some(request.key),
        asked: asked.minor,
        calls,
        visible_at: at.plus_ms(lag_ms),
        quirk: script.quirk(),
        ..Refund::booked(book.new_id(at), request.tenant, request.payment_id, money, at)
    };
    let refund = refund.in_status(script.first_status());
    book.save_refund(&refund)?;
    match script {
        Script::WebhookForged => timeline::forge(book, &refund, at.plus_ms(MOMENT_MS))?,
        Script::WebhookWithoutKeyFirst => drop(timeline::tell(book, &refund, at)?),
        _ => {}
    }
    if let Some((delay_ms, kind)) = what_follows(script, book.config.late_failure_after_ms) {
        book.insert_task(&refund, at.plus_ms(delay_ms), kind, None)?;
    }
    Ok(match script {
        Script::TimeoutAfterBooking
        | Script::WebhookWithoutKeyFirst
        | Script::InProgress { .. }
        | Script::AlreadyRefundedOnRepeat
        | Script::ForgetKeysAfter { .. } => Outcome::AnswerLost,
        Script::HangAfterBooking => Outcome::Hangs,
        Script::Garbage => Outcome::Raw(RawAnswer::html(200)),
        Script::HugeAnswer => Outcome::Huge(refund),
        _ => Outcome::Refund(refund),
    })
}

/// The task that follows a booked refund, and its delay in milliseconds.
fn what_follows(script: &Script, late_failure_after_ms: i64) -> Option<(i64, TaskKind)> {
    match script {
        Script::SucceedAfter { ms } | Script::InProgress { ms } => Some((*ms, TaskKind::Settle)),
        Script::NewStatus => Some((MOMENT_MS, TaskKind::Settle)),
        Script::WebhookTwice => Some((MOMENT_MS, TaskKind::SettleTellTwice)),
        Script::WebhookOutOfOrder => Some((MOMENT_MS, TaskKind::SettleTellOutOfOrder)),
        Script::WebhookNever => Some((MOMENT_MS, TaskKind::SettleSilently)),
        // The forged webhook comes before the payout.
        Script::WebhookForged => Some((MOMENT_MS.saturating_mul(2), TaskKind::Settle)),
        Script::SecondPayout { after_ms } => Some((*after_ms, TaskKind::PayAgain)),
        Script::LateFailure { after_ms } => {
            Some((after_ms.unwrap_or(late_failure_after_ms), TaskKind::TakeBack))
        }
        Script::Succeed
        | Script::Refuse { .. }
        | Script::TimeoutAfterBooking
        | Script::TimeoutBeforeBooking
        | Script::HangAfterBooking
        | Script::HangBeforeBooking
        | Script::ServerError
        | Script::Garbage
        | Script::HtmlError { .. }
        | Script::HugeAnswer
        | Script::Throttle { .. }
        | Script::WrongAmount
        | Script::OtherCurrency
        | Script::OtherPayment
        | Script::StayPending
        | Script::NoFundsThenOk
        | Script::HoldForFunds
        | Script::WebhookWithoutKeyFirst
        | Script::NoTimes
        | Script::ListLag { .. }
        | Script::AlreadyRefundedOnRepeat
        | Script::ForgetKeysAfter { .. }
        | Script::ReplaysErrors
        | Script::Unknown { .. } => None,
    }
}

/// An amount that differs by one minor unit and is still positive.
fn another_amount(asked: i64) -> i64 {
    if asked > 1 { asked.saturating_sub(1) } else { asked.saturating_add(1) }
}

fn another_currency(asked: Currency) -> Currency {
    let other = if asked.as_str() == "EUR" { "USD" } else { "EUR" };
    Currency::parse(other).unwrap_or(asked)
}
