//! Derives balances, ledger and sequences again and compares them with what is stored.
//!
//! All checks see one snapshot, so that a running server does not disturb them.

use crate::StoreError;
use crate::verify::{Difference, Report};
use rusqlite::{Connection, params};

/// Each query names what differs, what is stored and what was derived; `?1` is the limit.
/// States: 1 to 9 are pending, 10 is succeeded, 11 failed, 12 canceled.
const CHECKS: &[&str] = &[
    // A payment's balance follows from its refunds.
    "WITH sums AS (
         SELECT scope, payment,
                sum(CASE WHEN state = 10 THEN amount ELSE 0 END) AS refunded,
                sum(CASE WHEN state < 10 THEN amount ELSE 0 END) AS reserved
         FROM refunds GROUP BY scope, payment
     )
     SELECT 'payment ' || hex(p.id) || ' refunded/reserved/excess',
            p.refunded || '/' || p.reserved || '/' || p.excess,
            coalesce(s.refunded, 0) || '/' || coalesce(s.reserved, 0) || '/'
                || max(0, coalesce(s.refunded, 0) + coalesce(s.reserved, 0) + p.held - p.captured)
     FROM payments p LEFT JOIN sums s ON s.scope = p.scope AND s.payment = p.id
     WHERE p.refunded <> coalesce(s.refunded, 0)
        OR p.reserved <> coalesce(s.reserved, 0)
        OR p.excess <> max(0, coalesce(s.refunded, 0) + coalesce(s.reserved, 0) + p.held - p.captured)
     LIMIT ?1",
    // Every refund has a payment in the same currency.
    "SELECT 'refund ' || hex(r.id) || ' payment currency', r.currency, coalesce(p.currency, 'no payment')
     FROM refunds r LEFT JOIN payments p ON p.scope = r.scope AND p.id = r.payment
     WHERE p.currency IS NOT r.currency LIMIT ?1",
    // The public status follows from the state.
    "SELECT 'refund ' || hex(id) || ' status of state ' || state, status,
            CASE WHEN state < 10 THEN 1 ELSE state - 8 END
     FROM refunds WHERE status <> CASE WHEN state < 10 THEN 1 ELSE state - 8 END LIMIT ?1",
    // A refund that is not decided and has work is due some time.
    "SELECT 'refund ' || hex(id) || ' due in state ' || state, coalesce(due_at, 'never'),
            CASE WHEN state BETWEEN 2 AND 8 THEN 'some time' ELSE 'never' END
     FROM refunds WHERE (due_at IS NOT NULL) <> (state BETWEEN 2 AND 8) LIMIT ?1",
    // A captured payment is posted once.
    "WITH captures AS (
         SELECT scope, payment, count(*) AS n, sum(amount) AS amount
         FROM postings WHERE reason = 1 GROUP BY scope, payment
     )
     SELECT 'payment ' || hex(p.id) || ' capture posted', coalesce(c.n, 0) || ' x ' || coalesce(c.amount, 0),
            '1 x ' || p.captured
     FROM payments p LEFT JOIN captures c ON c.scope = p.scope AND c.payment = p.id
     WHERE coalesce(c.n, 0) <> 1 OR c.amount <> p.captured LIMIT ?1",
    // What is posted for a refund is its amount when it succeeded, and nothing on balance otherwise.
    "WITH posted AS (
         SELECT scope, source, sum(CASE reason WHEN 2 THEN amount ELSE -amount END) AS net
         FROM postings WHERE source_type = 6 GROUP BY scope, source
     )
     SELECT 'refund ' || hex(r.id) || ' posted', coalesce(n.net, 0),
            CASE WHEN r.state = 10 THEN r.amount ELSE 0 END
     FROM refunds r LEFT JOIN posted n ON n.scope = r.scope AND n.source = r.id
     WHERE coalesce(n.net, 0) <> CASE WHEN r.state = 10 THEN r.amount ELSE 0 END LIMIT ?1",
    // Every posting about a refund belongs to one.
    "SELECT 'posting ' || hex(g.id) || ' source', hex(g.source), 'no such refund or payment'
     FROM postings g
     WHERE NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = g.scope AND r.id = g.source)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = g.scope AND p.id = g.source)
     LIMIT ?1",
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
     )
     SELECT 'totals of scope ' || coalesce(t.scope, s.scope) || ' '
                || coalesce(t.currency, s.currency) || ' code ' || coalesce(t.code, s.code),
            coalesce(t.debits, 0) || '/' || coalesce(t.credits, 0),
            coalesce(s.debits, 0) || '/' || coalesce(s.credits, 0)
     FROM totals t FULL JOIN sums s USING (scope, currency, code)
     WHERE coalesce(t.debits, 0) <> coalesce(s.debits, 0)
        OR coalesce(t.credits, 0) <> coalesce(s.credits, 0) LIMIT ?1",
    // The ledger as a whole sums to zero in every currency.
    "SELECT 'ledger of scope ' || scope || ' ' || currency, sum(debits), sum(credits)
     FROM totals GROUP BY scope, currency HAVING sum(debits) <> sum(credits) LIMIT ?1",
    // A refund's events count from 1 without a gap, and the last one tells its state.
    "WITH told AS (
         SELECT scope, refund, count(*) AS n, min(seq) AS first, max(seq) AS last
         FROM events WHERE refund IS NOT NULL GROUP BY scope, refund
     )
     SELECT 'refund ' || hex(r.id) || ' last event', r.last_seq || ' in state ' || r.state,
            coalesce(t.n || ' events from ' || t.first || ' to ' || t.last, 'no events')
                || ' in state ' || coalesce(e.state, '-')
     FROM refunds r
     LEFT JOIN told t ON t.scope = r.scope AND t.refund = r.id
     LEFT JOIN events e ON e.scope = r.scope AND e.refund = r.id AND e.seq = r.last_seq
     WHERE t.n IS NOT r.last_seq OR t.first IS NOT 1 OR t.last IS NOT r.last_seq
        OR e.state IS NOT r.state LIMIT ?1",
    // Every name leads somewhere.
    "SELECT 'name ' || hex(k.hash), hex(k.id), 'no such refund or payment'
     FROM keys k
     WHERE NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = k.scope AND r.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = k.scope AND p.id = k.id)
     LIMIT ?1",
];

pub(super) fn verify(connection: &Connection) -> Result<Report, StoreError> {
    let snapshot = connection.unchecked_transaction()?;
    let count = |table: &str| -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = snapshot.query_row(&sql, [], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let mut report = Report {
        payments: count("payments")?,
        refunds: count("refunds")?,
        postings: count("postings")?,
        differences: Vec::new(),
    };
    for check in CHECKS {
        let mut select = snapshot.prepare(check)?;
        let mut rows = select.query(params![Report::LIMIT])?;
        while let Some(row) = rows.next()? {
            report.differences.push(Difference {
                subject: readable(&text(row, 0)?),
                stored: readable(&text(row, 1)?),
                derived: readable(&text(row, 2)?),
            });
        }
    }
    let mut check = snapshot.prepare("PRAGMA quick_check(10)")?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let found: String = row.get(0)?;
        if found != "ok" {
            report.differences.push(Difference {
                subject: "database file".into(),
                stored: found,
                derived: "ok".into(),
            });
        }
    }
    Ok(report)
}

/// The text with ids as people know them: ULIDs instead of hexadecimal.
fn readable(text: &str) -> String {
    let word = |word: &str| match u128::from_str_radix(word, 16) {
        Ok(id) if word.len() == 32 => ulid::Ulid(id).to_string(),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> Result<String, StoreError> {
    Ok(match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => "nothing".into(),
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        rusqlite::types::ValueRef::Real(_) => "a number out of range".into(),
        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    })
}
