//! The queries of lists, for both databases: each reads one page off one index, however many rows there
//! are.

use super::{
    CheckoutFilter, DeliveryFilter, EventFilter, InvoiceFilter, PageQuery, RefundFilter,
    TransferFilter, first_at,
};
use crate::tables::{CHECKOUTS, DELIVERIES, EVENTS, INVOICES, PAYMENTS, REFUNDS, TRANSFERS, Table};
use domain::account::Tenant;
use domain::event::Type;
use domain::ids::{DeliveryId, EventId, RefundId};
use domain::ledger::Reason;
use domain::refund::Status;
use domain::webhook::Status as DeliveryStatus;
use ulid::Ulid;

/// A value in a query.
pub(crate) enum Arg {
    Number(i64),
    Ulid(Ulid),
    Text(Box<str>),
}

/// A query made of fixed pieces; every value is a parameter.
pub(crate) trait ListQuery: Sized {
    /// A query of the rows of a tenant, which the column named by `scope` holds.
    fn of(select: &str, tenant: (&str, Tenant)) -> Self;

    /// Adds a fixed piece.
    fn push(&mut self, text: &str);

    /// Adds a condition; `?` in it stands for `value`.
    fn and(&mut self, condition: &str, value: Arg);

    /// Adds the condition that a column holds one of these numbers.
    fn and_one_of(&mut self, column: &str, numbers: Vec<i64>);

    /// Adds the order and a limit that is one row larger than `limit`.
    fn finish(&mut self, order: &str, limit: u32);

    /// A table as it stands behind `FROM`, with a hint to use `index` where the database needs one.
    fn table(name: &str, index: Option<&str>) -> String;

    /// Refunds, `r`, joined with their payments, `p`, as they stand behind `FROM`.
    fn refunds_with_payments(index: Option<&str>) -> String;

    /// Events, `e`, joined with their refunds, `r`, and payments, `p`, as they stand behind `FROM`.
    fn events_with_subjects(index: Option<&str>) -> String;

    /// Adds the condition on a status. With `rare`, repeats the condition of an index that leaves
    /// out succeeded rows.
    fn and_status(&mut self, column: &str, status: Option<i64>, rare: bool) {
        if let Some(status) = status {
            self.and(&format!("{column} = ?"), Arg::Number(status));
        }
        if rare {
            self.push(&format!(" AND {column} <> 2"));
        }
    }

    /// Adds the conditions and the order of one page by `column`, one row more than the limit.
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

    /// The same for invoices, by their time of issue.
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
fn select<Q: ListQuery, T>(table: &Table<T>, index: Option<&str>, tenant: Tenant) -> Q {
    let from = Q::table(table.name, index);
    Q::of(&format!("SELECT {} FROM {from}", table.columns()), ("scope", tenant))
}

/// The columns of refunds and of their payments.
pub(crate) fn refund_view_columns() -> String {
    format!("{}, {}", REFUNDS.columns_of("r"), PAYMENTS.columns_of("p"))
}

fn select_refunds<Q: ListQuery>(index: Option<&str>, tenant: Tenant) -> Q {
    let from = Q::refunds_with_payments(index);
    Q::of(&format!("SELECT {} FROM {from}", refund_view_columns()), ("r.scope", tenant))
}

/// Events with their subjects, which [`read_joined`](super::read_joined) reads.
pub(crate) fn select_events<Q: ListQuery>(index: Option<&str>, tenant: Tenant) -> Q {
    let (event, payment) = (EVENTS.columns_of("e"), PAYMENTS.columns_of("p"));
    let (refund, from) = (REFUNDS.columns_of("r"), Q::events_with_subjects(index));
    Q::of(&format!("SELECT {event}, {payment}, {refund} FROM {from}"), ("e.scope", tenant))
}

pub(crate) fn refund_query<Q: ListQuery>(tenant: Tenant, id: RefundId) -> Q {
    let mut query: Q = select_refunds(None, tenant);
    query.and("r.id = ?", Arg::Ulid(id.ulid()));
    query
}

pub(crate) fn event_query<Q: ListQuery>(tenant: Tenant, id: EventId) -> Q {
    let mut query: Q = select_events(None, tenant);
    query.and("e.id = ?", Arg::Ulid(id.ulid()));
    query
}

pub(crate) fn delivery_query<Q: ListQuery>(tenant: Tenant, id: DeliveryId) -> Q {
    let mut query: Q = select(&DELIVERIES, None, tenant);
    query.and("id = ?", Arg::Ulid(id.ulid()));
    query
}

pub(crate) fn payments_query<Q: ListQuery>(tenant: Tenant, page: PageQuery) -> Q {
    let mut query: Q = select(&PAYMENTS, None, tenant);
    query.page("id", page);
    query
}

pub(crate) fn refunds_query<Q: ListQuery>(
    tenant: Tenant,
    filter: RefundFilter,
    page: PageQuery,
) -> Q {
    let rare = filter.status.is_some_and(|status| status != Status::Succeeded);
    let mut query: Q = select_refunds(rare.then_some("refunds_not_succeeded"), tenant);
    if let Some(payment) = filter.payment {
        query.and("r.payment = ?", Arg::Ulid(payment.ulid()));
    }
    query.and_status("r.status", filter.status.map(Status::code), rare);
    query.page("r.id", page);
    query
}

/// The condition of the index on event types, which leaves out the types that nearly every payment and
/// refund has.
const RARE_TYPES: &str = " AND e.type > 12 AND e.type <> 16";

/// Whether the index on event types has this one, see [`RARE_TYPES`].
pub(crate) const fn is_rare(event_type: Type) -> bool {
    match event_type {
        Type::PaymentCreated
        | Type::PaymentPartiallyRefunded
        | Type::PaymentRefunded
        | Type::RefundCreated
        | Type::RefundSubmitted
        | Type::RefundSucceeded
        | Type::RefundUpdated => false,
        Type::RefundFailed
        | Type::RefundCanceled
        | Type::RefundNeedsReview
        | Type::CheckoutCreated
        | Type::CheckoutPending
        | Type::CheckoutPendingReview
        | Type::CheckoutCompleted
        | Type::CheckoutFailed
        | Type::CheckoutExpired
        | Type::CheckoutCanceled
        | Type::CheckoutDeleted
        | Type::InvoiceCreated
        | Type::InvoiceFinalized
        | Type::InvoiceSent
        | Type::InvoicePaid
        | Type::InvoiceVoided
        | Type::InvoicePending
        | Type::InvoiceFailed
        | Type::InvoicePastDue
        | Type::EndpointDisabled => true,
    }
}

pub(crate) fn events_query<Q: ListQuery>(
    tenant: Tenant,
    filter: EventFilter,
    page: PageQuery,
) -> Q {
    let rare = filter.refund.is_none() && filter.event_type.is_some_and(is_rare);
    let mut query: Q = select_events(rare.then_some("events_by_type"), tenant);
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
        // When that event is deleted, so are all events before it.
        let seq = "coalesce((SELECT seq FROM events a WHERE a.scope = e.scope AND a.id = ?), 0)";
        query.and(&format!("e.seq {comparison} {seq}"), Arg::Ulid(after));
    }
    query.finish(&format!("e.seq {direction}"), page.limit);
    query
}

pub(crate) fn transfers_query<Q: ListQuery>(
    tenant: Tenant,
    filter: TransferFilter,
    page: PageQuery,
) -> Q {
    let by_source = filter.source.is_some() && filter.transfer.is_none();
    let index = by_source.then_some("postings_by_source");
    let mut query: Q = select(&TRANSFERS, index, tenant);
    if let Some(source) = filter.source {
        query.and("source = ?", Arg::Ulid(source));
    }
    if let Some(source_type) = filter.source_type {
        query.and("source_type = ?", Arg::Number(source_type.code()));
    }
    if let Some(transfer) = filter.transfer {
        query.and("id = ?", Arg::Ulid(transfer));
    }
    if let Some(code) = filter.code {
        // The ledger accounts of a transfer follow from its reason; these are at most three numbers
        // and no input.
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

pub(crate) fn checkouts_query<Q: ListQuery>(
    tenant: Tenant,
    filter: &CheckoutFilter,
    page: PageQuery,
) -> Q {
    let index = match (&filter.customer, filter.state) {
        (Some(_), _) => "checkouts_by_customer",
        (None, Some(_)) => "checkouts_by_state",
        (None, None) => "checkouts_by_kind",
    };
    let mut query: Q = select(&CHECKOUTS, Some(index), tenant);
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

pub(crate) fn invoices_query<Q: ListQuery>(
    tenant: Tenant,
    filter: &InvoiceFilter,
    page: PageQuery,
) -> Q {
    let index = match filter {
        InvoiceFilter { customer: Some(_), .. } => Some("invoices_by_customer"),
        InvoiceFilter { subscription: Some(_), .. } => Some("invoices_by_subscription"),
        InvoiceFilter { state: Some(_), .. } if filter.by_issue() => {
            Some("invoices_by_state_and_issue")
        }
        InvoiceFilter { state: Some(_), .. } => Some("invoices_by_state"),
        _ => filter.by_issue().then_some("invoices_by_issue"),
    };
    let mut query: Q = select(&INVOICES, index, tenant);
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

pub(crate) fn deliveries_query<Q: ListQuery>(
    tenant: Tenant,
    filter: &DeliveryFilter,
    page: PageQuery,
) -> Q {
    let rare = filter.status.is_some_and(|status| status != DeliveryStatus::Succeeded);
    let index = if rare {
        Some("deliveries_not_succeeded")
    } else {
        filter.endpoint.is_some().then_some("deliveries_by_endpoint")
    };
    let mut query: Q = select(&DELIVERIES, index, tenant);
    if let Some(endpoint) = filter.endpoint {
        query.and("endpoint = ?", Arg::Ulid(endpoint.ulid()));
    }
    query.and_status("status", filter.status.map(DeliveryStatus::code), rare);
    if let Some(types) = &filter.types {
        query.and_one_of("type", types.iter().map(|event| event.code()).collect());
    }
    if let Some(format) = filter.format {
        query.and("format = ?", Arg::Number(format.code()));
    }
    query.page("id", page);
    query
}
