//! The simulator's own door: what a PSP's staff and merchants would do in its dashboard.
//!
//! It exists only where the simulator is configured, asks for no key, and speaks plain JSON: it
//! stands for somebody else's system. Accounts and modes are named where a charge's id alone would
//! not tell, as `accountId` and `mode`.

mod openapi;

pub use openapi::chapter;

use crate::App;
use crate::body::{self, BodyError, Least, Object, missing};
use crate::invalid::Invalid;
use crate::query::{Query, decode_segment};
use crate::route::Route;
use crate::time::Iso;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::account::{Mode, Scope};
use domain::ids::AccountId;
use domain::money::{Currency, Money};
use engine::simulator::{DashboardError, DashboardRefund, Payout, Simulator};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode, Uri};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Where it is.
pub const PREFIX: &str = "/simulator/";

/// Every operation of this door.
pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        Route::open(M::GET, "/simulator/payments/{charge}", |app, request| async move {
            show_payment(&app, request).await.unwrap_or_else(Problem::answer)
        }),
        Route::open(M::POST, "/simulator/payments/{charge}/refunds", |app, request| async move {
            make_refund(&app, request).await.unwrap_or_else(Problem::answer)
        }),
        Route::open(M::POST, "/simulator/refunds/{refund}/fail", |app, request| async move {
            change_refund(&app, request.uri(), Change::Fail).await.unwrap_or_else(Problem::answer)
        }),
        Route::open(M::POST, "/simulator/refunds/{refund}/complete", |app, request| async move {
            change_refund(&app, request.uri(), Change::Complete)
                .await
                .unwrap_or_else(Problem::answer)
        }),
    ]
}

/// An answer that is an error.
struct Problem(StatusCode, Cow<'static, str>);

#[derive(Serialize)]
struct ErrorWire<'a> {
    error: &'a str,
}

impl Problem {
    fn not_found(what: &'static str) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    fn answer(self) -> Response {
        print(self.0, &ErrorWire { error: &self.1 })
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self(StatusCode::BAD_REQUEST, invalid.message)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self(StatusCode::PAYLOAD_TOO_LARGE, "send less".into()),
            BodyError::MediaType => {
                Self(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".into())
            }
            BodyError::TooSlow | BodyError::Broken => {
                Self(StatusCode::BAD_REQUEST, "the body broke off".into())
            }
        }
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string().into())
    }
}

impl From<DashboardError> for Problem {
    fn from(error: DashboardError) -> Self {
        let status = match &error {
            DashboardError::RefundNotFound => StatusCode::NOT_FOUND,
            DashboardError::CurrencyMismatch { .. } | DashboardError::InvalidAmount => {
                StatusCode::BAD_REQUEST
            }
            DashboardError::WrongStatus(_) => StatusCode::CONFLICT,
            DashboardError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string().into())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundWire {
    id: String,
    key: Option<String>,
    amount: i64,
    currency: String,
    status: &'static str,
    at: Iso,
    calls: u32,
}

impl From<DashboardRefund> for RefundWire {
    fn from(refund: DashboardRefund) -> Self {
        Self {
            id: refund.id,
            key: refund.key,
            amount: refund.amount,
            currency: refund.currency.to_string(),
            status: refund.status.as_str(),
            at: Iso(refund.at),
            calls: refund.calls,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PayoutWire {
    key: Option<String>,
    amount: i64,
    currency: String,
    at: Iso,
    returned_at: Option<Iso>,
}

impl From<Payout> for PayoutWire {
    fn from(payout: Payout) -> Self {
        Self {
            key: payout.key,
            amount: payout.amount,
            currency: payout.currency.to_string(),
            at: Iso(payout.at),
            returned_at: payout.returned_at.map(Iso),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentWire<'a> {
    provider_payment_id: &'a str,
    refunds: Vec<RefundWire>,
    payouts: Vec<PayoutWire>,
    /// There are more refunds than are shown.
    truncated: bool,
}

/// Shows the simulator's own book of one payment.
async fn show_payment(app: &App, request: Request) -> Result<Response, Problem> {
    let simulator = simulator(app)?;
    let charge = segment(request.uri())?;
    let query = Query::parse(request.uri().query());
    let scopes = scopes(app, query.get("accountId")?, query.get("mode")?).await?;
    let known = app.engine.find_payments_by_charge_everywhere(&charge).await?;
    let mut payment = PaymentWire {
        provider_payment_id: &charge,
        refunds: Vec::new(),
        payouts: Vec::new(),
        truncated: false,
    };
    for scope in &scopes {
        let book = simulator.payment_book(*scope, &charge).await?;
        payment.refunds.extend(book.refunds.into_iter().map(RefundWire::from));
        payment.payouts.extend(book.payouts.into_iter().map(PayoutWire::from));
        payment.truncated |= book.truncated;
    }
    if payment.refunds.is_empty() && !known.iter().any(|known| scopes.contains(&known.facts.scope))
    {
        return Err(Problem::not_found("nobody knows such a payment"));
    }
    Ok(print(StatusCode::OK, &payment))
}

/// Makes a refund behind Refundry's back.
async fn make_refund(app: &App, request: Request) -> Result<Response, Problem> {
    let simulator = simulator(app)?;
    let (parts, body) = request.into_parts();
    let limits = &app.config;
    let body = body::read(&parts.headers, body, limits.max_body_bytes, limits.body_timeout).await?;
    body::check_json(&parts.headers)?;
    let object = Object::parse(&body)?;
    let amount = object.amount("amount", Least::One)?;
    let amount = amount.ok_or_else(|| missing("amount", "minor units, such as 500"))?;
    let charge = segment(&parts.uri)?;
    let asked = scopes(app, object.text("accountId", 64)?, object.text("mode", 64)?).await?;
    let (scope, currency) = find_payment(app, &charge, &asked).await?;
    let currency = object.currency("currency")?.unwrap_or(currency);
    let money = Money::new(amount, currency);
    let refund = simulator.dashboard_refund(scope, &charge, money).await?;
    Ok(print(StatusCode::CREATED, &RefundWire::from(refund)))
}

/// The one payment in these scopes that a charge's id means.
async fn find_payment(
    app: &App,
    charge: &str,
    scopes: &[Scope],
) -> Result<(Scope, Currency), Problem> {
    let known = app.engine.find_payments_by_charge_everywhere(charge).await?;
    let mut known = known.iter().filter(|payment| scopes.contains(&payment.facts.scope));
    let payment =
        known.next().ok_or(Problem::not_found("no payment is registered with this id"))?;
    if known.next().is_some() {
        let message = "several payments are registered with this id; give accountId and mode";
        return Err(Problem(StatusCode::CONFLICT, message.into()));
    }
    Ok((payment.facts.scope, payment.facts.currency))
}

#[derive(Clone, Copy)]
enum Change {
    Fail,
    Complete,
}

/// Fails or completes a refund, named by the simulator's id or by the key it came with.
async fn change_refund(app: &App, uri: &Uri, change: Change) -> Result<Response, Problem> {
    let simulator = simulator(app)?;
    let name = segment(uri)?;
    let query = Query::parse(uri.query());
    for scope in scopes(app, query.get("accountId")?, query.get("mode")?).await? {
        let changed = match change {
            Change::Fail => simulator.fail_refund(scope, &name).await,
            Change::Complete => simulator.complete_refund(scope, &name).await,
        };
        match changed {
            Err(DashboardError::RefundNotFound) => {}
            changed => return Ok(print(StatusCode::OK, &RefundWire::from(changed?))),
        }
    }
    Err(DashboardError::RefundNotFound.into())
}

fn simulator(app: &App) -> Result<&Arc<Simulator>, Problem> {
    app.engine.simulator().ok_or(Problem::not_found("there is no simulator here"))
}

/// The id in `/simulator/<things>/{id}`.
fn segment(uri: &Uri) -> Result<Cow<'_, str>, Problem> {
    let segment = uri.path().split('/').nth(3).and_then(decode_segment);
    segment.ok_or(Problem::not_found("the id is not percent-encoded UTF-8"))
}

/// The accounts and modes that a request is about: all that it does not rule out.
async fn scopes(
    app: &App,
    account: Option<Cow<'_, str>>,
    mode: Option<Cow<'_, str>>,
) -> Result<Vec<Scope>, Problem> {
    let accounts = match account {
        Some(text) => {
            let unknown = || Problem::not_found("there is no such account");
            let id = AccountId::parse(&text).map_err(|_| unknown())?;
            vec![app.engine.find_account(id).await?.ok_or_else(unknown)?.number]
        }
        None => app.engine.list_accounts().await?.iter().map(|account| account.number).collect(),
    };
    let modes = match mode {
        Some(text) => vec![
            Mode::from_text(&text)
                .ok_or_else(|| Problem::from(Invalid::field("mode", "the mode is test or live")))?,
        ],
        None => Mode::ALL.to_vec(),
    };
    let scope = |account| modes.iter().map(move |mode| Scope::new(account, *mode));
    Ok(accounts.into_iter().flat_map(scope).collect())
}

fn print<T: Serialize>(status: StatusCode, body: &T) -> Response {
    // Strings and numbers always print.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
