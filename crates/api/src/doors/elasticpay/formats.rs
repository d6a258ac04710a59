//! The webhook format of this door: every event is about the
//! payment intent, and the signature covers the time and the body.

use super::door::BILLER;
use super::wire::ToldIntent;
use crate::http::print::Shown;
use crate::http::sign::sign;
use crate::http::time::Iso;
use domain::ids::{AccountId, EventId};
use domain::tenant::Mode;
use domain::time::Timestamp;
use domain::webhook::Format;
use engine::webhooks::{Signing, WebhookFormat};
use engine::{Engine, EventSubject, EventView};
use serde::Serialize;
use serde::ser::Error as _;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    vec![Arc::new(ElasticPay)]
}

struct ElasticPay;

#[derive(Serialize)]
struct Envelope<'a> {
    version: &'static str,
    event_id: Shown<EventId>,
    event_type: &'static str,
    biller_id: String,
    livemode: bool,
    emitted_at: Iso,
    data: ToldIntent<'a>,
}

impl WebhookFormat for ElasticPay {
    fn format(&self) -> Format {
        Format::ElasticPay
    }

    fn body(
        &self,
        name: &'static str,
        view: &EventView,
        account: AccountId,
        _: &Engine,
    ) -> Result<String, serde_json::Error> {
        let data = match &view.subject {
            EventSubject::Payment(payment) => ToldIntent::of_payment(payment),
            EventSubject::Refund(refund) => ToldIntent::of_failed_refund(refund),
            EventSubject::Checkout(checkout) => ToldIntent::of_checkout(checkout),
            EventSubject::Invoice(_)
            | EventSubject::Endpoint(_)
            | EventSubject::ProviderAccount(_)
            | EventSubject::Sending(_) => {
                return Err(serde_json::Error::custom("this is about no payment intent"));
            }
        };
        serde_json::to_string(&Envelope {
            version: "1",
            event_id: Shown(view.event.id),
            event_type: name,
            biller_id: account.with_prefix(BILLER),
            livemode: view.event.tenant.mode() == Mode::Live,
            emitted_at: Iso(view.event.id.at()),
            data,
        })
    }

    /// One signature: by the newest secret or, on every second attempt, by the previous one while
    /// it is valid. The key id names the secret.
    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        let at = Iso(Timestamp(signing.at_s.saturating_mul(1000))).to_string();
        let secret = signing.secrets.first().copied().unwrap_or_default();
        let parts = [at.as_bytes(), b".", signing.body.as_bytes()];
        let signature = format!("v1={}", hex(&sign(secret.as_bytes(), &parts)));
        vec![
            ("x-webhook-signature", signature),
            ("x-webhook-timestamp", at),
            ("x-webhook-key-id", key_id(secret)),
        ]
    }
}

/// The key id of a secret. A receiver with several secrets can compute the id of each.
fn key_id(secret: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    format!("whk_{}", hex(&digest[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::DeliveryId;

    // The expected values were made with Python's `hmac` and `hashlib`.
    #[test]
    fn the_newest_secret_signs_time_and_body() {
        let headers = ElasticPay.headers(&Signing {
            event: EventId::from_bytes([0; 16]),
            delivery: DeliveryId::from_bytes([0; 16]),
            at_s: 1_700_000_000,
            body: r#"{"a":1}"#,
            secrets: vec!["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_b2xk"],
        });
        assert_eq!(headers[0], ("x-webhook-signature", SIGNATURE.to_owned()));
        assert_eq!(headers[1], ("x-webhook-timestamp", "2023-11-14T22:13:20.000Z".to_owned()));
        assert_eq!(headers[2], ("x-webhook-key-id", KEY_ID.to_owned()));
    }

    const SIGNATURE: &str = "v1=ef86e2be29d9c26166a478c94c774b1dc8c022b4cc44cd464fadc041ac6dead6";
    const KEY_ID: &str = "whk_7c293406055a5cf5";
}
