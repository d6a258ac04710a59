//! Derives balances, ledger and sequences again and compares them with what is stored.
//!
//! All checks see one snapshot, so that running nodes do not disturb them.

use super::trouble::Trouble;
use super::value::fault;
use super::{PostgresStore, within};
use crate::StoreError;
use crate::verify::{Difference, Report, readable};
use std::time::Duration;

/// Each query names what differs, what is stored and what was derived; `$1` is the limit.
/// States: 1 to 9 are pending, 10 is succeeded, 11 failed, 12 canceled.
const CHECKS: &[&str] = &[
    // A payment's balance follows from its refunds.
    "WITH sums AS (
         SELECT scope, payment,
                sum(CASE WHEN state = 10 THEN amount ELSE 0 END) AS refunded,
                sum(CASE WHEN state < 10 THEN amount ELSE 0 END) AS reserved
         FROM refunds GROUP BY scope, payment
     )
     SELECT 'payment ' || replace(p.id::text, '-', '') || ' refunded/reserved/excess',
            p.refunded || '/' || p.reserved || '/' || p.excess,
            coalesce(s.refunded, 0) || '/' || coalesce(s.reserved, 0) || '/'
                || greatest(0, coalesce(s.refunded, 0) + coalesce(s.reserved, 0) + p.held - p.captured)
     FROM payments p LEFT JOIN sums s ON s.scope = p.scope AND s.payment = p.id
     WHERE p.refunded <> coalesce(s.refunded, 0)
        OR p.reserved <> coalesce(s.reserved, 0)
        OR p.excess <> greatest(0, coalesce(s.refunded, 0) + coalesce(s.reserved, 0) + p.held - p.captured)
     LIMIT $1",
    // A payment's balance keeps the rule that the schema has for it, should that be gone.
    "SELECT 'balance of payment ' || replace(id::text, '-', ''),
            refunded || ' + ' || reserved || ' + ' || held, 'at most ' || captured || ' + ' || excess
     FROM payments WHERE captured <= 0 OR refunded < 0 OR reserved < 0 OR held < 0 OR excess < 0
        OR refunded + reserved + held > captured + excess LIMIT $1",
    // Every refund has a payment in the same currency.
    "SELECT 'refund ' || replace(r.id::text, '-', '') || ' payment currency', r.currency, coalesce(p.currency, 'no payment')
     FROM refunds r LEFT JOIN payments p ON p.scope = r.scope AND p.id = r.payment
     WHERE p.currency IS DISTINCT FROM r.currency LIMIT $1",
    // The public status follows from the state.
    "SELECT 'refund ' || replace(id::text, '-', '') || ' status of state ' || state, status,
            CASE WHEN state < 10 THEN 1 ELSE state - 8 END
     FROM refunds WHERE status <> CASE WHEN state < 10 THEN 1 ELSE state - 8 END LIMIT $1",
    // A refund that is not decided and has work is due some time.
    "SELECT 'refund ' || replace(id::text, '-', '') || ' due in state ' || state, coalesce(due_at::text, 'never'),
            CASE WHEN state BETWEEN 2 AND 8 THEN 'some time' ELSE 'never' END
     FROM refunds WHERE (due_at IS NOT NULL) <> (state BETWEEN 2 AND 8) LIMIT $1",
    // A captured payment is posted once.
    "WITH captures AS (
         SELECT scope, payment, count(*) AS n, sum(amount) AS amount
         FROM postings WHERE reason = 1 GROUP BY scope, payment
     )
     SELECT 'payment ' || replace(p.id::text, '-', '') || ' capture posted', coalesce(c.n, 0) || ' x ' || coalesce(c.amount, 0),
            '1 x ' || p.captured
     FROM payments p LEFT JOIN captures c ON c.scope = p.scope AND c.payment = p.id
     WHERE coalesce(c.n, 0) <> 1 OR c.amount <> p.captured LIMIT $1",
    // What is posted for a refund is its amount when it succeeded, and nothing on balance otherwise.
    "WITH posted AS (
         SELECT scope, source, sum(CASE reason WHEN 2 THEN amount ELSE -amount END) AS net
         FROM postings WHERE source_type = 6 GROUP BY scope, source
     )
     SELECT 'refund ' || replace(r.id::text, '-', '') || ' posted', coalesce(n.net, 0),
            CASE WHEN r.state = 10 THEN r.amount ELSE 0 END
     FROM refunds r LEFT JOIN posted n ON n.scope = r.scope AND n.source = r.id
     WHERE coalesce(n.net, 0) <> CASE WHEN r.state = 10 THEN r.amount ELSE 0 END LIMIT $1",
    // Every posting about a refund belongs to one.
    "SELECT 'posting ' || replace(g.id::text, '-', '') || ' source', replace(g.source::text, '-', ''), 'no such refund or payment'
     FROM postings g
     WHERE NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = g.scope AND r.id = g.source)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = g.scope AND p.id = g.source)
     LIMIT $1",
    // The running totals follow from the postings.
    "WITH legs AS (
         SELECT scope, currency, CASE reason WHEN 2 THEN 3 ELSE 1 END AS code,
                amount AS debit, 0 AS credit FROM postings
         UNION ALL
         SELECT scope, currency, CASE reason WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 3 END,
                0, amount FROM postings
     ), sums AS (
         SELECT scope, currency, code, sum(debit) AS debits, sum(credit) AS credits
         FROM legs GROUP BY scope, currency, code
     ), whole AS (
         SELECT scope, currency, code, sum(debits) AS debits, sum(credits) AS credits
         FROM totals GROUP BY scope, currency, code
     )
     SELECT 'totals of scope ' || coalesce(t.scope, s.scope) || ' '
                || coalesce(t.currency, s.currency) || ' code ' || coalesce(t.code, s.code),
            coalesce(t.debits, 0) || '/' || coalesce(t.credits, 0),
            coalesce(s.debits, 0) || '/' || coalesce(s.credits, 0)
     FROM whole t FULL JOIN sums s USING (scope, currency, code)
     WHERE coalesce(t.debits, 0) <> coalesce(s.debits, 0)
        OR coalesce(t.credits, 0) <> coalesce(s.credits, 0) LIMIT $1",
    // The ledger as a whole sums to zero in every currency.
    "SELECT 'ledger of scope ' || scope || ' ' || currency, sum(debits), sum(credits)
     FROM totals GROUP BY scope, currency HAVING sum(debits) <> sum(credits) LIMIT $1",
    // A refund's events count from 1 without a gap, but for the first ones that are no longer kept,
    // and the last one tells its state.
    "WITH told AS (
         SELECT scope, refund, count(*) AS n, min(seq) AS first, max(seq) AS last
         FROM events WHERE refund IS NOT NULL GROUP BY scope, refund
     )
     SELECT 'refund ' || replace(r.id::text, '-', '') || ' last event', r.last_seq || ' in state ' || r.state || ' but for ' || r.pruned,
            coalesce(t.n || ' events from ' || t.first || ' to ' || t.last, 'no events')
                || ' in state ' || coalesce(e.state::text, '-')
     FROM refunds r
     LEFT JOIN told t ON t.scope = r.scope AND t.refund = r.id
     LEFT JOIN events e ON e.scope = r.scope AND e.refund = r.id AND e.seq = r.last_seq
     WHERE coalesce(t.n, 0) <> r.last_seq - r.pruned OR (r.pruned < r.last_seq
        AND (t.first IS DISTINCT FROM r.pruned + 1 OR t.last IS DISTINCT FROM r.last_seq OR e.state IS DISTINCT FROM r.state)) LIMIT $1",
    // Every name leads somewhere, or has its answer (6) with it.
    "SELECT 'name ' || replace(k.hash::text, '-', ''), replace(k.id::text, '-', ''), 'no such thing'
     FROM keys k
     WHERE (k.target <> 6 OR k.answer IS NULL)
       AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = k.scope AND r.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = k.scope AND p.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM checkouts c WHERE c.scope = k.scope AND c.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.scope = k.scope AND i.id = k.id)
     LIMIT $1",
    // A completed checkout (4) is one payment of the same kind and amount, any other none.
    "SELECT 'checkout ' || replace(c.id::text, '-', '') || ' in state ' || c.state || ' payment',
            coalesce(p.kind || ' ' || p.captured || ' ' || p.currency || ' ' || p.provider_payment_id, 'none'),
            CASE c.state WHEN 4 THEN c.kind || ' ' || c.amount || ' ' || c.currency || ' '
                || coalesce(c.provider_payment_id, '?') ELSE 'none' END
     FROM checkouts c LEFT JOIN payments p ON p.scope = c.scope AND p.id = c.id
     WHERE (c.state = 4) <> (p.id IS NOT NULL)
        OR (c.state = 4 AND (p.kind <> c.kind OR p.captured <> c.amount OR p.currency <> c.currency
            OR p.provider_payment_id IS DISTINCT FROM c.provider_payment_id OR c.completed_at IS NULL))
     LIMIT $1",
    // A checkout waits for its provider exactly while an attempt is in flight, but for one that was
    // canceled (7) meanwhile.
    "SELECT 'checkout ' || replace(id::text, '-', '') || ' attempt in state ' || state, flight,
            CASE state WHEN 2 THEN 'in flight' ELSE 'none' END
     FROM checkouts WHERE state <> 7 AND (state = 2) <> (flight <> 0) LIMIT $1",
    // A checkout's events count from 1 without a gap, and the last one tells its state. Those of an
    // invoice's checkout (kind 3) are told as the invoice's.
    "WITH told AS (
         SELECT scope, checkout, count(*) AS n, min(seq) AS first, max(seq) AS last
         FROM events WHERE checkout IS NOT NULL GROUP BY scope, checkout
     )
     SELECT 'checkout ' || replace(c.id::text, '-', '') || ' last event', c.last_seq || ' in state ' || c.state || ' but for ' || c.pruned,
            coalesce(t.n || ' events from ' || t.first || ' to ' || t.last, 'no events')
                || ' in state ' || coalesce(e.state::text, '-')
     FROM checkouts c
     LEFT JOIN told t ON t.scope = c.scope AND t.checkout = c.id
     LEFT JOIN events e ON e.scope = c.scope AND e.checkout = c.id AND e.seq = c.last_seq
     WHERE c.kind <> 3 AND (coalesce(t.n, 0) <> c.last_seq - c.pruned OR (c.pruned < c.last_seq
        AND (t.first IS DISTINCT FROM c.pruned + 1 OR t.last IS DISTINCT FROM c.last_seq OR e.state IS DISTINCT FROM c.state))) LIMIT $1",
    // The same for invoices.
    "WITH told AS (
         SELECT scope, invoice, count(*) AS n, min(seq) AS first, max(seq) AS last
         FROM events WHERE invoice IS NOT NULL GROUP BY scope, invoice
     )
     SELECT 'invoice ' || replace(i.id::text, '-', '') || ' last event', i.last_seq || ' in state ' || i.state || ' but for ' || i.pruned,
            coalesce(t.n || ' events from ' || t.first || ' to ' || t.last, 'no events')
                || ' in state ' || coalesce(e.state::text, '-')
     FROM invoices i
     LEFT JOIN told t ON t.scope = i.scope AND t.invoice = i.id
     LEFT JOIN events e ON e.scope = i.scope AND e.invoice = i.id AND e.seq = i.last_seq
     WHERE coalesce(t.n, 0) <> i.last_seq - i.pruned OR (i.pruned < i.last_seq
        AND (t.first IS DISTINCT FROM i.pruned + 1 OR t.last IS DISTINCT FROM i.last_seq OR e.state IS DISTINCT FROM i.state)) LIMIT $1",
    // An invoice's sums follow from its lines.
    "WITH sums AS (
         SELECT i.scope, i.id,
                sum((l.value ->> 'q')::bigint * (l.value ->> 'u')::bigint) AS subtotal
         FROM invoices i, json_array_elements(i.lines::json) AS l (value) GROUP BY i.scope, i.id
     )
     SELECT 'invoice ' || replace(i.id::text, '-', '') || ' subtotal/total', i.subtotal || '/' || i.total,
            coalesce(s.subtotal, 0) || '/' || (coalesce(s.subtotal, 0) - i.discount + i.tax)
     FROM invoices i LEFT JOIN sums s ON s.scope = i.scope AND s.id = i.id
     WHERE i.subtotal <> coalesce(s.subtotal, 0)
        OR i.total <> coalesce(s.subtotal, 0) - i.discount + i.tax LIMIT $1",
    // An invoice that was charged is a payment of its total, any other is none.
    "SELECT 'invoice ' || replace(i.id::text, '-', '') || ' in state ' || i.state || ' payment', coalesce(p.captured::text, 'none'),
            CASE i.charged WHEN 1 THEN i.total::text ELSE 'none' END
     FROM invoices i LEFT JOIN payments p ON p.scope = i.scope AND p.id = i.id
     WHERE (i.charged = 1) <> (p.id IS NOT NULL)
        OR (i.charged = 1 AND (i.state <> 4 OR p.kind <> 3 OR p.captured <> i.total)) LIMIT $1",
    // The invoices of an account and mode are numbered from 1 without a gap.
    "SELECT 'invoice numbers of scope ' || i.scope, coalesce(n.last::text, 'none'),
            count(*) || ' from ' || min(i.number) || ' to ' || max(i.number)
     FROM invoices i LEFT JOIN invoice_numbers n ON n.scope = i.scope
     GROUP BY i.scope, n.last HAVING min(i.number) <> 1 OR max(i.number) <> count(*) OR n.last IS DISTINCT FROM count(*)
     LIMIT $1",
    // A pending delivery that nobody is to look at waits for an earlier one that somebody is.
    "SELECT 'delivery ' || replace(d.id::text, '-', '') || ' waits for', 'nothing', 'an earlier one of its subject'
     FROM deliveries d WHERE d.status = 1 AND d.next_at IS NULL AND NOT EXISTS (
         SELECT 1 FROM deliveries e WHERE e.scope = d.scope AND e.endpoint = d.endpoint
         AND e.subject = d.subject AND e.status = 1 AND e.next_at IS NOT NULL)
     LIMIT $1",
    // Attempts are logged one by one.
    "SELECT 'delivery ' || replace(d.id::text, '-', '') || ' attempts', d.attempts, count(a.number)
     FROM deliveries d LEFT JOIN delivery_attempts a ON a.scope = d.scope AND a.delivery = d.id
     GROUP BY d.scope, d.id HAVING d.attempts <> count(a.number) LIMIT $1",
];

/// How long one query may take.
const LIMIT: Duration = Duration::from_hours(1);

/// One snapshot, for as long as it takes. Here whole tables are read.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on; \
     SET LOCAL enable_mergejoin = on";

impl PostgresStore {
    /// Derives every balance and the whole ledger again and compares.
    pub async fn verify(&self) -> Result<Report, StoreError> {
        // Not given back to the pool: whoever stops waiting for this stops it.
        let session = self.session(&self.reads).await.map_err(Trouble::into_error)?;
        let Some(client) = session.into_client() else {
            return Err(StoreError::Closed);
        };
        within(LIMIT, client.batch_execute(BEGIN)).await?;
        let mut counts = [0; 3];
        for (count, table) in counts.iter_mut().zip(["payments", "refunds", "postings"]) {
            let sql = format!("SELECT count(*) FROM {table}");
            let rows = within(LIMIT, client.query_typed(&sql, &[])).await?;
            let found: Option<i64> = rows.first().map(|row| row.get(0));
            *count = found.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        }
        let [payments, refunds, postings] = counts;
        let mut report = Report { payments, refunds, postings, differences: Vec::new() };
        for check in CHECKS {
            let sql = format!(
                "SELECT a::text, b::text, c::text FROM ({}) AS found (a, b, c)",
                check.replace("$1", &Report::LIMIT.to_string())
            );
            for row in within(LIMIT, client.query_typed(&sql, &[])).await? {
                let text = |at: usize| -> Result<String, StoreError> {
                    let text: Option<&str> = row.try_get(at).map_err(fault)?;
                    Ok(readable(text.unwrap_or("nothing")))
                };
                let difference =
                    Difference { subject: text(0)?, stored: text(1)?, derived: text(2)? };
                report.differences.push(difference);
            }
        }
        let _ = within(LIMIT, client.batch_execute("COMMIT")).await;
        Ok(report)
    }
}
