//! Refunds. Creating one is the hottest path of the product: everything is parsed once, borrowed
//! from the body where it can be, and printed once.

use super::error::Problem;
use super::page::{List, Paging};
use super::serve::{Call, mark_replayed};
use super::source::{self, Filter, Named, Target};
use super::wire::RefundWire;
use crate::body::{Least, Object};
use crate::headers::preferred_wait;
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::account::Scope;
use domain::decide::Refusal;
use domain::ids::RefundId;
use domain::refund::Status;
use engine::{Answered, NewRefund, Order, Page, RefundFilter, RefundView};
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, StatusCode};
use std::time::Duration;

/// What a page of this list is.
pub const LIST: List = List {
    name: "refunds",
    filters: &["status", "sourceId", "chargeId", "paymentId"],
    range: Some(("createdAfter", "createdBefore")),
    order: Order::Descending,
    limit: 20,
};

/// Characters of a reason.
pub const LONGEST_REASON: usize = 500;
/// Characters of the caller's own id.
pub const LONGEST_REFERENCE: usize = 200;

static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Makes a refund.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let named = Named::read(&object)?;
    let draft = Draft::read(&object)?;
    let target = named.resolve(&call).await?;
    let new = draft.of(target, call.scope());
    let answered = match call.engine().create_refund(new, call.idempotency_key()).await {
        Ok(answered) => answered,
        Err(error) => return Err(explain(&call, target, &error)),
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

/// What a body says about a refund, besides what to refund.
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

    fn of(self, target: Target, scope: Scope) -> NewRefund {
        NewRefund {
            scope,
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
fn explain(call: &Call, target: Target, error: &engine::Error) -> Problem {
    match error {
        engine::Error::Refused(Refusal::PaymentNotFound) => {
            Problem::not_found("payment").about(target.field)
        }
        _ => call.refused(error),
    }
}

/// Waits as long as the caller prefers. The refund is made whatever becomes of the waiting, so a
/// wait that fails answers with the refund as it was made.
async fn wait(
    call: &Call,
    answered: Answered<RefundView>,
) -> (Answered<RefundView>, Option<HeaderValue>) {
    let Some(seconds) = preferred_wait(call.headers()) else { return (answered, None) };
    let seconds = seconds.min(call.config().max_wait.as_secs());
    let id = answered.value.refund.id;
    let limit = Duration::from_secs(seconds);
    let later = call.engine().wait_for_refund(call.scope(), id, limit).await;
    let applied = HeaderValue::try_from(format!("wait={seconds}")).ok();
    match later {
        Ok(Some(value)) => (Answered { value, ..answered }, applied),
        Ok(None) | Err(_) => (answered, None),
    }
}

/// Lists refunds.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.scope(), None)?;
    let status = query.get("status")?.map(|text| read_status(&text)).transpose()?;
    let filter = match source::filter(&call, &query).await? {
        Filter::Any => Some(RefundFilter { status, payment: None }),
        Filter::One(payment) => Some(RefundFilter { status, payment: Some(payment) }),
        Filter::Nothing => None,
    };
    let page = match filter {
        Some(filter) => {
            let page = call.engine().list_refunds(call.scope(), filter, paging.query).await;
            page.map_err(|error| call.refused(&error))?
        }
        None => Page { items: Vec::new(), more: false },
    };
    let items: Vec<_> =
        page.items.iter().map(|view| RefundWire::new(view, call.account())).collect();
    let last = page.items.last().map(|view| view.refund.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

fn read_status(text: &str) -> Result<Status, Invalid> {
    Status::from_text(text).ok_or_else(|| {
        let known = Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ");
        let text = excerpt(text);
        Invalid::field("status", format!("status must be one of {known}; got {text:?}"))
    })
}

/// One refund.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let view = find(&call).await?;
    Ok(call.answer(StatusCode::OK, &RefundWire::new(&view, call.account())))
}

/// The refund that the path names.
pub async fn find(call: &Call) -> Result<RefundView, Problem> {
    let id = read_id(call)?;
    let view = call.engine().find_refund(call.scope(), id).await;
    view.map_err(|error| call.refused(&error))?.ok_or_else(|| Problem::not_found("refund"))
}

fn read_id(call: &Call) -> Result<RefundId, Problem> {
    RefundId::parse(call.id()).map_err(|_| Problem::not_found("refund"))
}

/// Withdraws a refund that was not sent.
pub async fn cancel(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let id = read_id(&call)?;
    let answered = call.engine().cancel_refund(call.scope(), id, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let mut response =
        call.answer(StatusCode::OK, &RefundWire::new(&answered.value, call.account()));
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}
