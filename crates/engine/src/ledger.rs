//! The ledger: entries and balances.

use crate::{Engine, Error};
use domain::ids::EntryId;
use domain::ledger::{Code, Transfer};
use domain::tenant::Tenant;
use store::{Balance, Page, PageQuery, SortOrder, TransferFilter};
use ulid::Ulid;

/// Which side of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Debit,
    Credit,
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
        }
    }
}

/// One leg of a transfer.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: EntryId,
    pub code: Code,
    pub direction: Direction,
    pub transfer: Transfer,
}

impl Engine {
    /// Ledger entries by time. Paged by entry id.
    pub async fn list_entries(
        &self,
        tenant: Tenant,
        filter: TransferFilter,
        page: PageQuery,
    ) -> Result<Page<Entry>, Error> {
        let descending = page.order == SortOrder::Descending;
        // The second leg's id is the first one's plus one, so the transfer of the last entry seen
        // may have a leg to come.
        let after = match (page.after, descending) {
            (Some(after), false) => Some(Ulid(after.0.saturating_sub(1))),
            (after, _) => after,
        };
        let query = PageQuery { limit: page.limit.saturating_add(1), after, ..page };
        let transfers = self.store().list_transfers(tenant, filter, query).await?;
        let unseen = |entry: &Entry| match page.after {
            None => true,
            Some(after) if descending => entry.id.ulid() < after,
            Some(after) => entry.id.ulid() > after,
        };
        let mut items: Vec<Entry> = transfers
            .items
            .into_iter()
            .flat_map(|transfer| legs(transfer, descending))
            .filter(|entry| filter.code.is_none_or(|code| entry.code == code) && unseen(entry))
            .collect();
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = transfers.more || items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }

    /// The running totals of every ledger account and currency.
    pub async fn balances(&self, tenant: Tenant) -> Result<Vec<Balance>, Error> {
        Ok(self.store().balances(tenant).await?)
    }
}

/// Both legs of a transfer, in list order.
fn legs(transfer: Transfer, descending: bool) -> [Entry; 2] {
    let (debit, credit) = transfer.reason.legs();
    let (debit_id, credit_id) = transfer.id.legs();
    let leg = |id, code, direction, transfer| Entry { id, code, direction, transfer };
    let first = leg(debit_id, debit, Direction::Debit, transfer.clone());
    let second = leg(credit_id, credit, Direction::Credit, transfer);
    if descending { [second, first] } else { [first, second] }
}
