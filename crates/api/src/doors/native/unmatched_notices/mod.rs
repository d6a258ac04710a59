//! Statements of providers that fit nothing yet. They are tried again by themselves; the list is for
//! people who look why.

pub mod describe;
pub mod wire;

use self::wire::NoticeWire;
use super::door::Call;
use super::page::{List, Paging};
use crate::http::call::guarded;
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::ids::NoticeId;
use engine::SortOrder;
use engine::access::KeyScope::{RefundRead, RefundResolve};
use http::Method;

pub fn routes() -> Vec<Route> {
    vec![
        guarded(Method::GET, "/api/v1/unmatched-notices", RefundRead, list),
        guarded(Method::DELETE, "/api/v1/unmatched-notices/{id}", RefundResolve, dismiss),
    ]
}

pub const LIST: List = List {
    name: "unmatched notices",
    filters: &[],
    range: Some(("receivedAfter", "receivedBefore")),
    order: SortOrder::Descending,
    limit: 20,
};

pub async fn list(call: Call) -> Result<Response, Problem> {
    let paging = Paging::read(&LIST, &call.query(), call.tenant(), None)?;
    let page = call.engine().list_unmatched_notices(call.tenant(), paging.query).await?;
    Ok(call.page(&page, &paging, |kept| kept.id.ulid(), NoticeWire::new))
}

/// Forgets a statement that a person has dealt with.
pub async fn dismiss(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let not_found = || Problem::not_found("unmatched notice");
    let id = NoticeId::parse(call.id()).map_err(|_| not_found())?;
    if !call.engine().dismiss_notice(call.tenant(), id).await? {
        return Err(not_found());
    }
    Ok(call.no_content())
}
