//! The switches that stop all sending of refunds. A merchant's key throws that of its account and mode, a platform key
//! that of everyone.

pub mod describe;
pub mod wire;

use self::wire::SendingWire;
use super::door::Call;
use crate::http::auth::{PLATFORM_ADMIN, Refused};
use crate::http::body::Object;
use crate::http::call::guarded;
use crate::http::headers::{MODE, ON_BEHALF_OF};
use crate::http::idempotent::idempotent;
use crate::http::invalid::{Invalid, one_of};
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::administer::sending::ThrowSwitch;
use domain::sending::{Reach, everyone};
use domain::tenant::{Mode, Tenant};
use engine::access::KeyScope::{ProviderRead, ProviderWrite};
use engine::provider_accounts::LONGEST_REASON;
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/sending", ProviderRead, get),
        idempotent(M::POST, "/api/v1/sending/stop", ProviderWrite, stop),
        idempotent(M::POST, "/api/v1/sending/start", ProviderWrite, start),
    ]
}

/// Whether refunds of the caller's account are sent.
pub async fn get(call: Call) -> Result<Response, Problem> {
    answer(&call, call.tenant()).await
}

pub async fn stop(call: Call) -> Result<Response, Problem> {
    throw(call, true).await
}

pub async fn start(call: Call) -> Result<Response, Problem> {
    throw(call, false).await
}

async fn throw(call: Call, stop: bool) -> Result<Response, Problem> {
    let (mode, reach, reason) = {
        let object = call.optional_object()?;
        let object = object.as_ref();
        let reason = object.map(|object| object.name("reason", LONGEST_REASON)).transpose()?;
        let reason = reason.flatten().map(Into::into);
        (read_mode(&call, object)?, read_reach(&call, object)?, reason)
    };
    let own = Tenant::new(call.tenant().account(), mode);
    let tenant = match reach {
        Reach::Account => own,
        Reach::Everyone => everyone(mode),
    };
    let recorded_in = Some((own, call.account()));
    let switch = ThrowSwitch { tenant, stop, reason, recorded_in };
    call.engine().throw_sending_switch(switch).await?;
    answer(&call, own).await
}

async fn answer(call: &Call, tenant: Tenant) -> Result<Response, Problem> {
    let status = call.engine().sending_status(tenant).await?;
    Ok(call.answer(StatusCode::OK, &SendingWire::new(&status, tenant.mode())))
}

/// The mode whose sending is meant: that of the key. A key of both modes has to name it, so that nobody stops the
/// wrong one in a hurry.
fn read_mode(call: &Call, object: Option<&Object<'_>>) -> Result<Mode, Problem> {
    let field = "mode";
    let named = object.map(|object| object.text(field, 64)).transpose()?.flatten();
    let named = named.map(|text| one_of(field, &text, Mode::ALL, Mode::as_str)).transpose()?;
    let own = call.tenant().mode();
    match (named, call.key().mode) {
        (Some(mode), Some(of_key)) if mode != of_key => {
            let message = format!(
                "a key of {of_key} mode stops and starts the sending of {of_key} refunds; use a key of {mode} mode"
            );
            let problem = Problem::new(StatusCode::FORBIDDEN, "wrong_environment", message);
            Err(problem.about(field))
        }
        (Some(mode), _) => Ok(mode),
        (None, Some(_)) => Ok(own),
        (None, None) if MODE.find(call.headers())?.is_some() => Ok(own),
        (None, None) => {
            let message = "mode is missing; this key works in both modes, so send test or live";
            Err(Invalid::field(field, message).into())
        }
    }
}

/// Whose sending is meant. Platform keys that act on behalf of nobody mean everyone.
fn read_reach(call: &Call, object: Option<&Object<'_>>) -> Result<Reach, Problem> {
    let field = "reach";
    let named = object.map(|object| object.text(field, 64)).transpose()?.flatten();
    let named = named.map(|text| one_of(field, &text, Reach::ALL, Reach::as_str)).transpose()?;
    let platform = call.key().platform;
    let acts_for_all = platform && ON_BEHALF_OF.find(call.headers())?.is_none();
    match named {
        Some(Reach::Everyone) if !platform => {
            let refused = Refused::MissingScope(PLATFORM_ADMIN.to_owned());
            Err(Problem::from(refused).about(field))
        }
        Some(reach) => Ok(reach),
        None if acts_for_all => Ok(Reach::Everyone),
        None => Ok(Reach::Account),
    }
}
