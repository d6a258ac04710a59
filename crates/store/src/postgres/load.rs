//! Loads the rows of a batch under locks.
//!
//! Payments are locked first. Every change of a refund happens under the lock of its payment, so
//! nearly all transactions that could conflict wait at the payment and then find the other rows
//! unchanged.

use super::statement::{Statement, keys};
use super::value::{PostgresCells, Value};
use crate::StoreError;
use crate::tables::{
    CHECKOUTS, Cells as _, DELIVERIES, ENDPOINTS, FromRow as _, INVOICES, KEYS, PAYMENTS, REFUNDS,
    SUBSCRIBER_COLUMNS, Table,
};
use domain::checkout::Checkout;
use domain::ids::{InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::payment::Payment;
use domain::refund::Refund;
use domain::tenant::Tenant;
use domain::unique_keys::{KeyTarget, UniqueKey};
use domain::view::{Row, RowKeys, View};
use domain::webhook::{Delivery, Endpoint, Subscriber};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The kind of rows that a statement returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Payments,
    Refunds,
    Keys,
    Checkouts,
    Invoices,
    InvoiceNumbers,
    Endpoints,
    Deliveries,
    Subscribers,
}

type Wants = Vec<(What, Statement<'static>)>;

/// Selects rows by key, locked in the order of their keys.
fn locked<T>(table: &Table<T>) -> String {
    let id = table.key().last().unwrap_or("id");
    format!(
        "SELECT {} FROM unnest($1, $2) AS w (of_scope, of_id) \
         JOIN {} t ON t.scope = w.of_scope AND t.{id} = w.of_id \
         ORDER BY t.scope, t.{id} FOR UPDATE OF t",
        table.columns_of("t"),
        table.name
    )
}

fn select(
    what: What,
    wanted: impl ExactSizeIterator<Item = (Tenant, [u8; 16])>,
) -> Option<(What, Statement<'static>)> {
    if wanted.len() == 0 {
        return None;
    }
    let sql = match what {
        What::Payments => locked(&PAYMENTS),
        What::Refunds => locked(&REFUNDS),
        What::Keys => locked(&KEYS),
        What::Checkouts => locked(&CHECKOUTS),
        What::Invoices => locked(&INVOICES),
        What::Endpoints => locked(&ENDPOINTS),
        What::Deliveries => locked(&DELIVERIES),
        What::InvoiceNumbers | What::Subscribers => return None,
    };
    let (scopes, ids) = keys(wanted);
    Some((what, Statement::new(sql, vec![scopes, ids])))
}

fn by_tenant(
    what: What,
    sql: impl Into<Cow<'static, str>>,
    scopes: &BTreeSet<Tenant>,
) -> Option<(What, Statement<'static>)> {
    if scopes.is_empty() {
        return None;
    }
    let scopes = Value::Ints(scopes.iter().map(|tenant| Some(tenant.code())).collect());
    Some((what, Statement::new(sql, vec![scopes])))
}

/// The rows that a batch names.
pub(super) fn load_all(wanted: &RowKeys) -> Wants {
    let numbers = "SELECT scope, last FROM invoice_numbers WHERE scope = ANY ($1) \
                   ORDER BY scope FOR UPDATE";
    let subscribers = format!(
        "SELECT scope, {SUBSCRIBER_COLUMNS} FROM webhook_endpoints WHERE scope = ANY ($1) \
         ORDER BY scope, id"
    );
    [
        select(What::Payments, wanted.payments.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(What::Refunds, wanted.refunds.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(What::Keys, wanted.keys.iter().map(|(tenant, hash)| (*tenant, hash.0))),
        select(What::Checkouts, wanted.checkouts.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(What::Invoices, wanted.invoices.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        by_tenant(What::InvoiceNumbers, numbers, &wanted.invoice_numbers),
        select(What::Endpoints, wanted.endpoints.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(
            What::Deliveries,
            wanted.deliveries.iter().map(|(tenant, id)| (*tenant, id.bytes())),
        ),
        by_tenant(What::Subscribers, subscribers, &wanted.scopes()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rows that the loaded keys lead to, and the payments of refunds, unless they are loaded
/// already.
pub(super) fn further(wanted: &RowKeys, view: &View) -> Wants {
    let (mut payments, mut refunds) = (BTreeSet::new(), BTreeSet::new());
    let (mut checkouts, mut invoices) = (BTreeSet::new(), BTreeSet::new());
    for (&(tenant, _), row) in &view.keys {
        let id = row.value.id;
        match row.value.target {
            KeyTarget::Refund | KeyTarget::Cancel => {
                refunds.insert((tenant, RefundId::from_ulid(id)));
            }
            KeyTarget::Payment => {
                payments.insert((tenant, PaymentId::from_ulid(id)));
            }
            KeyTarget::Checkout => {
                checkouts.insert((tenant, PaymentId::from_ulid(id)));
            }
            KeyTarget::Invoice => {
                invoices.insert((tenant, InvoiceId::from_ulid(id)));
            }
            KeyTarget::Answer => {}
        }
    }
    payments.extend(view.refunds.iter().map(|((tenant, _), row)| (*tenant, row.value.payment)));
    payments.retain(|key| !wanted.payments.contains(key));
    refunds.retain(|key| !wanted.refunds.contains(key));
    checkouts.retain(|key| !wanted.checkouts.contains(key));
    invoices.retain(|key| !wanted.invoices.contains(key));
    let of_refunds = (!refunds.is_empty()).then(|| {
        let columns = PAYMENTS.columns_of("t");
        // The payments of these refunds. As everywhere, payments are locked before refunds.
        let sql = format!(
            "SELECT {columns} FROM payments t WHERE (t.scope, t.id) IN \
             (SELECT r.scope, r.payment FROM unnest($1, $2) AS w (of_scope, of_id) \
             JOIN refunds r ON r.scope = w.of_scope AND r.id = w.of_id) \
             ORDER BY t.scope, t.id FOR UPDATE"
        );
        let (scopes, ids) = keys(refunds.iter().map(|(tenant, id)| (*tenant, id.bytes())));
        (What::Payments, Statement::new(sql, vec![scopes, ids]))
    });
    [
        select(What::Payments, payments.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        of_refunds,
        select(What::Refunds, refunds.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(What::Checkouts, checkouts.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
        select(What::Invoices, invoices.iter().map(|(tenant, id)| (*tenant, id.bytes()))),
    ]
    .into_iter()
    .flatten()
    .collect()
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
            What::Payments => {
                let payment = Payment::from_row(c)?;
                let key = (payment.capture.tenant, payment.capture.id);
                view.payments.entry(key).or_insert_with(|| Row::loaded(payment));
            }
            What::Refunds => {
                let refund = Refund::from_row(c)?;
                view.refunds.insert((refund.tenant, refund.id), Row::loaded(refund));
            }
            What::Keys => {
                let key = UniqueKey::from_row(c)?;
                view.keys.insert((key.tenant, key.hash), Row::loaded(key));
            }
            What::Checkouts => {
                let checkout = Checkout::from_row(c)?;
                let key = (checkout.terms.tenant, checkout.terms.id);
                view.checkouts.insert(key, Row::loaded(checkout));
            }
            What::Invoices => {
                let invoice = Invoice::from_row(c)?;
                let key = (invoice.terms.tenant, invoice.terms.id);
                view.invoices.insert(key, Row::loaded(invoice));
            }
            What::InvoiceNumbers => {
                view.invoice_numbers.insert(c.tenant()?, Row::loaded(c.take()?));
            }
            What::Endpoints => {
                let endpoint = Endpoint::from_row(c)?;
                view.endpoints.insert((endpoint.tenant, endpoint.id), Row::loaded(endpoint));
            }
            What::Deliveries => {
                let delivery = Delivery::from_row(c)?;
                view.deliveries.insert((delivery.tenant, delivery.id), Row::loaded(delivery));
            }
            What::Subscribers => {
                let tenant = c.tenant()?;
                view.subscribers.entry(tenant).or_default().push(Subscriber::from_row(c)?);
            }
        }
    }
    Ok(())
}
