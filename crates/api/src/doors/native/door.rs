//! This door: its error tables and its answers.

use super::page::Paging;
use crate::App;
use crate::http::auth::Caller;
use crate::http::call::{self, Door};
use crate::http::envelope::{self, PageMeta};
use crate::http::headers::ERROR_PROFILE;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::Problem;
use axum::response::Response;
use domain::ids::RequestId;
use engine::access::ErrorProfile;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use ulid::Ulid;

/// This door, whose words are Refundry's own.
pub struct Native;

pub type Call = call::Call<Native>;

impl Door for Native {
    const NAME: &'static str = "native";
    type Problem = Problem;
    type Profile = ErrorProfile;

    fn welcome(caller: &Caller, headers: &HeaderMap) -> Result<ErrorProfile, Problem> {
        let Some(value) = ERROR_PROFILE.find(headers)? else {
            return Ok(caller.key.error_profile);
        };
        let text = value.to_str().unwrap_or_default();
        ErrorProfile::from_text(text).ok_or_else(|| {
            let text = excerpt(text);
            let message = format!("the error profile is node or go, not {text:?}");
            Invalid::field(ERROR_PROFILE.name(), message).into()
        })
    }

    fn internal() -> Problem {
        Problem::internal()
    }

    fn refuse(
        app: &App,
        request_id: RequestId,
        profile: ErrorProfile,
        problem: Problem,
    ) -> Response {
        envelope::refuse(app, request_id, &problem.in_profile(profile))
    }
}

impl Call {
    /// The `{id}` in `/api/v1/<things>/{id}`, as it was sent: ids hold nothing that needs
    /// percent-encoding, so an encoded one names nothing.
    pub fn id(&self) -> &str {
        self.segment(4)
    }

    /// An answer with one thing in it.
    pub fn answer<T: Serialize>(&self, status: StatusCode, data: &T) -> Response {
        envelope::answer(self.app(), self.request_id(), status, data, None)
    }

    /// An answer with one page of a list in it.
    pub fn page<T: Serialize>(
        &self,
        items: &[T],
        paging: &Paging,
        last: Option<Ulid>,
        more: bool,
    ) -> Response {
        self.page_with(items, paging.meta(last, more))
    }

    /// The same with what is said about the page.
    pub fn page_with<T: Serialize>(&self, items: &[T], meta: PageMeta) -> Response {
        envelope::answer(self.app(), self.request_id(), StatusCode::OK, &items, Some(meta))
    }
}
