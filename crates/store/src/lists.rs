//! The queries of lists, in the words that both databases share: each reads one page off one index,
//! however much is stored.

use crate::query::{
    CheckoutFilter, DeliveryFilter, EventFilter, InvoiceFilter, PageQuery, PostingFilter,
    RefundFilter,
};
use crate::sqlite::batch::PAYMENT_COLUMNS;
use crate::sqlite::checkouts::CHECKOUT_COLUMNS;
use crate::sqlite::invoices::INVOICE_COLUMNS;
use crate::sqlite::reads::{POSTING_COLUMNS, first_at};
use crate::sqlite::webhooks::DELIVERY_COLUMNS;
use domain::account::Scope;
use domain::event::Type;
use domain::ledger::Reason;
use domain::refund::Status;
use domain::webhook::Status as Sent;
use ulid::Ulid;

/// A value in a query.
pub(crate) enum Arg {
    Number(i64),
    Ulid(Ulid),
    Text(Box<str>),
}

/// A query that is put together from fixed pieces; every value is a parameter.
pub(crate) trait Query: Sized {
    /// A query of the rows of a scope, which the column named by `scope` holds.
    fn of(select: &str, scope: (&str, Scope)) -> Self;

    /// Adds a fixed piece.
    fn push(&mut self, text: &str);

    /// Adds a condition; `?` in it stands for `value`.
    fn and(&mut self, condition: &str, value: Arg);

    /// Adds the condition that a column holds one of these numbers.
    fn and_one_of(&mut self, column: &str, numbers: Vec<i64>);

    /// Adds order and limit, one row more than asked for.
    fn finish(&mut self, order: &str, limit: u32);

    /// A table as it stands behind `FROM`, read off an index where that has to be said.
    fn table(name: &str, index: Option<&str>) -> String;

    /// Refunds, `r`, with their payments, `p`.
    fn select_refunds(index: Option<&str>) -> String;

    /// Events, `e`, with the refund and the payment they speak of, `r` and `p`.
    fn select_events(index: Option<&str>) -> String;

    /// Adds the condition that a status is this one. With `rare`, in the words of an index that leaves
    /// out what succeeded.
    fn and_status(&mut self, column: &str, status: Option<i64>, rare: bool) {
        if let Some(status) = status {
            self.and(&format!("{column} = ?"), Arg::Number(status));
        }
        if rare {
            self.push(&format!(" AND {column} <> 2"));
        }
    }

    /// Adds what selects and orders one page by `column`, one row more than asked for.
    fn page(&mut self, column: &str, page: PageQuery) {
        let (comparison, direction) = page.order.words();
        if let Some(after) = page.after {
            self.and(&format!("{column} {comparison} ?"), Arg::Ulid(after));
        }
        if let Some(from) = page.from {
            self.and(&format!("{column} >= ?"), Arg::Ulid(first_at(from)));
        }
        if let Some(until) = page.until {
            self.and(&format!("{column} < ?"), Arg::Ulid(first_at(until)));
        }
        self.finish(&format!("{column} {direction}"), page.limit);
    }

    /// The same for invoices, by the time at which they were asked for.
    fn page_by_issue(&mut self, page: PageQuery) {
        let (comparison, direction) = page.order.words();
        if let Some(after) = page.after {
            let place = "((SELECT a.issued_at FROM invoices a WHERE a.id = ?), ?)";
            self.and(&format!("(issued_at, id) {comparison} {place}"), Arg::Ulid(after));
        }
        self.finish(&format!("issued_at {direction}, id {direction}"), page.limit);
    }
}

/// Without statistics a planner prefers the primary key, and reads every other row on the way: `index`
/// is the one that fits the filter.
fn select<Q: Query>(columns: &str, table: &str, index: Option<&str>, scope: Scope) -> Q {
    Q::of(&format!("SELECT {columns} FROM {}", Q::table(table, index)), ("scope", scope))
}

pub(crate) fn payments_query<Q: Query>(scope: Scope, page: PageQuery) -> Q {
    let mut query: Q = select(PAYMENT_COLUMNS, "payments", None, scope);
    query.page("id", page);
    query
}

pub(crate) fn refunds_query<Q: Query>(scope: Scope, filter: RefundFilter, page: PageQuery) -> Q {
    let rare = filter.status.is_some_and(|status| status != Status::Succeeded);
    let mut query =
        Q::of(&Q::select_refunds(rare.then_some("refunds_not_succeeded")), ("r.scope", scope));
    if let Some(payment) = filter.payment {
        query.and("r.payment = ?", Arg::Ulid(payment.ulid()));
    }
    query.and_status("r.status", filter.status.map(Status::code), rare);
    query.page("r.id", page);
    query
}

/// Of which types of events there is an index. Of the others nearly every payment and refund has one.
const RARE_TYPES: &str = " AND e.type > 12 AND e.type <> 16";

/// See [`RARE_TYPES`].
pub(crate) fn is_rare(event_type: Type) -> bool {
    event_type.code() > Type::RefundSucceeded.code() && event_type != Type::RefundUpdated
}

pub(crate) fn events_query<Q: Query>(scope: Scope, filter: EventFilter, page: PageQuery) -> Q {
    let rare = filter.refund.is_none() && filter.event_type.is_some_and(is_rare);
    let mut query = Q::of(&Q::select_events(rare.then_some("events_by_type")), ("e.scope", scope));
    if let Some(event_type) = filter.event_type {
        query.and("e.type = ?", Arg::Number(event_type.code()));
    }
    if rare {
        query.push(RARE_TYPES);
    }
    let Some(refund) = filter.refund else {
        query.page("e.id", page);
        return query;
    };
    query.and("e.refund = ?", Arg::Ulid(refund.ulid()));
    let (comparison, direction) = page.order.words();
    if let Some(after) = page.after {
        // Where it is no longer kept, nothing before it is either.
        let seq = "coalesce((SELECT seq FROM events a WHERE a.scope = e.scope AND a.id = ?), 0)";
        query.and(&format!("e.seq {comparison} {seq}"), Arg::Ulid(after));
    }
    query.finish(&format!("e.seq {direction}"), page.limit);
    query
}

pub(crate) fn postings_query<Q: Query>(scope: Scope, filter: PostingFilter, page: PageQuery) -> Q {
    let by_source = filter.source.is_some() && filter.posting.is_none();
    let index = by_source.then_some("postings_by_source");
    let mut query: Q = select(POSTING_COLUMNS, "postings", index, scope);
    if let Some(source) = filter.source {
        query.and("source = ?", Arg::Ulid(source));
    }
    if let Some(source_type) = filter.source_type {
        query.and("source_type = ?", Arg::Number(source_type.code()));
    }
    if let Some(posting) = filter.posting {
        query.and("id = ?", Arg::Ulid(posting));
    }
    if let Some(code) = filter.code {
        // The accounts of a posting follow from its reason: at most three numbers, no input.
        let reasons: Vec<String> = Reason::ALL
            .iter()
            .filter(|reason| reason.legs().0 == code || reason.legs().1 == code)
            .map(|reason| reason.code().to_string())
            .collect();
        query.push(&format!(" AND reason IN ({})", reasons.join(", ")));
    }
    query.page("id", page);
    query
}

pub(crate) fn checkouts_query<Q: Query>(
    scope: Scope,
    filter: &CheckoutFilter,
    page: PageQuery,
) -> Q {
    let index = match (&filter.customer, filter.state) {
        (Some(_), _) => "checkouts_by_customer",
        (None, Some(_)) => "checkouts_by_state",
        (None, None) => "checkouts_by_kind",
    };
    let mut query: Q = select(CHECKOUT_COLUMNS, "checkouts", Some(index), scope);
    query.push(" AND deleted = 0");
    query.and("kind = ?", Arg::Number(filter.kind.code()));
    if let Some(state) = filter.state {
        query.and("state = ?", Arg::Number(state.code()));
    }
    if let Some(customer) = &filter.customer {
        query.and("customer = ?", Arg::Text(customer.clone()));
    }
    query.page("id", page);
    query
}

pub(crate) fn invoices_query<Q: Query>(scope: Scope, filter: &InvoiceFilter, page: PageQuery) -> Q {
    let index = match filter {
        InvoiceFilter { customer: Some(_), .. } => Some("invoices_by_customer"),
        InvoiceFilter { subscription: Some(_), .. } => Some("invoices_by_subscription"),
        InvoiceFilter { state: Some(_), .. } if filter.by_issue() => {
            Some("invoices_by_state_and_issue")
        }
        InvoiceFilter { state: Some(_), .. } => Some("invoices_by_state"),
        _ => filter.by_issue().then_some("invoices_by_issue"),
    };
    let mut query: Q = select(INVOICE_COLUMNS, "invoices", index, scope);
    if let Some(state) = filter.state {
        query.and("state = ?", Arg::Number(state.code()));
    }
    if let Some(customer) = &filter.customer {
        query.and("customer = ?", Arg::Text(customer.clone()));
    }
    if let Some(subscription) = &filter.subscription {
        query.and("subscription = ?", Arg::Text(subscription.clone()));
    }
    if let Some(from) = filter.issued_from {
        query.and("issued_at >= ?", Arg::Number(from.0));
    }
    if let Some(until) = filter.issued_until {
        query.and("issued_at < ?", Arg::Number(until.0));
    }
    if filter.by_issue() {
        query.page_by_issue(page);
    } else {
        query.page("id", page);
    }
    query
}

pub(crate) fn deliveries_query<Q: Query>(
    scope: Scope,
    filter: &DeliveryFilter,
    page: PageQuery,
) -> Q {
    let rare = filter.status.is_some_and(|status| status != Sent::Succeeded);
    let index = if rare {
        Some("deliveries_not_succeeded")
    } else {
        filter.endpoint.is_some().then_some("deliveries_by_endpoint")
    };
    let mut query: Q = select(DELIVERY_COLUMNS, "deliveries", index, scope);
    if let Some(endpoint) = filter.endpoint {
        query.and("endpoint = ?", Arg::Ulid(endpoint.ulid()));
    }
    query.and_status("status", filter.status.map(Sent::code), rare);
    if let Some(types) = &filter.types {
        query.and_one_of("type", types.iter().map(|event| event.code()).collect());
    }
    if let Some(format) = filter.format {
        query.and("format = ?", Arg::Number(format.code()));
    }
    query.page("id", page);
    query
}
