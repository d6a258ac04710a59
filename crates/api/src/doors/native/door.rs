//! This door: its error tables and its answers.

use super::page::Paging;
use crate::app::App;
use crate::http::answer::mark_replayed;
use crate::http::auth::Caller;
use crate::http::call::{self, Door};
use crate::http::envelope::{self, PageMeta};
use crate::http::headers::ERROR_PROFILE;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::Problem;
use axum::response::Response;
use domain::ids::RequestId;
use engine::Page;
use engine::access::ErrorProfile;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use ulid::Ulid;

/// Answers in Refundry's own words.
pub struct Native;

pub type Call = call::Call<Native>;

impl Door for Native {
    const NAME: &'static str = "native";
    type Problem = Problem;
    type Profile = ErrorProfile;

    fn check_caller(caller: &Caller, headers: &HeaderMap) -> Result<ErrorProfile, Problem> {
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

    /// An answer with one resource.
    pub fn answer<T: Serialize>(&self, status: StatusCode, data: &T) -> Response {
        envelope::answer(self.app(), self.request_id(), status, data, None)
    }

    /// The same for an answer that an earlier request may have got already.
    pub fn answer_to<T: Serialize>(
        &self,
        status: StatusCode,
        data: &T,
        replayed: bool,
    ) -> Response {
        let mut response = self.answer(status, data);
        mark_replayed(&mut response, replayed);
        response
    }

    /// An answer with one page of a list.
    pub fn page<'a, I, T: Serialize>(
        &self,
        page: &'a Page<I>,
        paging: &Paging,
        id: impl Fn(&I) -> Ulid,
        print: impl Fn(&'a I) -> T,
    ) -> Response {
        let items: Vec<T> = page.items.iter().map(print).collect();
        self.page_with(&items, paging.meta(page.items.last().map(id), page.more))
    }

    /// The same with a page description that was already made.
    pub fn page_with<T: Serialize>(&self, items: &[T], meta: PageMeta) -> Response {
        envelope::answer(self.app(), self.request_id(), StatusCode::OK, &items, Some(meta))
    }
}
