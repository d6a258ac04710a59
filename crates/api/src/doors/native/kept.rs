//! Operations whose whole answer is kept under the caller's idempotency key, sealed, since it can
//! hold secrets. What makes or moves money has names of its own in the engine and is not among them.
//!
//! A request under a key is processed by a task of its own, so that its answer is kept also when the
//! client does not stay to hear it.

use super::envelope;
use super::error::Problem;
use super::serve::{Call, guarded, mark_replayed};
use crate::route::Route;
use axum::body::Body;
use axum::response::Response;
use domain::decide::Refusal;
use engine::access::KeyScope;
use engine::{Begun, Engine, Error, Keyed};
use http::{Method, StatusCode};

/// An operation whose answer is kept, unless it is a refusal: that is decided anew.
pub fn kept<E, F>(method: Method, path: &'static str, permission: KeyScope, endpoint: E) -> Route
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    guarded(method, path, permission, move |call| answer_once(call, endpoint))
}

async fn answer_once<E, F>(call: Call, endpoint: E) -> Result<Response, Problem>
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let Some(key) = call.idempotency_key() else { return endpoint(call).await };
    let engine = call.engine().clone();
    let begun = engine.begin_request(call.scope(), key, &call.request()).await;
    match begun.map_err(|error| call.refused(&error))? {
        Begun::Process(keyed) => {
            let (tell, told) = tokio::sync::oneshot::channel();
            let worker = engine.clone();
            engine.spawn(async move {
                let _ = tell.send(keep(&worker, &keyed, endpoint(call).await).await);
            });
            told.await.unwrap_or_else(|_| Err(Problem::internal()))
        }
        Begun::Running => Err(call.refused(&Error::InProgress)),
        Begun::Other => Err(call.refused(&Error::Refused(Refusal::KeyReused))),
        Begun::Answered { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = match status {
                StatusCode::NO_CONTENT => envelope::no_content(call.request_id()),
                status => envelope::wrap(status, body, &call.request_id().to_string()),
            };
            mark_replayed(&mut response, true);
            Ok(response)
        }
    }
}

/// Keeps an answer. Where that fails, the key is free again once it runs out.
async fn keep(
    engine: &Engine,
    keyed: &Keyed,
    answered: Result<Response, Problem>,
) -> Result<Response, Problem> {
    let response = match answered {
        Ok(response) => response,
        Err(problem) => {
            if let Err(error) = engine.abandon_request(keyed).await {
                tracing::warn!(%error, "an idempotency key was not let go");
            }
            return Err(problem);
        }
    };
    let (parts, body) = response.into_parts();
    // It was printed in whole.
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    if let Err(error) = engine.keep_answer(keyed, parts.status.as_u16(), &body).await {
        tracing::warn!(%error, "an answer was not kept under its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
