//! Saves the changes of a batch with one statement per table and kind of change.

use super::deliveries;
use super::session::Step;
use super::statement::{Rows, Statement, keys};
use super::value::Value;
use crate::StoreError;
use crate::tables::{
    CHECKOUTS, ENDPOINTS, EVENTS, HOLDS, INVOICES, KEYS, PAYMENTS, PROVIDER_ACCOUNTS,
    REFUND_ATTEMPTS, REFUNDS, SENDING, TRANSFERS, Table,
};
use domain::ledger::{Code, Totals};
use domain::money::Currency;
use domain::tenant::Tenant;
use domain::view::{Change, Row, View};
use std::collections::BTreeMap;

/// An insert and an update of the rows of one table that changed.
fn changed<'a, K, T>(
    table: &'static Table<T>,
    rows: &'a BTreeMap<K, Row<T>>,
) -> Result<[Option<Statement<'a>>; 2], StoreError> {
    let of = |change| rows.values().filter(move |row| row.change == change).map(|row| &row.value);
    Ok([
        Rows::inserted(table, of(Change::Inserted))?.map(Rows::insert),
        Rows::updated(table, of(Change::Updated))?.map(Rows::update),
    ])
}

/// Every statement that saving the view takes. Running totals come last, since the rows of totals are
/// locked from here until the commit. `part` is the part of a total that is added to.
pub(super) fn save(view: &View, part: i64) -> Result<Vec<Step<'_>>, StoreError> {
    let mut statements = Vec::new();
    statements.extend(changed(&PAYMENTS, &view.payments)?);
    statements.extend(changed(&REFUNDS, &view.refunds)?);
    statements.extend(changed(&HOLDS, &view.holds)?);
    statements.extend(changed(&KEYS, &view.keys)?);
    statements.extend(changed(&CHECKOUTS, &view.checkouts)?);
    statements.extend(changed(&INVOICES, &view.invoices)?);
    statements.extend(invoice_numbers(view).into_iter().map(Some));
    statements.extend(changed(&PROVIDER_ACCOUNTS, &view.provider_accounts)?);
    statements.extend(switches(view)?);
    statements.extend(changed(&ENDPOINTS, &view.endpoints)?);
    statements.push(remove_endpoints(view));
    statements.extend(deliveries::save(view)?.into_iter().map(Some));
    statements.push(Rows::inserted(&EVENTS, view.new_rows.events.iter())?.map(Rows::insert));
    statements.push(Rows::inserted(&TRANSFERS, view.new_rows.transfers.iter())?.map(Rows::insert));
    let attempts = view.new_rows.refund_attempts.iter();
    statements.push(Rows::inserted(&REFUND_ATTEMPTS, attempts)?.map(Rows::insert));
    statements.push(add_totals(view, part));
    Ok(statements.into_iter().flatten().map(Step::Run).collect())
}

/// When two nodes insert the first number of a tenant, they conflict, as with any other new row.
fn invoice_numbers(view: &View) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    for (change, sql) in [
        (
            Change::Inserted,
            "INSERT INTO invoice_numbers (scope, last) SELECT * FROM unnest($1, $2)",
        ),
        (
            Change::Updated,
            "UPDATE invoice_numbers t SET last = v.last \
             FROM unnest($1, $2) AS v (scope, last) WHERE t.scope = v.scope",
        ),
    ] {
        let rows = view.invoice_numbers.iter().filter(|(_, row)| row.change == change);
        let (scopes, last): (Vec<_>, Vec<_>) =
            rows.map(|(tenant, row)| (Some(tenant.code()), Some(row.value))).unzip();
        if !scopes.is_empty() {
            statements.push(Statement::new(sql, vec![Value::Ints(scopes), Value::Ints(last)]));
        }
    }
    statements
}

/// The table has a key of one column, other than those that [`changed`] updates.
fn switches(view: &View) -> Result<[Option<Statement<'_>>; 2], StoreError> {
    let of = |change| {
        view.sending.values().filter(move |row| row.change == change).map(|row| &row.value)
    };
    let update = "UPDATE sending t SET stopped = v.stopped, reason = v.reason, thrown_at = v.thrown_at, \
                  updated_at = v.updated_at, last_seq = v.last_seq \
                  FROM {rows} WHERE t.scope = v.scope";
    Ok([
        Rows::inserted(&SENDING, of(Change::Inserted))?.map(Rows::insert),
        Rows::updated(&SENDING, of(Change::Updated))?.map(|rows| rows.into_statement(update)),
    ])
}

fn remove_endpoints(view: &View) -> Option<Statement<'_>> {
    let removed = &view.new_rows.removed_endpoints;
    if removed.is_empty() {
        return None;
    }
    let (scopes, ids) = keys(removed.iter().map(|(tenant, id)| (*tenant, id.bytes())));
    let delete = "DELETE FROM webhook_endpoints t USING unnest($1, $2) AS v (scope, id) \
                  WHERE t.scope = v.scope AND t.id = v.id";
    Some(Statement::new(delete, vec![scopes, ids]))
}

/// Adds to one part of each total.
fn add_totals(view: &View, part: i64) -> Option<Statement<'_>> {
    let totals = &view.new_rows.totals;
    if totals.is_empty() {
        return None;
    }
    let number = |number: fn(&(&_, &Totals)) -> i64| {
        Value::Ints(totals.iter().map(|row| Some(number(&row))).collect())
    };
    let currency =
        |(_, currency, _): &'_ (Tenant, Currency, Code)| Some(currency.as_str().to_owned().into());
    let values = vec![
        number(|((tenant, ..), _): &(&(Tenant, Currency, Code), _)| tenant.code()),
        Value::Texts(totals.keys().map(currency).collect()),
        number(|((.., code), _): &(&(Tenant, Currency, Code), _)| code.code()),
        number(|(_, totals)| totals.debits),
        number(|(_, totals)| totals.credits),
        Value::Int(Some(part)),
    ];
    let add = "INSERT INTO totals (scope, currency, code, debits, credits, part) \
         SELECT v.scope, v.currency, v.code, v.debits, v.credits, $6 \
         FROM unnest($1, $2, $3, $4, $5) AS v (scope, currency, code, debits, credits) \
         ON CONFLICT (scope, currency, code, part) DO UPDATE \
         SET debits = totals.debits + excluded.debits, credits = totals.credits + excluded.credits";
    Some(Statement::new(add, values))
}
