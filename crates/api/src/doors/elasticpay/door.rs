//! This door: the account that a caller acts for, ids in paths, and how answers are printed.

use super::error::{CODES, Problem, type_of};
use crate::app::App;
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::call::{self, Door};
use crate::http::headers::{ON_BEHALF_OF, single};
use crate::http::invalid::Invalid;
use crate::http::problem;
use crate::http::query::decode_segment;
use crate::openapi::{Schema, printed};
use axum::response::Response;
use domain::ids::{AccountId, RequestId};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeSet;

pub const INTENTS: &str = "/api/v1/payment_intents";
pub const INTENT: &str = "/api/v1/payment_intents/{id}";
pub const CONFIRM: &str = "/api/v1/payment_intents/{id}/confirm";
pub const CANCEL: &str = "/api/v1/payment_intents/{id}/cancel";
pub const REFUNDS: &str = "/api/v1/payment_intents/{id}/refunds";

/// The prefix of an account's id in this door.
pub const BILLER: &str = "biller_";

/// Names the account that a platform's key acts for.
static BILLER_ACCOUNT: HeaderName = HeaderName::from_static("x-biller-account");
/// The native name of [`BILLER_ACCOUNT`].
static ACT_FOR: HeaderName = HeaderName::from_static("x-refundry-on-behalf-of");

pub struct ElasticPay;

pub type Call = call::Call<ElasticPay>;

impl Door for ElasticPay {
    const NAME: &'static str = "elasticpay";
    type Problem = Problem;
    type Profile = ();

    fn translate(headers: &mut HeaderMap) -> Result<(), Problem> {
        Ok(name_biller(headers)?)
    }

    fn check_caller(caller: &Caller, headers: &HeaderMap) -> Result<(), Problem> {
        if caller.key.platform && ON_BEHALF_OF.find(headers)?.is_none() {
            let message =
                "a platform's key must say for whom it acts, in X-Biller-Account: biller_…";
            return Err(Invalid::field("X-Biller-Account", message).into());
        }
        Ok(())
    }

    fn internal() -> Problem {
        Problem::internal()
    }

    fn refuse(_: &App, request_id: RequestId, (): (), problem: Problem) -> Response {
        refuse(request_id, &problem.0)
    }
}

/// Copies the account in `X-Biller-Account` into the header that authentication reads.
fn name_biller(headers: &mut HeaderMap) -> Result<(), Invalid> {
    let Some(value) = single(headers, &BILLER_ACCOUNT)? else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let account = match text.strip_prefix(BILLER) {
        Some(ulid) => format!("{}{ulid}", AccountId::PREFIX),
        None => text.to_owned(),
    };
    // A value that is not one of our ids matches no account, so authentication rejects it.
    let account = HeaderValue::try_from(account).unwrap_or(HeaderValue::from_static("?"));
    if headers.get(&ACT_FOR).is_some_and(|other| *other != account) {
        let message = "X-Biller-Account and X-Refundry-On-Behalf-Of name two accounts; send one";
        return Err(Invalid::field("X-Biller-Account", message));
    }
    headers.insert(ACT_FOR.clone(), account);
    Ok(())
}

impl Call {
    /// The `{id}` in the path; `None` when the decoded bytes are not UTF-8.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        decode_segment(self.segment(4))
    }

    /// A success. This door answers every success with 200.
    pub fn answer<T: Serialize>(&self, data: &T) -> Response {
        self.json(StatusCode::OK, data)
    }
}

fn types() -> Schema {
    let types: BTreeSet<_> = CODES.iter().map(|(status, ..)| type_of(*status)).collect();
    Schema::words(types)
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct Refusal<'a> {
        success: bool = Schema::boolean().with("const", false),
        error: ErrorBody<'a> = ErrorBody::schema(),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct ErrorBody<'a> {
        r#type: &'static str = types(),
        code: &'a str = Schema::words(CODES.iter().map(|(_, code, _)| *code))
            .says("Branch on this."),
        message: &'a str = Schema::string().says("For people: what was wrong and what to do."),
        field?: &'a str = Schema::string().says("The field, parameter or header it is about."),
    }
}

pub fn refuse(request_id: RequestId, problem: &problem::Problem) -> Response {
    let error = ErrorBody {
        r#type: type_of(problem.status.as_u16()),
        code: problem.code,
        message: &problem.message,
        field: problem.field.as_deref(),
    };
    // Strings always print; an empty body would still carry status and request id.
    let body = serde_json::to_vec(&Refusal { success: false, error }).unwrap_or_default();
    let mut response = answer::with_body(problem.status, body, &request_id.to_string());
    answer::retry_after(&mut response, problem.retry_after_s);
    if problem.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
