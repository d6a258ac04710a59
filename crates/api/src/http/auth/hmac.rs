//! Signed requests: `Plugipay-HMAC-SHA256 keyId=…, scope=*, signature=<hex>`.
//!
//! The signature covers the method, the request target and the body byte for byte as they came, the
//! time and the idempotency key. Nothing is re-encoded before it is compared, because clients
//! encode queries and JSON each in their own way.

use super::refused::Refused;
use crate::http::headers::{IDEMPOTENCY_KEY, TIMESTAMP};
use crate::http::query::hex_digit;
use domain::time::Timestamp;
use engine::Engine;
use engine::access::ApiKey;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::request::Parts;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Largest clock difference in seconds, either way.
const TOLERANCE_S: i64 = 300;
/// Longer than any of our key ids.
const LONGEST_KEY_ID: usize = 128;
/// Stands in for the secret of a key that does not exist, so that such a request costs as much as
/// one with a wrong signature.
const NO_SECRET: &[u8] = &[0; 32];

/// The key that signed a request.
pub async fn identify(
    engine: &Engine,
    credentials: &str,
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<Arc<ApiKey>, Refused> {
    let credentials = Credentials::parse(credentials)?;
    let time = signing_time(&parts.headers, now)?;
    let key = engine.find_key(credentials.key_id).await?;
    let signed = Signed {
        method: parts.method.as_str(),
        target: parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
        time,
        body,
        idempotency_key: parts.headers.get(&IDEMPOTENCY_KEY).map_or(b"", |key| key.as_bytes()),
    };
    let secret = key.as_ref().map_or(NO_SECRET, |key| key.signing_secret.expose_secret());
    let genuine = signed.signature(secret).ct_eq(&credentials.signature);
    match key {
        None => Err(Refused::InvalidKey),
        Some(key) if key.revoked => Err(Refused::InvalidKey),
        Some(key) if bool::from(genuine) => Ok(key),
        Some(_) => Err(Refused::InvalidSignature),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Credentials<'a> {
    key_id: &'a str,
    signature: [u8; 32],
}

impl<'a> Credentials<'a> {
    fn parse(text: &'a str) -> Result<Self, Refused> {
        let (mut key_id, mut signature) = (None, None);
        for pair in text.split(',') {
            match pair.trim().split_once('=') {
                Some(("keyId", value)) if key_id.is_none() => key_id = Some(value),
                Some(("signature", value)) if signature.is_none() => signature = Some(value),
                Some(("keyId" | "signature", _)) => {
                    return Err(Refused::Unauthorized("the Authorization header repeats a part"));
                }
                _ => {}
            }
        }
        let key_id = key_id.filter(|id| !id.is_empty());
        let key_id = key_id.ok_or(Refused::Unauthorized("the Authorization header lacks keyId"))?;
        if key_id.len() > LONGEST_KEY_ID {
            return Err(Refused::InvalidKey);
        }
        let signature = signature.and_then(decode_hex).ok_or(Refused::InvalidSignature)?;
        Ok(Self { key_id, signature })
    }
}

/// The signing time as it was sent, once it is known to be near enough.
fn signing_time(headers: &HeaderMap, now: Timestamp) -> Result<&str, Refused> {
    let value = TIMESTAMP.find(headers).map_err(|_| Refused::InvalidTimestamp)?;
    let text = value.and_then(|value| value.to_str().ok()).ok_or(Refused::InvalidTimestamp)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refused::InvalidTimestamp);
    }
    let seconds: i64 = text.parse().map_err(|_| Refused::InvalidTimestamp)?;
    let ahead_s = seconds.saturating_sub(now.0.div_euclid(1000));
    if ahead_s.saturating_abs() > TOLERANCE_S {
        return Err(Refused::TimestampSkew { ahead_s });
    }
    Ok(text)
}

/// The parts of a request that a signature covers.
struct Signed<'a> {
    method: &'a str,
    target: &'a str,
    time: &'a str,
    body: &'a [u8],
    idempotency_key: &'a [u8],
}

impl Signed<'_> {
    fn signature(&self, secret: &[u8]) -> [u8; 32] {
        // HMAC takes keys of every length; the error type of the trait is for other algorithms.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return [0; 32] };
        let digest: [u8; 32] = Sha256::digest(self.body).into();
        for part in [self.method, self.target, self.time] {
            mac.update(part.as_bytes());
            mac.update(b"\n");
        }
        mac.update(&encode_hex(&digest));
        if !self.idempotency_key.is_empty() {
            mac.update(b"\n");
            mac.update(self.idempotency_key);
        }
        mac.finalize().into_bytes().into()
    }
}

fn encode_hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    // Signatures made with Python's hmac and hashlib from the rule of Plugipay.
    #[test]
    fn signatures_are_those_of_an_independent_implementation() {
        let create = Signed {
            method: "POST",
            target: "/api/v1/refunds",
            time: "1778582520",
            body: "{\"amount\":500,\"reason\":\"café \\u003c\"}".as_bytes(),
            idempotency_key: b"idem_5f0c1d3e",
        };
        let list = Signed {
            method: "GET",
            target: "/api/v1/refunds?status=pending&sourceId=a%20b&x=a+b",
            time: "1778582520",
            body: b"",
            idempotency_key: b"",
        };
        let cancel = Signed {
            method: "POST",
            target: "/api/v1/refunds/rfd_1/cancel",
            time: "1",
            body: b"{}",
            idempotency_key: b"",
        };
        let long = "k".repeat(100);
        for (signed, secret, expected) in [
            (
                create,
                "sk_test_0123456789",
                "2d35bf8267765511bfc9be8be42b5bba5428666292506a15604f8158f1b8160b",
            ),
            (
                list,
                "sk_test_0123456789",
                "2ea0513ca6227be0a8698c8dc559292fccfc5c52808c7ea491bbdcfacaea4e4c",
            ),
            (
                cancel,
                long.as_str(),
                "e33ad54f8122d7ea79b60b72984cacc58edee4f5c8978fda476c3a09fc36c8cb",
            ),
        ] {
            let signature = signed.signature(secret.as_bytes());
            assert_eq!(std::str::from_utf8(&encode_hex(&signature)), Ok(expected));
            assert_eq!(decode_hex(expected), Some(signature));
        }
    }

    #[test]
    fn credentials_are_read_in_any_order_and_with_any_spacing() {
        let hex = "0f".repeat(32);
        let expected = Credentials { key_id: "ak_1", signature: [15; 32] };
        for text in [
            format!("keyId=ak_1, scope=*, signature={hex}"),
            format!("signature={hex},keyId=ak_1"),
            format!("  keyId=ak_1 ,scope=a:b,  signature={} ", hex.to_uppercase()),
        ] {
            assert_eq!(Credentials::parse(&text).expect("good credentials"), expected, "{text}");
        }
    }

    #[test]
    fn credentials_with_a_missing_or_broken_part_are_refused() {
        let hex = "0f".repeat(32);
        for text in [
            format!("signature={hex}"),
            format!("keyId=, signature={hex}"),
            format!("keyId=a, keyId=b, signature={hex}"),
            format!("keyId=a, signature={hex}, signature={hex}"),
        ] {
            let refused = Credentials::parse(&text);
            assert!(matches!(refused, Err(Refused::Unauthorized(_))), "{text}");
        }
        for text in [
            "keyId=a".to_owned(),
            "keyId=a, signature=".to_owned(),
            format!("keyId=a, signature={hex}0"),
            format!("keyId=a, signature={}", "zz".repeat(32)),
        ] {
            let refused = Credentials::parse(&text);
            assert!(matches!(refused, Err(Refused::InvalidSignature)), "{text}");
        }
    }

    #[test]
    fn the_signing_time_must_be_a_number_within_five_minutes() {
        let now = Timestamp(1_000_000_999);
        let at = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-plugipay-timestamp", HeaderValue::from_static(text));
            signing_time(&headers, now).map(str::to_owned)
        };
        for text in ["1000000", "1000300", "999700", "0001000000"] {
            assert_eq!(at(text).expect("a good time"), text);
        }
        for (text, ahead) in [("1000301", 301), ("999699", -301), ("0", -1_000_000)] {
            let refused = at(text).expect_err(text);
            assert!(matches!(refused, Refused::TimestampSkew { ahead_s } if ahead_s == ahead));
        }
        for text in ["", "soon", "-1000000", "+1000000", "1e6", "1000000.0", "99999999999999999999"]
        {
            assert!(matches!(at(text), Err(Refused::InvalidTimestamp)), "{text}");
        }
        let none = signing_time(&HeaderMap::new(), now).map(str::to_owned);
        assert!(matches!(none, Err(Refused::InvalidTimestamp)));
    }
}
