//! The first steps of every door: read the body, authenticate the caller, and take the request out
//! of the caller's rate limit.

use crate::app::App;
use crate::http::auth::{Caller, Refused, authenticate};
use crate::http::body::{self, BodyError};
use crate::http::limits::{Class, Peer, Quota};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use engine::access::KeyScope;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use std::net::IpAddr;
use std::time::Duration;

/// A request exceeds a rate limit; the next one may come after this time.
#[derive(Clone, Copy, Debug)]
pub struct RateLimited(pub Duration);

impl RateLimited {
    /// The time to wait in whole seconds, for `Retry-After`.
    pub fn seconds(self) -> u32 {
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0)).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

/// Takes a request without a key out of its client's share; `Some` when the share is used up.
pub fn count_public(app: &App, request: &Request) -> Option<RateLimited> {
    let client = client(app, request.headers(), request.extensions())?;
    app.limits.as_ref()?.public(client).retry_in.map(RateLimited)
}

/// Admits a request whose caller must hold `permission`; gives the caller and the body. `quota` is
/// set as soon as the caller is authenticated, before anything is done with the body. `P` is the
/// door's own error.
pub async fn admit<P: From<BodyError> + From<Refused> + From<RateLimited>>(
    app: &App,
    parts: &Parts,
    body: Body,
    (permission, class): (KeyScope, Class),
    quota: &mut Option<Quota>,
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
        let after = quota.insert(limits.account(caller.tenant, class));
        if let Some(wait) = after.retry_in {
            return Err(RateLimited(wait).into());
        }
    }
    Ok((caller, body))
}

/// Counts a failed authentication against its client. Requests with a genuine key are not counted,
/// so others behind the same address cannot block them.
pub fn count_failure(app: &App, client: Option<IpAddr>) -> Option<RateLimited> {
    app.limits.as_ref()?.failure(client?).retry_in.map(RateLimited)
}

/// The client that sent a request; `None` without rate limits.
pub fn client(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    app.limits.as_ref()?.client(headers, extensions.get::<Peer>().copied())
}
