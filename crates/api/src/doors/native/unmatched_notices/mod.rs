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
use engine::SortOrder;
use engine::access::KeyScope::RefundRead;
use http::Method;

pub fn routes() -> Vec<Route> {
    vec![guarded(Method::GET, "/api/v1/unmatched-notices", RefundRead, list)]
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
