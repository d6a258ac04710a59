//! The webhook format of this door: Standard Webhooks around Yoco's events.

use super::door::payment_name;
use crate::http::sign::standard_headers;
use crate::http::time::Iso;
use domain::account::Mode;
use domain::checkout::Checkout;
use domain::ids::{AccountId, EventId};
use domain::payment::Payment;
use domain::webhook::Format;
use engine::webhooks::{Signing, WebhookFormat};
use engine::{Engine, EventSubject, EventView, RefundView};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    vec![Arc::new(Yoco)]
}

/// Yoco (`reference/elasticpay_yoco.md` B.6).
struct Yoco;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    created_date: Iso,
    payload: Payload<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    created_date: Iso,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method_details: Option<Details<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'a str>,
    metadata: Map<String, Value>,
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

impl WebhookFormat for Yoco {
    fn format(&self) -> Format {
        Format::Yoco
    }

    fn body(
        &self,
        name: &'static str,
        view: &EventView,
        _account: AccountId,
        _engine: &Engine,
    ) -> Result<String, serde_json::Error> {
        let event = &view.event;
        let (id, mode) = (event.id, event.tenant.mode());
        let payload = match &view.subject {
            EventSubject::Refund(view) => of_refund(view, name, mode)?,
            EventSubject::Checkout(checkout) => of_checkout(checkout, id, mode)?,
            EventSubject::Payment(payment) => of_payment(payment, mode)?,
            // No event about one of these has a name here.
            EventSubject::Invoice(_) | EventSubject::Endpoint(_) => {
                return Err(serde::ser::Error::custom("this format tells of money only"));
            }
        };
        let created_date = Iso(id.at());
        serde_json::to_string(&Body { id: id.to_string(), event_type: name, created_date, payload })
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        standard_headers(signing)
    }
}

fn of_refund<'a>(
    view: &'a RefundView,
    name: &str,
    mode: Mode,
) -> Result<Payload<'a>, serde_json::Error> {
    let (refund, facts) = (&view.refund, &view.payment);
    let failed = name == "refund.failed";
    let failure = refund.failure.as_ref().filter(|_| failed);
    Ok(Payload {
        id: refund.id.to_string(),
        kind: "refund",
        created_date: Iso(refund.id.at()),
        amount: refund.amount,
        currency: refund.currency.as_str(),
        status: if failed { "failed" } else { "succeeded" },
        mode: mode.as_str(),
        payment_id: Some(payment_name(refund.payment)),
        payment_method_details: None,
        failure_reason: failure.map(|failure| &*failure.message),
        metadata: metadata(refund.metadata.as_deref(), &facts.id.with_prefix(facts.kind.prefix()))?,
    })
}

fn of_checkout(
    checkout: &Checkout,
    event: EventId,
    mode: Mode,
) -> Result<Payload<'_>, serde_json::Error> {
    let facts = &*checkout.facts;
    Ok(Payload {
        id: payment_name(facts.id),
        kind: "payment",
        created_date: Iso(checkout.completed_at.unwrap_or_else(|| event.at())),
        amount: facts.amount,
        currency: facts.currency.as_str(),
        status: "succeeded",
        mode: mode.as_str(),
        payment_id: None,
        payment_method_details: checkout.method.as_deref().map(|kind| Details { kind }),
        failure_reason: None,
        metadata: metadata(facts.metadata.as_deref(), &facts.name())?,
    })
}

fn of_payment(payment: &Payment, mode: Mode) -> Result<Payload<'_>, serde_json::Error> {
    let facts = &*payment.facts;
    Ok(Payload {
        id: payment_name(facts.id),
        kind: "payment",
        created_date: Iso(facts.captured_at),
        amount: facts.captured,
        currency: facts.currency.as_str(),
        status: "succeeded",
        mode: mode.as_str(),
        payment_id: None,
        payment_method_details: None,
        failure_reason: None,
        metadata: metadata(facts.metadata.as_deref(), &facts.id.with_prefix(facts.kind.prefix()))?,
    })
}

/// The merchant's own metadata and the id of the checkout.
fn metadata(own: Option<&str>, checkout: &str) -> Result<Map<String, Value>, serde_json::Error> {
    let mut metadata: Map<String, Value> = own.map_or(Ok(Map::new()), serde_json::from_str)?;
    metadata.insert("checkoutId".to_owned(), checkout.into());
    Ok(metadata)
}
