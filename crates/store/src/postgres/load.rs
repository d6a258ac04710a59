//! Loads the rows of a batch under locks.
//!
//! Payments are locked first. Every change of a refund happens under the lock of its payment, so
//! nearly all transactions that could conflict wait at the payment and then find the other rows
//! unchanged.
//!
//! A batch that has waited too long leaves out the rows that other transactions have locked. Since a
//! row that is left out looks like one that does not exist, the batch then also asks which of its rows
//! exist. It asks behind the load: a row that is released in between still counts as locked, and only
//! a row that no transaction has committed counts as free.

use super::statement::{Statement, keys};
use super::value::{PostgresCells, Value};
use crate::StoreError;
use crate::tables::{
    CHECKOUTS, Cells as _, DELIVERIES, ENDPOINTS, FromRow as _, HOLDS, INVOICES, KEYS, PAYMENTS,
    PROVIDER_ACCOUNTS, REFUNDS, SENDING, SUBSCRIBER_COLUMNS, Table,
};
use domain::checkout::Checkout;
use domain::hold::Hold;
use domain::invoice::Invoice;
use domain::payment::Payment;
use domain::provider_account::ProviderAccount;
use domain::refund::Refund;
use domain::row_key::{RowKey, RowKind};
use domain::sending::Switch;
use domain::tenant::Tenant;
use domain::unique_keys::UniqueKey;
use domain::view::{Row, RowKeys, View};
use domain::webhook::{Delivery, Endpoint, Subscriber};
use std::collections::{BTreeMap, BTreeSet};

/// A batch meets rows that other transactions have locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locks {
    /// Waits for them as long as any session does.
    Wait,
    WaitAMoment,
    /// Leaves them out.
    Skip,
}

/// The content of the rows that a statement returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Rows(RowKind),
    /// Keys of rows that exist, also where other transactions have locked them.
    Existing(RowKind),
    Subscribers,
}

type Wants = Vec<(What, Statement<'static>)>;

/// The columns of a kind of rows, its table, and the table's id.
fn table_of(kind: RowKind) -> (String, &'static str, Option<&'static str>) {
    fn of<T>(table: &Table<T>) -> (String, &'static str, Option<&'static str>) {
        (table.columns_of("t"), table.name, table.key().last())
    }
    match kind {
        RowKind::Payment => of(&PAYMENTS),
        RowKind::Refund => of(&REFUNDS),
        RowKind::Hold => of(&HOLDS),
        RowKind::UniqueKey => of(&KEYS),
        RowKind::Checkout => of(&CHECKOUTS),
        RowKind::Invoice => of(&INVOICES),
        RowKind::InvoiceNumber => ("t.scope, t.last".into(), "invoice_numbers", None),
        RowKind::Endpoint => of(&ENDPOINTS),
        RowKind::Delivery => of(&DELIVERIES),
        RowKind::ProviderAccount => of(&PROVIDER_ACCOUNTS),
        RowKind::Switch => (SENDING.columns_of("t"), SENDING.name, None),
    }
}

/// Loads rows by their keys.
fn select(kind: RowKind, wanted: &[(Tenant, [u8; 16])], locks: Locks) -> Wants {
    let (columns, table, id) = table_of(kind);
    let and_id = id.map_or_else(String::new, |id| format!(" AND t.{id} = w.of_id"));
    let rows = format!(
        "unnest($1, $2) AS w (of_scope, of_id) JOIN {table} t ON t.scope = w.of_scope{and_id}"
    );
    load(kind, &columns, &rows, "w.of_scope, w.of_id", wanted, locks)
}

/// Loads the payments of refunds.
fn select_payments_of(refunds: &[(Tenant, [u8; 16])], locks: Locks) -> Wants {
    let rows = "payments t WHERE (t.scope, t.id) IN \
         (SELECT r.scope, r.payment FROM unnest($1, $2) AS w (of_scope, of_id) \
         JOIN refunds r ON r.scope = w.of_scope AND r.id = w.of_id)";
    load(RowKind::Payment, &PAYMENTS.columns_of("t"), rows, "t.scope, t.id", refunds, locks)
}

/// Loads `rows` in the order of their keys. Where locked rows are left out, also finds the keys of
/// those that exist.
fn load(
    kind: RowKind,
    columns: &str,
    rows: &str,
    key: &str,
    wanted: &[(Tenant, [u8; 16])],
    locks: Locks,
) -> Wants {
    let with_values = |sql: String| {
        let (scopes, ids) = keys(wanted.iter().copied());
        Statement::new(sql, vec![scopes, ids])
    };
    let load = format!("SELECT {columns} FROM {rows} ORDER BY {key} FOR UPDATE OF t");
    match locks {
        Locks::Wait | Locks::WaitAMoment => vec![(What::Rows(kind), with_values(load))],
        Locks::Skip => vec![
            (What::Rows(kind), with_values(format!("{load} SKIP LOCKED"))),
            (What::Existing(kind), with_values(format!("SELECT {key} FROM {rows}"))),
        ],
    }
}

/// Keys of rows, in the order in which they are locked.
type ByKind = BTreeMap<RowKind, Vec<(Tenant, [u8; 16])>>;

fn by_kind(wanted: impl IntoIterator<Item = RowKey>) -> ByKind {
    let mut by_kind = ByKind::new();
    for row in wanted {
        by_kind.entry(row.kind).or_default().push((row.tenant, row.id));
    }
    by_kind
}

/// The rows that a batch names.
pub(super) fn load_all(wanted: &RowKeys, locks: Locks) -> Wants {
    let rows = by_kind(wanted.iter());
    let mut wants: Wants =
        rows.iter().flat_map(|(&kind, rows)| select(kind, rows, locks)).collect();
    let scopes = wanted.scopes();
    if !scopes.is_empty() {
        let subscribers = format!(
            "SELECT scope, {SUBSCRIBER_COLUMNS} FROM webhook_endpoints WHERE scope = ANY ($1) \
             ORDER BY scope, id"
        );
        let scopes = Value::Ints(scopes.iter().map(|tenant| Some(tenant.code())).collect());
        wants.push((What::Subscribers, Statement::new(subscribers, vec![scopes])));
    }
    wants
}

/// The rows that the loaded keys lead to, and the payments of refunds, unless the batch names them
/// itself.
pub(super) fn further(wanted: &RowKeys, view: &View, locks: Locks) -> Wants {
    let of_keys = view.keys.values().filter_map(|row| row.value.leads_to());
    let of_refunds = view.refunds.values().map(|row| {
        let refund = &row.value;
        RowKey { kind: RowKind::Payment, tenant: refund.tenant, id: refund.payment.bytes() }
    });
    let rows: BTreeSet<RowKey> =
        of_keys.chain(of_refunds).filter(|row| !wanted.contains(*row)).collect();
    let rows = by_kind(rows);
    // As everywhere, payments are locked before refunds.
    let refunds = rows.get(&RowKind::Refund);
    let payments_of = refunds.map(|refunds| select_payments_of(refunds, locks));
    let rows = rows.iter().flat_map(|(&kind, rows)| select(kind, rows, locks));
    payments_of.into_iter().flatten().chain(rows).collect()
}

/// Adds loaded rows to the view.
pub(super) fn put(
    view: &mut View,
    what: What,
    rows: &[tokio_postgres::Row],
) -> Result<(), StoreError> {
    for row in rows {
        let c = &mut PostgresCells::new(row);
        match what {
            What::Rows(RowKind::Payment) => {
                let payment = Payment::from_row(c)?;
                let key = (payment.capture.tenant, payment.capture.id);
                view.payments.entry(key).or_insert_with(|| Row::loaded(payment));
            }
            What::Rows(RowKind::Refund) => {
                let refund = Refund::from_row(c)?;
                view.refunds.insert((refund.tenant, refund.id), Row::loaded(refund));
            }
            What::Rows(RowKind::Hold) => {
                let hold = Hold::from_row(c)?;
                view.holds.insert((hold.tenant, hold.id), Row::loaded(hold));
            }
            What::Rows(RowKind::UniqueKey) => {
                let key = UniqueKey::from_row(c)?;
                view.keys.insert((key.tenant, key.hash), Row::loaded(key));
            }
            What::Rows(RowKind::Checkout) => {
                let checkout = Checkout::from_row(c)?;
                let key = (checkout.terms.tenant, checkout.terms.id);
                view.checkouts.insert(key, Row::loaded(checkout));
            }
            What::Rows(RowKind::Invoice) => {
                let invoice = Invoice::from_row(c)?;
                let key = (invoice.terms.tenant, invoice.terms.id);
                view.invoices.insert(key, Row::loaded(invoice));
            }
            What::Rows(RowKind::InvoiceNumber) => {
                view.invoice_numbers.insert(c.tenant()?, Row::loaded(c.take()?));
            }
            What::Rows(RowKind::Endpoint) => {
                let endpoint = Endpoint::from_row(c)?;
                view.endpoints.insert((endpoint.tenant, endpoint.id), Row::loaded(endpoint));
            }
            What::Rows(RowKind::Delivery) => {
                let delivery = Delivery::from_row(c)?;
                view.deliveries.insert((delivery.tenant, delivery.id), Row::loaded(delivery));
            }
            What::Rows(RowKind::ProviderAccount) => {
                let account = ProviderAccount::from_row(c)?;
                view.provider_accounts.insert((account.tenant, account.id), Row::loaded(account));
            }
            What::Rows(RowKind::Switch) => {
                let switch = Switch::from_row(c)?;
                view.sending.insert(switch.tenant, Row::loaded(switch));
            }
            What::Existing(kind) => {
                let row = RowKey { kind, tenant: c.tenant()?, id: c.take()? };
                if !view.has(row) {
                    view.locked.insert(row);
                }
            }
            What::Subscribers => {
                let tenant = c.tenant()?;
                view.subscribers.entry(tenant).or_default().push(Subscriber::from_row(c)?);
            }
        }
    }
    Ok(())
}
