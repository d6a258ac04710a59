//! Payments.

pub mod describe;
pub mod wire;

use self::wire::PaymentWire;
use super::door::Call;
use super::page::{List, Paging};
use crate::http::answer::{locate, mark_replayed};
use crate::http::body::{Least, Object, missing};
use crate::http::call::guarded;
use crate::http::invalid::{Invalid, one_of};
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::ids::PaymentId;
use domain::payment::Kind;
use domain::tenant::Tenant;
use engine::NewPayment;
use engine::access::KeyScope::{PaymentRead, PaymentWrite};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/payments", PaymentWrite, register),
        guarded(M::GET, "/api/v1/payments", PaymentRead, list),
        guarded(M::GET, "/api/v1/payments/{id}", PaymentRead, get),
        guarded(M::POST, "/api/v1/payments/{id}/settle", PaymentWrite, settle),
    ]
}

pub const LIST: List = List::new("payments", &[]);

pub const LONGEST_PROVIDER: usize = 64;
pub const LONGEST_ID: usize = 200;
pub const LONGEST_ACCOUNT: usize = 64;
const ACCOUNT_PREFIX: &str = "pa_";

pub async fn register(call: Call) -> Result<Response, Problem> {
    let new = read(&call.object()?, call.tenant())?;
    let answered = call.engine().register_payment(new, call.idempotency_key()).await?;
    let payment = &answered.value;
    let mut response = call.answer(StatusCode::CREATED, &PaymentWire::new(payment, call.account()));
    let location = format!("/api/v1/payments/{}", payment.capture.id);
    locate(&mut response, location);
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn read(object: &Object<'_>, tenant: Tenant) -> Result<NewPayment, Invalid> {
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
        tenant,
        kind: read_kind(object)?.unwrap_or(Kind::Payment),
        captured,
        currency,
        provider: provider.into(),
        provider_account: read_account(object)?,
        provider_payment_id: provider_payment_id.into(),
        provider_data: object.canonical("providerData")?,
        captured_at: object.time("capturedAt")?,
        settled_at: object.time("settledAt")?,
        reference: object.name("reference", LONGEST_ID)?.map(Into::into),
        metadata: object.metadata("metadata")?,
    })
}

fn read_account(object: &Object<'_>) -> Result<Option<Box<str>>, Invalid> {
    let field = "providerAccount";
    let Some(account) = object.name(field, LONGEST_ACCOUNT)? else { return Ok(None) };
    if !account.starts_with(ACCOUNT_PREFIX) {
        let message = format!("{field} must be the id of a provider account, {ACCOUNT_PREFIX}…");
        return Err(Invalid::field(field, message));
    }
    Ok(Some(account.into()))
}

fn read_kind(object: &Object<'_>) -> Result<Option<Kind>, Invalid> {
    let Some(text) = object.text("kind", LONGEST_ID)? else { return Ok(None) };
    one_of("kind", &text, Kind::ALL, Kind::as_str).map(Some)
}

/// Sets when a payment settles or settled; now by default.
pub async fn settle(call: Call) -> Result<Response, Problem> {
    let id = PaymentId::parse(call.id()).map_err(|_| Problem::not_found("payment"))?;
    let object = call.optional_object()?;
    let at = object.map(|object| object.time("settledAt")).transpose()?.flatten();
    let at = at.unwrap_or_else(|| call.engine().now());
    let payment = call.engine().settle_payment(call.tenant(), id, at).await?;
    Ok(call.answer(StatusCode::OK, &PaymentWire::new(&payment, call.account())))
}

pub async fn list(call: Call) -> Result<Response, Problem> {
    let paging = Paging::read(&LIST, &call.query(), call.tenant(), None)?;
    let page = call.engine().list_payments(call.tenant(), paging.query).await?;
    Ok(call.page(
        &page,
        &paging,
        |payment| payment.capture.id.ulid(),
        |payment| PaymentWire::new(payment, call.account()),
    ))
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = PaymentId::parse(call.id()).map_err(|_| Problem::not_found("payment"))?;
    let payment = call.engine().find_payment(call.tenant(), id).await?;
    let payment = payment.ok_or_else(|| Problem::not_found("payment"))?;
    Ok(call.answer(StatusCode::OK, &PaymentWire::new(&payment, call.account())))
}
