//! The simulator's pages: what the staff and merchants of a PSP do in its dashboard, over HTTP.
//!
//! The pages stand for somebody else's system, so they take no key and answer in plain JSON, with
//! errors as `{"error": "…"}`. A request names the account and the mode, as `accountId` and `mode`,
//! where the id of the charge alone is ambiguous.

use crate::{DashboardError, DashboardRefund, PaymentBook, Simulator};
use async_trait::async_trait;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::ids::AccountId;
use domain::money::{Currency, Money};
use domain::tenant::{Mode, Tenant};
use mime::Mime;
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
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

impl<E: std::error::Error> From<E> for Unavailable {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

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
        .route("/simulator/top-up", post(top_up))
        .route_layer(DefaultBodyLimit::max(limits.body_bytes))
        .with_state(Pages { simulator, merchants, body_timeout: limits.body_timeout })
}

#[derive(Clone)]
struct Pages {
    simulator: Arc<Simulator>,
    merchants: Arc<dyn Merchants>,
    body_timeout: Duration,
}

/// The id in the path.
type Id = Result<Path<String>, PathRejection>;

type Parameters = Result<Query<Owner>, QueryRejection>;

/// The account and mode that a request is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    account_id: Option<String>,
    mode: Option<String>,
}

#[derive(Deserialize)]
struct NewRefund {
    amount: i64,
    currency: Option<String>,
    /// Because of this member, serde reads the body from an object only and refuses an array.
    #[serde(flatten)]
    owner: Owner,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    provider_payment_id: String,
    #[serde(flatten)]
    book: PaymentBook,
}

/// The number of held refunds that were paid.
#[derive(Serialize)]
struct ToppedUp {
    paid: usize,
}

#[derive(Clone, Copy)]
enum Change {
    Fail,
    Complete,
}

/// An answer that is an error.
struct Problem(StatusCode, Cow<'static, str>);

/// Shows the simulator's own book of one payment.
async fn show_payment(
    State(pages): State<Pages>,
    charge: Id,
    owner: Parameters,
) -> Result<Json<Payment>, Problem> {
    let (Path(charge), Query(owner)) = (charge?, owner?);
    let scopes = pages.scopes(owner).await?;
    let registered = pages.merchants.registered_payments(&charge).await?;
    let mut shown = PaymentBook::default();
    for tenant in &scopes {
        let book = pages.simulator.payment_book(*tenant, &charge).await?;
        shown.refunds.extend(book.refunds);
        shown.payouts.extend(book.payouts);
        shown.truncated |= book.truncated;
    }
    if shown.refunds.is_empty() && !registered.iter().any(|(tenant, _)| scopes.contains(tenant)) {
        return Err(Problem::not_found("nobody knows such a payment"));
    }
    Ok(Json(Payment { provider_payment_id: charge, book: shown }))
}

/// Makes a refund that Refundry has not asked for.
async fn make_refund(
    State(pages): State<Pages>,
    charge: Id,
    request: Request,
) -> Result<(StatusCode, Json<DashboardRefund>), Problem> {
    let new = pages.read_refund(request).await?;
    if !(1..=MAX_AMOUNT).contains(&new.amount) {
        return Err(Problem::invalid(format!("amount must be from 1 to {MAX_AMOUNT}")));
    }
    let Path(charge) = charge?;
    let scopes = pages.scopes(new.owner).await?;
    let (tenant, registered) = pages.find_payment(&charge, &scopes).await?;
    let currency = match new.currency {
        Some(code) => Currency::parse(&code)
            .map_err(|_| Problem::invalid("currency must be an ISO 4217 code, such as USD"))?,
        None => registered,
    };
    let money = Money::new(new.amount, currency);
    let refund = pages.simulator.dashboard_refund(tenant, &charge, money).await?;
    Ok((StatusCode::CREATED, Json(refund)))
}

/// Fails or completes a refund, named by the simulator's id or by its idempotency key.
async fn change_refund(
    State(pages): State<Pages>,
    name: Id,
    owner: Parameters,
    change: Change,
) -> Result<Json<DashboardRefund>, Problem> {
    let (Path(name), Query(owner)) = (name?, owner?);
    for tenant in pages.scopes(owner).await? {
        let changed = match change {
            Change::Fail => pages.simulator.fail_refund(tenant, &name).await,
            Change::Complete => pages.simulator.complete_refund(tenant, &name).await,
        };
        match changed {
            Err(DashboardError::RefundNotFound) => {}
            changed => return Ok(Json(changed?)),
        }
    }
    Err(DashboardError::RefundNotFound.into())
}

/// Adds to the balances of the merchants, which pays their held refunds.
async fn top_up(State(pages): State<Pages>, owner: Parameters) -> Result<Json<ToppedUp>, Problem> {
    let Query(owner) = owner?;
    let mut paid: usize = 0;
    for tenant in pages.scopes(owner).await? {
        paid = paid.saturating_add(pages.simulator.top_up(tenant).await?);
    }
    Ok(Json(ToppedUp { paid }))
}

impl Pages {
    async fn read_refund(&self, request: Request) -> Result<NewRefund, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send application/json".into(),
            ));
        }
        match tokio::time::timeout(self.body_timeout, Json::from_request(request, &())).await {
            Ok(read) => Ok(read?.0),
            Err(_) => Err(Problem::invalid("the body broke off")),
        }
    }

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
    async fn scopes(&self, owner: Owner) -> Result<Vec<Tenant>, Problem> {
        let accounts = match owner.account_id {
            Some(text) => {
                let unknown = || Problem::not_found("there is no such account");
                let id = AccountId::parse(&text).map_err(|_| unknown())?;
                vec![self.merchants.account_number(id).await?.ok_or_else(unknown)?]
            }
            None => self.merchants.account_numbers().await?,
        };
        let modes = match owner.mode {
            Some(text) => {
                vec![Mode::from_text(&text).ok_or(Problem::invalid("the mode is test or live"))?]
            }
            None => Mode::ALL.to_vec(),
        };
        let tenant = |account| modes.iter().map(move |mode| Tenant::new(account, *mode));
        Ok(accounts.into_iter().flat_map(tenant).collect())
    }
}

/// True for `application/json` in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.parse().ok());
    given.is_some_and(|given: Mime| {
        given.essence_str() == mime::APPLICATION_JSON.as_ref()
            && given.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8)
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
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::not_found("the id is not percent-encoded UTF-8")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match &rejection {
            JsonRejection::JsonDataError(_) => StatusCode::BAD_REQUEST,
            other => other.status(),
        };
        Self(status, rejection.body_text().into())
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
