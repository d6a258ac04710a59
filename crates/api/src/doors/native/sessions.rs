//! Checkout sessions, as merchants make and follow them.

use super::error::Problem;
use super::page::{List, Paging};
use super::serve::{Call, mark_replayed};
use super::session_wire::SessionWire;
use super::source::LONGEST_ID;
use crate::body::{Least, Object, StringList, missing};
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::account::Scope;
use domain::checkout::{Checkout, State};
use domain::ids::PaymentId;
use domain::line_item::{LineItem, MAX_LINES};
use domain::payment::Kind;
use engine::{Answered, CheckoutFilter, NewCheckout, Order, find_method, method_ids};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use ulid::Ulid;

/// What a page of this list is.
pub const LIST: List = List {
    name: "checkout-sessions",
    filters: &["status", "customerId"],
    range: Some(("createdAfter", "createdBefore")),
    order: Order::Descending,
    limit: 20,
};

/// Characters of a link.
pub const LONGEST_URL: usize = 2_000;
/// Characters of a line's text.
pub const LONGEST_LINE: usize = 200;
/// Of one line, at most.
pub const MOST_ITEMS: i64 = 1_000_000;
/// Ways to pay, at most.
pub const MOST_METHODS: usize = 30;
/// A session can be paid for a day if nothing else is said,
pub const LIFETIME_S: i64 = 24 * 60 * 60;
/// for a second at least,
pub const SHORTEST_S: i64 = 1;
/// and for 30 days at most.
pub const LONGEST_S: i64 = 30 * 24 * 60 * 60;

/// Asks somebody to pay.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let new = read(&object, call.scope())?;
    let answered = call.engine().open_checkout(new, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let mut response = print(&call, StatusCode::CREATED, &answered);
    let id = answered.value.facts.name();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/checkout-sessions/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn read(object: &Object<'_>, scope: Scope) -> Result<NewCheckout, Invalid> {
    let amount = object.amount("amount", Least::One)?;
    let amount = amount.ok_or_else(|| missing("amount", "minor units, such as 12500"))?;
    let currency = object.currency("currency")?;
    let currency = currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as USD"))?;
    let methods = read_methods(object)?;
    let url = |field| read_url(object, field)?.ok_or_else(|| missing(field, "a link, https://…"));
    let lifetime_s = object.whole("expiresInSec", SHORTEST_S..=LONGEST_S)?.unwrap_or(LIFETIME_S);
    Ok(NewCheckout {
        scope,
        kind: Kind::CheckoutSession,
        amount,
        currency,
        methods,
        success_url: Some(url("successUrl")?),
        cancel_url: Some(url("cancelUrl")?),
        lines: object.objects("lineItems", MAX_LINES, read_line)?.unwrap_or_default(),
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

/// Reads a link that a browser may be sent to: `http` or `https` and nothing that could end an
/// attribute or a header.
pub fn read_url(object: &Object<'_>, field: &'static str) -> Result<Option<Box<str>>, Invalid> {
    let Some(text) = object.name(field, LONGEST_URL)? else { return Ok(None) };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = host.filter(|host| !host.is_empty() && !host.contains('@'));
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if host.is_none() || !plain {
        let message = format!(
            "{field} must be an http:// or https:// link, percent-encoded; got {:?}",
            excerpt(&text)
        );
        return Err(Invalid::field(field, message));
    }
    Ok(Some(text.into()))
}

fn read_line(object: &Object<'_>) -> Result<LineItem, Invalid> {
    read_line_named(object, "name")
}

/// Reads a line whose text is called `text`.
pub fn read_line_named(object: &Object<'_>, text: &'static str) -> Result<LineItem, Invalid> {
    let name = object.name(text, LONGEST_LINE)?.ok_or_else(|| missing(text, "what is sold"))?;
    let quantity = object.whole("quantity", 1..=MOST_ITEMS)?;
    let unit_amount = object.amount("unitAmount", Least::Zero)?;
    let line = LineItem {
        text: name.into(),
        quantity: quantity.ok_or_else(|| missing("quantity", "how many, such as 1"))?,
        unit_amount: unit_amount.ok_or_else(|| missing("unitAmount", "minor units for one"))?,
    };
    if line.amount().is_none() {
        return Err(Invalid::field("unitAmount", "quantity times unitAmount is too large"));
    }
    Ok(line)
}

/// Lists sessions.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.scope(), None)?;
    let state = query.get("status")?.map(|text| read_status(&text)).transpose()?;
    let customer = query.get("customerId")?.map(|text| text.into_owned().into());
    let filter = CheckoutFilter { kind: Kind::CheckoutSession, state, customer };
    let page = call.engine().list_checkouts(call.scope(), filter, paging.query).await;
    let page = page.map_err(|error| call.refused(&error))?;
    let items: Vec<_> = page
        .items
        .iter()
        .map(|checkout| SessionWire::new(checkout, call.account(), call.engine()))
        .collect();
    let last = page.items.last().map(|checkout| checkout.facts.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

fn read_status(text: &str) -> Result<State, Invalid> {
    State::from_text(text).ok_or_else(|| {
        let known = State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        let text = excerpt(text);
        Invalid::field("status", format!("status must be one of {known}; got {text:?}"))
    })
}

/// One session.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let checkout = find(&call).await?;
    Ok(call.answer(StatusCode::OK, &SessionWire::new(&checkout, call.account(), call.engine())))
}

/// The session that the path names.
async fn find(call: &Call) -> Result<Checkout, Problem> {
    let id = parse_id(Kind::CheckoutSession, call.id()).ok_or_else(not_found)?;
    let found = call.engine().find_checkout(call.scope(), Kind::CheckoutSession, id).await;
    found.map_err(|error| call.refused(&error))?.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("checkout session")
}

/// Reads the id of a checkout of some kind.
pub fn parse_id(kind: Kind, text: &str) -> Option<PaymentId> {
    let rest = text.strip_prefix(kind.prefix())?;
    let upper = !rest.bytes().any(|byte| byte.is_ascii_lowercase());
    Ulid::from_string(rest).ok().filter(|_| upper).map(PaymentId::from_ulid)
}

/// Withdraws a session.
pub async fn cancel(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let checkout = find(&call).await?;
    let answered = call.engine().cancel_checkout(&checkout, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// The merchant saw the money that was sent by hand.
pub async fn confirm(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let checkout = find(&call).await?;
    let answered = call.engine().confirm_checkout(&checkout, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// Removes a session that was not paid and is not being paid.
pub async fn delete(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (kind, key) = (Kind::CheckoutSession, call.idempotency_key());
    let id = parse_id(kind, call.id()).ok_or_else(not_found)?;
    let answered = call.engine().delete_checkout(call.scope(), kind, id, key).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let mut response = call.no_content();
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn print(call: &Call, status: StatusCode, answered: &Answered<Checkout>) -> Response {
    let wire = SessionWire::new(&answered.value, call.account(), call.engine());
    let mut response = call.answer(status, &wire);
    mark_replayed(&mut response, answered.replayed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_http_and_cannot_break_out() {
        let read = |url: &str| {
            let body = serde_json::json!({ "u": url }).to_string();
            let object = Object::parse(body.as_bytes()).expect("valid JSON");
            read_url(&object, "u").is_ok()
        };
        for url in [
            "https://shop.example/thanks?order=7&x=%20#top",
            "http://localhost:3000/a",
            "https://xn--bcher-kva.example",
            "http://[::1]:8080/",
        ] {
            assert!(read(url), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "//shop.example",
            "/thanks",
            "https://",
            "https:///path",
            "http://user:secret@shop.example/",
            "data:text/html,x",
            "https://shop.example/\"><script>",
            "https://shop.example/a b",
            "https://shop.example/\u{e9}",
            " https://shop.example",
            "",
        ] {
            assert!(!read(url), "{url}");
        }
    }
}
