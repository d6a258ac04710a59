//! Refunds. Creating a refund is the hottest path of the product: the body is parsed once, text is
//! borrowed from it where possible, and the answer is printed once.

pub mod describe;
pub mod resolve;
pub mod wire;

use self::wire::{AttemptWire, RefundWire, TimelineWire};
use super::door::Call;
use super::page::{List, Paging};
use crate::http::answer::mark_replayed;
use crate::http::body::{Least, Object};
use crate::http::call::guarded;
use crate::http::headers::preferred_wait;
use crate::http::invalid::Invalid;
use crate::http::payment_ref::{self, Filter, PaymentNames, PaymentRef};
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::openapi::Schema;
use axum::response::Response;
use domain::decide::Refusal;
use domain::ids::RefundId;
use domain::refund::Status;
use domain::tenant::Tenant;
use engine::access::KeyScope::{RefundRead, RefundResolve, RefundWrite};
use engine::{Answered, EventFilter, NewRefund, Page, RefundFilter, RefundView, SortOrder};
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::time::Duration;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/refunds", RefundWrite, create),
        guarded(M::GET, "/api/v1/refunds", RefundRead, list),
        guarded(M::GET, "/api/v1/refunds/{id}", RefundRead, get),
        guarded(M::POST, "/api/v1/refunds/{id}/cancel", RefundWrite, cancel),
        guarded(M::POST, "/api/v1/refunds/{id}/resolve", RefundResolve, resolve::resolve),
        guarded(M::GET, "/api/v1/refunds/{id}/attempts", RefundRead, attempts),
        guarded(M::GET, "/api/v1/refunds/{id}/timeline", RefundRead, timeline),
    ]
}

pub const LIST: List = List::new(
    "refunds",
    &[
        ("status", "Only refunds with this status.", || {
            Schema::one_of(Status::ALL, Status::as_str)
        }),
        ("sourceId", BY_PAYMENT, Schema::string),
        ("chargeId", BY_PAYMENT, Schema::string),
        ("paymentId", BY_PAYMENT, Schema::string),
    ],
);

const BY_PAYMENT: &str =
    "Only refunds of this payment, by any of its ids. One that means nothing lists nothing.";

/// A timeline starts with the first event, and few refunds fill a page.
pub const TIMELINE: List =
    List { name: "timeline", filters: &[], range: None, order: SortOrder::Ascending, limit: 100 };

pub const LONGEST_REASON: usize = 500;
pub const LONGEST_REFERENCE: usize = 200;

static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let named = PaymentNames::read(&object)?;
    let draft = Draft::read(&object)?;
    let target = named.resolve(call.engine(), call.tenant()).await?;
    let new = draft.of(target, call.tenant());
    let answered = match call.engine().create_refund(new, call.idempotency_key()).await {
        Ok(answered) => answered,
        Err(error) => return Err(explain(target, error)),
    };
    let (answered, waited) = wait(&call, answered).await;
    let view = &answered.value;
    let mut response = call.answer(StatusCode::CREATED, &RefundWire::new(view, call.account()));
    let headers = response.headers_mut();
    let location = format!("/api/v1/refunds/{}", view.refund.id);
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    if let Some(applied) = waited {
        headers.insert(PREFERENCE_APPLIED.clone(), applied);
    }
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

/// The fields of a refund's body, except the payment.
struct Draft {
    amount: Option<i64>,
    currency: Option<domain::money::Currency>,
    expected_refundable: Option<i64>,
    reason: Option<Box<str>>,
    reference: Option<Box<str>>,
    metadata: Option<Box<str>>,
}

impl Draft {
    fn read(object: &Object<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            amount: object.amount("amount", Least::One)?,
            currency: object.currency("currency")?,
            expected_refundable: object.amount("expectedRefundable", Least::Zero)?,
            reason: object.text("reason", LONGEST_REASON)?.map(Into::into),
            reference: object.name("reference", LONGEST_REFERENCE)?.map(Into::into),
            metadata: object.metadata("metadata")?,
        })
    }

    fn of(self, target: PaymentRef, tenant: Tenant) -> NewRefund {
        NewRefund {
            tenant,
            payment: target.payment,
            kind: target.kind,
            amount: self.amount,
            currency: self.currency,
            expected_refundable: self.expected_refundable,
            reason: self.reason,
            reference: self.reference,
            metadata: self.metadata,
        }
    }
}

/// A refusal with the field that caused it.
fn explain(target: PaymentRef, error: engine::Error) -> Problem {
    if let engine::Error::Refused(Refusal::PaymentNotFound) = error {
        return Problem::not_found("payment").about(target.field);
    }
    error.into()
}

/// Waits as long as the caller prefers. The refund is committed before that, so a failed wait
/// returns it as committed.
async fn wait(
    call: &Call,
    answered: Answered<RefundView>,
) -> (Answered<RefundView>, Option<HeaderValue>) {
    let Some(seconds) = preferred_wait(call.headers()) else { return (answered, None) };
    let seconds = seconds.min(call.config().max_wait.as_secs());
    let id = answered.value.refund.id;
    let limit = Duration::from_secs(seconds);
    let later = call.engine().wait_for_refund(call.tenant(), id, limit).await;
    let applied = HeaderValue::try_from(format!("wait={seconds}")).ok();
    match later {
        Ok(Some(value)) => (Answered { value, ..answered }, applied),
        Ok(None) | Err(_) => (answered, None),
    }
}

pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let status = query.word("status", Status::ALL, Status::as_str)?;
    let filter = RefundFilter { status, ..RefundFilter::default() };
    let filter = match payment_ref::filter(call.engine(), call.tenant(), &query).await? {
        Filter::Any => Some(filter),
        Filter::One(payment) => Some(RefundFilter { payment: Some(payment), ..filter }),
        Filter::Nothing => None,
    };
    let page = match filter {
        Some(filter) => call.engine().list_refunds(call.tenant(), filter, paging.query).await?,
        None => Page { items: Vec::new(), more: false },
    };
    Ok(call.page(
        &page,
        &paging,
        |view| view.refund.id.ulid(),
        |view| RefundWire::new(view, call.account()),
    ))
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let view = find(&call).await?;
    Ok(call.answer(StatusCode::OK, &RefundWire::new(&view, call.account())))
}

/// The refund that the path names.
pub async fn find(call: &Call) -> Result<RefundView, Problem> {
    let id = read_id(call)?;
    call.engine().find_refund(call.tenant(), id).await?.ok_or_else(|| Problem::not_found("refund"))
}

fn read_id(call: &Call) -> Result<RefundId, Problem> {
    RefundId::parse(call.id()).map_err(|_| Problem::not_found("refund"))
}

/// Cancels a refund that was not sent to the provider.
pub async fn cancel(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let id = read_id(&call)?;
    let answered = call.engine().cancel_refund(call.tenant(), id, call.idempotency_key()).await?;
    Ok(call.answer_to(
        StatusCode::OK,
        &RefundWire::new(&answered.value, call.account()),
        answered.replayed,
    ))
}

/// Lists the calls that asked the provider for one refund.
pub async fn attempts(call: Call) -> Result<Response, Problem> {
    let refund = find(&call).await?.refund;
    let attempts = call.engine().refund_attempts(&refund).await?;
    let items: Vec<_> = attempts.iter().map(AttemptWire::new).collect();
    Ok(call.answer(StatusCode::OK, &items))
}

/// Lists the events of one refund.
pub async fn timeline(call: Call) -> Result<Response, Problem> {
    let refund = find(&call).await?.refund;
    let paging = Paging::read(&TIMELINE, &call.query(), call.tenant(), Some(refund.id.ulid()))?;
    let filter = EventFilter { refund: Some(refund.id), ..EventFilter::default() };
    let page = call.engine().list_events(call.tenant(), filter, paging.query).await?;
    let items: Vec<_> = page.items.iter().map(TimelineWire::new).collect();
    let last = page.items.last().map(|view| view.event.id.ulid());
    Ok(call.page_with(&items, paging.meta(last, page.more).of_timeline(&refund)))
}
