//! Derives balances, ledger and sequences again and compares them with what is stored.
//!
//! All checks see one snapshot, so that a running server does not disturb them.

use crate::StoreError;
use crate::queries::{CHECKS, Report, written};
use rusqlite::{Connection, params};

/// The refunds of a payment are one chain: it has one beginning and one end, and does not fork.
const CHAINS: &[&str] = &[
    "SELECT 'refund ' || hex(r.id) || ' previous', hex(r.previous), 'a refund of the same payment'
     FROM refunds r LEFT JOIN refunds b ON b.scope = r.scope AND b.id = r.previous
     WHERE r.previous IS NOT NULL AND b.payment IS DISTINCT FROM r.payment",
    "WITH chains AS (
         SELECT scope, payment, count(*) AS n, count(DISTINCT previous) AS linked
         FROM refunds GROUP BY scope, payment
     )
     SELECT 'payment ' || hex(payment) || ' chain', linked + 1, n FROM chains
     WHERE linked + 1 <> n",
    "SELECT 'payment ' || hex(p.id) || ' last refund', hex(p.last_refund), 'a refund of this payment'
     FROM payments p LEFT JOIN refunds r ON r.scope = p.scope AND r.id = p.last_refund
     WHERE p.last_refund IS NOT NULL AND r.payment IS NOT p.id",
    "WITH ends AS (
         SELECT scope, id FROM refunds EXCEPT SELECT scope, previous FROM refunds
     ), lasts AS (
         SELECT scope, last_refund AS id FROM payments WHERE last_refund IS NOT NULL
     )
     SELECT 'refund ' || hex(coalesce(e.id, l.id)) || ' follower',
            CASE WHEN l.id IS NULL THEN 'none' ELSE 'one' END,
            CASE WHEN l.id IS NULL THEN 'one' ELSE 'none, as the last of its payment' END
     FROM ends e FULL JOIN lasts l ON l.scope = e.scope AND l.id = e.id
     WHERE e.id IS NULL OR l.id IS NULL",
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
        transfers: count("postings")?,
        differences: Vec::new(),
    };
    for check in CHECKS.iter().chain(CHAINS) {
        let check = written(check, |column| format!("hex({column})"), "json_each(i.lines) AS l");
        let mut select = snapshot.prepare(&format!("SELECT * FROM ({check}) LIMIT ?1"))?;
        let mut rows = select.query(params![Report::LIMIT])?;
        while let Some(row) = rows.next()? {
            report.add([&text(row, 0)?, &text(row, 1)?, &text(row, 2)?]);
        }
    }
    let mut check = snapshot.prepare("PRAGMA quick_check(10)")?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let found: String = row.get(0)?;
        if found != "ok" {
            report.add(["database file", &found, "ok"]);
        }
    }
    Ok(report)
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
