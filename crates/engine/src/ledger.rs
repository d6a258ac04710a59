//! The ledger: entries and balances.

use crate::{Engine, Error};
use domain::account::Tenant;
use domain::ids::EntryId;
use domain::ledger::{Code, Posting};
use store::{Balance, Page, PageQuery, PostingFilter, SortOrder};
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

/// One leg of a posting.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: EntryId,
    pub code: Code,
    pub direction: Direction,
    pub posting: Posting,
}

impl Engine {
    /// Ledger entries by time. Paged by entry id.
    pub async fn list_entries(
        &self,
        tenant: Tenant,
        filter: PostingFilter,
        page: PageQuery,
    ) -> Result<Page<Entry>, Error> {
        let descending = page.order == SortOrder::Descending;
        // The second leg's id is the first one's plus one, so the posting of the last entry seen
        // may have a leg to come.
        let after = match (page.after, descending) {
            (Some(after), false) => Some(Ulid(after.0.saturating_sub(1))),
            (after, _) => after,
        };
        let query = PageQuery { limit: page.limit.saturating_add(1), after, ..page };
        let postings = self.store().list_postings(tenant, filter, query).await?;
        let unseen = |entry: &Entry| match page.after {
            None => true,
            Some(after) if descending => entry.id.ulid() < after,
            Some(after) => entry.id.ulid() > after,
        };
        let mut items: Vec<Entry> = postings
            .items
            .into_iter()
            .flat_map(|posting| legs(posting, descending))
            .filter(|entry| filter.code.is_none_or(|code| entry.code == code) && unseen(entry))
            .collect();
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = postings.more || items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }

    /// The running totals of every ledger account and currency.
    pub async fn balances(&self, tenant: Tenant) -> Result<Vec<Balance>, Error> {
        Ok(self.store().balances(tenant).await?)
    }
}

/// Both legs of a posting, in list order.
fn legs(posting: Posting, descending: bool) -> [Entry; 2] {
    let (debit, credit) = posting.reason.legs();
    let (debit_id, credit_id) = posting.id.legs();
    let leg = |id, code, direction, posting| Entry { id, code, direction, posting };
    let first = leg(debit_id, debit, Direction::Debit, posting.clone());
    let second = leg(credit_id, credit, Direction::Credit, posting);
    if descending { [second, first] } else { [first, second] }
}
