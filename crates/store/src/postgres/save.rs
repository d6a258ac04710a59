//! Saves what became of the rows of a batch, a statement per table.

use super::deliveries;
use super::session::Step;
use super::statement::{Rows, Statement, keys};
use super::value::Value;
use crate::StoreError;
use crate::cells::write_json;
use domain::account::Scope;
use domain::checkout::Checkout;
use domain::event::{Event, Subject};
use domain::invoice::Invoice;
use domain::keys::Key;
use domain::ledger::{Code, Posting, Totals};
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::{Refund, State};
use domain::view::{Change, Row, View};
use domain::webhook::Endpoint;

/// The rows with this change.
fn changed<'a, K: 'a, T: 'a>(
    rows: impl IntoIterator<Item = (&'a K, &'a Row<T>)>,
    change: Change,
) -> impl Iterator<Item = &'a T> {
    rows.into_iter().filter(move |(_, row)| row.change == change).map(|(_, row)| &row.value)
}

/// Every statement that saving the view takes. Running totals come last: what is added to them is
/// locked until the commit. `part` is the part of a total that is added to.
pub(super) fn save(view: &View, part: i64) -> Result<Vec<Step<'_>>, StoreError> {
    let (inserted, updated) = (Change::Inserted, Change::Updated);
    let mut statements = vec![
        insert_payments(changed(&view.payments, inserted)),
        update_payments(changed(&view.payments, updated)),
        insert_refunds(changed(&view.refunds, inserted)),
        update_refunds(changed(&view.refunds, updated)),
        keys_of(changed(&view.keys, inserted)).map(Rows::insert),
        keys_of(changed(&view.keys, updated)).map(|keys| keys.maybe("answer", |_| None).update()),
        insert_checkouts(changed(&view.checkouts, inserted))?,
        update_checkouts(changed(&view.checkouts, updated)),
        insert_invoices(changed(&view.invoices, inserted))?,
        update_invoices(changed(&view.invoices, updated)),
    ];
    statements.extend(invoice_numbers(view).into_iter().map(Some));
    statements.push(endpoints_of(changed(&view.endpoints, inserted)).map(Rows::insert));
    statements.push(endpoints_of(changed(&view.endpoints, updated)).map(Rows::update));
    statements.push(remove_endpoints(view));
    statements.extend(deliveries::save(view).into_iter().map(Some));
    statements.push(insert_events(view)?);
    statements.push(insert_postings(view));
    statements.push(add_totals(view, part));
    Ok(statements.into_iter().flatten().map(Step::Run).collect())
}

fn insert_payments<'a>(rows: impl Iterator<Item = &'a Payment>) -> Option<Statement<'a>> {
    let rows = Rows::of("payments", rows)?
        .int("scope", |p: &Payment| p.facts.scope.code())
        .id("id", |p| p.facts.id.bytes())
        .int("kind", |p| p.facts.kind.code())
        .int("captured", |p| p.facts.captured)
        .text("currency", |p| p.facts.currency.as_str())
        .int("captured_at", |p| p.facts.captured_at.0)
        .text("provider", |p| &p.facts.provider)
        .text("provider_payment_id", |p| &p.facts.provider_payment_id)
        .maybe("reference", |p| p.facts.reference.as_deref())
        .maybe("metadata", |p| p.facts.metadata.as_deref());
    Some(balances(rows).insert())
}

fn update_payments<'a>(rows: impl Iterator<Item = &'a Payment>) -> Option<Statement<'a>> {
    let rows = Rows::of("payments", rows)?
        .int("scope", |p: &Payment| p.facts.scope.code())
        .id("id", |p| p.facts.id.bytes());
    Some(balances(rows).update())
}

fn balances(rows: Rows<'_, Payment>) -> Rows<'_, Payment> {
    rows.int("refunded", |p| p.refunded)
        .int("reserved", |p| p.reserved)
        .int("held", |p| p.held)
        .int("excess", |p| p.excess)
        .flag("reversed", |p| p.reversed)
        .int("last_seq", |p| i64::from(p.last_seq))
        .int("updated_at", |p| p.updated_at.0)
        .int("settled_at", |p| p.settled_at.map(|at| at.0))
}

fn insert_refunds<'a>(rows: impl Iterator<Item = &'a Refund>) -> Option<Statement<'a>> {
    let rows = Rows::of("refunds", rows)?
        .int("scope", |r: &Refund| r.scope.code())
        .id("id", |r| r.id.bytes())
        .id("payment", |r| r.payment.bytes())
        .int("amount", |r| r.amount)
        .text("currency", |r| r.currency.as_str())
        .int("origin", |r| r.origin.code())
        .flag("before_settlement", |r| r.before_settlement)
        .maybe("reason", |r| r.reason.as_deref())
        .maybe("reference", |r| r.reference.as_deref())
        .maybe("metadata", |r| r.metadata.as_deref());
    Some(progress(rows).insert())
}

fn update_refunds<'a>(rows: impl Iterator<Item = &'a Refund>) -> Option<Statement<'a>> {
    let rows = Rows::of("refunds", rows)?
        .int("scope", |r: &Refund| r.scope.code())
        .id("id", |r| r.id.bytes());
    Some(progress(rows).update())
}

fn progress(rows: Rows<'_, Refund>) -> Rows<'_, Refund> {
    rows.int("state", |r| r.state.code())
        .int("status", |r| r.state.status().code())
        .flag("late", |r| r.late)
        .int("checks", |r| i64::from(r.checks))
        .int("last_seq", |r| i64::from(r.last_seq))
        .int("updated_at", |r| r.updated_at.0)
        .int("due_at", |r| r.due_at.map(|at| at.0))
        .int("evidence_at", |r| r.evidence_at.map(|at| at.0))
        .maybe("provider_refund_id", |r| r.provider_refund_id.as_deref())
        .maybe("failure_code", |r| r.failure.as_ref().map(|f| &*f.code))
        .maybe("failure_message", |r| r.failure.as_ref().map(|f| &*f.message))
}

fn keys_of<'a>(rows: impl Iterator<Item = &'a Key>) -> Option<Rows<'a, Key>> {
    let rows = Rows::of("keys", rows)?
        .int("scope", |k: &Key| k.scope.code())
        .id("hash", |k| k.hash.0)
        .id("request", |k| k.request)
        .int("target", |k| k.target.code())
        .id("id", |k| k.id.to_bytes())
        .int("state", |k| k.state.map(State::code))
        .int("expires_at", |k| k.expires_at.map(|at| at.0));
    Some(rows)
}

/// JSON of a list of every row.
fn json<'a, T: 'a, L: serde::Serialize + 'a>(
    rows: &[&'a T],
    list: impl Fn(&'a T) -> &'a L,
) -> Result<Vec<Option<String>>, StoreError> {
    rows.iter().map(|row| write_json(list(row)).map(Some)).collect()
}

fn insert_checkouts<'a>(
    rows: impl Iterator<Item = &'a Checkout>,
) -> Result<Option<Statement<'a>>, StoreError> {
    let rows: Vec<_> = rows.collect();
    let methods = json(&rows, |c| &c.facts.methods)?;
    let lines = json(&rows, |c| &c.facts.lines)?;
    let Some(rows) = Rows::of("checkouts", rows.into_iter()) else { return Ok(None) };
    let rows = rows
        .int("scope", |c: &Checkout| c.facts.scope.code())
        .id("id", |c| c.facts.id.bytes())
        .int("kind", |c| c.facts.kind.code())
        .int("amount", |c| c.facts.amount)
        .text("currency", |c| c.facts.currency.as_str())
        .int("expires_at", |c| c.facts.expires_at.map(|at| at.0))
        .owned("methods", methods)
        .owned("lines", lines)
        .maybe("success_url", |c| c.facts.success_url.as_deref())
        .maybe("cancel_url", |c| c.facts.cancel_url.as_deref())
        .maybe("customer", |c| c.facts.customer.as_deref())
        .maybe("template", |c| c.facts.template.as_deref())
        .maybe("metadata", |c| c.facts.metadata.as_deref())
        .maybe("extra", |c| c.facts.extra.as_deref());
    Ok(Some(attempts(rows).insert()))
}

fn update_checkouts<'a>(rows: impl Iterator<Item = &'a Checkout>) -> Option<Statement<'a>> {
    let rows = Rows::of("checkouts", rows)?
        .int("scope", |c: &Checkout| c.facts.scope.code())
        .id("id", |c| c.facts.id.bytes());
    Some(attempts(rows).update())
}

fn attempts(rows: Rows<'_, Checkout>) -> Rows<'_, Checkout> {
    rows.int("state", |c| c.state.code())
        .int("flight", |c| c.flight.code())
        .int("attempts", |c| i64::from(c.attempts))
        .int("checks", |c| i64::from(c.checks))
        .flag("deleted", |c| c.deleted)
        .int("last_seq", |c| i64::from(c.last_seq))
        .int("updated_at", |c| c.updated_at.0)
        .int("due_at", |c| c.due_at.map(|at| at.0))
        .int("completed_at", |c| c.completed_at.map(|at| at.0))
        .maybe("method", |c| c.method.as_deref())
        .maybe("provider_payment_id", |c| c.provider_payment_id.as_deref())
        .maybe("failure_code", |c| c.failure.as_ref().map(|f| &*f.code))
        .maybe("failure_message", |c| c.failure.as_ref().map(|f| &*f.message))
        .maybe("proof_url", |c| c.proof_url.as_deref())
        .int("visited_at", |c| c.visited_at.map(|at| at.0))
}

fn insert_invoices<'a>(
    rows: impl Iterator<Item = &'a Invoice>,
) -> Result<Option<Statement<'a>>, StoreError> {
    let rows: Vec<_> = rows.collect();
    let lines = json(&rows, |i| &i.facts.lines)?;
    let Some(rows) = Rows::of("invoices", rows.into_iter()) else { return Ok(None) };
    let rows = rows
        .int("scope", |i: &Invoice| i.facts.scope.code())
        .id("id", |i| i.facts.id.bytes())
        .int("number", |i| i.facts.number)
        .text("currency", |i| i.facts.currency.as_str())
        .int("subtotal", |i| i.facts.totals.subtotal)
        .int("discount", |i| i.facts.totals.discount)
        .int("tax", |i| i.facts.totals.tax)
        .int("total", |i| i.facts.totals.total)
        .int("due_at", |i| i.facts.due_at.map(|at| at.0))
        .text("customer", |i| &i.facts.customer)
        .owned("lines", lines)
        .maybe("subscription", |i| i.facts.subscription.as_deref())
        .maybe("template", |i| i.facts.template.as_deref())
        .maybe("memo", |i| i.facts.memo.as_deref())
        .maybe("metadata", |i| i.facts.metadata.as_deref());
    Ok(Some(dealings(rows).insert()))
}

fn update_invoices<'a>(rows: impl Iterator<Item = &'a Invoice>) -> Option<Statement<'a>> {
    let rows = Rows::of("invoices", rows)?
        .int("scope", |i: &Invoice| i.facts.scope.code())
        .id("id", |i| i.facts.id.bytes());
    Some(dealings(rows).update())
}

fn dealings(rows: Rows<'_, Invoice>) -> Rows<'_, Invoice> {
    rows.int("state", |i| i.state.code())
        .flag("charged", |i| i.charged)
        .int("attempts", |i| i64::from(i.attempts))
        .int("last_seq", |i| i64::from(i.last_seq))
        .int("updated_at", |i| i.updated_at.0)
        .int("wake_at", |i| i.wake_at.map(|at| at.0))
        .int("issued_at", |i| i.issued_at.map(|at| at.0))
        .int("paid_at", |i| i.paid_at.map(|at| at.0))
        .int("voided_at", |i| i.voided_at.map(|at| at.0))
}

/// A first number that another node gives too is a conflict, like any other new row.
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
            rows.map(|(scope, row)| (Some(scope.code()), Some(row.value))).unzip();
        if !scopes.is_empty() {
            statements.push(Statement::new(sql, vec![Value::Ints(scopes), Value::Ints(last)]));
        }
    }
    statements
}

fn endpoints_of<'a>(rows: impl Iterator<Item = &'a Endpoint>) -> Option<Rows<'a, Endpoint>> {
    let rows = Rows::of("webhook_endpoints", rows)?
        .int("scope", |e: &Endpoint| e.scope.code())
        .id("id", |e| e.id.bytes())
        .text("url", |e| &e.url)
        .text("events", |e| &e.events)
        .int("format", |e| e.format.code())
        .maybe("description", |e| e.description.as_deref())
        .flag("active", |e| e.active)
        .blob("secret", |e| Some(&e.secret.0))
        .blob("previous_secret", |e| e.previous.as_ref().map(|(secret, _)| &*secret.0))
        .int("previous_until", |e| e.previous.as_ref().map(|(_, until)| until.0))
        .int("consecutive_failures", |e| i64::from(e.consecutive_failures))
        .int("failing_since", |e| e.failing_since.map(|at| at.0))
        .int("disabled_at", |e| e.disabled_at.map(|at| at.0))
        .maybe("disabled_reason", |e| e.disabled_reason.as_deref())
        .int("last_seq", |e| i64::from(e.last_seq))
        .int("updated_at", |e| e.updated_at.0);
    Some(rows)
}

fn remove_endpoints(view: &View) -> Option<Statement<'_>> {
    let removed = &view.new_rows.removed_endpoints;
    if removed.is_empty() {
        return None;
    }
    let (scopes, ids) = keys(removed.iter().map(|(scope, id)| (*scope, id.bytes())));
    let delete = "DELETE FROM webhook_endpoints t USING unnest($1, $2) AS v (scope, id) \
                  WHERE t.scope = v.scope AND t.id = v.id";
    Some(Statement::new(delete, vec![scopes, ids]))
}

fn insert_events(view: &View) -> Result<Option<Statement<'_>>, StoreError> {
    let mut details = Vec::with_capacity(view.new_rows.events.len());
    for event in &view.new_rows.events {
        details.push(event.detail.as_ref().map(write_json).transpose()?);
    }
    let Some(rows) = Rows::of("events", view.new_rows.events.iter()) else { return Ok(None) };
    let rows = rows
        .int("scope", |e: &Event| e.scope.code())
        .id("id", |e| e.id.bytes())
        .int("type", |e| e.event_type.code())
        .id("payment", |e| match e.subject {
            Subject::Payment(id) => Some(id.bytes()),
            _ => None,
        })
        .id("refund", |e| match e.subject {
            Subject::Refund(id, _) => Some(id.bytes()),
            _ => None,
        })
        .int("state", |e| match e.subject {
            Subject::Refund(_, state) => Some(state.code()),
            Subject::Checkout(_, state) => Some(state.code()),
            Subject::Invoice(_, state) => Some(state.code()),
            Subject::Payment(_) | Subject::Endpoint(_) => None,
        })
        .int("seq", |e| i64::from(e.seq))
        .owned("detail", details)
        .id("checkout", |e| match e.subject {
            Subject::Checkout(id, _) => Some(id.bytes()),
            _ => None,
        })
        .id("invoice", |e| match e.subject {
            Subject::Invoice(id, _) => Some(id.bytes()),
            _ => None,
        })
        .id("endpoint", |e| match e.subject {
            Subject::Endpoint(id) => Some(id.bytes()),
            _ => None,
        });
    Ok(Some(rows.insert()))
}

fn insert_postings(view: &View) -> Option<Statement<'_>> {
    let rows = Rows::of("postings", view.new_rows.postings.iter())?
        .int("scope", |p: &Posting| p.scope.code())
        .id("id", |p| p.id.bytes())
        .int("reason", |p| p.reason.code())
        .int("source_type", |p| p.source_type.code())
        .id("source", |p| p.source.to_bytes())
        .id("payment", |p| p.payment.bytes())
        .int("amount", |p| p.amount)
        .text("currency", |p| p.currency.as_str());
    Some(rows.insert())
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
        |(_, currency, _): &'_ (Scope, Currency, Code)| Some(currency.as_str().to_owned().into());
    let values = vec![
        number(|((scope, ..), _): &(&(Scope, Currency, Code), _)| scope.code()),
        Value::Texts(totals.keys().map(currency).collect()),
        number(|((.., code), _): &(&(Scope, Currency, Code), _)| code.code()),
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
