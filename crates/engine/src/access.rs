//! API keys and what they may do.

use domain::account::Mode;
use domain::ids::AccountId;
use secrecy::SecretBox;

/// One thing a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The resource, such as `refund`.
    pub resource: &'static str,
    /// `read` or `write`.
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
    "unknown scope {0:?}: write resource:action, where resource is one of {list} or *, and action is read, write or *",
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
    if !known || !matches!(action, "read" | "write" | "*") {
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
}
