//! The pages on which buyers pay: `/c/{id}` for checkouts, `/i/{id}` for invoices.
//!
//! Plain HTML made on the server. Every action is a form that is answered with a redirect, so the
//! pages work without scripts; the only script polls whether a pending payment has ended. Anybody
//! who knows an id may see the page and pay; the page shows nothing confidential.

mod assets;
mod describe;
mod form;
mod html;
mod page;

pub use describe::chapter;

use crate::app::App;
use crate::http::admit::RateLimited;
use crate::http::body;
use crate::http::checkout::parse_checkout_id;
use crate::http::query::Query;
use crate::http::route::Route;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::checkout::Checkout;
use domain::ids::InvoiceId;
use domain::invoice::{self, Invoice};
use domain::money::Money;
use domain::payment::{Kind, Payment};
use domain::tenant::Tenant;
use form::Wish;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
};
use http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use std::sync::Arc;

/// Allows only own resources and forms, nothing inline and no frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        Route::public(M::GET, "/c/{id}", over_limit, show),
        Route::public(M::POST, "/c/{id}", over_limit, act),
        Route::public(M::GET, "/i/{id}", over_limit, show),
        Route::public(M::POST, "/i/{id}", over_limit, act),
        Route::public(M::GET, "/assets/hosted.css", over_limit, assets::style),
        Route::public(M::GET, "/assets/hosted.js", over_limit, assets::script),
    ]
}

/// Asks a buyer to wait. Requests for style sheet and script count in the same share; browsers
/// ignore a page in their place.
fn over_limit(_: &App, limited: RateLimited) -> Response {
    let seconds = limited.seconds();
    let text = format!("Wait {seconds} s and load this page again. Nothing was done.");
    let page = page::notice("Too many requests", &text);
    let mut response = respond(StatusCode::TOO_MANY_REQUESTS, page);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// The subject of a page.
pub(crate) struct Subject {
    merchant: Box<str>,
    tenant: Tenant,
    total: Money,
    checkout: Option<Checkout>,
    invoice: Option<Invoice>,
    payment: Option<Payment>,
    /// The checkout is past its expiry, even if no step has expired it yet.
    run_out: bool,
    /// The buyer wants to see every way to pay again.
    choose: bool,
    /// The error in the last form.
    problem: Option<String>,
}

/// The reason why there is no page.
enum Missing {
    Unknown,
    Failed(engine::Error),
}

impl From<engine::Error> for Missing {
    fn from(error: engine::Error) -> Self {
        Self::Failed(error)
    }
}

async fn show(app: Arc<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match find(&app, &parts).await {
        Ok(subject) => {
            if let Some(checkout) = &subject.checkout {
                app.engine.note_visit(checkout).await;
            }
            respond(StatusCode::OK, page::of_subject(&subject))
        }
        Err(missing) => without_page(&missing),
    }
}

async fn act(app: Arc<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !form::is_from_here(&parts.headers) {
        let text = "This request came from another site, so nothing was done.";
        return respond(StatusCode::FORBIDDEN, page::notice("Not from here", text));
    }
    let limits = &app.config;
    let body = body::read(&parts.headers, body, limits.max_body_bytes, limits.body_timeout).await;
    let subject = match find(&app, &parts).await {
        Ok(subject) => subject,
        Err(missing) => return without_page(&missing),
    };
    let wish = body.ok().and_then(|body| form::read(&body));
    let Some(wish) = wish else { return again(subject, "Choose how to pay.") };
    let Some(checkout) = &subject.checkout else {
        return again(subject, "There is nothing to pay any more.");
    };
    let engine = &app.engine;
    let done = match wish {
        Wish::Pay(method) => engine.pay_checkout(checkout, &method).await,
        Wish::Approve => engine.answer_action(checkout, true).await,
        Wish::Refuse => engine.answer_action(checkout, false).await,
        Wish::Claim => engine.claim_checkout(checkout, None).await,
    };
    match done {
        // The page that follows shows the new state, even if another request caused it.
        Ok(_) | Err(engine::Error::Refused(_)) => to_page(&parts),
        Err(engine::Error::Invalid { .. }) => again(subject, "Choose one of the ways to pay."),
        Err(error) => without_page(&Missing::Failed(error)),
    }
}

/// Loads the subject that the path names.
async fn find(app: &App, parts: &Parts) -> Result<Subject, Missing> {
    let mut segments = parts.uri.path().split('/').skip(1);
    let (folder, id) = (segments.next(), segments.next().unwrap_or_default());
    let engine = &app.engine;
    let (checkout, invoice) = if folder == Some("i") {
        let id = InvoiceId::parse(id).map_err(|_| Missing::Unknown)?;
        let invoice = engine.find_public_invoice(id).await?;
        let invoice = invoice.filter(|found| found.state != invoice::State::Draft);
        let invoice = invoice.filter(|found| found.issued_at.is_some()).ok_or(Missing::Unknown)?;
        let checkout = engine.find_public_checkout(Kind::Invoice, invoice.payment()).await?;
        (checkout, Some(invoice))
    } else {
        let (kind, id) = parse_checkout_id(id).ok_or(Missing::Unknown)?;
        (Some(engine.find_public_checkout(kind, id).await?.ok_or(Missing::Unknown)?), None)
    };
    let (tenant, total) = match (&invoice, &checkout) {
        (Some(invoice), _) => {
            let terms = &invoice.terms;
            (terms.tenant, Money::new(terms.totals.total, terms.currency))
        }
        (None, Some(checkout)) => (checkout.terms.tenant, checkout.terms.money()),
        (None, None) => return Err(Missing::Unknown),
    };
    let payment = match &checkout {
        Some(checkout) if checkout.completed_at.is_some() => {
            engine.find_payment(tenant, checkout.terms.id).await?
        }
        _ => None,
    };
    let query = Query::parse(parts.uri.query());
    Ok(Subject {
        merchant: engine.merchant_name(tenant).await?,
        run_out: checkout.as_ref().is_some_and(|checkout| checkout.has_run_out(engine.now())),
        tenant,
        total,
        checkout,
        invoice,
        payment,
        choose: query.get("choose").is_ok_and(|value| value.is_some()),
        problem: None,
    })
}

/// The page again, with an error message.
fn again(subject: Subject, problem: &str) -> Response {
    let subject = Subject { problem: Some(problem.to_owned()), ..subject };
    respond(StatusCode::UNPROCESSABLE_ENTITY, page::of_subject(&subject))
}

fn without_page(missing: &Missing) -> Response {
    match missing {
        Missing::Unknown => {
            let text = "Check the link, or ask whoever sent it for a new one.";
            respond(StatusCode::NOT_FOUND, page::notice("There is nothing to pay here", text))
        }
        Missing::Failed(error) => {
            tracing::error!(%error, "a hosted page failed");
            let text = "Nothing was lost. Wait a moment and load this page again.";
            respond(StatusCode::SERVICE_UNAVAILABLE, page::notice("This does not work now", text))
        }
    }
}

/// Redirects to the page, so that reloading it does not repeat the action.
fn to_page(parts: &Parts) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // The path is one of our own routes, so it is a valid header value.
    if let Ok(path) = HeaderValue::try_from(parts.uri.path()) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

fn respond(status: StatusCode, html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // Not `no-referrer`: with that, browsers send forms with an Origin of null.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (status, headers, html).into_response()
}
