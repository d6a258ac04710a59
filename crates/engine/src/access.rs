//! API keys and what they may do.

use domain::ids::AccountId;
use domain::tenant::Mode;
use secrecy::SecretBox;
use std::sync::atomic::AtomicI64;

macro_rules! key_scopes {
    ($($scope:ident = $resource:literal : $action:literal,)+) => {
        /// An action on a resource that a key can be allowed to do. Every list of scopes is read off
        /// this one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum KeyScope { $($scope,)+ }

        impl KeyScope {
            /// Every scope; the scopes of one resource stand together.
            pub const ALL: &[Self] = &[$(Self::$scope,)+];

            /// The resource, such as `refund`.
            pub const fn resource(self) -> &'static str {
                match self { $(Self::$scope => $resource,)+ }
            }

            /// `read`, `write`, or what only this resource has.
            pub const fn action(self) -> &'static str {
                match self { $(Self::$scope => $action,)+ }
            }
        }
    };
}

key_scopes! {
    RefundRead = "refund":"read",
    RefundWrite = "refund":"write",
    RefundResolve = "refund":"resolve",
    PaymentRead = "payment":"read",
    PaymentWrite = "payment":"write",
    LedgerRead = "ledger":"read",
    LedgerWrite = "ledger":"write",
    EventRead = "event":"read",
    EventWrite = "event":"write",
    EventTrigger = "event":"trigger",
    CheckoutRead = "checkout":"read",
    CheckoutWrite = "checkout":"write",
    InvoiceRead = "invoice":"read",
    InvoiceWrite = "invoice":"write",
    WebhookRead = "webhook":"read",
    WebhookWrite = "webhook":"write",
    ApiKeyRead = "apikey":"read",
    ApiKeyWrite = "apikey":"write",
    ProviderRead = "provider":"read",
    ProviderWrite = "provider":"write",
    ReportRead = "report":"read",
    ReportWrite = "report":"write",
}

impl KeyScope {
    /// The resources that scopes can name, each once.
    pub fn resources() -> Vec<&'static str> {
        let mut resources: Vec<_> = Self::ALL.iter().map(|scope| scope.resource()).collect();
        resources.dedup();
        resources
    }

    /// True when every resource has `action`, so that `*` can stand for the resource.
    fn is_common(action: &str) -> bool {
        let with_it = Self::ALL.iter().filter(|scope| scope.action() == action);
        with_it.count() == Self::resources().len()
    }

    /// The scopes whose action only some resources have, such as `refund:resolve`.
    pub fn special() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|scope| !Self::is_common(scope.action()))
    }
}

impl std::fmt::Display for KeyScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.resource(), self.action())
    }
}

/// A scope word that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown scope {0:?}: write resource:action, where resource is one of {resources} or *, and action is read, write or *, or {special}",
    resources = KeyScope::resources().join(", "),
    special = KeyScope::special().map(|scope| scope.to_string()).collect::<Vec<_>>().join(" or ")
)]
pub struct UnknownScope(pub String);

/// The permissions of a key: scopes such as `refund:write`, `payment:*` or `*`, each also with the prefix
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
    pub fn allow(&self, wanted: KeyScope) -> bool {
        self.granted.iter().any(|(resource, action)| {
            (&**resource == "*" || &**resource == wanted.resource())
                && (&**action == "*" || &**action == wanted.action())
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
    let known = match (resource, action) {
        ("*", "*") => true,
        ("*", action) => KeyScope::is_common(action),
        (resource, action) => KeyScope::ALL.iter().any(|scope| {
            scope.resource() == resource && (action == "*" || scope.action() == action)
        }),
    };
    if !known {
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

/// The form of a Bearer token. Any key opens every door; some clients look at their
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

    /// The prefix of a token; `None` where this form has no such key.
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
    fn a_special_action_belongs_to_its_resource_alone() {
        assert!(scopes("event:trigger").allow(KeyScope::EventTrigger));
        assert!(scopes("event:*").allow(KeyScope::EventTrigger));
        assert!(!scopes("event:write event:read").allow(KeyScope::EventTrigger));
        assert!(scopes("refund:resolve").allow(KeyScope::RefundResolve));
        assert!(!scopes("refund:write refund:read *:write").allow(KeyScope::RefundResolve));
        let unknown = ["refund:trigger", "*:trigger", "*:resolve", "event:resolve", "event:fire"];
        for text in unknown.into_iter().chain(["event:", "event"]) {
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
