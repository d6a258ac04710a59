//! The ledger as a file, read and sent page by page, so that its length has no limit.

use super::span::{Span, date};
use crate::doors::native::door::Call;
use crate::doors::native::ledger::wire::EntryWire;
use crate::http::answer::REQUEST_ID;
use crate::http::csv;
use crate::http::problem::Problem;
use axum::body::{Body, Bytes};
use axum::response::Response;
use domain::ids::AccountId;
use domain::money::Money;
use domain::tenant::Tenant;
use engine::{Engine, Entry, PageQuery, SortOrder, TransferFilter};
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use ulid::Ulid;

/// Entries read at once; about 100 KiB of text.
const PAGE: u32 = 500;

const COLUMNS: [&str; 12] = [
    "id",
    "accountId",
    "txId",
    "code",
    "direction",
    "amount",
    "amountDecimal",
    "currency",
    "sourceType",
    "sourceId",
    "memo",
    "postedAt",
];

/// The ledger of a span of time, oldest entry first.
pub async fn ledger_csv(call: Call) -> Result<Response, Problem> {
    let span = Span::read(&call.query(), call.engine().now())?;
    let mut rows = Rows {
        engine: call.engine().clone(),
        tenant: call.tenant(),
        account: call.account(),
        span,
        after: None,
        more: true,
    };
    // The first page is read before the answer starts, so that a failure here is still answered as
    // an error.
    let mut first = Vec::new();
    csv::write_row(&mut first, COLUMNS);
    rows.read(&mut first).await?;
    let first = stream::once(async { Ok(Bytes::from(first)) });
    let others = stream::unfold(rows, |mut rows| async {
        if !rows.more {
            return None;
        }
        let mut page = Vec::new();
        match rows.read(&mut page).await {
            Ok(()) => Some((Ok(Bytes::from(page)), rows)),
            Err(error) => {
                // The body breaks off, so that no client mistakes it for a complete file.
                tracing::error!(%error, "an export of the ledger broke off");
                rows.more = false;
                Some((Err(error), rows))
            }
        }
    });
    let body = stream::StreamExt::chain(first, others);
    Ok(file(&call, span, Body::from_stream(body)))
}

fn file(call: &Call, span: Span, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (from, to) = (date(span.from), date(span.to));
    let name = format!("attachment; filename=\"ledger_{from}_{to}.csv\"");
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    if let Ok(id) = HeaderValue::try_from(call.request_id().to_string()) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    response
}

/// The rest of the export.
struct Rows {
    engine: Engine,
    tenant: Tenant,
    account: AccountId,
    span: Span,
    after: Option<Ulid>,
    more: bool,
}

impl Rows {
    /// Reads the next page and writes it as text.
    async fn read(&mut self, text: &mut Vec<u8>) -> Result<(), engine::Error> {
        let query = PageQuery {
            limit: PAGE,
            after: self.after,
            order: SortOrder::Ascending,
            from: Some(self.span.from),
            until: Some(self.span.to),
        };
        let page = self.engine.list_entries(self.tenant, TransferFilter::default(), query).await?;
        text.reserve(page.items.len().saturating_mul(256));
        for entry in &page.items {
            write_entry(text, entry, self.account);
        }
        self.after = page.items.last().map(|entry| entry.id.ulid());
        self.more = page.more;
        Ok(())
    }
}

/// Writes one entry with the words of its JSON form.
fn write_entry(text: &mut Vec<u8>, entry: &Entry, account: AccountId) {
    let wire = EntryWire::new(entry, account);
    let transfer = &entry.transfer;
    let money = Money::new(transfer.amount, transfer.currency).to_string();
    let decimal = money.split(' ').next().unwrap_or_default();
    csv::write_row(
        text,
        [
            &*wire.id.0.to_string(),
            &*wire.account_id.0.to_string(),
            &*wire.tx_id.0.to_string(),
            wire.code,
            wire.direction,
            &*wire.amount.to_string(),
            decimal,
            wire.currency,
            wire.source_type,
            &*wire.source_id.0.to_string(),
            wire.memo,
            &*wire.posted_at.to_string(),
        ],
    );
}
