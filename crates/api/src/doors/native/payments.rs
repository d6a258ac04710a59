//! Payments: what can be refunded.

use super::error::Problem;
use super::page::{List, Paging};
use super::serve::{Call, mark_replayed};
use super::wire::PaymentWire;
use crate::body::{Least, Object, missing};
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::account::Scope;
use domain::ids::PaymentId;
use domain::payment::Kind;
use engine::{NewPayment, Order};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

/// What a page of this list is.
pub const LIST: List = List {
    name: "payments",
    filters: &[],
    range: Some(("createdAfter", "createdBefore")),
    order: Order::Descending,
    limit: 20,
};

/// Characters of a provider's name.
pub const LONGEST_PROVIDER: usize = 64;
/// Characters of an id that others made.
pub const LONGEST_ID: usize = 200;

/// Registers a captured payment.
pub async fn register(call: Call) -> Result<Response, Problem> {
    let new = read(&call.object()?, call.scope())?;
    let answered = call.engine().register_payment(new, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let payment = &answered.value;
    let mut response = call.answer(StatusCode::CREATED, &PaymentWire::new(payment, call.account()));
    let location = format!("/api/v1/payments/{}", payment.facts.id);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn read(object: &Object<'_>, scope: Scope) -> Result<NewPayment, Invalid> {
    let captured = object
        .amount("amount", Least::One)?
        .ok_or_else(|| missing("amount", "the captured amount in minor units, such as 1250"))?;
    let currency = object
        .currency("currency")?
        .ok_or_else(|| missing("currency", "the ISO 4217 code, such as USD"))?;
    let provider = object
        .name("provider", LONGEST_PROVIDER)?
        .ok_or_else(|| missing("provider", "the name of the provider that holds the money"))?;
    let provider_payment_id = object
        .name("providerPaymentId", LONGEST_ID)?
        .ok_or_else(|| missing("providerPaymentId", "the provider's own id of the charge"))?;
    Ok(NewPayment {
        scope,
        kind: read_kind(object)?.unwrap_or(Kind::Payment),
        captured,
        currency,
        provider: provider.into(),
        provider_payment_id: provider_payment_id.into(),
        captured_at: object.time("capturedAt")?,
        settled_at: object.time("settledAt")?,
        reference: object.name("reference", LONGEST_ID)?.map(Into::into),
        metadata: object.metadata("metadata")?,
    })
}

fn read_kind(object: &Object<'_>) -> Result<Option<Kind>, Invalid> {
    let Some(text) = object.text("kind", LONGEST_ID)? else { return Ok(None) };
    Kind::from_text(&text).map(Some).ok_or_else(|| unknown_kind("kind", &text))
}

/// The error for a word that is no kind of payment.
pub fn unknown_kind(field: &'static str, text: &str) -> Invalid {
    let known = Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let text = excerpt(text);
    Invalid::field(field, format!("{field} must be one of {known}; got {text:?}"))
}

/// Says when a payment settles or settled: now, where the body says nothing.
pub async fn settle(call: Call) -> Result<Response, Problem> {
    let id = PaymentId::parse(call.id()).map_err(|_| Problem::not_found("payment"))?;
    let object = call.optional_object()?;
    let at = object.map(|object| object.time("settledAt")).transpose()?.flatten();
    let at = at.unwrap_or_else(|| call.engine().now());
    let payment = call.engine().settle_payment(call.scope(), id, at).await;
    let payment = payment.map_err(|error| call.refused(&error))?;
    Ok(call.answer(StatusCode::OK, &PaymentWire::new(&payment, call.account())))
}

/// Lists payments.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let paging = Paging::read(&LIST, &call.query(), call.scope(), None)?;
    let page = call.engine().list_payments(call.scope(), paging.query).await;
    let page = page.map_err(|error| call.refused(&error))?;
    let items: Vec<_> =
        page.items.iter().map(|payment| PaymentWire::new(payment, call.account())).collect();
    let last = page.items.last().map(|payment| payment.facts.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

/// One payment.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = PaymentId::parse(call.id()).map_err(|_| Problem::not_found("payment"))?;
    let payment = call.engine().find_payment(call.scope(), id).await;
    let payment = payment.map_err(|error| call.refused(&error))?;
    let payment = payment.ok_or_else(|| Problem::not_found("payment"))?;
    Ok(call.answer(StatusCode::OK, &PaymentWire::new(&payment, call.account())))
}
