//! The simulator's webhooks: bodies, signatures, and their validity in time.
//!
//! `simulator-signature: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>`, the
//! scheme of most PSPs. The time is the time of the delivery, so a late retry is still fresh.

use crate::SimulatorConfig;
use crate::rows::{Quirk, Refund};
use crate::wire::WebhookBody;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use domain::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use providers::{InboundWebhook, WebhookRefused};
use sha2::Sha256;
use ulid::Ulid;

const SIGNATURE_HEADER: &str = "simulator-signature";

/// The largest difference between a signature's time and its arrival, in both directions.
const TOLERANCE_S: u64 = 300;

/// The secret of the forger, which is a wrong one.
const FORGERS_SECRET: [u8; 32] = *b"the simulator's forger guessed :";

#[derive(Clone)]
pub(crate) struct Signer {
    secret: [u8; 32],
}

impl Signer {
    pub(crate) const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// A signer with a wrong secret.
    pub(crate) const fn forger() -> Self {
        Self::new(FORGERS_SECRET)
    }

    /// The webhook as it is sent at `now`.
    pub(crate) fn sign(&self, body: Vec<u8>, now: Timestamp) -> InboundWebhook {
        let seconds = now.0.div_euclid(1000).to_string();
        let mac = self.mac(&seconds, &body).finalize().into_bytes();
        let signature = format!("t={seconds},v1={}", HEXLOWER.encode(&mac));
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            (SIGNATURE_HEADER.to_owned(), signature),
        ];
        InboundWebhook { url: "".into(), headers, body, received_at: now }
    }

    /// Checks the signature of a webhook and its time.
    pub(crate) fn verify(&self, webhook: &InboundWebhook) -> Result<(), WebhookRefused> {
        let (seconds, mac) = webhook
            .header(SIGNATURE_HEADER)
            .and_then(parse_signature)
            .ok_or(WebhookRefused::Forged)?;
        let sent_at: i64 = seconds.parse().map_err(|_| WebhookRefused::Forged)?;
        let age_s = webhook.received_at.0.div_euclid(1000).abs_diff(sent_at);
        let authentic = self.mac(seconds, &webhook.body).verify_slice(&mac).is_ok();
        if authentic && age_s <= TOLERANCE_S { Ok(()) } else { Err(WebhookRefused::Forged) }
    }

    fn mac(&self, seconds: &str, body: &[u8]) -> Hmac<Sha256> {
        // RFC 2104 pads a short key with zeros to one block. With a padded key, the constructor
        // cannot fail.
        let mut key = [0; 64];
        key[..self.secret.len()].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(seconds.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

/// The body of the webhook about a refund's state.
pub(crate) fn write_body(
    id: Ulid,
    refund: Refund,
    config: &SimulatorConfig,
) -> serde_json::Result<Vec<u8>> {
    let mut text = [0; ulid::ULID_LEN];
    let id = ["swe_", id.array_to_str(&mut text)].concat();
    let event_type = format!("refund.{}", refund.status.as_str());
    let at = refund.printed_at(config);
    let names_key = refund.quirk != Quirk::NoKeyInWebhooks;
    let key = refund.key.clone().filter(|_| names_key);
    let data = Refund { key, ..refund }.into_body(config);
    serde_json::to_vec(&WebhookBody { id: id.into(), event_type: event_type.into(), at, data })
}

fn parse_signature(header: &str) -> Option<(&str, Vec<u8>)> {
    let (mut seconds, mut mac) = (None, None);
    for field in header.split(',') {
        match field.split_once('=')? {
            ("t", value) => seconds = Some(value),
            ("v1", value) => mac = HEXLOWER_PERMISSIVE.decode(value.as_bytes()).ok(),
            _ => {}
        }
    }
    Some((seconds?, mac?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_published_one() {
        // From: printf '1700000000.{}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…
        let webhook = Signer::new([7; 32]).sign(b"{}".to_vec(), Timestamp(1_700_000_000_999));
        assert_eq!(
            webhook.header("simulator-signature"),
            Some(
                "t=1700000000,v1=7b24748c9a3d39ed07b08d270a9c3b5ae3b420a0cba2eb3337b0fd8b739e40cd"
            )
        );
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        let signer = Signer::new([7; 32]);
        let mut webhook = signer.sign(b"{}".to_vec(), Timestamp(1_000_000_000));
        for (off_ms, fresh) in [(0, true), (300_999, true), (-300_000, true), (301_000, false)] {
            webhook.received_at = Timestamp(1_000_000_000 + off_ms);
            assert_eq!(signer.verify(&webhook).is_ok(), fresh, "{off_ms}");
        }
        webhook.received_at = Timestamp(1_000_000_000 - 300_001);
        assert_eq!(signer.verify(&webhook), Err(WebhookRefused::Forged));
    }

    #[test]
    fn headers_that_are_no_signature_are_refused() {
        let signer = Signer::new([7; 32]);
        let sent = signer.sign(b"{}".to_vec(), Timestamp(0));
        let good = sent.header(SIGNATURE_HEADER).unwrap_or_default().to_owned();
        let mut truncated = good.clone();
        truncated.truncate(good.len() - 2);
        for header in ["", "t=0", "v1=00", "t=0,v1=", "t=0,v1=0", "t=x,v1=zz", &truncated] {
            let headers = vec![(SIGNATURE_HEADER.to_owned(), header.to_owned())];
            let webhook = InboundWebhook { headers, ..sent.clone() };
            assert_eq!(signer.verify(&webhook), Err(WebhookRefused::Forged), "{header}");
        }
        let unsigned = InboundWebhook { headers: Vec::new(), ..sent };
        assert_eq!(signer.verify(&unsigned), Err(WebhookRefused::Forged));
    }
}
