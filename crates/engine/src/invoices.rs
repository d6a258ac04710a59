//! Invoices: writing them, asking for them, and what the merchant does with them.

use crate::Engine;
use crate::answered::Answered;
use crate::input::IdempotencyKey;
use crate::{Error, unique_keys};
use domain::decide::invoice::{Act, ActOnInvoice, CreateInvoice};
use domain::decide::{Command, KeyedRequest};
use domain::ids::InvoiceId;
use domain::invoice::{Invoice, NewInvoice, NoTotal, Totals};
use domain::tenant::Tenant;
use store::{InvoiceFilter, Page, PageQuery};

impl Engine {
    /// Writes an invoice, and asks for it when `new.open`.
    pub async fn create_invoice(
        &self,
        new: NewInvoice,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        let (now, tenant) = (self.now(), new.tenant);
        let totals = Totals::of(&new.lines, new.discount, new.tax).map_err(|why| {
            let field = match why {
                NoTotal::TooLarge => "lines",
                NoTotal::Discount => "discount",
            };
            Error::Invalid { field, message: format!("{why}; change lines, discount or tax") }
        })?;
        let request = unique_keys::invoice_request(&new);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let id = InvoiceId::from_ulid(self.with_ids(|ids| ids.unguessable(now)));
        let methods = if new.open { self.invoice_methods(tenant) } else { Vec::new() };
        let create = CreateInvoice { new, totals, id, methods, key };
        let command = Command::CreateInvoice(Box::new(create));
        self.commit(command, key.map(|key| (tenant, key.hash))).await?.try_into()
    }

    /// The invoice with this id.
    pub async fn find_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, Error> {
        Ok(self.store().find_invoice(tenant, id).await?)
    }

    /// The invoice with this id, of any account: its id is all that it takes to see and pay it.
    pub async fn find_public_invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, Error> {
        Ok(self.store().find_invoice_anywhere(id).await?)
    }

    /// Invoices by time.
    pub async fn list_invoices(
        &self,
        tenant: Tenant,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, Error> {
        Ok(self.store().list_invoices(tenant, filter, page).await?)
    }

    /// Asks for a draft.
    pub async fn finalize_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        let methods = self.invoice_methods(tenant);
        self.act_on_invoice(tenant, id, "finalize", Act::Finalize { methods }, key).await
    }

    /// The merchant got the money some other way. It cannot be refunded here.
    pub async fn pay_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        self.act_on_invoice(tenant, id, "pay invoice", Act::Pay, key).await
    }

    /// Withdraws an invoice that is not paid.
    pub async fn void_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        self.act_on_invoice(tenant, id, "void", Act::Void, key).await
    }

    /// Makes the event that an invoice is sent to the buyer.
    pub async fn send_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
        to: Option<Box<str>>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        let word = format!("send {}", to.as_deref().unwrap_or_default());
        self.act_on_invoice(tenant, id, &word, Act::Send { to }, key).await
    }

    async fn act_on_invoice(
        &self,
        tenant: Tenant,
        id: InvoiceId,
        word: &str,
        act: Act,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Invoice>, Error> {
        let request = unique_keys::act_request(word, id.ulid());
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let command = Command::Invoice(Box::new(ActOnInvoice { tenant, id, act, key }));
        self.commit(command, key.map(|key| (tenant, key.hash))).await?.try_into()
    }
}
