//! The rows that a batch of commands touches.

use crate::checkout::Checkout;
use crate::event::Event;
use crate::ids::{DeliveryId, EndpointId, InvoiceId, PaymentId, RefundId};
use crate::invoice::Invoice;
use crate::ledger::{Code, Totals, Transfer};
use crate::money::Currency;
use crate::payment::Payment;
use crate::refund::Refund;
use crate::tenant::Tenant;
use crate::unique_keys::{KeyHash, UniqueKey};
use crate::webhook::{Attempt, Delivery, Endpoint, Subscriber};
use std::collections::{BTreeMap, BTreeSet};

/// A row in a view, and whether it must be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<T> {
    pub value: T,
    pub change: Change,
}

/// How a row is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    Updated,
    Inserted,
}

impl<T> Row<T> {
    /// A row as it was loaded.
    pub const fn loaded(value: T) -> Self {
        Self { value, change: Change::None }
    }

    /// A row that is new.
    pub const fn inserted(value: T) -> Self {
        Self { value, change: Change::Inserted }
    }

    /// The row, to be changed.
    pub fn change(&mut self) -> &mut T {
        if self.change == Change::None {
            self.change = Change::Updated;
        }
        &mut self.value
    }
}

/// Keys of the rows that a batch needs. Sorted, so that every node locks in the same order.
#[derive(Clone, Debug, Default)]
pub struct RowKeys {
    /// Names. The refunds and payments that found names lead to are loaded with them.
    pub keys: BTreeSet<(Tenant, KeyHash)>,
    pub payments: BTreeSet<(Tenant, PaymentId)>,
    pub refunds: BTreeSet<(Tenant, RefundId)>,
    pub checkouts: BTreeSet<(Tenant, PaymentId)>,
    pub invoices: BTreeSet<(Tenant, InvoiceId)>,
    /// The last invoice numbers given.
    pub invoice_numbers: BTreeSet<Tenant>,
    pub endpoints: BTreeSet<(Tenant, EndpointId)>,
    pub deliveries: BTreeSet<(Tenant, DeliveryId)>,
}

impl RowKeys {
    /// The scopes that something may happen in, whose subscribers are loaded with the rows.
    pub fn scopes(&self) -> BTreeSet<Tenant> {
        let keys = self.keys.iter().map(|(tenant, _)| *tenant);
        keys.chain(self.payments.iter().map(|(tenant, _)| *tenant))
            .chain(self.refunds.iter().map(|(tenant, _)| *tenant))
            .chain(self.checkouts.iter().map(|(tenant, _)| *tenant))
            .chain(self.invoices.iter().map(|(tenant, _)| *tenant))
            .chain(self.endpoints.iter().map(|(tenant, _)| *tenant))
            .collect()
    }
}

/// Rows loaded for a batch, and what the batch adds to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub payments: BTreeMap<(Tenant, PaymentId), Row<Payment>>,
    pub refunds: BTreeMap<(Tenant, RefundId), Row<Refund>>,
    /// Names by hash.
    pub keys: BTreeMap<(Tenant, KeyHash), Row<UniqueKey>>,
    /// Checkouts by the id of the payment that they become.
    pub checkouts: BTreeMap<(Tenant, PaymentId), Row<Checkout>>,
    pub invoices: BTreeMap<(Tenant, InvoiceId), Row<Invoice>>,
    /// The last invoice number given in each tenant.
    pub invoice_numbers: BTreeMap<Tenant, Row<i64>>,
    pub endpoints: BTreeMap<(Tenant, EndpointId), Row<Endpoint>>,
    pub deliveries: BTreeMap<(Tenant, DeliveryId), Row<Delivery>>,
    /// Every endpoint of a tenant, as it was before the batch. Scopes without any are not in it.
    pub subscribers: BTreeMap<Tenant, Vec<Subscriber>>,
    pub new_rows: NewRows,
}

/// Rows that a batch appends: they are written once and never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRows {
    /// New events in the order they happened.
    pub events: Vec<Event>,
    pub transfers: Vec<Transfer>,
    /// Sums of the transfers, added to the running totals.
    pub totals: BTreeMap<(Tenant, Currency, Code), Totals>,
    pub deliveries: Vec<Delivery>,
    pub attempts: Vec<Attempt>,
    /// Webhook endpoints that are gone.
    pub removed_endpoints: Vec<(Tenant, EndpointId)>,
}

impl NewRows {
    /// Appends a transfer and adds it to the running totals. `false` when a total would overflow;
    /// nothing is changed then.
    #[must_use]
    pub fn post(&mut self, transfer: Transfer) -> bool {
        let (debit, credit) = transfer.reason.legs();
        let key = |code| (transfer.tenant, transfer.currency, code);
        let debits = self.totals.get(&key(debit)).copied().unwrap_or_default().debits;
        let credits = self.totals.get(&key(credit)).copied().unwrap_or_default().credits;
        let (Some(debits), Some(credits)) =
            (debits.checked_add(transfer.amount), credits.checked_add(transfer.amount))
        else {
            return false;
        };
        self.totals.entry(key(debit)).or_default().debits = debits;
        self.totals.entry(key(credit)).or_default().credits = credits;
        self.transfers.push(transfer);
        true
    }
}
