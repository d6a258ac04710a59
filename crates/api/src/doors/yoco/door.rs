//! This door: idempotent answers, ids in paths, and how errors are printed.

use super::error::Problem;
use crate::app::{App, YocoSettings};
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::call::{self, Door};
use crate::http::query::decode_segment;
use axum::response::Response;
use domain::ids::{PaymentId, RequestId};
use domain::payment::Kind;
use http::{HeaderMap, Method};
use std::borrow::Cow;

/// The prefix of a payment's id in this door.
pub const PAYMENT_PREFIX: &str = "p_";

pub struct Yoco;

pub type Call = call::Call<Yoco>;

impl Door for Yoco {
    const NAME: &'static str = "yoco";
    const CHECKS_MEDIA_TYPE: bool = false;
    const SHOWS_QUOTA: bool = false;
    const STORES_REFUSALS: bool = true;
    type Problem = Problem;
    type Profile = ();

    fn check_caller(_: &Caller, _: &HeaderMap) -> Result<(), Problem> {
        Ok(())
    }

    fn takes_key(method: &Method) -> bool {
        *method == Method::POST
    }

    fn internal() -> Problem {
        Problem::internal()
    }

    fn refuse(_: &App, request_id: RequestId, (): (), problem: Problem) -> Response {
        let mut response =
            answer::with_body(problem.status, problem.body(), &request_id.to_string());
        answer::retry_after(&mut response, problem.retry_after_s);
        response
    }
}

impl Call {
    pub fn settings(&self) -> &YocoSettings {
        &self.config().yoco
    }

    /// The `{id}` in `/api/<things>/{id}`. Some clients percent-encode it.
    pub fn id(&self) -> Cow<'_, str> {
        decode_segment(self.segment(3)).unwrap_or_default()
    }
}

/// The id of the payment that a checkout became.
pub fn payment_name(id: PaymentId) -> String {
    id.with_prefix(PAYMENT_PREFIX)
}
pub fn checkout_name(id: PaymentId) -> String {
    id.with_prefix(Kind::Checkout.prefix())
}
