//! Loads the rows of a batch and saves its changes.

use super::codec::{first, one};
use super::payment_cache::Payments;
use super::rows::{Finder, RowWriter, append, save_rows};
use super::webhooks;
use crate::StoreError;
use crate::queries::{checkouts, invoices, provider_accounts};
use crate::tables::{
    CHECKOUTS, EVENTS, HOLDS, INVOICES, KEYS, PROVIDER_ACCOUNTS, Put, REFUND_ATTEMPTS, REFUNDS,
    SENDING, TRANSFERS,
};
use domain::hold::Hold;
use domain::ids::RefundId;
use domain::refund::Refund;
use domain::unique_keys::UniqueKey;
use domain::view::{Change, Row, RowKeys, View};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::sync::LazyLock;

const SELECT_INVOICE_NUMBER: &str = "SELECT last FROM invoice_numbers WHERE scope = ?1";

const SET_INVOICE_NUMBER: &str = "INSERT INTO invoice_numbers (scope, last) VALUES (?1, ?2) \
     ON CONFLICT (scope) DO UPDATE SET last = excluded.last";

static SELECT_SWITCH: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM sending WHERE scope = ?1", SENDING.columns()));

const ADD_TOTALS: &str = "INSERT INTO totals (scope, currency, code, debits, credits) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (scope, currency, code) \
     DO UPDATE SET debits = debits + excluded.debits, credits = credits + excluded.credits";

/// Loads keys first, since they lead to further refunds and payments.
pub(super) fn load(
    connection: &Connection,
    mut wanted: RowKeys,
    payments: &mut Payments,
) -> Result<View, StoreError> {
    let mut view = View::default();
    let mut keys = Finder::new(connection, &KEYS)?;
    for (tenant, hash) in std::mem::take(&mut wanted.keys) {
        let Some(key): Option<UniqueKey> = keys.find((tenant, hash.0))? else { continue };
        if let Some(row) = key.leads_to() {
            wanted.insert(row);
        }
        view.keys.insert((tenant, hash), Row::loaded(key));
    }
    let mut refunds = Finder::new(connection, &REFUNDS)?;
    for (tenant, id) in std::mem::take(&mut wanted.refunds) {
        let found: Option<Refund> = refunds.find((tenant, id.bytes()))?;
        if let Some(refund) = found {
            wanted.payments.insert((tenant, refund.payment));
            view.refunds.insert((tenant, id), Row::loaded(refund));
        }
    }
    load_holds(connection, &wanted, &mut view)?;
    load_checkouts(connection, &wanted, &mut view)?;
    load_administered(connection, &wanted, &mut view)?;
    webhooks::load(connection, &wanted, &mut view)?;
    payments.load(connection, wanted.payments, &mut view)?;
    Ok(view)
}

fn load_holds(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    let mut holds = Finder::new(connection, &HOLDS)?;
    for &(tenant, id) in &wanted.holds {
        let found: Option<Hold> = holds.find((tenant, id.bytes()))?;
        if let Some(hold) = found {
            view.holds.insert((tenant, id), Row::loaded(hold));
        }
    }
    Ok(())
}

fn load_checkouts(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    for &(tenant, id) in &wanted.checkouts {
        if let Some(checkout) = one(connection, &checkouts::find(tenant, id))? {
            view.checkouts.insert((tenant, id), Row::loaded(checkout));
        }
    }
    for &(tenant, id) in &wanted.invoices {
        if let Some(invoice) = one(connection, &invoices::find(tenant, id))? {
            view.invoices.insert((tenant, id), Row::loaded(invoice));
        }
    }
    for &tenant in &wanted.invoice_numbers {
        let mut select = connection.prepare_cached(SELECT_INVOICE_NUMBER)?;
        let last = select.query_row([tenant.code()], |row| row.get(0)).optional()?;
        if let Some(last) = last {
            view.invoice_numbers.insert(tenant, Row::loaded(last));
        }
    }
    Ok(())
}

fn load_administered(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    for &(tenant, id) in &wanted.provider_accounts {
        if let Some(account) = one(connection, &provider_accounts::find(tenant, id))? {
            view.provider_accounts.insert((tenant, id), Row::loaded(account));
        }
    }
    for &tenant in &wanted.sending {
        let mut select = connection.prepare_cached(&SELECT_SWITCH)?;
        if let Some(switch) = first(&mut select, [tenant.code()])? {
            view.sending.insert(tenant, Row::loaded(switch));
        }
    }
    Ok(())
}

/// Saves every changed row of the view.
pub(super) fn save(
    connection: &Connection,
    view: &View,
    payments: &mut Payments,
) -> Result<(), StoreError> {
    let previous = payments.save(connection, view)?;
    save_refunds(connection, view, previous)?;
    save_rows(connection, &HOLDS, view.holds.values())?;
    save_rows(connection, &KEYS, view.keys.values())?;
    save_rows(connection, &CHECKOUTS, view.checkouts.values())?;
    save_rows(connection, &INVOICES, view.invoices.values())?;
    for (tenant, row) in &view.invoice_numbers {
        if row.change != Change::None {
            let mut set = connection.prepare_cached(SET_INVOICE_NUMBER)?;
            set.execute(params![tenant.code(), row.value])?;
        }
    }
    save_rows(connection, &PROVIDER_ACCOUNTS, view.provider_accounts.values())?;
    save_rows(connection, &SENDING, view.sending.values())?;
    webhooks::save(connection, view)?;
    append(connection, &EVENTS, &view.new_rows.events)?;
    append(connection, &TRANSFERS, &view.new_rows.transfers)?;
    append(connection, &REFUND_ATTEMPTS, &view.new_rows.refund_attempts)?;
    let mut add = connection.prepare_cached(ADD_TOTALS)?;
    for ((tenant, currency, code), totals) in &view.new_rows.totals {
        let row =
            params![tenant.code(), currency.as_str(), code.code(), totals.debits, totals.credits];
        add.execute(row)?;
    }
    Ok(())
}

/// `previous` holds the refund before each new refund of the same payment, in the view's order.
fn save_refunds(
    connection: &Connection,
    view: &View,
    previous: Vec<Option<RefundId>>,
) -> Result<(), StoreError> {
    let mut previous = previous.into_iter();
    let mut writer = RowWriter::new(connection, &REFUNDS);
    for row in view.refunds.values() {
        if row.change == Change::Inserted {
            let previous = previous.next().flatten().map(RefundId::bytes);
            writer.insert(&row.value, Some(Put::Id(previous)))?;
        } else {
            writer.save(row)?;
        }
    }
    Ok(())
}
