//! The queries of lists: each reads one page off one index, however much is stored.

use super::reads::{number, select_events, select_refunds};
use super::statement::{Query, ulid};
use super::value::Value;
use crate::query::{
    CheckoutFilter, DeliveryFilter, EventFilter, InvoiceFilter, PageQuery, PostingFilter,
    RefundFilter,
};
use crate::sqlite::batch::PAYMENT_COLUMNS;
use crate::sqlite::checkouts::CHECKOUT_COLUMNS;
use crate::sqlite::invoices::INVOICE_COLUMNS;
use crate::sqlite::reads::{POSTING_COLUMNS, RARE_TYPES, is_rare};
use crate::sqlite::webhooks::DELIVERY_COLUMNS;
use domain::account::Scope;
use domain::ledger::Reason;
use domain::refund::Status;

pub(super) fn payments_query(scope: Scope, page: PageQuery) -> Query {
    let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE scope = $1");
    let mut query = Query::new(sql, scope);
    query.page("id", page);
    query
}

pub(super) fn refunds_query(scope: Scope, filter: RefundFilter, page: PageQuery) -> Query {
    let mut query = Query::new(select_refunds(), scope);
    if let Some(payment) = filter.payment {
        query.and("r.payment = ?", ulid(payment.ulid()));
    }
    if let Some(status) = filter.status {
        query.and("r.status = ?", number(status.code()));
        if status != Status::Succeeded {
            // Said in these words, the index of the refunds that did not succeed can be used.
            query.push(" AND r.status <> 2");
        }
    }
    query.page("r.id", page);
    query
}

pub(super) fn events_query(scope: Scope, filter: EventFilter, page: PageQuery) -> Query {
    let mut query = Query::new(select_events(), scope);
    if let Some(event_type) = filter.event_type {
        query.and("e.type = ?", number(event_type.code()));
        if filter.refund.is_none() && is_rare(event_type) {
            query.push(RARE_TYPES);
        }
    }
    let Some(refund) = filter.refund else {
        query.page("e.id", page);
        return query;
    };
    query.and("e.refund = ?", ulid(refund.ulid()));
    let (comparison, direction) = page.order.words();
    if let Some(after) = page.after {
        // Where it is no longer kept, nothing before it is either.
        let seq = "coalesce((SELECT seq FROM events a WHERE a.scope = e.scope AND a.id = ?), 0)";
        query.and(&format!("e.seq {comparison} {seq}"), ulid(after));
    }
    query.finish(&format!("e.seq {direction}"), page.limit);
    query
}

pub(super) fn postings_query(scope: Scope, filter: PostingFilter, page: PageQuery) -> Query {
    let sql = format!("SELECT {POSTING_COLUMNS} FROM postings WHERE scope = $1");
    let mut query = Query::new(sql, scope);
    if let Some(source) = filter.source {
        query.and("source = ?", ulid(source));
    }
    if let Some(source_type) = filter.source_type {
        query.and("source_type = ?", number(source_type.code()));
    }
    if let Some(posting) = filter.posting {
        query.and("id = ?", ulid(posting));
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

pub(super) fn checkouts_query(scope: Scope, filter: &CheckoutFilter, page: PageQuery) -> Query {
    let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE scope = $1 AND deleted = 0");
    let mut query = Query::new(sql, scope);
    query.and("kind = ?", number(filter.kind.code()));
    if let Some(state) = filter.state {
        query.and("state = ?", number(state.code()));
    }
    if let Some(customer) = &filter.customer {
        query.and("customer = ?", Value::Text(customer.to_string().into()));
    }
    query.page("id", page);
    query
}

pub(super) fn invoices_query(scope: Scope, filter: &InvoiceFilter, page: PageQuery) -> Query {
    let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE scope = $1");
    let mut query = Query::new(sql, scope);
    if let Some(state) = filter.state {
        query.and("state = ?", number(state.code()));
    }
    if let Some(customer) = &filter.customer {
        query.and("customer = ?", Value::Text(customer.to_string().into()));
    }
    if let Some(subscription) = &filter.subscription {
        query.and("subscription = ?", Value::Text(subscription.to_string().into()));
    }
    if let Some(from) = filter.issued_from {
        query.and("issued_at >= ?", number(from.0));
    }
    if let Some(until) = filter.issued_until {
        query.and("issued_at < ?", number(until.0));
    }
    if filter.by_issue() {
        query.page_by_issue(page);
    } else {
        query.page("id", page);
    }
    query
}

pub(super) fn deliveries_query(scope: Scope, filter: &DeliveryFilter, page: PageQuery) -> Query {
    let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1");
    let mut query = Query::new(sql, scope);
    if let Some(endpoint) = filter.endpoint {
        query.and("endpoint = ?", ulid(endpoint.ulid()));
    }
    if let Some(status) = filter.status {
        // Written out, so that the partial indexes can be used; one digit, no input.
        query.push(&format!(" AND status = {}", status.code()));
    }
    if let Some(types) = &filter.types {
        let codes = types.iter().map(|event| Some(event.code())).collect();
        query.and("type = ANY (?)", Value::Ints(codes));
    }
    if let Some(format) = filter.format {
        query.and("format = ?", number(format.code()));
    }
    query.page("id", page);
    query
}
