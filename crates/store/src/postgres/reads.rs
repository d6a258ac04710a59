//! Read queries: pages that stay on one index however much is stored.

use super::PostgresStore;
use super::statement::{Query, Statement, ulid};
use super::value::{Columns, Value};
use crate::StoreError;
use crate::backlog::{self, Backlog, read_backlog};
use crate::cells::{Cells as _, inconsistent};
use crate::lists::{
    checkouts_query, events_query, invoices_query, payments_query, postings_query, refunds_query,
};
use crate::query::{
    Balance, CheckoutFilter, DueRefund, EventFilter, InvoiceFilter, Page, PageQuery, PostingFilter,
    PostingSum, RefundFilter,
};
use crate::sqlite::batch::{PAYMENT_COLUMNS, REFUND_COLUMNS, read_key, read_payment, read_posting};
use crate::sqlite::checkouts::{CHECKOUT_COLUMNS, read_checkout};
use crate::sqlite::invoices::{INVOICE_COLUMNS, read_invoice};
use crate::sqlite::reads::{
    Joined, first_at, of, read_balance, read_due, read_joined, read_refund_view,
};
use domain::account::Scope;
use domain::checkout::Checkout;
use domain::event_view::{EventSubject, EventView};
use domain::ids::{EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{Key, KeyHash};
use domain::ledger::{Posting, Reason};
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use tokio_postgres::Row;

pub(super) fn number(value: i64) -> Value<'static> {
    Value::Int(Some(value))
}

fn page<T>(
    rows: &[Row],
    limit: u32,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(limit).map(|row| read(&mut Columns::new(row)));
    Ok(Page { items: items.collect::<Result<_, _>>()?, more: rows.len() > limit })
}

/// One row of a table for each of those before it in a join. `OFFSET 0` keeps the planner from reading
/// all of an account's, as it would where most accounts have hardly any.
fn one_of(table: &str, columns: &str, of_whom: &str, id: &str, name: &str) -> String {
    format!(
        "LEFT JOIN LATERAL (SELECT {columns} FROM {table} \
         WHERE scope = {of_whom}.scope AND id = {id} OFFSET 0) {name} ON true"
    )
}

/// Refunds with their payments.
pub(super) fn select_refunds() -> String {
    format!(
        "SELECT {}, {} FROM refunds r {}",
        of("r", REFUND_COLUMNS),
        of("p", PAYMENT_COLUMNS),
        one_of("payments", PAYMENT_COLUMNS, "r", "r.payment", "p"),
    )
}

/// Events joined with the refund and the payment they speak of, where they speak of one.
pub(super) fn select_events() -> String {
    format!(
        "SELECT e.scope, e.id, e.type, e.payment, e.refund, e.state, e.seq, e.detail, e.checkout, \
         e.invoice, e.endpoint, {}, {} FROM events e {} {}",
        of("p", PAYMENT_COLUMNS),
        of("r", REFUND_COLUMNS),
        one_of("refunds", REFUND_COLUMNS, "e", "e.refund", "r"),
        one_of("payments", PAYMENT_COLUMNS, "e", "coalesce(e.payment, r.payment)", "p"),
    )
}

impl PostgresStore {
    pub(super) async fn one<T>(
        &self,
        sql: String,
        values: Vec<Value<'_>>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.read(Statement::new(sql, values)).await?;
        rows.first().map(|row| read(&mut Columns::new(row))).transpose()
    }

    pub(super) async fn list<T>(
        &self,
        statement: Statement<'_>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.read(statement).await?;
        rows.iter().map(|row| read(&mut Columns::new(row))).collect()
    }

    pub(super) async fn page<T>(
        &self,
        query: Query,
        limit: u32,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        page(&self.read(query.into_statement()).await?, limit, read)
    }

    /// The payment with this id.
    pub async fn find_payment(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_payment(c)).await
    }

    /// Payments, by id and so by time.
    pub async fn list_payments(
        &self,
        scope: Scope,
        page: PageQuery,
    ) -> Result<Page<Payment>, StoreError> {
        self.page(payments_query(scope, page), page.limit, |c| read_payment(c)).await
    }

    /// The refund with this id, and the unchanging part of its payment.
    pub async fn find_refund(
        &self,
        scope: Scope,
        id: RefundId,
    ) -> Result<Option<RefundView>, StoreError> {
        let sql = format!("{} WHERE r.scope = $1 AND r.id = $2", select_refunds());
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_refund_view(c)).await
    }

    /// Refunds with their payments, by id and so by time.
    pub async fn list_refunds(
        &self,
        scope: Scope,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, StoreError> {
        self.page(refunds_query(scope, filter, page), page.limit, |c| read_refund_view(c)).await
    }

    /// What a name leads to.
    pub async fn find_key(&self, scope: Scope, hash: KeyHash) -> Result<Option<Key>, StoreError> {
        let sql = "SELECT scope, hash, request, target, id, state, expires_at FROM keys \
                   WHERE scope = $1 AND hash = $2";
        self.one(sql.into(), vec![number(scope.code()), Value::Id(hash.0)], |c| read_key(c)).await
    }

    /// Events with the rows they speak of: by id, or by sequence number for one refund.
    pub async fn list_events(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, StoreError> {
        let query = events_query(scope, filter, page);
        let found = self.page(query, page.limit, |c| read_joined(c)).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for joined in found.items {
            items.push(self.complete(joined).await?);
        }
        Ok(Page { items, more: found.more })
    }

    /// Looks up what was not joined to an event.
    pub(super) async fn complete(&self, joined: Joined) -> Result<EventView, StoreError> {
        let broken = || inconsistent("events");
        Ok(match joined {
            Joined::Whole(whole) => whole,
            Joined::Checkout(event, id) => {
                let found = self.find_checkout(event.scope, id).await?.ok_or_else(broken)?;
                EventView::of(event, EventSubject::Checkout(Box::new(found)))
            }
            Joined::Invoice(event, id) => {
                let found = self.find_invoice(event.scope, id).await?.ok_or_else(broken)?;
                EventView::of(event, EventSubject::Invoice(Box::new(found)))
            }
        })
    }

    /// The event with this id.
    pub async fn find_event(
        &self,
        scope: Scope,
        id: EventId,
    ) -> Result<Option<EventView>, StoreError> {
        let sql = format!("{} WHERE e.scope = $1 AND e.id = $2", select_events());
        let values = vec![number(scope.code()), ulid(id.ulid())];
        match self.one(sql, values, |c| read_joined(c)).await? {
            Some(joined) => self.complete(joined).await.map(Some),
            None => Ok(None),
        }
    }

    /// Postings, by id and so by time. A posting counts when either of its accounts fits.
    pub async fn list_postings(
        &self,
        scope: Scope,
        filter: PostingFilter,
        page: PageQuery,
    ) -> Result<Page<Posting>, StoreError> {
        self.page(postings_query(scope, filter, page), page.limit, |c| read_posting(c)).await
    }

    /// The running totals of every ledger account and currency.
    pub async fn balances(&self, scope: Scope) -> Result<Vec<Balance>, StoreError> {
        // The schema bounds the parts so that their sum fits.
        let sql = "SELECT code, currency, sum(debits)::bigint, sum(credits)::bigint FROM totals \
                   WHERE scope = $1 GROUP BY currency, code ORDER BY currency, code";
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_balance(c)).await
    }

    /// What was posted in one currency from `from` until before `until`, per reason.
    pub async fn sum_postings(
        &self,
        scope: Scope,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PostingSum>, StoreError> {
        let sql = "SELECT reason, sum(amount)::bigint FROM postings \
                   WHERE scope = $1 AND id >= $2 AND id < $3 AND currency = $4 \
                   GROUP BY reason ORDER BY reason";
        let values = vec![
            number(scope.code()),
            ulid(first_at(from)),
            ulid(first_at(until)),
            Value::Text(currency.as_str().to_owned().into()),
        ];
        self.list(Statement::new(sql, values), |c| {
            let reason = c.code(Reason::from_code, "postings.reason")?;
            Ok(PostingSum { reason, amount: c.take()? })
        })
        .await
    }

    /// Refunds due at `now`, the longest due first.
    pub async fn due_refunds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueRefund>, StoreError> {
        let sql = "SELECT scope, id, payment, due_at FROM refunds WHERE due_at <= $1 \
                   ORDER BY due_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        self.list(Statement::new(sql, values), |c| read_due(c)).await
    }

    /// When the next refund is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT due_at FROM refunds WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        self.one(sql.into(), Vec::new(), |c| Ok(Timestamp(c.take()?))).await
    }

    /// Work that waits: what was due before `before`, and refunds in doubt.
    pub async fn backlog(&self, before: Timestamp) -> Result<Backlog, StoreError> {
        let values = vec![number(before.0), number(Backlog::MOST.into())];
        let counted = self.one(backlog::COUNT.into(), values, |c| read_backlog(c)).await?;
        counted.ok_or_else(|| inconsistent("a count"))
    }

    /// The checkout with this id, also a deleted one.
    pub async fn find_checkout(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_checkout(c)).await
    }

    /// The checkout with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_checkout_anywhere(
        &self,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE id = $1");
        self.one(sql, vec![ulid(id.ulid())], |c| read_checkout(c)).await
    }

    /// Checkouts that are not deleted, by id and so by time.
    pub async fn list_checkouts(
        &self,
        scope: Scope,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, StoreError> {
        self.page(checkouts_query(scope, &filter, page), page.limit, |c| read_checkout(c)).await
    }

    /// Checkouts due at `now`, the longest due first.
    pub async fn due_checkouts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, PaymentId)>, StoreError> {
        let sql = "SELECT scope, id FROM checkouts WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        let read = |c: &mut Columns<'_>| Ok((c.scope()?, PaymentId::from_ulid(c.ulid()?)));
        self.list(Statement::new(sql, values), read).await
    }

    /// The invoice with this id.
    pub async fn find_invoice(
        &self,
        scope: Scope,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_invoice(c)).await
    }

    /// The invoice with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_invoice_anywhere(
        &self,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE id = $1");
        self.one(sql, vec![ulid(id.ulid())], |c| read_invoice(c)).await
    }

    /// Invoices, by id and so by time.
    pub async fn list_invoices(
        &self,
        scope: Scope,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, StoreError> {
        self.page(invoices_query(scope, &filter, page), page.limit, |c| read_invoice(c)).await
    }

    /// Invoices that fall due by `now`, the longest due first.
    pub async fn due_invoices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, InvoiceId)>, StoreError> {
        let sql = "SELECT scope, id FROM invoices WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        let read = |c: &mut Columns<'_>| Ok((c.scope()?, InvoiceId::from_ulid(c.ulid()?)));
        self.list(Statement::new(sql, values), read).await
    }

    /// When the next checkout or invoice is due.
    pub async fn next_checkout_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(at) FROM \
             (SELECT min(due_at) AS at FROM checkouts WHERE due_at IS NOT NULL \
             UNION ALL SELECT min(wake_at) FROM invoices WHERE wake_at IS NOT NULL) AS due";
        let at = self.one(sql.into(), Vec::new(), |c| c.take::<Option<i64>>()).await?;
        Ok(at.flatten().map(Timestamp))
    }
}
