//! Operations whose whole answer is stored under the caller's idempotency key, sealed, since an
//! answer can hold secrets. Making and moving money has unique keys of its own in the engine.
//!
//! A task of its own processes a request under a key, so that the answer is stored even when the
//! client disconnects.

use super::answer::{mark_replayed, with_body};
use super::call::{Call, Door, Endpoint, guarded};
use super::route::Route;
use axum::body::Body;
use axum::response::Response;
use domain::decide::Refusal;
use engine::access::KeyScope;
use engine::{Engine, Error, IdempotentRequest, Keyed};
use http::{Method, StatusCode};
use std::sync::Arc;

/// An operation whose answer is stored.
pub fn idempotent<D: Door>(
    method: Method,
    path: &'static str,
    permission: KeyScope,
    endpoint: impl Endpoint<D>,
) -> Route {
    guarded(method, path, permission, move |call| answer_once(call, endpoint))
}

async fn answer_once<D: Door>(
    mut call: Call<D>,
    endpoint: impl Endpoint<D>,
) -> Result<Response, D::Problem> {
    let Some(key) = call.idempotency_key.take() else { return endpoint(call).await };
    let engine = call.engine().clone();
    match engine.begin_request(call.tenant(), &key, &call.request()).await? {
        IdempotentRequest::Process(keyed) => {
            call.idempotency_key = Some(keyed.key());
            let (tell, told) = tokio::sync::oneshot::channel();
            engine.spawn(async move {
                let _ = tell.send(process(call, &keyed, endpoint).await);
            });
            told.await.unwrap_or_else(|_| Err(D::internal()))
        }
        IdempotentRequest::Running => Err(Error::InProgress.into()),
        IdempotentRequest::Other => Err(Error::Refused(Refusal::KeyReused).into()),
        IdempotentRequest::Answered { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = with_body(status, body, &call.request_id().to_string());
            mark_replayed(&mut response, true);
            Ok(response)
        }
    }
}

/// Calls the endpoint and stores its answer.
async fn process<D: Door>(
    call: Call<D>,
    keyed: &Keyed,
    endpoint: impl Endpoint<D>,
) -> Result<Response, D::Problem> {
    let (app, request_id, profile) = (Arc::clone(call.app()), call.request_id(), call.profile());
    let response = match endpoint(call).await {
        Err(problem) if D::STORES_REFUSALS => D::refuse(&app, request_id, profile, problem),
        Err(problem) => {
            abandon(&app.engine, keyed).await;
            return Err(problem);
        }
        Ok(response) => response,
    };
    // A failure of ours is not the request's answer: the key can be tried again.
    if response.status().is_server_error() {
        abandon(&app.engine, keyed).await;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    // The endpoint printed the whole body, so reading it neither waits nor fails.
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| D::internal())?;
    if let Err(error) = app.engine.keep_answer(keyed, parts.status.as_u16(), &body).await {
        tracing::warn!(%error, "an answer was not stored under its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Frees an idempotency key. Where that fails, the key is free once its lease ends.
async fn abandon(engine: &Engine, keyed: &Keyed) {
    if let Err(error) = engine.abandon_request(keyed).await {
        tracing::warn!(%error, "an idempotency key was not freed");
    }
}
