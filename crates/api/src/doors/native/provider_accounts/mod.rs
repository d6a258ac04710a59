//! Provider accounts: the credentials of payment providers. Secrets come in and are never shown again.

pub mod describe;
pub mod wire;

use self::wire::ProviderAccountWire;
use super::door::Call;
use super::page::{List, Paging};
use crate::http::body::{NamedText, Object, TextMap, missing};
use crate::http::call::guarded;
use crate::http::idempotent::idempotent;
use crate::http::invalid::Invalid;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::openapi::Schema;
use axum::response::Response;
use domain::administer::provider_account::Changes;
use domain::ids::ProviderAccountId;
use domain::provider_account::{Settings, State};
use engine::access::KeyScope::{ProviderRead, ProviderWrite};
use engine::provider_accounts::{
    LONGEST_NAME, LONGEST_REASON, ProviderAccountDraft, ProviderAccountView, Secrets,
};
use engine::{LONGEST_SECRET, LONGEST_VALUE, ProviderAccountFilter};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/provider-accounts", ProviderRead, list),
        idempotent(M::POST, "/api/v1/provider-accounts", ProviderWrite, create),
        guarded(M::GET, "/api/v1/provider-accounts/{id}", ProviderRead, get),
        idempotent(M::PATCH, "/api/v1/provider-accounts/{id}", ProviderWrite, change),
        idempotent(M::DELETE, "/api/v1/provider-accounts/{id}", ProviderWrite, remove),
        idempotent(M::POST, "/api/v1/provider-accounts/{id}/pause", ProviderWrite, pause),
        idempotent(M::POST, "/api/v1/provider-accounts/{id}/resume", ProviderWrite, resume),
        idempotent(M::POST, "/api/v1/provider-accounts/{id}/rotate", ProviderWrite, rotate),
    ]
}

pub const LIST: List = List::new(
    "provider-accounts",
    &[
        ("provider", "Only those of this provider.", Schema::string),
        ("state", "Only those in this state.", wire::state),
    ],
);

pub const LONGEST_PROVIDER: usize = 64;
/// Limits on the settings of one provider account.
pub const CONFIG: TextMap = TextMap { most: 50, longest: LONGEST_VALUE };
/// Limits on the secrets of one provider account.
pub const SECRETS: TextMap = TextMap { most: 50, longest: LONGEST_SECRET };

/// Lists provider accounts that are not deleted.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let filter = ProviderAccountFilter {
        provider: query.get("provider")?.map(Into::into),
        state: query.word("state", State::ALL, State::as_str)?,
    };
    let page = call.engine().list_provider_accounts(call.tenant(), filter, paging.query).await?;
    Ok(call.page(&page, &paging, |view| view.account.id.ulid(), |view| wire(&call, view)))
}

pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let provider = object.name("provider", LONGEST_PROVIDER)?;
    let name = object.name("name", LONGEST_NAME)?;
    let draft = ProviderAccountDraft {
        provider: provider
            .ok_or_else(|| missing("provider", "the name of a provider, such as \"stripe\""))?
            .into(),
        name: name.ok_or_else(|| missing("name", "what you call the account"))?.into(),
        config: read_config(&object)?.unwrap_or_default(),
        secrets: read_secrets(&object)?.unwrap_or_default(),
    };
    let made = call.engine().create_provider_account(call.tenant(), draft).await?;
    Ok(call.answer(StatusCode::CREATED, &wire(&call, &made)))
}

/// Answers with a provider account, also with a deleted one.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let found = call.engine().find_provider_account(call.tenant(), read_id(&call)?).await?;
    Ok(shown(&call, &found.ok_or_else(not_found)?))
}

/// Changes the fields that the body has.
pub async fn change(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let object = call.object()?;
    let changes = Changes {
        name: object.name("name", LONGEST_NAME)?.map(Into::into),
        config: read_config(&object)?,
    };
    Ok(shown(&call, &call.engine().change_provider_account(call.tenant(), id, changes).await?))
}

/// Deletes a provider account. Deleting it again changes nothing.
pub async fn remove(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    call.engine().delete_provider_account(call.tenant(), read_id(&call)?).await?;
    Ok(call.no_content())
}

pub async fn pause(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let object = call.optional_object()?;
    let reason = object.map(|object| object.name("reason", LONGEST_REASON)).transpose()?.flatten();
    let reason = reason.map(Into::into);
    Ok(shown(&call, &call.engine().pause_provider_account(call.tenant(), id, reason).await?))
}

pub async fn resume(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let id = read_id(&call)?;
    Ok(shown(&call, &call.engine().resume_provider_account(call.tenant(), id).await?))
}

/// Takes a new set of secrets in place of the old one.
pub async fn rotate(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let secrets = read_secrets(&call.object()?)?;
    let secrets = secrets.ok_or_else(|| missing("secrets", "every secret of the provider"))?;
    Ok(shown(&call, &call.engine().rotate_provider_account(call.tenant(), id, &secrets).await?))
}

fn wire<'a>(call: &Call, view: &'a ProviderAccountView) -> ProviderAccountWire<'a> {
    ProviderAccountWire::new(view, call.account())
}

fn shown(call: &Call, view: &ProviderAccountView) -> Response {
    call.answer(StatusCode::OK, &wire(call, view))
}

fn not_found() -> Problem {
    Problem::not_found("provider account")
}

fn read_id(call: &Call) -> Result<ProviderAccountId, Problem> {
    ProviderAccountId::parse(call.id()).map_err(|_| not_found())
}

fn read_config(object: &Object<'_>) -> Result<Option<Settings>, Invalid> {
    let config = object.texts("config", CONFIG)?;
    Ok(config.map(|pairs| pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect()))
}

fn read_secrets(object: &Object<'_>) -> Result<Option<Secrets>, Invalid> {
    let secrets = object.texts("secrets", SECRETS)?;
    let secret = |(name, value): NamedText<'_>| (name.into(), value.into_owned().into());
    Ok(secrets.map(|pairs| pairs.into_iter().map(secret).collect()))
}
