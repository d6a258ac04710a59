//! `Authorization: Bearer <token>`: the token itself is the proof. The engine looks it up by its
//! SHA-256, so neither the look-up nor the database reveals it.

use super::refused::Refused;
use engine::Engine;
use engine::access::ApiKey;
use std::sync::Arc;

/// Longer than any of our tokens.
const LONGEST: usize = 256;

/// The key whose token this is.
pub async fn identify(engine: &Engine, credentials: &str) -> Result<Arc<ApiKey>, Refused> {
    let token = credentials.trim();
    if token.is_empty() {
        return Err(Refused::Unauthorized("the Authorization header holds no token"));
    }
    if token.len() > LONGEST {
        return Err(Refused::InvalidKey);
    }
    engine.find_key_by_bearer(token).await?.ok_or(Refused::InvalidKey)
}
