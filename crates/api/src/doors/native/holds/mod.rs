//! Holds: money of a payment that cannot be refunded for now. They are placed and ended by hand, so a
//! field that is not known is refused.

pub mod describe;
pub mod wire;

use self::wire::HoldWire;
use super::door::Call;
use super::page::{List, Paging};
use crate::http::answer::mark_replayed;
use crate::http::body::{Least, Object, missing};
use crate::http::call::guarded;
use crate::http::invalid::Invalid;
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::ids::{HoldId, PaymentId};
use domain::outcome::Source;
use domain::tenant::Tenant;
use engine::access::KeyScope::{PaymentRead, PaymentWrite};
use engine::{End, NewHold};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    let of_payment = "/api/v1/payments/{id}/holds";
    vec![
        guarded(M::POST, of_payment, PaymentWrite, place),
        guarded(M::GET, of_payment, PaymentRead, list),
        guarded(M::POST, "/api/v1/payments/{id}/holds/{holdId}/release", PaymentWrite, release),
        guarded(M::POST, "/api/v1/payments/{id}/holds/{holdId}/book", PaymentWrite, book),
    ]
}

pub const LIST: List = List::new("holds", &[]);

pub const LONGEST_REASON: usize = 500;
pub const LONGEST_REFERENCE: usize = 255;

pub async fn place(call: Call) -> Result<Response, Problem> {
    let payment = read_payment(&call)?;
    let new = read(&call.object()?, call.tenant(), payment)?;
    let answered = call.engine().place_hold(new, call.idempotency_key()).await?;
    let mut response = call.answer(StatusCode::CREATED, &HoldWire::new(&answered.value));
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn read(object: &Object<'_>, tenant: Tenant, payment: PaymentId) -> Result<NewHold, Invalid> {
    object.expect_only(&["amount", "reason", "reference"])?;
    let amount = object
        .amount("amount", Least::One)?
        .ok_or_else(|| missing("amount", "the disputed amount in minor units, such as 1250"))?;
    let reason = object
        .name("reason", LONGEST_REASON)?
        .ok_or_else(|| missing("reason", "why the money is held, such as chargeback"))?;
    Ok(NewHold {
        tenant,
        payment,
        amount,
        currency: None,
        reason: reason.into(),
        reference: object.name("reference", LONGEST_REFERENCE)?.map(Into::into),
        source: Source::Operator,
    })
}

pub async fn list(call: Call) -> Result<Response, Problem> {
    let payment = read_payment(&call)?;
    let paging = Paging::read(&LIST, &call.query(), call.tenant(), Some(payment.ulid()))?;
    let found = call.engine().find_payment(call.tenant(), payment).await?;
    found.ok_or_else(|| Problem::not_found("payment"))?;
    let page = call.engine().list_holds(call.tenant(), payment, paging.query).await?;
    Ok(call.page(&page, &paging, |hold| hold.id.ulid(), HoldWire::new))
}

/// The merchant keeps the money.
pub async fn release(call: Call) -> Result<Response, Problem> {
    if let Some(object) = call.optional_object()? {
        object.expect_only(&[])?;
    }
    end(&call, End::Release).await
}

/// The money went back to the buyer.
pub async fn book(call: Call) -> Result<Response, Problem> {
    let amount = match call.optional_object()? {
        Some(object) => {
            object.expect_only(&["amount"])?;
            object.amount("amount", Least::One)?
        }
        None => None,
    };
    end(&call, End::Book { amount }).await
}

async fn end(call: &Call, end: End) -> Result<Response, Problem> {
    let payment = read_payment(call)?;
    let id = HoldId::parse(call.segment(6)).map_err(|_| Problem::not_found("hold"))?;
    let key = call.idempotency_key();
    let answered = call.engine().end_hold(call.tenant(), payment, id, end, key).await?;
    Ok(call.answer_to(StatusCode::OK, &HoldWire::new(&answered.value), answered.replayed))
}

fn read_payment(call: &Call) -> Result<PaymentId, Problem> {
    PaymentId::parse(call.id()).map_err(|_| Problem::not_found("payment"))
}
