//! Read queries: what doors can ask for without changing anything.

use crate::facade::RefundView;
use crate::input::Source;
use crate::snapshot::EventView;
use crate::{Engine, Error, names};
use domain::account::{Mode, Scope};
use domain::ids::{EntryId, EventId, PaymentId, RefundId};
use domain::keys::Target;
use domain::ledger::{Code, Posting};
use domain::payment::Payment;
use store::{Balance, EventFilter, Page, PageQuery, PostingFilter, RefundFilter, SortOrder};
use ulid::Ulid;

/// Which side of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Debit.
    Debit,
    /// Credit.
    Credit,
}

impl Direction {
    /// `debit` or `credit`.
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
    /// Its id.
    pub id: EntryId,
    /// Its ledger account.
    pub code: Code,
    /// Its side.
    pub direction: Direction,
    /// The posting it belongs to.
    pub posting: Posting,
}

impl Engine {
    /// The payment with this id.
    pub async fn find_payment(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Payment>, Error> {
        Ok(self.store().find_payment(scope, id).await?)
    }

    /// Payments by time of registration.
    pub async fn list_payments(
        &self,
        scope: Scope,
        page: PageQuery,
    ) -> Result<Page<Payment>, Error> {
        Ok(self.store().list_payments(scope, page).await?)
    }

    /// The payment that a caller names. An id is returned as it is, without a look-up.
    pub async fn resolve_source(
        &self,
        scope: Scope,
        source: &Source,
    ) -> Result<Option<PaymentId>, Error> {
        match source {
            Source::Id(id, _) => Ok(Some(*id)),
            Source::Charge(charge) => {
                let key = self.store().find_key(scope, names::charge(charge)).await?;
                let key = key.filter(|key| key.target == Target::Payment);
                Ok(key.map(|key| PaymentId::from_ulid(key.id)))
            }
        }
    }

    /// Payments that have the provider's id `charge`, in any account and mode.
    pub async fn find_payments_by_charge_everywhere(
        &self,
        charge: &str,
    ) -> Result<Vec<Payment>, Error> {
        let source = Source::Charge(charge.into());
        let mut found = Vec::new();
        for account in self.store().list_accounts().await? {
            for &mode in Mode::ALL {
                let scope = Scope::new(account.number, mode);
                if let Some(id) = self.resolve_source(scope, &source).await? {
                    found.extend(self.find_payment(scope, id).await?);
                }
            }
        }
        Ok(found)
    }

    /// The refund with this id.
    pub async fn find_refund(
        &self,
        scope: Scope,
        id: RefundId,
    ) -> Result<Option<RefundView>, Error> {
        let found = self.store().find_refund(scope, id).await?;
        Ok(found.map(|(refund, payment)| RefundView { refund, payment }))
    }

    /// Refunds by time of creation.
    pub async fn list_refunds(
        &self,
        scope: Scope,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, Error> {
        let page = self.store().list_refunds(scope, filter, page).await?;
        let view = |(refund, payment)| RefundView { refund, payment };
        Ok(Page { items: page.items.into_iter().map(view).collect(), more: page.more })
    }

    /// Events by time; a refund's timeline, by sequence number, with `filter.refund`.
    pub async fn list_events(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, Error> {
        let page = self.store().list_events(scope, filter, page).await?;
        Ok(Page { items: page.items.into_iter().map(EventView::from).collect(), more: page.more })
    }

    /// The event with this id.
    pub async fn find_event(&self, scope: Scope, id: EventId) -> Result<Option<EventView>, Error> {
        Ok(self.store().find_event(scope, id).await?.map(EventView::from))
    }

    /// Ledger entries by time. Paged by entry id.
    pub async fn list_entries(
        &self,
        scope: Scope,
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
        let postings = self.store().list_postings(scope, filter, query).await?;
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
    pub async fn balances(&self, scope: Scope) -> Result<Vec<Balance>, Error> {
        Ok(self.store().balances(scope).await?)
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
