//! Signatures of webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::webhooks::Signing;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::Write as _;

/// The headers of Standard Webhooks.
pub fn standard_headers(signing: &Signing<'_>) -> Vec<(&'static str, String)> {
    let (id, at) = (signing.event.to_string(), signing.at_s.to_string());
    let mut signatures = String::new();
    for secret in &signing.secrets {
        // The secret is the base64 behind its prefix.
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
        let parts = [id.as_bytes(), b".", at.as_bytes(), b".", signing.body.as_bytes()];
        let separator = if signatures.is_empty() { "" } else { " " };
        let signature = STANDARD.encode(sign(&key, &parts));
        // Writing to a string cannot fail.
        let _ = write!(signatures, "{separator}v1,{signature}");
    }
    vec![("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signatures)]
}

/// The HMAC-SHA256 of `parts`, one behind the other.
pub fn sign(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
