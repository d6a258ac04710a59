//! Every list, and the index that both databases must use for it. The list of each resource stands next
//! to its cases.

use super::{
    Dialect, PageQuery, Query, SortOrder, checkouts, deliveries, events, holds, invoices, ledger,
    payments, provider_accounts, refunds, unmatched_notices,
};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use ulid::Ulid;

/// The key of the list's table.
pub const KEY: &str = "the primary key";

type MakeQuery = dyn Fn(Dialect, PageQuery, &str) -> Query<()>;

/// A list with a filter, and the index that it is read off.
pub struct Case {
    /// The filter.
    pub list: String,
    query: Box<MakeQuery>,
    pub index: &'static str,
    /// The first row of a page is found in the index, and every row behind it belongs to the page.
    /// `false` where the walk along the index passes over rows that the filter leaves out, which the
    /// documentation says.
    pub seeks: bool,
    /// The database sorts the rows, at most those of one buyer.
    pub sorts: bool,
    /// A page may have a span of time.
    with_span: bool,
}

impl Case {
    pub fn new<F: Clone + std::fmt::Debug + 'static, T: 'static>(
        list: fn(Dialect, Tenant, F, PageQuery) -> Query<T>,
        filter: F,
        index: &'static str,
    ) -> Self {
        Self {
            list: format!("{filter:?}"),
            query: Box::new(move |dialect, page, explain| {
                list(dialect, tenant(), filter.clone(), page).explained(explain)
            }),
            index,
            seeks: true,
            sorts: false,
            with_span: true,
        }
    }

    pub fn scans(self) -> Self {
        Self { seeks: false, ..self }
    }

    pub fn sorting(self) -> Self {
        Self { sorts: true, ..self }
    }

    pub fn without_span(self) -> Self {
        Self { with_span: false, ..self }
    }

    /// The query of one page, behind the word `explain`.
    pub fn explained(&self, dialect: Dialect, page: PageQuery, explain: &str) -> Query<()> {
        (self.query)(dialect, page, explain)
    }

    /// The first page, the page behind a row in the middle, and the pages of a span, in both directions.
    pub fn pages(&self) -> Vec<PageQuery> {
        let time = |n: u64| Some(Timestamp(i64::try_from(n).expect("a time")));
        let mut pages = Vec::new();
        for order in [SortOrder::Descending, SortOrder::Ascending] {
            for after in [None, Some(nth(ROWS / 2))] {
                let page = PageQuery { limit: 20, after, order, from: None, until: None };
                pages.push(page);
                if self.with_span {
                    pages.push(PageQuery { from: time(ROWS / 4), until: time(ROWS), ..page });
                }
            }
        }
        pages
    }
}

pub fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

/// The `n`th row that was made.
pub fn nth(n: u64) -> Ulid {
    Ulid::from_parts(n, 0)
}

/// Rows of the largest tables.
pub const ROWS: u64 = 30_000;

/// Every list with every filter.
pub fn cases() -> Vec<Case> {
    let of = [
        payments::cases(),
        refunds::cases(),
        events::cases(),
        ledger::cases(),
        deliveries::cases(),
        checkouts::cases(),
        holds::cases(),
        invoices::cases(),
        unmatched_notices::cases(),
        provider_accounts::cases(),
    ];
    of.into_iter().flatten().collect()
}
