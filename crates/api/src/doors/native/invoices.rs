//! Invoices, as merchants write and follow them.

use super::error::Problem;
use super::page::{List, Paging};
use super::serve::{Call, mark_replayed};
use super::session_wire::InvoiceWire;
use super::sessions::read_line_named;
use super::source::LONGEST_ID;
use crate::body::{Least, Object, missing};
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::account::Scope;
use domain::ids::InvoiceId;
use domain::invoice::{Invoice, State};
use domain::line_item::MAX_LINES;
use engine::{Answered, InvoiceFilter, NewInvoice, Order, PageQuery};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// What a page of this list is.
pub const LIST: List = List {
    name: "invoices",
    filters: &["status", "customerId", "subscriptionId"],
    range: Some(("issuedAfter", "issuedBefore")),
    order: Order::Descending,
    limit: 20,
};

/// Characters of a memo.
pub const LONGEST_MEMO: usize = 1_000;
/// Characters of an e-mail address.
pub const LONGEST_ADDRESS: usize = 254;

/// Writes an invoice.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let new = read(&object, call.scope())?;
    let answered = call.engine().create_invoice(new, call.idempotency_key()).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let mut response = print(&call, StatusCode::CREATED, &answered);
    let id = answered.value.facts.id;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/invoices/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn read(object: &Object<'_>, scope: Scope) -> Result<NewInvoice, Invalid> {
    let customer = object.name("customerId", LONGEST_ID)?;
    let customer = customer.ok_or_else(|| missing("customerId", "your id of the customer"))?;
    let currency = object.currency("currency")?;
    let currency = currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as USD"))?;
    let line = |item: &Object<'_>| read_line_named(item, "description");
    let lines = object.objects("lines", MAX_LINES, line)?.filter(|lines| !lines.is_empty());
    let lines = lines.ok_or_else(|| missing("lines", "one line or more"))?;
    let open = match object.text("status", LONGEST_ID)?.as_deref() {
        None | Some("draft") => false,
        Some("open") => true,
        Some(other) => {
            let other = excerpt(other);
            let message = format!("status must be draft or open; got {other:?}");
            return Err(Invalid::field("status", message));
        }
    };
    Ok(NewInvoice {
        scope,
        customer: customer.into(),
        currency,
        lines,
        discount: object.amount("discount", Least::Zero)?.unwrap_or(0),
        tax: object.amount("tax", Least::Zero)?.unwrap_or(0),
        due_at: object.time("dueAt")?,
        open,
        memo: object.text("memo", LONGEST_MEMO)?.map(Into::into),
        subscription: object.name("subscriptionId", LONGEST_ID)?.map(Into::into),
        template: object.name("templateId", LONGEST_ID)?.map(Into::into),
        metadata: object.metadata("metadata")?,
    })
}

/// Lists invoices.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.scope(), None)?;
    // The range is of the time of asking, and so is the order with it.
    let PageQuery { from, until, .. } = paging.query;
    let page = PageQuery { from: None, until: None, ..paging.query };
    let filter = InvoiceFilter {
        state: query.get("status")?.map(|text| read_status(&text)).transpose()?,
        customer: query.get("customerId")?.map(|text| text.into_owned().into()),
        subscription: query.get("subscriptionId")?.map(|text| text.into_owned().into()),
        issued_from: from,
        issued_until: until,
    };
    let page = call.engine().list_invoices(call.scope(), filter, page).await;
    let page = page.map_err(|error| call.refused(&error))?;
    let items: Vec<_> = page
        .items
        .iter()
        .map(|invoice| InvoiceWire::new(invoice, call.account(), call.engine(), None))
        .collect();
    let last = page.items.last().map(|invoice| invoice.facts.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

fn read_status(text: &str) -> Result<State, Invalid> {
    State::from_text(text).ok_or_else(|| {
        let known = State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        let text = excerpt(text);
        Invalid::field("status", format!("status must be one of {known}; got {text:?}"))
    })
}

/// One invoice, with the id of its charge.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("invoice");
    let invoice = call.engine().find_invoice(call.scope(), read_id(&call)?).await;
    let invoice = invoice.map_err(|error| call.refused(&error))?.ok_or_else(not_found)?;
    let payment = if invoice.charged {
        let payment = call.engine().find_payment(call.scope(), invoice.payment()).await;
        payment.map_err(|error| call.refused(&error))?
    } else {
        None
    };
    let charge = payment.as_ref().map(|payment| &*payment.facts.provider_payment_id);
    let wire = InvoiceWire::new(&invoice, call.account(), call.engine(), charge);
    Ok(call.answer(StatusCode::OK, &wire))
}

fn read_id(call: &Call) -> Result<InvoiceId, Problem> {
    InvoiceId::parse(call.id()).map_err(|_| Problem::not_found("invoice"))
}

/// Asks for a draft.
pub async fn finalize(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().finalize_invoice(call.scope(), id, key).await;
    Ok(print(&call, StatusCode::OK, &answered.map_err(|error| call.refused(&error))?))
}

/// The merchant got the money some other way.
pub async fn pay(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().pay_invoice(call.scope(), id, key).await;
    Ok(print(&call, StatusCode::OK, &answered.map_err(|error| call.refused(&error))?))
}

/// Withdraws an invoice.
pub async fn void(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().void_invoice(call.scope(), id, key).await;
    Ok(print(&call, StatusCode::OK, &answered.map_err(|error| call.refused(&error))?))
}

/// Tells subscribers that the invoice is sent.
pub async fn send(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().send_invoice(call.scope(), id, None, key).await;
    Ok(print(&call, StatusCode::OK, &answered.map_err(|error| call.refused(&error))?))
}

/// What sending by e-mail answers.
#[derive(Serialize)]
struct Sent<'a> {
    sent: bool,
    to: &'a str,
}

/// Tells subscribers to send the invoice to an address. Refundry itself sends no mail.
pub async fn send_email(call: Call) -> Result<Response, Problem> {
    let to = match call.optional_object()? {
        Some(object) => read_address(&object)?,
        None => None,
    };
    let to = to.unwrap_or_default();
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().send_invoice(call.scope(), id, Some(to.clone()), key).await;
    let answered = answered.map_err(|error| call.refused(&error))?;
    let mut response = call.answer(StatusCode::OK, &Sent { sent: false, to: &to });
    mark_replayed(&mut response, answered.replayed);
    Ok(response)
}

fn read_address(object: &Object<'_>) -> Result<Option<Box<str>>, Invalid> {
    let Some(to) = object.name("to", LONGEST_ADDRESS)? else { return Ok(None) };
    let parts = to.split_once('@');
    let plain = !to.chars().any(char::is_whitespace);
    let address = parts.filter(|(name, host)| plain && !name.is_empty() && host.contains('.'));
    if address.is_none_or(|(_, host)| host.contains('@')) {
        let message = format!("to must be an e-mail address; got {:?}", excerpt(&to));
        return Err(Invalid::field("to", message));
    }
    Ok(Some(to.into()))
}

fn print(call: &Call, status: StatusCode, answered: &Answered<Invoice>) -> Response {
    let wire = InvoiceWire::new(&answered.value, call.account(), call.engine(), None);
    let mut response = call.answer(status, &wire);
    mark_replayed(&mut response, answered.replayed);
    response
}
