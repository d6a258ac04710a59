//! Later states of a booked refund, and the webhooks about them.
//!
//! Every scheduled change is a row with a due time, so it survives a crash of the process.

use crate::RefundStatus;
use crate::book::Book;
use crate::rows::{Refund, Task, TaskKind};
use crate::webhook;
use domain::time::Timestamp;
use rusqlite::Result;

/// The code of a refund that the merchant took back.
pub(crate) const CANCELED: &str = "canceled";

/// Deliveries of a webhook before the simulator stops and keeps the row.
const TRIES_LIMIT: u32 = 12;

const RETRY_LIMIT_MS: i64 = 60 * 60 * 1000;

/// How long a process reserves a webhook of a shared book for itself.
const LEASE_MS: i64 = 15_000;

#[derive(Default)]
pub(crate) struct Due {
    /// Number of refunds that changed their state.
    pub(crate) changed: usize,
    /// The webhooks to deliver. Webhooks of one refund keep this order.
    pub(crate) webhooks: Vec<Task>,
}

/// Makes the due state changes and returns the due webhooks.
pub(crate) fn do_due(book: &mut Book, limit: usize) -> Result<Due> {
    let now = book.now();
    let mut due = Due::default();
    // Refresh the schedule even if nothing is due, or a loop that sleeps by it would spin on an
    // outdated time.
    book.tasks_changed = true;
    for task in book.due_tasks(now, limit)? {
        match task.kind {
            TaskKind::Webhook | TaskKind::ForgedWebhook => due.webhooks.push(task),
            _ => change(book, &task, now, &mut due)?,
        }
    }
    if book.is_shared() {
        for webhook in &due.webhooks {
            book.put_off(webhook.number, webhook.tries, Some(now.plus_ms(LEASE_MS)))?;
        }
    }
    Ok(due)
}

/// Deletes the webhooks that were acknowledged, and schedules the others again.
pub(crate) fn record_deliveries(
    book: &mut Book,
    deliveries: &[(Task, bool)],
    retry_ms: i64,
) -> Result<()> {
    let now = book.now();
    for (webhook, acknowledged) in deliveries {
        if *acknowledged || webhook.kind == TaskKind::ForgedWebhook {
            book.delete_task(webhook.number)?;
            continue;
        }
        let tries = webhook.tries.saturating_add(1);
        let due_at = (tries < TRIES_LIMIT).then(|| now.plus_ms(backoff_ms(tries, retry_ms)));
        book.put_off(webhook.number, tries, due_at)?;
    }
    Ok(())
}

/// The time of a refund's next state: now, or just after its last state if the clock has not moved.
pub(crate) fn next_at(now: Timestamp, last: Timestamp) -> Timestamp {
    now.max(last.plus_ms(1))
}

pub(crate) fn settle(book: &mut Book, mut refund: Refund, now: Timestamp) -> Result<Refund> {
    refund = refund.seen_at(now);
    if refund.status != RefundStatus::Succeeded {
        refund.at = next_at(now, refund.at);
        refund.status = RefundStatus::Succeeded;
        refund.paid_at = Some(refund.at);
    }
    book.save_refund(&refund)?;
    Ok(refund)
}

/// Fails a refund, and takes its payout back if there was one.
pub(crate) fn fail(book: &mut Book, refund: Refund, now: Timestamp) -> Result<Refund> {
    let why = match refund.paid_at {
        Some(_) => ("late_failure", "the customer's bank sent the money back"),
        None => ("refund_failed", "the customer's bank did not take the money"),
    };
    end(book, refund, why, now)
}

/// Ends a held refund, of which nothing was paid.
pub(crate) fn take_back_held(book: &mut Book, refund: Refund, now: Timestamp) -> Result<Refund> {
    end(book, refund, (CANCELED, "the merchant took it back before it was paid"), now)
}

fn end(
    book: &mut Book,
    mut refund: Refund,
    (code, message): (&str, &str),
    now: Timestamp,
) -> Result<Refund> {
    refund.status = RefundStatus::Failed;
    refund.at = next_at(now, refund.at);
    refund.returned_at = refund.paid_at.map(|_| refund.at);
    (refund.code, refund.message) = (Some(code.into()), Some(message.into()));
    book.save_refund(&refund)?;
    Ok(refund)
}

/// Schedules the webhook about a refund's state, due now.
pub(crate) fn tell(book: &mut Book, refund: &Refund, now: Timestamp) -> Result<Task> {
    let body = write_body(book, refund.clone(), now)?;
    schedule(book, refund, body, now)
}

/// Schedules a webhook that claims failure and has a wrong signature.
pub(crate) fn forge(book: &mut Book, refund: &Refund, due_at: Timestamp) -> Result<()> {
    let claim = Refund {
        status: RefundStatus::Failed,
        at: due_at,
        code: Some("forged".into()),
        message: Some("whoever sent this does not know the webhook secret".into()),
        ..refund.clone()
    };
    let body = write_body(book, claim, due_at)?;
    book.insert_task(refund, due_at, TaskKind::ForgedWebhook, Some(&body)).map(|_| ())
}

/// Makes one due state change, unless somebody changed the refund by hand before.
fn change(book: &mut Book, task: &Task, now: Timestamp, due: &mut Due) -> Result<()> {
    book.delete_task(task.number)?;
    let Some(refund) = book.find_row(task.tenant, task.refund)? else { return Ok(()) };
    match (task.kind, refund.status) {
        (TaskKind::TakeBack, RefundStatus::Succeeded) => {
            let refund = fail(book, refund, now)?;
            due.webhooks.push(tell(book, &refund, now)?);
        }
        (
            TaskKind::Settle
            | TaskKind::SettleTellTwice
            | TaskKind::SettleTellOutOfOrder
            | TaskKind::SettleSilently,
            RefundStatus::Pending | RefundStatus::Processing,
        ) => {
            let refund = settle(book, refund, now)?;
            due.webhooks.extend(tell_of_success(book, task.kind, refund, now)?);
        }
        (TaskKind::PayAgain, _) => {
            let refund = pay_again(book, refund, now)?;
            due.webhooks.push(tell(book, &refund, now)?);
        }
        _ => return Ok(()),
    }
    due.changed = due.changed.saturating_add(1);
    Ok(())
}

/// Pays a second refund under the key of the first, which nobody asked for.
fn pay_again(book: &mut Book, first: Refund, now: Timestamp) -> Result<Refund> {
    let at = next_at(now, first.at);
    let (key, asked, visible_at) = (first.key, first.asked, at.plus_ms(book.config.list_lag_ms));
    let second = Refund::booked(book.new_id(at), first.tenant, first.payment_id, first.money, at);
    let second = Refund { key, asked, visible_at, ..second }.in_status(RefundStatus::Succeeded);
    book.save_refund(&second)?;
    Ok(second)
}

fn tell_of_success(
    book: &mut Book,
    kind: TaskKind,
    refund: Refund,
    now: Timestamp,
) -> Result<Vec<Task>> {
    if kind == TaskKind::SettleSilently {
        return Ok(Vec::new());
    }
    let body = write_body(book, refund.clone(), now)?;
    let times = if kind == TaskKind::SettleTellTwice { 2 } else { 1 };
    let mut webhooks = (0..times)
        .map(|_| schedule(book, &refund, body.clone(), now))
        .collect::<Result<Vec<_>>>()?;
    if kind == TaskKind::SettleTellOutOfOrder {
        webhooks.push(tell(book, &refund.when_booked(), now)?);
    }
    Ok(webhooks)
}

fn schedule(book: &mut Book, refund: &Refund, body: Vec<u8>, now: Timestamp) -> Result<Task> {
    let kind = TaskKind::Webhook;
    let number = book.insert_task(refund, now, kind, Some(&body))?;
    Ok(Task { number, kind, tenant: refund.tenant, refund: refund.id, tries: 0, body: Some(body) })
}

fn write_body(book: &mut Book, refund: Refund, now: Timestamp) -> Result<Vec<u8>> {
    webhook::write_body(book.new_id(now), refund, &book.config)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The wait doubles after every try.
fn backoff_ms(tries: u32, retry_ms: i64) -> i64 {
    let doublings = tries.saturating_sub(1);
    let factor = 1_i64.checked_shl(doublings).unwrap_or(i64::MAX);
    retry_ms.saturating_mul(factor).clamp(0, RETRY_LIMIT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_further_and_further_apart_up_to_an_hour() {
        assert_eq!(backoff_ms(1, 1_000), 1_000);
        assert_eq!(backoff_ms(2, 1_000), 2_000);
        assert_eq!(backoff_ms(11, 1_000), 1_024_000);
        assert_eq!(backoff_ms(11, 10_000), RETRY_LIMIT_MS);
        assert_eq!(backoff_ms(u32::MAX, i64::MAX), RETRY_LIMIT_MS);
    }
}
