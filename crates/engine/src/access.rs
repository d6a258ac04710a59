//! API keys and what they may do.

use domain::account::Mode;
use domain::ids::AccountId;
use secrecy::SecretBox;
use std::sync::atomic::AtomicI64;

/// One thing a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The resource, such as `refund`.
    pub resource: &'static str,
    /// `read`, `write`, or `trigger` for events.
    pub action: &'static str,
}

impl Permission {
    /// The permission `resource:action`.
    pub const fn new(resource: &'static str, action: &'static str) -> Self {
        Self { resource, action }
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.resource, self.action)
    }
}

/// The resources that scopes can name.
pub const RESOURCES: &[&str] =
    &["refund", "payment", "ledger", "event", "checkout", "invoice", "webhook", "apikey", "report"];

/// A scope word that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown scope {0:?}: write resource:action, where resource is one of {list} or *, and action is read, write or *, or event:trigger",
    list = RESOURCES.join(", ")
)]
pub struct UnknownScope(pub String);

/// What a key may do: scopes such as `refund:write`, `payment:*` or `*`, each also with the prefix
/// `plugipay:` or `refundry:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    granted: Vec<(Box<str>, Box<str>)>,
}

impl Permissions {
    /// Reads space-separated scopes.
    pub fn parse(scopes: &str) -> Result<Self, UnknownScope> {
        let granted = scopes.split_whitespace().map(parse_scope).collect::<Result<_, _>>()?;
        Ok(Self { granted })
    }

    /// True when one of the scopes covers `wanted`.
    pub fn allow(&self, wanted: Permission) -> bool {
        self.granted.iter().any(|(resource, action)| {
            (&**resource == "*" || &**resource == wanted.resource)
                && (&**action == "*" || &**action == wanted.action)
        })
    }

    /// The first scope of `wanted` that none of these covers by itself: what a key with these may
    /// not hand on.
    pub fn first_beyond(&self, wanted: &Self) -> Option<String> {
        let covers = |(resource, action): &(Box<str>, Box<str>)| {
            self.granted.iter().any(|(ours, acts)| {
                (&**ours == "*" || ours == resource) && (&**acts == "*" || acts == action)
            })
        };
        let (resource, action) = wanted.granted.iter().find(|scope| !covers(scope))?;
        Some(match (&**resource, &**action) {
            ("*", "*") => "*".to_owned(),
            (resource, action) => format!("{resource}:{action}"),
        })
    }
}

fn parse_scope(word: &str) -> Result<(Box<str>, Box<str>), UnknownScope> {
    let unknown = || UnknownScope(word.to_owned());
    let bare =
        word.strip_prefix("plugipay:").or_else(|| word.strip_prefix("refundry:")).unwrap_or(word);
    if bare == "*" {
        return Ok(("*".into(), "*".into()));
    }
    let (resource, action) = bare.split_once(':').ok_or_else(unknown)?;
    let known = resource == "*" || RESOURCES.contains(&resource);
    let acts = match action {
        "read" | "write" | "*" => true,
        "trigger" => resource == "event",
        _ => false,
    };
    if !known || !acts {
        return Err(unknown());
    }
    Ok((resource.into(), action.into()))
}

/// Which page's error table a key is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ErrorProfile {
    /// 422 `over_refund`, 409 `state_conflict`, 404 `not_found`.
    #[default]
    Node,
    /// 400 `validation_error`, 404 `not_found`.
    Go,
}

impl ErrorProfile {
    /// The profile called `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "node" => Some(Self::Node),
            "go" => Some(Self::Go),
            _ => None,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Go => "go",
        }
    }
}

/// What the Bearer token of a key looks like. Any key opens every door; some clients look at their
/// key's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyForm {
    /// `pk_test_…`, `pk_live_…`, `pk_platform_…`.
    #[default]
    Refundry,
    /// `sk_sandbox_…` and `sk_live_…`, and `oa_…` for platforms.
    ElasticPay,
}

impl KeyForm {
    /// Every form.
    pub const ALL: &[Self] = &[Self::Refundry, Self::ElasticPay];

    /// The form called `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|form| form.as_str() == text)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refundry => "refundry",
            Self::ElasticPay => "elasticpay",
        }
    }

    /// What a token starts with; `None` where this form has no such key.
    pub const fn prefix(self, mode: Option<Mode>, platform: bool) -> Option<&'static str> {
        Some(match (self, mode, platform) {
            (Self::Refundry, Some(Mode::Test), false) => "pk_test_",
            (Self::Refundry, Some(Mode::Live), false) => "pk_live_",
            (Self::Refundry, _, _) => "pk_platform_",
            (Self::ElasticPay, Some(Mode::Test), false) => "sk_sandbox_",
            (Self::ElasticPay, Some(Mode::Live), false) => "sk_live_",
            (Self::ElasticPay, Some(Mode::Test), true) => "oa_sandbox_",
            (Self::ElasticPay, Some(Mode::Live), true) => "oa_live_",
            (Self::ElasticPay, None, _) => return None,
        })
    }
}

/// A key as requests are checked against it.
pub struct ApiKey {
    /// Its public id.
    pub id: Box<str>,
    /// Number of its account.
    pub account_number: u32,
    /// Id of its account.
    pub account: AccountId,
    /// The mode it works in; `None` for platform keys.
    pub mode: Option<Mode>,
    /// It may act for other accounts.
    pub platform: bool,
    /// What it may do.
    pub permissions: Permissions,
    /// Its error table.
    pub error_profile: ErrorProfile,
    /// SHA-256 of its Bearer token.
    pub bearer_hash: [u8; 32],
    /// Its signing secret.
    pub signing_secret: SecretBox<[u8]>,
    /// It was revoked.
    pub revoked: bool,
    /// When its last use was noted, milliseconds since the epoch; 0 for never.
    pub last_used_ms: AtomicI64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Permissions {
        Permissions::parse(text).expect("known scopes")
    }

    #[test]
    fn only_events_can_be_triggered() {
        assert!(scopes("event:trigger").allow(Permission::new("event", "trigger")));
        assert!(scopes("event:*").allow(Permission::new("event", "trigger")));
        assert!(!scopes("event:write event:read").allow(Permission::new("event", "trigger")));
        for text in ["refund:trigger", "*:trigger", "event:fire", "event:", "event"] {
            assert!(Permissions::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_key_hands_on_what_it_does_not_hold() {
        for (held, wanted, beyond) in [
            ("*", "* refund:write event:trigger", None),
            ("refund:*", "refund:read refund:write plugipay:refund:*", None),
            ("*:read", "refund:read *:read", None),
            ("refund:read apikey:write", "refund:write", Some("refund:write")),
            ("refund:read refund:write", "refund:*", Some("refund:*")),
            ("refund:*", "refund:read payment:read", Some("payment:read")),
            ("*:read *:write", "*", Some("*")),
            ("event:*", "*:read", Some("*:read")),
            ("", "refund:read", Some("refund:read")),
            ("refund:read", "", None),
        ] {
            let found = scopes(held).first_beyond(&scopes(wanted));
            assert_eq!(found.as_deref(), beyond, "{held} -> {wanted}");
        }
    }
}
