//! What every door does before it looks at what a request asks for: reads the body, finds out who asks,
//! and takes from their share.

use crate::App;
use crate::auth::{Caller, Refused, authenticate};
use crate::body::{self, BodyError};
use crate::limits::{Class, Peer, Standing};
use axum::body::{Body, Bytes};
use engine::access::Permission;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use std::net::IpAddr;
use std::time::Duration;

/// Who asks has asked too often, and may again in this time.
pub struct TooOften(pub Duration);

/// Takes in a request of a caller that holds `permission`: who it is, and the body. `standing` is set as
/// soon as it is certain whose share of `class` this takes from; nothing was done with the body then. A
/// door says in its own words, `P`, why a request is turned away.
pub async fn admit<P: From<BodyError> + From<Refused> + From<TooOften>>(
    app: &App,
    parts: &Parts,
    body: Body,
    (permission, class): (Permission, Class),
    standing: &mut Option<Standing>,
) -> Result<(Caller, Bytes), P> {
    let config = &app.config;
    let body = body::read(&parts.headers, body, config.max_body_bytes, config.body_timeout).await?;
    let now = app.engine.now();
    let caller = match authenticate(&app.engine, parts, &body, now, permission).await {
        Ok(caller) => caller,
        Err(refused) => {
            let forged = refused.is_of_nobody();
            let client = client(app, &parts.headers, &parts.extensions).filter(|_| forged);
            return Err(count_failure(app, client).map_or_else(|| refused.into(), P::from));
        }
    };
    if let Some(limits) = &app.limits {
        let after = standing.insert(limits.account(caller.scope, class));
        if let Some(wait) = after.retry_in {
            return Err(TooOften(wait).into());
        }
    }
    Ok((caller, body))
}

/// Counts a request that nobody is known to have sent against its client. A genuine key is never refused
/// for what others on its address do wrong.
pub fn count_failure(app: &App, client: Option<IpAddr>) -> Option<TooOften> {
    app.limits.as_ref()?.failure(client?).retry_in.map(TooOften)
}

/// Who sent a request; `None` when nobody is counted.
pub fn client(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    app.limits.as_ref()?.client(headers, extensions.get::<Peer>().copied())
}
