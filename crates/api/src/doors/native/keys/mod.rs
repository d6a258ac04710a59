//! API keys. A caller manages the keys of its own account and mode and cannot grant more than it
//! holds; a platform key sees both modes.

pub mod describe;

use super::door::Call;
use crate::http::answer::mark_replayed;
use crate::http::body::{Object, StringList, missing};
use crate::http::call::guarded;
use crate::http::invalid::{Invalid, excerpt, one_of};
use crate::http::problem::{Details, Problem};
use crate::http::route::Route;
use crate::http::time::Iso;
use crate::openapi::{Schema, printed};
use axum::response::Response;
use domain::tenant::Mode;
use engine::access::KeyScope::{ApiKeyRead, ApiKeyWrite};
use engine::access::{ErrorProfile, KeyForm, Permissions};
use engine::{KeyListing, KeyOwner, KeyRequest, MadeKey};
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/api-keys", ApiKeyRead, list),
        guarded(M::POST, "/api/v1/api-keys", ApiKeyWrite, create),
        guarded(M::DELETE, "/api/v1/api-keys/{id}", ApiKeyWrite, revoke),
    ]
}

pub const LONGEST_NAME: usize = 80;
/// Limits on the scopes of one key.
pub const SCOPES: StringList = StringList { most: 50, longest: 64 };

printed! {
    /// A key with its secrets, shown once.
    #[serde(rename_all = "camelCase")]
    struct KeyWire<'a> {
        id: &'a str = Schema::string().like("ak_test_01KREAEM40E8TXW4VNC0XM1R2P"),
        key_id: &'a str = Schema::string().says("The same, as signed requests name it."),
        name: &'a str = Schema::string(),
        key_prefix: Option<&'a str> =
            Schema::text_or_null("The first 12 characters of the Bearer token."),
        environment: &'static str = Schema::words(["test", "live", "platform"]),
        scopes: Vec<&'a str> = Schema::list(Schema::string()),
        last_used_at: Option<Iso> = Schema::time().says("To the hour.").or_null(),
        created_at: Iso = Schema::time(),
        revoked_at: Option<Iso> = Schema::time().or_null(),
        key?: &'a str = Schema::string().says("The Bearer token. Not there in a repeated answer."),
        secret?: &'a str = Schema::string().says("What signs requests. Likewise."),
    }
}

impl<'a> KeyWire<'a> {
    fn new(key: &'a KeyListing) -> Self {
        Self {
            id: &key.id,
            key_id: &key.id,
            name: &key.name,
            key_prefix: key.prefix.as_deref(),
            environment: key.mode.map_or("platform", Mode::as_str),
            scopes: key.scopes.split_whitespace().collect(),
            last_used_at: key.last_used_at.map(Iso),
            created_at: Iso(key.created_at),
            revoked_at: key.revoked_at.map(Iso),
            key: None,
            secret: None,
        }
    }
}

/// The owner of the keys that the caller manages.
fn owner(call: &Call) -> KeyOwner {
    let mode = call.key().mode.map(|_| call.tenant().mode());
    KeyOwner { account: call.tenant().account(), mode }
}

/// Lists keys: active ones first, then newest first.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let keys = call.engine().list_keys_of(owner(&call)).await?;
    let items: Vec<_> = keys.iter().map(KeyWire::new).collect();
    Ok(call.answer(StatusCode::OK, &items))
}

/// Creates a key. Only this answer has its secrets: a repeated request gets the key as it is,
/// without them.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let name = object.name("name", LONGEST_NAME)?;
    let name = name.ok_or_else(|| missing("name", "what you call the key, such as \"till 3\""))?;
    let mode = read_environment(&call, &object)?;
    let scopes = read_scopes(&call, &object)?;
    let error_profile = read_profile(&object)?;
    let request = KeyRequest {
        account: call.account(),
        mode: Some(mode),
        platform: false,
        form: read_form(&object)?,
        scopes: scopes.clone(),
        error_profile,
        name: name.clone().into_owned(),
    };
    let answered =
        call.engine().create_key_once(call.tenant(), request, call.idempotency_key()).await;
    let new = match answered? {
        MadeKey::New(new) => new,
        MadeKey::Before(listing) => {
            let mut response = call.answer(StatusCode::CREATED, &KeyWire::new(&listing));
            mark_replayed(&mut response, true);
            return Ok(response);
        }
    };
    let (key, secret) = (new.bearer.expose_secret(), new.secret.expose_secret());
    let wire = KeyWire {
        id: &new.key_id,
        key_id: &new.key_id,
        name: &name,
        key_prefix: Some(&new.prefix),
        environment: mode.as_str(),
        scopes: scopes.split_whitespace().collect(),
        last_used_at: None,
        created_at: Iso(new.created_at),
        revoked_at: None,
        key: Some(key),
        secret: Some(secret),
    };
    Ok(call.answer(StatusCode::CREATED, &wire))
}

/// The mode of the new key; the caller's own by default. Only a platform key makes keys of the
/// other mode.
fn read_environment(call: &Call, object: &Object<'_>) -> Result<Mode, Problem> {
    let field = "environment";
    let own = call.tenant().mode();
    let mode = match object.text(field, 64)? {
        None => own,
        Some(text) => Mode::from_text(&text).ok_or_else(|| {
            let text = excerpt(&text);
            Invalid::field(field, format!("environment is test or live, not {text:?}"))
        })?,
    };
    if mode == own || call.key().mode.is_none() {
        return Ok(mode);
    }
    let message = format!(
        "a {own} key makes {own} keys only; send \"environment\": \"{own}\" or use a {mode} key"
    );
    let problem = Problem::new(StatusCode::FORBIDDEN, "wrong_environment", message);
    Err(problem.about(field))
}

/// The scopes of the new key as they are stored. No scopes means all scopes of a merchant.
fn read_scopes(call: &Call, object: &Object<'_>) -> Result<String, Problem> {
    let words = object.strings("scopes", SCOPES)?.unwrap_or_default();
    if let Some(word) = words.iter().find(|word| !is_word(word)) {
        let word = excerpt(word);
        let message = format!("each scope is one word such as refund:read; got {word:?}");
        return Err(Invalid::field("scopes", message).into());
    }
    let scopes = if words.is_empty() { "*".to_owned() } else { words.join(" ") };
    let wanted =
        Permissions::parse(&scopes).map_err(|error| Invalid::field("scopes", error.to_string()))?;
    match call.key().permissions.first_beyond(&wanted) {
        None => Ok(scopes),
        Some(scope) => Err(beyond(scope)),
    }
}

/// Scopes are stored with spaces between them.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

fn beyond(scope: String) -> Problem {
    let message = format!(
        "this key does not have the scope {scope} and so cannot give it to another; ask for less, \
         or use a key that has it"
    );
    Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
        .about("scopes")
        .with(Details::MissingScope { missing: scope })
}

fn read_profile(object: &Object<'_>) -> Result<ErrorProfile, Invalid> {
    let Some(text) = object.text("errorProfile", 64)? else { return Ok(ErrorProfile::Node) };
    ErrorProfile::from_text(&text).ok_or_else(|| {
        let text = excerpt(&text);
        Invalid::field("errorProfile", format!("errorProfile is node or go, not {text:?}"))
    })
}

fn read_form(object: &Object<'_>) -> Result<KeyForm, Invalid> {
    let Some(text) = object.text("format", 64)? else { return Ok(KeyForm::default()) };
    one_of("format", &text, KeyForm::ALL, KeyForm::as_str)
}

/// Revokes a key at once. Revoking it again changes nothing.
pub async fn revoke(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let found = call.engine().find_key_of(owner(&call), call.id()).await?;
    let found = found.ok_or_else(|| Problem::not_found("API key"))?;
    if found.id == call.key().id {
        let message = "this is the key that the request was made with; revoke it with another key";
        return Err(Problem::new(StatusCode::CONFLICT, "cannot_revoke_current", message));
    }
    call.engine().revoke_key(&found.id).await?;
    Ok(call.no_content())
}
