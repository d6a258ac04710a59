//! Invoices for merchants.

pub mod describe;
pub mod wire;

use self::wire::InvoiceWire;
use super::door::Call;
use super::line::read_line;
use super::page::{List, Paging};
use crate::http::answer::locate;
use crate::http::body::{Least, Object, missing};
use crate::http::call::guarded;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::payment_ref::LONGEST_ID;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::openapi::{Schema, printed};
use axum::response::Response;
use domain::ids::InvoiceId;
use domain::invoice::{Invoice, State};
use domain::line_item::MAX_LINES;
use domain::tenant::Tenant;
use engine::access::KeyScope::{InvoiceRead, InvoiceWrite};
use engine::{Answered, InvoiceFilter, NewInvoice, PageQuery};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/invoices", InvoiceWrite, create),
        guarded(M::GET, "/api/v1/invoices", InvoiceRead, list),
        guarded(M::GET, "/api/v1/invoices/{id}", InvoiceRead, get),
        guarded(M::POST, "/api/v1/invoices/{id}/finalize", InvoiceWrite, finalize),
        guarded(M::POST, "/api/v1/invoices/{id}/pay", InvoiceWrite, pay),
        guarded(M::POST, "/api/v1/invoices/{id}/void", InvoiceWrite, void),
        guarded(M::POST, "/api/v1/invoices/{id}/send", InvoiceWrite, send),
        guarded(M::POST, "/api/v1/invoices/{id}/send-email", InvoiceWrite, send_email),
    ]
}

pub const LIST: List = List {
    range: Some(("issuedAfter", "issuedBefore")),
    ..List::new(
        "invoices",
        &[
            ("status", "Only invoices with this status.", || {
                Schema::one_of(State::ALL, State::as_str)
            }),
            ("customerId", "Only of this customer.", Schema::string),
            ("subscriptionId", "Only of this subscription.", Schema::string),
        ],
    )
};

pub const LONGEST_MEMO: usize = 1_000;
pub const LONGEST_ADDRESS: usize = 254;

/// Creates an invoice.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let new = read(&object, call.tenant())?;
    let answered = call.engine().create_invoice(new, call.idempotency_key()).await?;
    let mut response = print(&call, StatusCode::CREATED, &answered);
    let id = answered.value.terms.id;
    locate(&mut response, format!("/api/v1/invoices/{id}"));
    Ok(response)
}

fn read(object: &Object<'_>, tenant: Tenant) -> Result<NewInvoice, Invalid> {
    let customer = object.name("customerId", LONGEST_ID)?;
    let customer = customer.ok_or_else(|| missing("customerId", "your id of the customer"))?;
    let currency = object.currency("currency")?;
    let currency = currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as USD"))?;
    let line = |item: &Object<'_>| read_line(item, "description");
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
        tenant,
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

pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    // The range filters by `issued_at`, and the list is then ordered by it.
    let PageQuery { from, until, .. } = paging.query;
    let page = PageQuery { from: None, until: None, ..paging.query };
    let filter = InvoiceFilter {
        state: query.word("status", State::ALL, State::as_str)?,
        customer: query.get("customerId")?.map(|text| text.into_owned().into()),
        subscription: query.get("subscriptionId")?.map(|text| text.into_owned().into()),
        issued_from: from,
        issued_until: until,
    };
    let page = call.engine().list_invoices(call.tenant(), filter, page).await?;
    Ok(call.page(
        &page,
        &paging,
        |invoice| invoice.terms.id.ulid(),
        |invoice| InvoiceWire::new(invoice, call.account(), call.engine(), None),
    ))
}

/// One invoice, with the id of its charge.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("invoice");
    let invoice =
        call.engine().find_invoice(call.tenant(), read_id(&call)?).await?.ok_or_else(not_found)?;
    let payment = if invoice.charged {
        call.engine().find_payment(call.tenant(), invoice.payment()).await?
    } else {
        None
    };
    let charge = payment.as_ref().map(|payment| &*payment.capture.provider_payment_id);
    let wire = InvoiceWire::new(&invoice, call.account(), call.engine(), charge);
    Ok(call.answer(StatusCode::OK, &wire))
}

fn read_id(call: &Call) -> Result<InvoiceId, Problem> {
    InvoiceId::parse(call.id()).map_err(|_| Problem::not_found("invoice"))
}

/// Finalizes a draft: from here on it can be paid.
pub async fn finalize(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().finalize_invoice(call.tenant(), id, key).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// Marks an invoice as paid outside of Refundry.
pub async fn pay(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().pay_invoice(call.tenant(), id, key).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

pub async fn void(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().void_invoice(call.tenant(), id, key).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

/// Records the event that tells subscribers to send the invoice.
pub async fn send(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().send_invoice(call.tenant(), id, None, key).await?;
    Ok(print(&call, StatusCode::OK, &answered))
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct Sent<'a> {
        sent: bool = Schema::boolean().says("Always `false`: subscribers send it.").like(false),
        to: &'a str = Schema::string().says("The address; empty when none was given."),
    }
}

/// The same with an address. Refundry itself sends no mail.
pub async fn send_email(call: Call) -> Result<Response, Problem> {
    let to = match call.optional_object()? {
        Some(object) => read_address(&object)?,
        None => None,
    };
    let to = to.unwrap_or_default();
    let (id, key) = (read_id(&call)?, call.idempotency_key());
    let answered = call.engine().send_invoice(call.tenant(), id, Some(to.clone()), key).await?;
    Ok(call.answer_to(StatusCode::OK, &Sent { sent: false, to: &to }, answered.replayed))
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
    call.answer_to(status, &wire, answered.replayed)
}
