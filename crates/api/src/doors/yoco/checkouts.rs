//! Checkouts: requests for payment.

use super::door::Call;
use super::door::{checkout_name, payment_name};
use super::error::Problem;
use crate::http::body::{Least, Object, missing};
use crate::http::checkout::{Common, parse_id};
use crate::http::invalid::Invalid;
use crate::http::print::Raw;
use crate::openapi::{Schema, components, printed};
use axum::response::Response;
use domain::checkout::{Checkout, State};
use domain::ids::AccountId;
use domain::line_item::{LineItem, MAX_LINES};
use domain::payment::{Kind, Payment, Status};
use domain::tenant::{Mode, Tenant};
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
printed! {
    #[serde(rename_all = "camelCase")]
    #[derive(Deserialize)]
    pub struct Item {
        display_name: Box<str> = Schema::name(LONGEST_NAME),
        quantity: i64 = Schema::integer(1).with("maximum", MOST_ITEMS),
        pricing_details: Pricing = Pricing::schema(),
        description?: Box<str> = Schema::text(LONGEST_DESCRIPTION),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    #[derive(Deserialize)]
    struct Pricing {
        price: i64 = components::amount(0).says("Minor units for one."),
        tax_amount?: i64 = components::amount(0),
        discount_amount?: i64 = components::amount(0),
    }
}

pub fn link() -> Schema {
    Schema::string().like("https://shop.example/thanks").or_null()
}

/// Describes a sum that this door only stores and prints.
pub fn sum(text: &str) -> Schema {
    components::amount(0).says(text).or_null()
}

/// Describes an id that the caller made.
pub fn reference() -> Schema {
    Schema::name(LONGEST_REFERENCE).says("The caller's own.").or_null()
}

printed! {
    /// A checkout.
    #[serde(rename_all = "camelCase")]
    pub struct CheckoutWire<'a> {
        id: String = components::id(&["ch_"]),
        redirect_url: String = Schema::string().says("The page to send the buyer to."),
        status: &'static str = Schema::words(STATUSES),
        amount: i64 = Schema::integer(1).says("Minor units.").like(900),
        currency: &'a str = Schema::matching("^[A-Z]{3}$").like("ZAR"),
        payment_id: Option<String> = components::id(&["p_"]).says("Once it is paid.").or_null(),
        success_url: Option<&'a str> = link(),
        cancel_url: Option<&'a str> = link(),
        failure_url: Option<&'a str> = link(),
        metadata: Raw<'a> = Schema::map(Schema::string()),
        merchant_id: String = components::id(&["acc_"]),
        total_discount: Option<i64> = sum("As it was sent."),
        total_tax_amount: Option<i64> = sum("As it was sent."),
        subtotal_amount: Option<i64> = sum("As it was sent."),
        line_items: Option<&'a [Item]> = Schema::list(Schema::named("YocoLineItem")).or_null(),
        external_id: Option<&'a str> = reference(),
        client_reference_id: Option<&'a str> = reference(),
        processing_mode: &'static str = Schema::one_of(Mode::ALL, Mode::as_str),
    }
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
    let payment = payment.filter(|payment| payment.capture.kind == Kind::Checkout);
    match (&checkout, &payment) {
        (None, None) => Err(not_found()),
        _ => Ok(Found { checkout, payment }),
    }
}

impl Found {
    fn common(&self) -> Option<Common<'_>> {
        match (&self.checkout, &self.payment) {
            (Some(checkout), _) => Some((&*checkout.terms).into()),
            (None, Some(payment)) => Some((&*payment.capture).into()),
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
    let terms = found.checkout.as_ref().map(|checkout| &*checkout.terms);
    let extra = terms.and_then(|terms| terms.extra.as_deref()).map(serde_json::from_str);
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
    let terms = found.checkout.as_ref().map(|checkout| &*checkout.terms);
    CheckoutWire {
        id: checkout_name(common.id),
        redirect_url: engine.hosted_url(Kind::Checkout, common.id),
        status: found.status(),
        amount: common.amount,
        currency: common.currency,
        payment_id: found.payment.as_ref().map(|payment| payment_name(payment.capture.id)),
        success_url: terms.and_then(|terms| terms.success_url.as_deref()),
        cancel_url: terms.and_then(|terms| terms.cancel_url.as_deref()),
        failure_url: extra.failure_url.as_deref(),
        metadata: Raw(common.metadata.unwrap_or("{}")),
        merchant_id: account.to_string(),
        total_discount: extra.total_discount,
        total_tax_amount: extra.total_tax_amount,
        subtotal_amount: extra.subtotal_amount,
        line_items: extra.line_items.as_deref(),
        external_id: extra.external_id.as_deref(),
        client_reference_id: extra.client_reference_id.as_deref(),
        processing_mode: common.tenant.mode().as_str(),
    }
}
