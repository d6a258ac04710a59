//! Checkout sessions for merchants.

pub mod describe;
pub mod wire;

use self::wire::SessionWire;
use super::door::Call;
use super::line::read_line;
use super::page::{List, Paging};
use crate::http::answer::{locate, mark_replayed};
use crate::http::body::{Least, Object, StringList, missing};
use crate::http::call::guarded;
use crate::http::checkout::parse_id;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::payment_ref::LONGEST_ID;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::openapi::Schema;
use axum::response::Response;
use domain::checkout::{Checkout, State};
use domain::line_item::MAX_LINES;
use domain::payment::Kind;
use domain::tenant::Tenant;
use engine::access::KeyScope::{CheckoutRead, CheckoutWrite};
use engine::{Answered, CheckoutFilter, NewCheckout, find_method, method_ids};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/checkout-sessions", CheckoutWrite, create),
        guarded(M::GET, "/api/v1/checkout-sessions", CheckoutRead, list),
        guarded(M::GET, "/api/v1/checkout-sessions/{id}", CheckoutRead, get),
        guarded(M::DELETE, "/api/v1/checkout-sessions/{id}", CheckoutWrite, delete),
        guarded(M::POST, "/api/v1/checkout-sessions/{id}/cancel", CheckoutWrite, cancel),
        guarded(M::POST, "/api/v1/checkout-sessions/{id}/confirm", CheckoutWrite, confirm),
    ]
}

pub const LIST: List = List::new(
    "checkout-sessions",
    &[
        ("status", "Only sessions with this status.", wire::states),
        ("customerId", "Only of this customer.", Schema::string),
    ],
);

/// Most ways to pay of one session.
pub const MOST_METHODS: usize = 30;
/// Default lifetime of a session: a day.
pub const LIFETIME_S: i64 = 24 * 60 * 60;
/// Shortest lifetime of a session.
pub const SHORTEST_S: i64 = 1;
/// Longest lifetime of a session: 30 days.
pub const LONGEST_S: i64 = 30 * 24 * 60 * 60;

/// Creates a request for payment.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let new = read(&object, call.tenant())?;
    let answered = call.engine().open_checkout(new, call.idempotency_key()).await?;
    let mut response = print(&call, StatusCode::CREATED, &answered);
    let id = answered.value.terms.name();
    locate(&mut response, format!("/api/v1/checkout-sessions/{id}"));
    Ok(response)
}

fn read(object: &Object<'_>, tenant: Tenant) -> Result<NewCheckout, Invalid> {
    let amount = object.amount("amount", Least::One)?;
    let amount = amount.ok_or_else(|| missing("amount", "minor units, such as 12500"))?;
    let currency = object.currency("currency")?;
    let currency = currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as USD"))?;
    let methods = read_methods(object)?;
    let url = |field| object.url(field)?.ok_or_else(|| missing(field, "a link, https://…"));
    let lifetime_s = object.whole("expiresInSec", SHORTEST_S..=LONGEST_S)?.unwrap_or(LIFETIME_S);
    Ok(NewCheckout {
        tenant,
        kind: Kind::CheckoutSession,
        amount,
        currency,
        methods,
        success_url: Some(url("successUrl")?),
        cancel_url: Some(url("cancelUrl")?),
        lines: object
            .objects("lineItems", MAX_LINES, |item| read_line(item, "name"))?
            .unwrap_or_default(),
        customer: object.name("customerId", LONGEST_ID)?.map(Into::into),
        template: object.name("templateId", LONGEST_ID)?.map(Into::into),
        metadata: object.metadata("metadata")?,
        extra: None,
        expires_in_ms: Some(lifetime_s.saturating_mul(1000)),
    })
}

fn read_methods(object: &Object<'_>) -> Result<Vec<Box<str>>, Invalid> {
    let list = StringList { most: MOST_METHODS, longest: LONGEST_ID };
    let known = || method_ids().collect::<Vec<_>>().join(", ");
    let given = object.strings("methods", list)?.filter(|methods| !methods.is_empty());
    let given = given.ok_or_else(|| missing("methods", &format!("one or more of {}", known())))?;
    let mut methods: Vec<Box<str>> = Vec::with_capacity(given.len());
    for (at, method) in given.into_iter().enumerate() {
        if find_method(&method).is_none() {
            let message = format!(
                "{:?} is no way to pay here; give one or more of {}",
                excerpt(&method),
                known()
            );
            return Err(Invalid::field(format!("methods[{at}]"), message));
        }
        if !methods.iter().any(|known| **known == *method) {
            methods.push(method.into());
        }
    }
    Ok(methods)
}

pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let state = query.word("status", State::ALL, State::as_str)?;
    let customer = query.get("customerId")?.map(|text| text.into_owned().into());
    let filter = CheckoutFilter { kind: Kind::CheckoutSession, state, customer };
    let page = call.engine().list_checkouts(call.tenant(), filter, paging.query).await?;
    Ok(call.page(
        &page,
        &paging,
        |checkout| checkout.terms.id.ulid(),
        |checkout| SessionWire::new(checkout, call.account(), call.engine()),
    ))
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let checkout = find(&call).await?;
    Ok(call.answer(StatusCode::OK, &SessionWire::new(&checkout, call.account(), call.engine())))
}

/// The session that the path names.
async fn find(call: &Call) -> Result<Checkout, Problem> {
    let id = parse_id(Kind::CheckoutSession, call.id()).ok_or_else(not_found)?;
    call.engine()
        .find_checkout(call.tenant(), Kind::CheckoutSession, id)
        .await?
        .ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("checkout session")
}

pub async fn cancel(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let checkout = find(&call).await?;
    let answered = call.engine().cancel_checkout(&checkout, call.idempotency_key()).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// Confirms that money sent by hand has arrived.
pub async fn confirm(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let checkout = find(&call).await?;
    let answered = call.engine().confirm_checkout(&checkout, call.idempotency_key()).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// Deletes a session that is neither paid nor being paid.
pub async fn delete(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (kind, key) = (Kind::CheckoutSession, call.idempotency_key());
    let id = parse_id(kind, call.id()).ok_or_else(not_found)?;
    let answered = call.engine().delete_checkout(call.tenant(), kind, id, key).await?;
    let mut response = call.no_content();
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn print(call: &Call, status: StatusCode, answered: &Answered<Checkout>) -> Response {
    let wire = SessionWire::new(&answered.value, call.account(), call.engine());
    call.answer_to(status, &wire, answered.replayed)
}
