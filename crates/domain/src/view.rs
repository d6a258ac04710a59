//! The rows that a batch of commands touches.

use crate::checkout::Checkout;
use crate::event::Event;
use crate::hold::Hold;
use crate::ids::{
    DeliveryId, EndpointId, HoldId, InvoiceId, PaymentId, ProviderAccountId, RefundId,
};
use crate::invoice::Invoice;
use crate::ledger::{Code, Totals, Transfer};
use crate::money::Currency;
use crate::payment::Payment;
use crate::provider_account::ProviderAccount;
use crate::refund::{Attempt as RefundAttempt, Refund};
use crate::row_key::{RowKey, RowKind};
use crate::sending::Switch;
use crate::tenant::Tenant;
use crate::unique_keys::{KeyHash, UniqueKey};
use crate::webhook::{Attempt, Delivery, Endpoint, Subscriber};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

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
    /// Names. The refunds, payments and holds that found names lead to are loaded with them.
    pub keys: BTreeSet<(Tenant, KeyHash)>,
    pub payments: BTreeSet<(Tenant, PaymentId)>,
    pub refunds: BTreeSet<(Tenant, RefundId)>,
    /// The payment of a hold is not loaded with it.
    pub holds: BTreeSet<(Tenant, HoldId)>,
    pub checkouts: BTreeSet<(Tenant, PaymentId)>,
    pub invoices: BTreeSet<(Tenant, InvoiceId)>,
    /// The last invoice numbers given.
    pub invoice_numbers: BTreeSet<Tenant>,
    pub endpoints: BTreeSet<(Tenant, EndpointId)>,
    pub deliveries: BTreeSet<(Tenant, DeliveryId)>,
    pub provider_accounts: BTreeSet<(Tenant, ProviderAccountId)>,
    /// The switches that stop sending.
    pub sending: BTreeSet<Tenant>,
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
            .chain(self.provider_accounts.iter().map(|(tenant, _)| *tenant))
            .chain(self.sending.iter().copied())
            .collect()
    }
}

impl RowKeys {
    pub fn insert(&mut self, key: RowKey) {
        let RowKey { kind, tenant, id } = key;
        match kind {
            RowKind::Payment => _ = self.payments.insert((tenant, PaymentId::from_bytes(id))),
            RowKind::Refund => _ = self.refunds.insert((tenant, RefundId::from_bytes(id))),
            RowKind::Hold => _ = self.holds.insert((tenant, HoldId::from_bytes(id))),
            RowKind::UniqueKey => _ = self.keys.insert((tenant, KeyHash(id))),
            RowKind::Checkout => _ = self.checkouts.insert((tenant, PaymentId::from_bytes(id))),
            RowKind::Invoice => _ = self.invoices.insert((tenant, InvoiceId::from_bytes(id))),
            RowKind::InvoiceNumber => _ = self.invoice_numbers.insert(tenant),
            RowKind::Endpoint => _ = self.endpoints.insert((tenant, EndpointId::from_bytes(id))),
            RowKind::Delivery => _ = self.deliveries.insert((tenant, DeliveryId::from_bytes(id))),
            RowKind::ProviderAccount => {
                _ = self.provider_accounts.insert((tenant, ProviderAccountId::from_bytes(id)));
            }
            RowKind::Switch => _ = self.sending.insert(tenant),
        }
    }

    pub fn contains(&self, key: RowKey) -> bool {
        let RowKey { kind, tenant, id } = key;
        match kind {
            RowKind::Payment => self.payments.contains(&(tenant, PaymentId::from_bytes(id))),
            RowKind::Refund => self.refunds.contains(&(tenant, RefundId::from_bytes(id))),
            RowKind::Hold => self.holds.contains(&(tenant, HoldId::from_bytes(id))),
            RowKind::UniqueKey => self.keys.contains(&(tenant, KeyHash(id))),
            RowKind::Checkout => self.checkouts.contains(&(tenant, PaymentId::from_bytes(id))),
            RowKind::Invoice => self.invoices.contains(&(tenant, InvoiceId::from_bytes(id))),
            RowKind::InvoiceNumber => self.invoice_numbers.contains(&tenant),
            RowKind::Endpoint => self.endpoints.contains(&(tenant, EndpointId::from_bytes(id))),
            RowKind::Delivery => self.deliveries.contains(&(tenant, DeliveryId::from_bytes(id))),
            RowKind::ProviderAccount => {
                self.provider_accounts.contains(&(tenant, ProviderAccountId::from_bytes(id)))
            }
            RowKind::Switch => self.sending.contains(&tenant),
        }
    }

    /// All keys, kind by kind.
    pub fn iter(&self) -> impl Iterator<Item = RowKey> + '_ {
        let of = |kind| move |(tenant, id)| RowKey { kind, tenant, id };
        let payments = self.payments.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let refunds = self.refunds.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let holds = self.holds.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let keys = self.keys.iter().map(|(tenant, hash)| (*tenant, hash.0));
        let checkouts = self.checkouts.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let invoices = self.invoices.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let numbers = self.invoice_numbers.iter().map(|tenant| (*tenant, [0; 16]));
        let endpoints = self.endpoints.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let deliveries = self.deliveries.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let accounts = self.provider_accounts.iter().map(|(tenant, id)| (*tenant, id.bytes()));
        let switches = self.sending.iter().map(|tenant| (*tenant, [0; 16]));
        (payments.map(of(RowKind::Payment)))
            .chain(refunds.map(of(RowKind::Refund)))
            .chain(holds.map(of(RowKind::Hold)))
            .chain(keys.map(of(RowKind::UniqueKey)))
            .chain(checkouts.map(of(RowKind::Checkout)))
            .chain(invoices.map(of(RowKind::Invoice)))
            .chain(numbers.map(of(RowKind::InvoiceNumber)))
            .chain(endpoints.map(of(RowKind::Endpoint)))
            .chain(deliveries.map(of(RowKind::Delivery)))
            .chain(accounts.map(of(RowKind::ProviderAccount)))
            .chain(switches.map(of(RowKind::Switch)))
    }
}

/// Rows loaded for a batch, and what the batch adds to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub payments: BTreeMap<(Tenant, PaymentId), Row<Payment>>,
    pub refunds: BTreeMap<(Tenant, RefundId), Row<Refund>>,
    pub holds: BTreeMap<(Tenant, HoldId), Row<Hold>>,
    /// Names by hash.
    pub keys: BTreeMap<(Tenant, KeyHash), Row<UniqueKey>>,
    /// Checkouts by the id of the payment that they become.
    pub checkouts: BTreeMap<(Tenant, PaymentId), Row<Checkout>>,
    pub invoices: BTreeMap<(Tenant, InvoiceId), Row<Invoice>>,
    /// The last invoice number given in each tenant.
    pub invoice_numbers: BTreeMap<Tenant, Row<i64>>,
    pub endpoints: BTreeMap<(Tenant, EndpointId), Row<Endpoint>>,
    pub deliveries: BTreeMap<(Tenant, DeliveryId), Row<Delivery>>,
    pub provider_accounts: BTreeMap<(Tenant, ProviderAccountId), Row<ProviderAccount>>,
    /// The switches that stop sending. Those that were never thrown are not in it.
    pub sending: BTreeMap<Tenant, Row<Switch>>,
    /// Every endpoint of a tenant, as it was before the batch. Scopes without any are not in it.
    pub subscribers: BTreeMap<Tenant, Vec<Subscriber>>,
    /// Rows that exist and were left out, since other transactions have locked them.
    pub locked: BTreeSet<RowKey>,
    pub new_rows: NewRows,
}

impl View {
    /// Whether the row was loaded.
    pub fn has(&self, key: RowKey) -> bool {
        let RowKey { kind, tenant, id } = key;
        match kind {
            RowKind::Payment => self.payments.contains_key(&(tenant, PaymentId::from_bytes(id))),
            RowKind::Refund => self.refunds.contains_key(&(tenant, RefundId::from_bytes(id))),
            RowKind::Hold => self.holds.contains_key(&(tenant, HoldId::from_bytes(id))),
            RowKind::UniqueKey => self.keys.contains_key(&(tenant, KeyHash(id))),
            RowKind::Checkout => self.checkouts.contains_key(&(tenant, PaymentId::from_bytes(id))),
            RowKind::Invoice => self.invoices.contains_key(&(tenant, InvoiceId::from_bytes(id))),
            RowKind::InvoiceNumber => self.invoice_numbers.contains_key(&tenant),
            RowKind::Endpoint => self.endpoints.contains_key(&(tenant, EndpointId::from_bytes(id))),
            RowKind::Delivery => {
                self.deliveries.contains_key(&(tenant, DeliveryId::from_bytes(id)))
            }
            RowKind::ProviderAccount => {
                self.provider_accounts.contains_key(&(tenant, ProviderAccountId::from_bytes(id)))
            }
            RowKind::Switch => self.sending.contains_key(&tenant),
        }
    }

    /// The locked rows among the wanted ones and the ones that those lead to. A command that wants
    /// one of them cannot be decided: the row would look as if it did not exist.
    pub fn locked_among(&self, wanted: &RowKeys) -> Vec<RowKey> {
        if self.locked.is_empty() {
            return Vec::new();
        }
        let and_further = |key| successors(Some(key), |key| self.leads_to(*key));
        let locked = wanted.iter().flat_map(and_further).filter(|key| self.locked.contains(key));
        locked.collect()
    }

    fn leads_to(&self, key: RowKey) -> Option<RowKey> {
        let RowKey { kind, tenant, id } = key;
        match kind {
            RowKind::UniqueKey => self.keys.get(&(tenant, KeyHash(id)))?.value.leads_to(),
            RowKind::Refund => {
                let refund = &self.refunds.get(&(tenant, RefundId::from_bytes(id)))?.value;
                Some(RowKey { kind: RowKind::Payment, tenant, id: refund.payment.bytes() })
            }
            RowKind::Payment
            | RowKind::Hold
            | RowKind::Checkout
            | RowKind::Invoice
            | RowKind::InvoiceNumber
            | RowKind::Endpoint
            | RowKind::Delivery
            | RowKind::ProviderAccount
            | RowKind::Switch => None,
        }
    }
}

/// Rows that a batch appends: they are written once and never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRows {
    /// New events in the order they happened.
    pub events: Vec<Event>,
    pub transfers: Vec<Transfer>,
    /// Sums of the transfers, added to the running totals.
    pub totals: BTreeMap<(Tenant, Currency, Code), Totals>,
    /// Calls to providers that a newer call took the place of.
    pub refund_attempts: Vec<RefundAttempt>,
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
