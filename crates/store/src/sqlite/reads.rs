//! Read queries about payments, refunds, checkouts, invoices and the ledger.

use super::SqliteStore;
use super::batch::{find_checkout, find_invoice, load_key};
use super::codec::{list, one};
use super::list_query::{SqliteQuery, list_refunds};
use super::payments;
use crate::StoreError;
use crate::queries::{
    BALANCES, Backlog, Balance, COUNT_BACKLOG, CheckoutFilter, DUE_CHECKOUTS, DUE_INVOICES,
    DUE_REFUNDS, DueRefund, InvoiceFilter, NEXT_CHECKOUT_DUE, NEXT_REFUND_DUE, Page, PageQuery,
    RefundFilter, SUM_POSTINGS, TransferFilter, TransferSum, checkouts_query, first_at,
    invoices_query, payments_query, read_backlog, read_due_checkout, read_due_invoice,
    read_due_refund, read_posting_sum, read_refund_view, refund_query, transfers_query,
};
use crate::tables::{
    CHECKOUTS, Cells as _, INVOICES, inconsistent, read_balance, read_checkout, read_invoice,
    read_payment, read_transfer,
};
use domain::account::Tenant;
use domain::checkout::Checkout;
use domain::ids::{InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{KeyHash, UniqueKey};
use domain::ledger::Transfer;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use rusqlite::params;

impl SqliteStore {
    /// The payment with this id.
    pub async fn find_payment(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        self.read(move |c| payments::find(c, tenant, id)).await
    }

    pub(crate) async fn list_payments(
        &self,
        tenant: Tenant,
        page: PageQuery,
    ) -> Result<Page<Payment>, StoreError> {
        let query: SqliteQuery = payments_query(tenant, page);
        self.read(move |c| query.run(c, page.limit, |c| read_payment(c))).await
    }

    pub(crate) async fn find_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
    ) -> Result<Option<RefundView>, StoreError> {
        let query: SqliteQuery = refund_query(tenant, id);
        self.read(move |c| Ok(query.run(c, 1, |c| read_refund_view(c))?.items.pop())).await
    }

    pub(crate) async fn list_refunds(
        &self,
        tenant: Tenant,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, StoreError> {
        let query = list_refunds(tenant, filter, page);
        self.read(move |c| query.run(c, page.limit, |c| read_refund_view(c))).await
    }

    pub(crate) async fn find_key(
        &self,
        tenant: Tenant,
        hash: KeyHash,
    ) -> Result<Option<UniqueKey>, StoreError> {
        self.read(move |c| load_key(c, tenant, hash)).await
    }

    pub(crate) async fn list_transfers(
        &self,
        tenant: Tenant,
        filter: TransferFilter,
        page: PageQuery,
    ) -> Result<Page<Transfer>, StoreError> {
        let query: SqliteQuery = transfers_query(tenant, filter, page);
        self.read(move |c| query.run(c, page.limit, |c| read_transfer(c))).await
    }

    pub(crate) async fn balances(&self, tenant: Tenant) -> Result<Vec<Balance>, StoreError> {
        self.read(move |c| list(c, BALANCES, [tenant.code()], |c| read_balance(c))).await
    }

    pub(crate) async fn sum_transfers(
        &self,
        tenant: Tenant,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<TransferSum>, StoreError> {
        let (from, until) = (first_at(from).to_bytes(), first_at(until).to_bytes());
        self.read(move |c| {
            let values = params![tenant.code(), from, until, currency.as_str()];
            list(c, SUM_POSTINGS, values, |c| read_posting_sum(c))
        })
        .await
    }

    pub(crate) async fn due_refunds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueRefund>, StoreError> {
        self.read(move |c| list(c, DUE_REFUNDS, (now.0, limit), |c| read_due_refund(c))).await
    }

    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|c| one(c, NEXT_REFUND_DUE, [], |c| c.time())).await
    }

    pub(crate) async fn backlog(&self, before: Timestamp) -> Result<Backlog, StoreError> {
        let values = (before.0, Backlog::MOST);
        let counted = self.read(move |c| one(c, COUNT_BACKLOG, values, |c| read_backlog(c)));
        counted.await?.ok_or_else(|| inconsistent("a count"))
    }

    pub(crate) async fn find_checkout(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        self.read(move |c| find_checkout(c, tenant, id)).await
    }

    pub(crate) async fn find_checkout_anywhere(
        &self,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {} FROM checkouts WHERE id = ?1", CHECKOUTS.columns());
        self.read(move |c| one(c, &sql, [id.bytes()], |c| read_checkout(c))).await
    }

    pub(crate) async fn list_checkouts(
        &self,
        tenant: Tenant,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, StoreError> {
        let query: SqliteQuery = checkouts_query(tenant, &filter, page);
        self.read(move |c| query.run(c, page.limit, |c| read_checkout(c))).await
    }

    pub(crate) async fn due_checkouts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, PaymentId)>, StoreError> {
        self.read(move |c| list(c, DUE_CHECKOUTS, (now.0, limit), |c| read_due_checkout(c))).await
    }

    pub(crate) async fn find_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        self.read(move |c| find_invoice(c, tenant, id)).await
    }

    pub(crate) async fn find_invoice_anywhere(
        &self,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {} FROM invoices WHERE id = ?1", INVOICES.columns());
        self.read(move |c| one(c, &sql, [id.bytes()], |c| read_invoice(c))).await
    }

    pub(crate) async fn list_invoices(
        &self,
        tenant: Tenant,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, StoreError> {
        let query: SqliteQuery = invoices_query(tenant, &filter, page);
        self.read(move |c| query.run(c, page.limit, |c| read_invoice(c))).await
    }

    pub(crate) async fn due_invoices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, InvoiceId)>, StoreError> {
        self.read(move |c| list(c, DUE_INVOICES, (now.0, limit), |c| read_due_invoice(c))).await
    }

    pub(crate) async fn next_checkout_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read(|c| one(c, NEXT_CHECKOUT_DUE, [], |c| c.maybe_time())).await?.flatten())
    }
}
