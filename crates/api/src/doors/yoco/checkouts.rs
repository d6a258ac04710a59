//! Checkouts: requests for payment.

use super::door::Call;
use super::door::{checkout_name, payment_name};
use super::error::Problem;
use crate::http::body::{Least, Object, missing};
use crate::http::checkout::parse_id;
use crate::http::invalid::Invalid;
use crate::http::print::Raw;
use axum::response::Response;
use domain::account::{Mode, Tenant};
use domain::checkout::{Checkout, State};
use domain::ids::{AccountId, PaymentId};
use domain::line_item::{LineItem, MAX_LINES};
use domain::money::Currency;
use domain::payment::{Kind, Payment, Status};
use engine::{Engine, NewCheckout};
use http::StatusCode;
use serde::{Deserialize, Serialize};

const METHOD: &str = "card";
pub const LONGEST_REFERENCE: usize = 200;
pub const LONGEST_NAME: usize = 200;
pub const LONGEST_DESCRIPTION: usize = 500;
/// Highest quantity of one line.
pub const MOST_ITEMS: i64 = 1_000_000;

/// Fields that only this door stores and prints.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Extra {
    failure_url: Option<Box<str>>,
    total_discount: Option<i64>,
    total_tax_amount: Option<i64>,
    subtotal_amount: Option<i64>,
    line_items: Option<Vec<Item>>,
    external_id: Option<Box<str>>,
    client_reference_id: Option<Box<str>>,
}

/// A line item.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    display_name: Box<str>,
    quantity: i64,
    pricing_details: Pricing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<Box<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pricing {
    price: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tax_amount: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount_amount: Option<i64>,
}

/// A checkout as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckoutWire<'a> {
    id: String,
    redirect_url: String,
    status: &'static str,
    amount: i64,
    currency: &'a str,
    payment_id: Option<String>,
    success_url: Option<&'a str>,
    cancel_url: Option<&'a str>,
    failure_url: Option<&'a str>,
    metadata: Raw<'a>,
    merchant_id: String,
    total_discount: Option<i64>,
    total_tax_amount: Option<i64>,
    subtotal_amount: Option<i64>,
    line_items: Option<&'a [Item]>,
    external_id: Option<&'a str>,
    client_reference_id: Option<&'a str>,
    processing_mode: &'static str,
}

/// Creates a request for payment.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let new = read(&call.object()?, call.tenant())?;
    let checkout = call.engine().open_checkout(new, call.idempotency_key()).await?.value;
    print(&call, &Found { checkout: Some(checkout), payment: None })
}

fn read(object: &Object<'_>, tenant: Tenant) -> Result<NewCheckout, Problem> {
    let amount = object.amount("amount", Least::One)?;
    let currency = object.currency("currency")?;
    let sum = |field| object.amount(field, Least::Zero);
    let text = |field| {
        Ok::<_, Invalid>(
            object.name(field, LONGEST_REFERENCE)?.map(|text| text.into_owned().into()),
        )
    };
    let items = object.objects("lineItems", MAX_LINES, read_item)?;
    let lines = items.as_deref().unwrap_or_default().iter().map(|item| LineItem {
        text: item.display_name.clone(),
        quantity: item.quantity,
        unit_amount: item.pricing_details.price,
    });
    let lines: Vec<LineItem> = lines.collect();
    if lines.iter().any(|line| line.amount().is_none()) {
        let message = "quantity times price of one of lineItems is too large";
        return Err(Invalid::field("lineItems", message).into());
    }
    let extra = Extra {
        failure_url: object.url("failureUrl")?,
        total_discount: sum("totalDiscount")?,
        total_tax_amount: sum("totalTaxAmount")?,
        subtotal_amount: sum("subtotalAmount")?,
        line_items: items,
        external_id: text("externalId")?,
        client_reference_id: text("clientReferenceId")?,
    };
    Ok(NewCheckout {
        tenant,
        kind: Kind::Checkout,
        amount: amount.ok_or_else(|| missing("amount", "minor units, such as 900"))?,
        currency: currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as ZAR"))?,
        methods: vec![METHOD.into()],
        success_url: object.url("successUrl")?,
        cancel_url: object.url("cancelUrl")?,
        lines,
        customer: None,
        template: None,
        metadata: object.metadata("metadata")?,
        extra: Some(serde_json::to_string(&extra).map_err(|_| Problem::internal())?.into()),
        expires_in_ms: None,
    })
}

fn read_item(object: &Object<'_>) -> Result<Item, Invalid> {
    let name = object.name("displayName", LONGEST_NAME)?;
    let quantity = object.whole("quantity", 1..=MOST_ITEMS)?;
    let pricing = object.json_object("pricingDetails")?;
    let pricing = pricing.ok_or_else(|| missing("pricingDetails", "an object with a price"))?;
    let pricing = serde_json::Value::Object(pricing).to_string();
    let pricing = Object::parse(pricing.as_bytes())?;
    let price = pricing.amount("price", Least::Zero)?;
    Ok(Item {
        display_name: name.ok_or_else(|| missing("displayName", "what is sold"))?.into(),
        quantity: quantity.ok_or_else(|| missing("quantity", "how many, such as 1"))?,
        pricing_details: Pricing {
            price: price.ok_or_else(|| missing("pricingDetails.price", "minor units for one"))?,
            tax_amount: pricing.amount("taxAmount", Least::Zero)?,
            discount_amount: pricing.amount("discountAmount", Least::Zero)?,
        },
        description: object.text("description", LONGEST_DESCRIPTION)?.map(Into::into),
    })
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let found = find(&call).await?;
    print(&call, &found)
}

/// A checkout of this door, its payment, or both. A registered payment has no checkout.
pub struct Found {
    /// Absent when the payment was registered.
    pub checkout: Option<Checkout>,
    /// Absent before the money is captured.
    pub payment: Option<Payment>,
}

/// The checkout that the path names.
pub async fn find(call: &Call) -> Result<Found, Problem> {
    let not_found = || Problem::not_found("checkout");
    let id = parse_id(Kind::Checkout, &call.id()).ok_or_else(not_found)?;
    let checkout = call.engine().find_checkout(call.tenant(), Kind::Checkout, id).await?;
    let payment = call.engine().find_payment(call.tenant(), id).await?;
    let payment = payment.filter(|payment| payment.facts.kind == Kind::Checkout);
    match (&checkout, &payment) {
        (None, None) => Err(not_found()),
        _ => Ok(Found { checkout, payment }),
    }
}

/// The fields that checkouts and payments share.
struct Common<'a> {
    id: PaymentId,
    tenant: Tenant,
    amount: i64,
    currency: &'a Currency,
    metadata: Option<&'a str>,
}

impl Found {
    fn common(&self) -> Option<Common<'_>> {
        match (&self.checkout, &self.payment) {
            (Some(Checkout { facts, .. }), _) => Some(Common {
                id: facts.id,
                tenant: facts.tenant,
                amount: facts.amount,
                currency: &facts.currency,
                metadata: facts.metadata.as_deref(),
            }),
            (None, Some(Payment { facts, .. })) => Some(Common {
                id: facts.id,
                tenant: facts.tenant,
                amount: facts.captured,
                currency: &facts.currency,
                metadata: facts.metadata.as_deref(),
            }),
            (None, None) => None,
        }
    }

    fn status(&self) -> &'static str {
        match (&self.payment, &self.checkout) {
            (Some(payment), _) => match payment.status() {
                Status::Succeeded => "completed",
                Status::Refunded => "refunded",
                Status::Reversed => "reversed",
            },
            (None, Some(checkout)) => match checkout.state {
                State::Pending | State::PendingReview => "processing",
                State::Completed => "completed",
                State::Open | State::Failed | State::Expired | State::Canceled
                    if checkout.visited_at.is_some() || checkout.attempts > 0 =>
                {
                    "started"
                }
                State::Open | State::Failed | State::Expired | State::Canceled => "created",
            },
            (None, None) => "created",
        }
    }
}

/// Every status of a checkout.
pub const STATUSES: [&str; 6] =
    ["created", "started", "processing", "completed", "refunded", "reversed"];

fn print(call: &Call, found: &Found) -> Result<Response, Problem> {
    let common = found.common().ok_or_else(Problem::internal)?;
    let facts = found.checkout.as_ref().map(|checkout| &*checkout.facts);
    let extra = facts.and_then(|facts| facts.extra.as_deref()).map(serde_json::from_str);
    let extra: Extra = extra.transpose().unwrap_or_default().unwrap_or_default();
    let wire = wire(call.engine(), call.account(), &common, found, &extra);
    Ok(call.json(StatusCode::OK, &wire))
}

fn wire<'a>(
    engine: &Engine,
    account: AccountId,
    common: &Common<'a>,
    found: &'a Found,
    extra: &'a Extra,
) -> CheckoutWire<'a> {
    let facts = found.checkout.as_ref().map(|checkout| &*checkout.facts);
    CheckoutWire {
        id: checkout_name(common.id),
        redirect_url: engine.hosted_url(Kind::Checkout, common.id),
        status: found.status(),
        amount: common.amount,
        currency: common.currency.as_str(),
        payment_id: found.payment.as_ref().map(|payment| payment_name(payment.facts.id)),
        success_url: facts.and_then(|facts| facts.success_url.as_deref()),
        cancel_url: facts.and_then(|facts| facts.cancel_url.as_deref()),
        failure_url: extra.failure_url.as_deref(),
        metadata: Raw(common.metadata.unwrap_or("{}")),
        merchant_id: account.to_string(),
        total_discount: extra.total_discount,
        total_tax_amount: extra.total_tax_amount,
        subtotal_amount: extra.subtotal_amount,
        line_items: extra.line_items.as_deref(),
        external_id: extra.external_id.as_deref(),
        client_reference_id: extra.client_reference_id.as_deref(),
        processing_mode: mode_name(common.tenant),
    }
}

fn mode_name(tenant: Tenant) -> &'static str {
    match tenant.mode() {
        Mode::Test => "test",
        Mode::Live => "live",
    }
}
