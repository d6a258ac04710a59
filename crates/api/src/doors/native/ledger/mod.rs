//! The ledger, read only: the engine writes entries and never changes them.

pub mod describe;
pub mod wire;

use self::wire::{BalanceWire, EntryWire};
use super::door::Call;
use super::page::{List, Paging};
use crate::http::call::guarded;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::route::Route;
use crate::openapi::Schema;
use axum::response::Response;
use domain::ids::{PaymentId, RefundId, TransferId};
use domain::ledger::{Code, SourceType};
use engine::access::KeyScope::LedgerRead;
use engine::{Page, TransferFilter};
use http::{Method, StatusCode};
use ulid::Ulid;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/ledger", LedgerRead, list),
        guarded(M::GET, "/api/v1/ledger/balances", LedgerRead, balances),
    ]
}

pub const LIST: List = List {
    range: None,
    ..List::new(
        "ledger",
        &[
            (
                "code",
                "Only entries of this ledger account. One that is never posted to lists nothing.",
                || Schema::string().like("cash"),
            ),
            ("sourceType", "Only entries about things of this kind.", || {
                Schema::words(source_types())
            }),
            ("sourceId", "Only entries about this thing.", Schema::string),
            ("txId", "Only the entries of this transfer.", Schema::string),
        ],
    )
};

/// Source types of the API that this door follows for which there are no entries yet.
const NEVER_POSTED: &[&str] = &["payout", "adjustment", "dispute"];

fn source_types() -> impl Iterator<Item = &'static str> {
    let posted = SourceType::ALL.iter().map(|known| known.as_str());
    posted.chain(NEVER_POSTED.iter().copied())
}

/// Lists entries, newest transfer first.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let page = match read_filter(&query)? {
        Some(filter) => call.engine().list_entries(call.tenant(), filter, paging.query).await?,
        None => Page { items: Vec::new(), more: false },
    };
    Ok(call.page(
        &page,
        &paging,
        |entry| entry.id.ulid(),
        |entry| EntryWire::new(entry, call.account()),
    ))
}

/// The sums of every ledger account, per currency.
pub async fn balances(call: Call) -> Result<Response, Problem> {
    let balances = call.engine().balances(call.tenant()).await?;
    let items: Vec<_> = balances.iter().map(BalanceWire::new).collect();
    Ok(call.answer(StatusCode::OK, &items))
}

/// Reads the filters. `None` when no entry can match them.
fn read_filter(query: &Query<'_>) -> Result<Option<TransferFilter>, Invalid> {
    let mut filter = TransferFilter::default();
    let mut possible = true;
    if let Some(text) = query.get("code")? {
        // Account codes are an open vocabulary; an unknown one has no entries.
        filter.code = Code::from_text(&text);
        possible &= filter.code.is_some();
    }
    if let Some(text) = query.get("sourceType")? {
        filter.source_type = SourceType::from_text(&text);
        possible &= filter.source_type.is_some();
        if filter.source_type.is_none() && !NEVER_POSTED.contains(&&*text) {
            return Err(unknown_source_type(&text));
        }
    }
    if let Some(text) = query.get("sourceId")? {
        let source = read_source(&text);
        possible &= source.is_some_and(|(named, _)| fits(named, filter.source_type));
        if let Some((named, ulid)) = source {
            filter.source = Some(ulid);
            filter.source_type = named.or(filter.source_type);
        }
    }
    if let Some(text) = query.get("txId")? {
        filter.transfer = TransferId::parse(&text).ok().map(TransferId::ulid);
        possible &= filter.transfer.is_some();
    }
    Ok(possible.then_some(filter))
}

fn unknown_source_type(text: &str) -> Invalid {
    let known = source_types().collect::<Vec<_>>().join(", ");
    let text = excerpt(text);
    Invalid::field("sourceType", format!("sourceType must be one of {known}; got {text:?}"))
}

/// The source with this id, and its type where the prefix determines it. `pay_` names a payment of
/// any type.
fn read_source(text: &str) -> Option<(Option<SourceType>, Ulid)> {
    if let Ok(refund) = RefundId::parse(text) {
        return Some((Some(SourceType::Refund), refund.ulid()));
    }
    if let Ok(payment) = PaymentId::parse(text) {
        return Some((None, payment.ulid()));
    }
    let text = text.strip_prefix("in_").map_or(text.to_owned(), |rest| format!("inv_{rest}"));
    SourceType::ALL.iter().find_map(|known| {
        let rest = text.strip_prefix(known.prefix())?;
        let payment = PaymentId::parse(&format!("{}{rest}", PaymentId::PREFIX)).ok()?;
        Some((Some(*known), payment.ulid()))
    })
}

fn fits(named: Option<SourceType>, asked: Option<SourceType>) -> bool {
    match (named, asked) {
        (Some(named), Some(asked)) => named == asked,
        // `pay_` never names a refund.
        (None, Some(asked)) => asked != SourceType::Refund,
        (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    /// The filter as code, type, and whether a source and a transfer are asked for.
    type Read = Option<(Option<Code>, Option<SourceType>, bool, bool)>;

    fn read(query: &str) -> Result<Read, String> {
        let query = query.replace("<U>", ULID);
        read_filter(&Query::parse(Some(&query)))
            .map(|filter| {
                filter.map(|f| (f.code, f.source_type, f.source.is_some(), f.transfer.is_some()))
            })
            .map_err(|invalid| invalid.field.unwrap_or_default().into_owned())
    }

    #[test]
    fn filters_are_read() {
        use SourceType::{Invoice, Payment, Refund};
        for (query, expected) in [
            ("", (None, None, false, false)),
            ("code=cash", (Some(Code::Cash), None, false, false)),
            ("sourceType=refund&sourceId=rfd_<U>", (None, Some(Refund), true, false)),
            ("sourceId=rf_<U>", (None, Some(Refund), true, false)),
            ("sourceId=in_<U>", (None, Some(Invoice), true, false)),
            ("sourceId=inv_<U>", (None, Some(Invoice), true, false)),
            ("sourceId=pay_<U>", (None, None, true, false)),
            ("sourceType=payment&sourceId=pay_<U>", (None, Some(Payment), true, false)),
            ("sourceType=invoice&sourceId=pay_<U>", (None, Some(Invoice), true, false)),
            ("txId=tx_<U>", (None, None, false, true)),
        ] {
            assert_eq!(read(query), Ok(Some(expected)), "{query}");
        }
    }

    #[test]
    fn what_cannot_match_matches_nothing() {
        for query in [
            "code=platform_fee",
            "sourceType=payout",
            "sourceId=nothing",
            "sourceId=rfd_nothing",
            "sourceType=refund&sourceId=pay_<U>",
            "sourceType=invoice&sourceId=rfd_<U>",
            "txId=nothing",
        ] {
            assert_eq!(read(query), Ok(None), "{query}");
        }
    }

    #[test]
    fn a_source_type_that_nobody_knows_is_a_mistake() {
        assert_eq!(read("sourceType=checkout-session"), Err("sourceType".to_owned()));
    }
}
