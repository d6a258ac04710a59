//! Read queries: every page is read off one index, however many rows there are.

use super::PostgresStore;
use super::statement::{PostgresQuery, Statement, ulid};
use super::value::{PostgresCells, Value};
use crate::StoreError;
use crate::queries::{
    BALANCES, Backlog, Balance, COUNT_BACKLOG, CheckoutFilter, DUE_CHECKOUTS, DUE_INVOICES,
    DUE_REFUNDS, DueRefund, EventFilter, InvoiceFilter, Joined, NEXT_CHECKOUT_DUE, NEXT_REFUND_DUE,
    Page, PageQuery, RefundFilter, SUM_POSTINGS, TransferFilter, TransferSum, checkouts_query,
    event_query, events_query, first_at, invoices_query, payments_query, read_backlog,
    read_due_checkout, read_due_invoice, read_due_refund, read_joined, read_posting_sum,
    read_refund_view, refund_query, refunds_query, transfers_query,
};
use crate::tables::{
    CHECKOUTS, Cells as _, INVOICES, KEYS, PAYMENTS, Table, inconsistent, read_balance,
    read_checkout, read_invoice, read_key, read_payment, read_transfer,
};
use domain::account::Tenant;
use domain::checkout::Checkout;
use domain::event_view::{EventSubject, EventView};
use domain::ids::{EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{KeyHash, UniqueKey};
use domain::ledger::Transfer;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use tokio_postgres::Row;
use ulid::Ulid;

pub(super) fn number(value: i64) -> Value<'static> {
    Value::Int(Some(value))
}

fn page<T>(
    rows: &[Row],
    limit: u32,
    read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(limit).map(|row| read(&mut PostgresCells::new(row)));
    Ok(Page { items: items.collect::<Result<_, _>>()?, more: rows.len() > limit })
}

impl PostgresStore {
    pub(super) async fn one<T>(
        &self,
        sql: String,
        values: Vec<Value<'_>>,
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.read(Statement::new(sql, values)).await?;
        rows.first().map(|row| read(&mut PostgresCells::new(row))).transpose()
    }

    pub(super) async fn list<T>(
        &self,
        statement: Statement<'_>,
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.read(statement).await?;
        rows.iter().map(|row| read(&mut PostgresCells::new(row))).collect()
    }

    pub(super) async fn page<T>(
        &self,
        query: PostgresQuery,
        limit: u32,
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        page(&self.read(query.into_statement()).await?, limit, read)
    }

    /// The row with a key.
    pub(super) async fn by_key<R, T>(
        &self,
        table: &'static Table<R>,
        (tenant, id): (Tenant, Ulid),
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let (columns, name) = (table.columns(), table.name);
        let id_column = table.key().last().unwrap_or("id");
        let sql = format!("SELECT {columns} FROM {name} WHERE scope = $1 AND {id_column} = $2");
        self.one(sql, vec![number(tenant.code()), ulid(id)], read).await
    }

    /// The first row of a query.
    async fn first<T>(
        &self,
        query: PostgresQuery,
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.list(query.into_statement(), read).await?.pop())
    }

    pub(crate) async fn find_payment(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        self.by_key(&PAYMENTS, (tenant, id.ulid()), |c| read_payment(c)).await
    }

    pub(crate) async fn list_payments(
        &self,
        tenant: Tenant,
        page: PageQuery,
    ) -> Result<Page<Payment>, StoreError> {
        self.page(payments_query(tenant, page), page.limit, |c| read_payment(c)).await
    }

    pub(crate) async fn find_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
    ) -> Result<Option<RefundView>, StoreError> {
        self.first(refund_query(tenant, id), |c| read_refund_view(c)).await
    }

    pub(crate) async fn list_refunds(
        &self,
        tenant: Tenant,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, StoreError> {
        self.page(refunds_query(tenant, filter, page), page.limit, |c| read_refund_view(c)).await
    }

    pub(crate) async fn find_key(
        &self,
        tenant: Tenant,
        hash: KeyHash,
    ) -> Result<Option<UniqueKey>, StoreError> {
        self.by_key(&KEYS, (tenant, Ulid::from_bytes(hash.0)), |c| read_key(c)).await
    }

    pub(crate) async fn list_events(
        &self,
        tenant: Tenant,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, StoreError> {
        let query = events_query(tenant, filter, page);
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
                let found = self.find_checkout(event.tenant, id).await?.ok_or_else(broken)?;
                EventView::of(event, EventSubject::Checkout(Box::new(found)))
            }
            Joined::Invoice(event, id) => {
                let found = self.find_invoice(event.tenant, id).await?.ok_or_else(broken)?;
                EventView::of(event, EventSubject::Invoice(Box::new(found)))
            }
        })
    }

    pub(crate) async fn find_event(
        &self,
        tenant: Tenant,
        id: EventId,
    ) -> Result<Option<EventView>, StoreError> {
        match self.first(event_query(tenant, id), |c| read_joined(c)).await? {
            Some(joined) => self.complete(joined).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn list_transfers(
        &self,
        tenant: Tenant,
        filter: TransferFilter,
        page: PageQuery,
    ) -> Result<Page<Transfer>, StoreError> {
        self.page(transfers_query(tenant, filter, page), page.limit, |c| read_transfer(c)).await
    }

    pub(crate) async fn balances(&self, tenant: Tenant) -> Result<Vec<Balance>, StoreError> {
        self.list(Statement::new(BALANCES, vec![number(tenant.code())]), |c| read_balance(c)).await
    }

    pub(crate) async fn sum_transfers(
        &self,
        tenant: Tenant,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<TransferSum>, StoreError> {
        let values = vec![
            number(tenant.code()),
            ulid(first_at(from)),
            ulid(first_at(until)),
            Value::Text(currency.as_str().to_owned().into()),
        ];
        self.list(Statement::new(SUM_POSTINGS, values), |c| read_posting_sum(c)).await
    }

    pub(crate) async fn due_refunds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueRefund>, StoreError> {
        let values = vec![number(now.0), number(limit.into())];
        self.list(Statement::new(DUE_REFUNDS, values), |c| read_due_refund(c)).await
    }

    /// When the next refund is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one(NEXT_REFUND_DUE.into(), Vec::new(), |c| c.time()).await
    }

    pub(crate) async fn backlog(&self, before: Timestamp) -> Result<Backlog, StoreError> {
        let values = vec![number(before.0), number(Backlog::MOST.into())];
        let counted = self.one(COUNT_BACKLOG.into(), values, |c| read_backlog(c)).await?;
        counted.ok_or_else(|| inconsistent("a count"))
    }

    pub(crate) async fn find_checkout(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        self.by_key(&CHECKOUTS, (tenant, id.ulid()), |c| read_checkout(c)).await
    }

    pub(crate) async fn find_checkout_anywhere(
        &self,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {} FROM checkouts WHERE id = $1", CHECKOUTS.columns());
        self.one(sql, vec![ulid(id.ulid())], |c| read_checkout(c)).await
    }

    pub(crate) async fn list_checkouts(
        &self,
        tenant: Tenant,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, StoreError> {
        self.page(checkouts_query(tenant, &filter, page), page.limit, |c| read_checkout(c)).await
    }

    pub(crate) async fn due_checkouts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, PaymentId)>, StoreError> {
        let values = vec![number(now.0), number(limit.into())];
        self.list(Statement::new(DUE_CHECKOUTS, values), |c| read_due_checkout(c)).await
    }

    pub(crate) async fn find_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        self.by_key(&INVOICES, (tenant, id.ulid()), |c| read_invoice(c)).await
    }

    pub(crate) async fn find_invoice_anywhere(
        &self,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {} FROM invoices WHERE id = $1", INVOICES.columns());
        self.one(sql, vec![ulid(id.ulid())], |c| read_invoice(c)).await
    }

    pub(crate) async fn list_invoices(
        &self,
        tenant: Tenant,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, StoreError> {
        self.page(invoices_query(tenant, &filter, page), page.limit, |c| read_invoice(c)).await
    }

    pub(crate) async fn due_invoices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, InvoiceId)>, StoreError> {
        let values = vec![number(now.0), number(limit.into())];
        self.list(Statement::new(DUE_INVOICES, values), |c| read_due_invoice(c)).await
    }

    pub(crate) async fn next_checkout_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self.one(NEXT_CHECKOUT_DUE.into(), Vec::new(), |c| c.maybe_time()).await?;
        Ok(at.flatten())
    }
}
