//! Refunds of a checkout's payment, and the list of them.

use super::checkouts::{Found, find};
use super::door::Call;
use super::door::{PAYMENT_PREFIX, checkout_name};
use super::error::Problem;
use crate::app::{PENDING, REFUND_STATUSES};
use crate::http::body::Least;
use crate::http::invalid::Invalid;
use crate::http::payment_ref::parse_ulid;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use axum::response::Response;
use domain::decide::Refusal;
use domain::ids::{PaymentId, RefundId};
use domain::payment::Kind;
use domain::refund::{Refund, Status};
use domain::tenant::Mode;
use engine::{NewRefund, PageQuery, RefundFilter, RefundView, SortOrder};
use http::StatusCode;

/// Refunds in one page of the list.
pub const PAGE: u32 = 100;

printed! {
    /// A refund that was accepted.
    #[serde(rename_all = "camelCase")]
    pub struct Accepted {
        id: String = components::id(&["ch_"]).says("The checkout."),
        refund_id: String = components::id(&["rfd_"]),
        message: &'static str = Schema::string().like("Your refund has been processed"),
        status: &'static str = Schema::words(REFUND_STATUSES).says("That it was accepted."),
    }
}

/// Refunds the payment of a checkout in whole or in part.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let (amount, metadata) = match call.optional_object()? {
        Some(object) => (object.amount("amount", Least::One)?, object.metadata("metadata")?),
        None => (None, None),
    };
    let payment = match find(&call).await? {
        Found { payment: Some(payment), .. } => payment,
        Found { checkout: Some(checkout), .. } => {
            let status = checkout.state.as_str();
            return Err(Refusal::NotPaid { kind: Kind::Checkout, status }.into());
        }
        Found { checkout: None, payment: None } => return Err(Problem::not_found("checkout")),
    };
    let settings = call.settings();
    if call.tenant().mode() == Mode::Test && !settings.allow_test_refunds {
        return Err(Problem::refund(
            "test_mode",
            "a checkout that was created with a test key cannot be refunded; use a live key, or \
             start the server with REFUNDRY_YOCO_ALLOW_TEST_REFUNDS=1",
        ));
    }
    if settings.full_refunds_only && amount.is_some_and(|part| part != payment.capture.captured) {
        return Err(Problem::refund(
            "partial_refund",
            "partial refunds are not supported here; leave amount out to refund the whole payment",
        ));
    }
    let new = NewRefund {
        kind: Some(Kind::Checkout),
        amount,
        metadata,
        ..NewRefund::of(call.tenant(), payment.capture.id)
    };
    let made = call.engine().create_refund(new, call.idempotency_key()).await?;
    accepted(&call, &wait(&call, made.value).await.refund)
}

/// Waits for the provider as long as the settings say.
async fn wait(call: &Call, made: RefundView) -> RefundView {
    let settings = call.settings();
    if settings.refund_status == PENDING || settings.refund_wait.is_zero() {
        return made;
    }
    call.wait_for(made, settings.refund_wait).await
}

fn accepted(call: &Call, refund: &Refund) -> Result<Response, Problem> {
    let message = match refund.state.status() {
        Status::Succeeded => "Your refund has been processed",
        Status::Pending => "Your refund has been accepted and is being processed",
        Status::Failed | Status::Canceled => {
            let failure = refund.failure.as_ref();
            let why = failure.map_or("the refund was withdrawn", |failure| &*failure.message);
            return Err(Problem::refund("refund_failed", why.to_owned()));
        }
    };
    let accepted = Accepted {
        id: checkout_name(refund.payment),
        refund_id: refund.id.to_string(),
        message,
        status: call.settings().refund_status,
    };
    Ok(call.json(StatusCode::ACCEPTED, &accepted))
}

printed! {
    /// Refunds of a payment.
    #[serde(rename_all = "camelCase")]
    pub struct RefundList<'a> {
        refunds: Vec<RefundWire<'a>> = Schema::list(RefundWire::schema())
            .with("maxItems", PAGE),
        next_cursor: Option<String> = components::id(&["rfd_"]).says("Leads to the next page.")
            .or_null(),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct RefundWire<'a> {
        id: String = components::id(&["rfd_"]),
        amount: i64 = Schema::integer(1).says("Minor units.").like(900),
        currency: &'a str = Schema::matching("^[A-Z]{3}$").like("ZAR"),
        status: &'static str = Schema::words(STATUSES),
        created_date: Iso = Schema::time(),
        failure_reason?: &'a str = Schema::string(),
    }
}

/// Every status of a refund.
pub const STATUSES: [&str; 3] = [PENDING, "succeeded", "failed"];

/// The refunds of a payment, oldest first.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("payment");
    let id = call.id().strip_prefix(PAYMENT_PREFIX).and_then(parse_ulid).ok_or_else(not_found)?;
    let id = PaymentId::from_ulid(id);
    let query = call.query();
    let cursor = query.get("cursor")?.map(|text| {
        let id = RefundId::parse(&text).map(RefundId::ulid);
        id.map_err(|_| Invalid::field("cursor", "cursor must be the nextCursor of the page before"))
    });
    let after = cursor.transpose()?;
    let payment = call.engine().find_payment(call.tenant(), id).await?;
    payment.filter(|payment| payment.capture.kind == Kind::Checkout).ok_or_else(not_found)?;
    let filter = RefundFilter { payment: Some(id), ..RefundFilter::default() };
    let page =
        PageQuery { limit: PAGE, after, order: SortOrder::Ascending, from: None, until: None };
    let page = call.engine().list_refunds(call.tenant(), filter, page).await?;
    let end = page.items.last().filter(|_| page.more);
    let list = RefundList {
        refunds: page.items.iter().map(|view| wire(&view.refund)).collect(),
        next_cursor: end.map(|view| view.refund.id.to_string()),
    };
    Ok(call.json(StatusCode::OK, &list))
}

fn wire(refund: &Refund) -> RefundWire<'_> {
    let (status, failure) = match refund.state.status() {
        Status::Pending => (PENDING, None),
        Status::Succeeded => ("succeeded", None),
        Status::Failed | Status::Canceled => ("failed", refund.failure.as_ref()),
    };
    RefundWire {
        id: refund.id.to_string(),
        amount: refund.amount,
        currency: refund.currency.as_str(),
        status,
        created_date: Iso(refund.id.at()),
        failure_reason: failure.map(|failure| &*failure.message),
    }
}
