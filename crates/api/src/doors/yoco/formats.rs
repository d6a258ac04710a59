//! The webhook format of this door: Standard Webhooks around Yoco's events.

use super::door::payment_name;
use crate::http::checkout::Common;
use crate::http::sign::standard_headers;
use crate::http::time::Iso;
use domain::ids::{AccountId, PaymentId};
use domain::payment::Kind;
use domain::tenant::Mode;
use domain::time::Timestamp;
use domain::webhook::Format;
use engine::webhooks::{Signing, WebhookFormat};
use engine::{Engine, EventSubject, EventView, RefundView};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    vec![Arc::new(Yoco)]
}

/// Yoco.
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
            EventSubject::Checkout(checkout) => {
                let at = checkout.completed_at.unwrap_or_else(|| id.at());
                of_payment((&*checkout.terms).into(), at, checkout.method.as_deref(), mode)?
            }
            EventSubject::Payment(payment) => {
                of_payment((&*payment.capture).into(), payment.capture.captured_at, None, mode)?
            }
            // No event about one of these has a name here.
            EventSubject::Invoice(_)
            | EventSubject::Endpoint(_)
            | EventSubject::ProviderAccount(_)
            | EventSubject::Sending(_) => {
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
    let (refund, payment) = (&view.refund, &view.payment);
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
        metadata: metadata(refund.metadata.as_deref(), payment.id, payment.kind)?,
    })
}

fn of_payment<'a>(
    common: Common<'a>,
    at: Timestamp,
    method: Option<&'a str>,
    mode: Mode,
) -> Result<Payload<'a>, serde_json::Error> {
    Ok(Payload {
        id: payment_name(common.id),
        kind: "payment",
        created_date: Iso(at),
        amount: common.amount,
        currency: common.currency,
        status: "succeeded",
        mode: mode.as_str(),
        payment_id: None,
        payment_method_details: method.map(|kind| Details { kind }),
        failure_reason: None,
        metadata: metadata(common.metadata, common.id, common.kind)?,
    })
}

/// The merchant's own metadata and the id of the checkout.
fn metadata(
    own: Option<&str>,
    id: PaymentId,
    kind: Kind,
) -> Result<Map<String, Value>, serde_json::Error> {
    let mut metadata: Map<String, Value> = own.map_or(Ok(Map::new()), serde_json::from_str)?;
    metadata.insert("checkoutId".to_owned(), id.with_prefix(kind.prefix()).into());
    Ok(metadata)
}
