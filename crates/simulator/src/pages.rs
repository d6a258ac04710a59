//! The simulator's pages: what the staff and merchants of a PSP do in its dashboard, over HTTP.
//!
//! The pages stand for somebody else's system, so they take no key and answer in plain JSON, with
//! errors as `{"error": "…"}`. A request names the account and the mode, as `accountId` and `mode`,
//! where the id of the charge alone is ambiguous.

use crate::{DashboardError, DashboardRefund, Payout, Simulator};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::account::{Mode, Tenant};
use domain::ids::AccountId;
use domain::money::{Currency, Money};
use domain::time::Timestamp;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The largest amount: every JSON reader holds it exactly.
const MAX_AMOUNT: i64 = (1 << 53) - 1;

/// Limits of request bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub body_timeout: Duration,
}

/// The accounts and payments that the merchants of the PSP have.
#[async_trait]
pub trait Merchants: Send + Sync {
    /// The numbers of all accounts.
    async fn account_numbers(&self) -> Result<Vec<u32>, Unavailable>;

    /// The number of one account; `None` for an unknown id.
    async fn account_number(&self, id: AccountId) -> Result<Option<u32>, Unavailable>;

    /// The account, mode and currency of every payment that is registered under a charge id.
    async fn registered_payments(
        &self,
        charge: &str,
    ) -> Result<Vec<(Tenant, Currency)>, Unavailable>;
}

/// The merchants' data cannot be read now. Holds the reason for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Every page, under `/simulator`.
pub fn pages(simulator: Arc<Simulator>, merchants: Arc<dyn Merchants>, limits: Limits) -> Router {
    Router::new()
        .route("/simulator/payments/{charge}", get(show_payment))
        .route("/simulator/payments/{charge}/refunds", post(make_refund))
        .route(
            "/simulator/refunds/{refund}/fail",
            post(|pages, name, owner| change_refund(pages, name, owner, Change::Fail)),
        )
        .route(
            "/simulator/refunds/{refund}/complete",
            post(|pages, name, owner| change_refund(pages, name, owner, Change::Complete)),
        )
        .with_state(Pages { simulator, merchants, limits })
}

#[derive(Clone)]
struct Pages {
    simulator: Arc<Simulator>,
    merchants: Arc<dyn Merchants>,
    limits: Limits,
}

/// The account and mode that a request is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    account_id: Option<String>,
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewRefund {
    amount: Option<i64>,
    currency: Option<String>,
    account_id: Option<String>,
    mode: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundWire {
    id: String,
    key: Option<String>,
    amount: i64,
    currency: String,
    status: &'static str,
    at: String,
    calls: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PayoutWire {
    key: Option<String>,
    amount: i64,
    currency: String,
    at: String,
    returned_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentWire {
    provider_payment_id: String,
    refunds: Vec<RefundWire>,
    payouts: Vec<PayoutWire>,
    truncated: bool,
}

#[derive(Clone, Copy)]
enum Change {
    Fail,
    Complete,
}

/// An answer that is an error.
struct Problem(StatusCode, Cow<'static, str>);

#[derive(Serialize)]
struct ErrorWire<'a> {
    error: &'a str,
}

/// Shows the simulator's own book of one payment.
async fn show_payment(
    State(pages): State<Pages>,
    charge: Result<Path<String>, PathRejection>,
    owner: Result<Query<Owner>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path(charge), Query(owner)) = (charge?, owner?);
    let scopes = pages.scopes(owner.account_id, owner.mode).await?;
    let registered = pages.merchants.registered_payments(&charge).await?;
    let (mut refunds, mut payouts, mut truncated) = (Vec::new(), Vec::new(), false);
    for tenant in &scopes {
        let book = pages.simulator.payment_book(*tenant, &charge).await?;
        refunds.extend(book.refunds.into_iter().map(RefundWire::from));
        payouts.extend(book.payouts.into_iter().map(PayoutWire::from));
        truncated |= book.truncated;
    }
    if refunds.is_empty() && !registered.iter().any(|(tenant, _)| scopes.contains(tenant)) {
        return Err(Problem::not_found("nobody knows such a payment"));
    }
    let payment = PaymentWire { provider_payment_id: charge, refunds, payouts, truncated };
    Ok(print(StatusCode::OK, &payment))
}

/// Makes a refund that Refundry has not asked for.
async fn make_refund(
    State(pages): State<Pages>,
    charge: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, pages.limits).await?;
    check_media_type(&parts.headers)?;
    let new = NewRefund::read(&body)?;
    let amount = new.amount.ok_or(Problem::invalid("amount is missing; give minor units"))?;
    if !(1..=MAX_AMOUNT).contains(&amount) {
        return Err(Problem::invalid(format!("amount must be from 1 to {MAX_AMOUNT}")));
    }
    let Path(charge) = charge?;
    let scopes = pages.scopes(new.account_id, new.mode).await?;
    let (tenant, registered) = pages.find_payment(&charge, &scopes).await?;
    let currency = match new.currency {
        Some(code) => Currency::parse(&code)
            .map_err(|_| Problem::invalid("currency must be an ISO 4217 code, such as USD"))?,
        None => registered,
    };
    let money = Money::new(amount, currency);
    let refund = pages.simulator.dashboard_refund(tenant, &charge, money).await?;
    Ok(print(StatusCode::CREATED, &RefundWire::from(refund)))
}

/// Fails or completes a refund, named by the simulator's id or by its idempotency key.
async fn change_refund(
    State(pages): State<Pages>,
    name: Result<Path<String>, PathRejection>,
    owner: Result<Query<Owner>, QueryRejection>,
    change: Change,
) -> Result<Response, Problem> {
    let (Path(name), Query(owner)) = (name?, owner?);
    for tenant in pages.scopes(owner.account_id, owner.mode).await? {
        let changed = match change {
            Change::Fail => pages.simulator.fail_refund(tenant, &name).await,
            Change::Complete => pages.simulator.complete_refund(tenant, &name).await,
        };
        match changed {
            Err(DashboardError::RefundNotFound) => {}
            changed => return Ok(print(StatusCode::OK, &RefundWire::from(changed?))),
        }
    }
    Err(DashboardError::RefundNotFound.into())
}

impl Pages {
    /// The one registered payment in these scopes that has the charge id.
    async fn find_payment(
        &self,
        charge: &str,
        scopes: &[Tenant],
    ) -> Result<(Tenant, Currency), Problem> {
        let mut registered = self.merchants.registered_payments(charge).await?;
        registered.retain(|(tenant, _)| scopes.contains(tenant));
        match registered.as_slice() {
            [payment] => Ok(*payment),
            [] => Err(Problem::not_found("no payment is registered with this id")),
            _ => {
                let message =
                    "several payments are registered with this id; give accountId and mode";
                Err(Problem(StatusCode::CONFLICT, message.into()))
            }
        }
    }

    /// The accounts and modes that a request may be about.
    async fn scopes(
        &self,
        account: Option<String>,
        mode: Option<String>,
    ) -> Result<Vec<Tenant>, Problem> {
        let accounts = match account {
            Some(text) => {
                let unknown = || Problem::not_found("there is no such account");
                let id = AccountId::parse(&text).map_err(|_| unknown())?;
                vec![self.merchants.account_number(id).await?.ok_or_else(unknown)?]
            }
            None => self.merchants.account_numbers().await?,
        };
        let modes = match mode {
            Some(text) => {
                vec![Mode::from_text(&text).ok_or(Problem::invalid("the mode is test or live"))?]
            }
            None => Mode::ALL.to_vec(),
        };
        let tenant = |account| modes.iter().map(move |mode| Tenant::new(account, *mode));
        Ok(accounts.into_iter().flat_map(tenant).collect())
    }
}

impl NewRefund {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        // serde would also read the fields from an array.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::invalid(
                "the body must be one JSON object, such as {\"amount\": 500}",
            ));
        }
        serde_json::from_slice(body)
            .map_err(|error| Problem::invalid(format!("the body cannot be read: {error}")))
    }
}

async fn read_body(body: Body, limits: Limits) -> Result<Bytes, Problem> {
    let whole = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem(StatusCode::PAYLOAD_TOO_LARGE, "send less".into()))
        }
        Ok(Err(_)) | Err(_) => Err(Problem::invalid("the body broke off")),
    }
}

/// Accepts `application/json`, in UTF-8.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let accepted = match (types.next(), types.next()) {
        (Some(given), None) => given.to_str().is_ok_and(is_json),
        _ => false,
    };
    let refusal = Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".into());
    if accepted { Ok(()) } else { Err(refusal) }
}

fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

impl Problem {
    fn not_found(message: &'static str) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }

    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        print(self.0, &ErrorWire { error: &self.1 })
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::not_found("the id is not percent-encoded UTF-8")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.0.into())
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

impl From<DashboardRefund> for RefundWire {
    fn from(refund: DashboardRefund) -> Self {
        Self {
            id: refund.id,
            key: refund.key,
            amount: refund.amount,
            currency: refund.currency.to_string(),
            status: refund.status.as_str(),
            at: print_time(refund.at),
            calls: refund.calls,
        }
    }
}

impl From<Payout> for PayoutWire {
    fn from(payout: Payout) -> Self {
        Self {
            key: payout.key,
            amount: payout.amount,
            currency: payout.currency.to_string(),
            at: print_time(payout.at),
            returned_at: payout.returned_at.map(print_time),
        }
    }
}

/// ISO 8601 in UTC with milliseconds. A time outside of the calendar prints as its last day.
fn print_time(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

fn print<T: Serialize>(status: StatusCode, body: &T) -> Response {
    // Strings and numbers always print.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
