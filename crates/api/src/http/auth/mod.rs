//! Authentication and authorization for every door.
//!
//! [`authenticate`] is the only way to a [`Caller`] and takes the permission that the operation
//! needs, so no operation can skip the check.

mod bearer;
mod hmac;
mod refused;

pub use refused::Refused;

use crate::http::headers::{MODE, ON_BEHALF_OF, single};
use crate::http::invalid::{Invalid, excerpt};
use domain::ids::AccountId;
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use engine::Engine;
use engine::access::{ApiKey, KeyScope};
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::sync::Arc;

/// The permission that lets a key act for other accounts.
pub const PLATFORM_ADMIN: &str = "platform:admin";

/// An authenticated caller that may do what it asks for.
#[derive(Clone)]
pub struct Caller {
    pub key: Arc<ApiKey>,
    pub account: AccountId,
    /// That account in the mode it acts in.
    pub tenant: Tenant,
}

/// Authenticates a request and checks that its key holds `permission`.
pub async fn authenticate(
    engine: &Engine,
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
    permission: KeyScope,
) -> Result<Caller, Refused> {
    let key = identify(engine, parts, body, now).await?;
    if key.revoked {
        return Err(Refused::InvalidKey);
    }
    if !key.permissions.allow(permission) {
        return Err(Refused::MissingScope(permission.to_string()));
    }
    engine.note_key_use(&key);
    let mode = choose_mode(&key, parts)?;
    let Some(account) = ON_BEHALF_OF.find(&parts.headers)? else {
        let (account, tenant) = (key.account, Tenant::new(key.account_number, mode));
        return Ok(Caller { key, account, tenant });
    };
    if !key.platform {
        return Err(Refused::MissingScope(PLATFORM_ADMIN.to_owned()));
    }
    let id = account.to_str().ok().and_then(|text| AccountId::parse(text).ok());
    let id = id.ok_or(Refused::UnknownAccount)?;
    let account = engine.find_account(id).await?.ok_or(Refused::UnknownAccount)?;
    Ok(Caller { key, account: account.id, tenant: Tenant::new(account.number, mode) })
}

/// The key that a request proves to hold. It may have been revoked.
async fn identify(
    engine: &Engine,
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<Arc<ApiKey>, Refused> {
    const HINT: &str = "send Authorization: Bearer <token>, or a signed request";
    let header = single(&parts.headers, &AUTHORIZATION)?;
    let header = header.ok_or(Refused::Unauthorized(HINT))?;
    let header = header.to_str().map_err(|_| Refused::Unauthorized(HINT))?;
    let (scheme, credentials) = header.split_once(' ').ok_or(Refused::Unauthorized(HINT))?;
    match Scheme::from_text(scheme).ok_or(Refused::Unauthorized(HINT))? {
        Scheme::Bearer => bearer::identify(engine, credentials).await,
        Scheme::Hmac => hmac::identify(engine, credentials, parts, body, now).await,
    }
}

enum Scheme {
    Bearer,
    Hmac,
}

impl Scheme {
    fn from_text(text: &str) -> Option<Self> {
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        if is("Bearer") {
            Some(Self::Bearer)
        } else if is("Plugipay-HMAC-SHA256") || is("Refundry-HMAC-SHA256") {
            Some(Self::Hmac)
        } else {
            None
        }
    }
}

/// The key decides the mode. Only a platform key may choose one. Another key whose request names
/// the other mode was mixed up, so the request is refused.
fn choose_mode(key: &ApiKey, parts: &Parts) -> Result<Mode, Invalid> {
    let named = MODE.find(&parts.headers)?.map(|value| {
        let text = value.to_str().unwrap_or_default();
        Mode::from_text(text).ok_or_else(|| {
            let text = excerpt(text);
            Invalid::field(MODE.name(), format!("the mode is test or live, not {text:?}"))
        })
    });
    match (key.mode, named.transpose()?) {
        (Some(mode), Some(named)) if mode != named => Err(Invalid::field(
            MODE.name(),
            format!(
                "this key works in {mode} mode only; use a {named} key or leave the header out"
            ),
        )),
        (Some(mode), _) => Ok(mode),
        (None, named) => Ok(named.unwrap_or(Mode::Test)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::Ids;
    use engine::access::{ErrorProfile, Permissions};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn key(mode: Option<Mode>) -> ApiKey {
        let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
        ApiKey {
            id: "ak_test_1".into(),
            account_number: 1,
            account: AccountId::from_ulid(ids.ulid(Timestamp(1))),
            mode,
            platform: mode.is_none(),
            permissions: Permissions::parse("*").expect("known scopes"),
            error_profile: ErrorProfile::Node,
            bearer_hash: [0; 32],
            signing_secret: secrecy::SecretBox::new(Vec::from(*b"secret").into_boxed_slice()),
            revoked: false,
            last_used_ms: std::sync::atomic::AtomicI64::new(0),
        }
    }

    fn chosen(mode: Option<Mode>, header: Option<&'static str>) -> Result<Mode, Invalid> {
        let mut request = http::Request::builder();
        if let Some(value) = header {
            request = request.header("X-Plugipay-Mode", value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        choose_mode(&key(mode), &parts)
    }

    #[test]
    fn the_key_decides_the_mode_and_only_platform_keys_choose() {
        assert_eq!(chosen(Some(Mode::Live), None), Ok(Mode::Live));
        assert_eq!(chosen(Some(Mode::Live), Some("live")), Ok(Mode::Live));
        assert!(chosen(Some(Mode::Live), Some("test")).is_err());
        assert!(chosen(Some(Mode::Test), Some("live")).is_err());
        assert_eq!(chosen(None, None), Ok(Mode::Test));
        assert_eq!(chosen(None, Some("live")), Ok(Mode::Live));
        assert!(chosen(None, Some("LIVE")).is_err());
        assert!(chosen(None, Some("")).is_err());
    }

    #[test]
    fn schemes_are_recognised_in_any_case() {
        assert!(matches!(Scheme::from_text("bearer"), Some(Scheme::Bearer)));
        assert!(matches!(Scheme::from_text("Plugipay-HMAC-SHA256"), Some(Scheme::Hmac)));
        assert!(matches!(Scheme::from_text("Refundry-HMAC-SHA256"), Some(Scheme::Hmac)));
        assert!(Scheme::from_text("Basic").is_none());
        assert!(Scheme::from_text("").is_none());
    }
}
