//! The checks of a verification, which both databases run, and its report.

/// The events of a subject count from 1 without a gap, except for the first ones that are pruned,
/// and the last event has the state of the subject, unless `$state` says otherwise. Checks subjects for
/// which `$which` holds.
macro_rules! last_event {
    ($thing:literal, $table:literal, $which:literal) => {
        last_event!($thing, $table, $which, "e.state IS DISTINCT FROM t.state")
    };
    ($thing:literal, $table:literal, $which:literal, $state:literal) => {
        concat!(
            "WITH told AS (
                 SELECT scope, ", $thing, " AS id, count(*) AS n, min(seq) AS first, max(seq) AS last
                 FROM events WHERE ", $thing, " IS NOT NULL GROUP BY scope, ", $thing, "
             )
             SELECT '", $thing, " ' || {t.id} || ' last event',
                    t.last_seq || ' in state ' || t.state || ' but for ' || t.pruned,
                    coalesce(told.n || ' events from ' || told.first || ' to ' || told.last, 'no events')
                        || ' in state ' || coalesce(CAST(e.state AS TEXT), '-')
             FROM ", $table, " t
             LEFT JOIN told ON told.scope = t.scope AND told.id = t.id
             LEFT JOIN events e ON e.scope = t.scope AND e.", $thing, " = t.id AND e.seq = t.last_seq
             WHERE ", $which, " AND (coalesce(told.n, 0) <> t.last_seq - t.pruned OR (t.pruned < t.last_seq
                AND (told.first IS DISTINCT FROM t.pruned + 1 OR told.last IS DISTINCT FROM t.last_seq
                    OR ", $state, ")))"
        )
    };
}

/// Each query returns a name, the stored and the derived value. A column in braces stands for an id
/// as text, `{lines}` for the lines of the invoice `i` as rows `l`.
pub(crate) const CHECKS: &[&str] = &[
    // A payment's balance follows from its refunds.
    "WITH sums AS (
         SELECT scope, payment,
                sum(CASE WHEN state = 10 THEN amount ELSE 0 END) AS refunded,
                sum(CASE WHEN state < 10 OR state = 13 THEN amount ELSE 0 END) AS reserved
         FROM refunds GROUP BY scope, payment
     ), derived AS (
         SELECT p.id, p.refunded || '/' || p.reserved || '/' || p.excess AS stored, p.captured, p.held,
                coalesce(s.refunded, 0) AS refunded, coalesce(s.reserved, 0) AS reserved
         FROM payments p LEFT JOIN sums s ON s.scope = p.scope AND s.payment = p.id
     ), compared AS (
         SELECT id, stored, refunded || '/' || reserved || '/'
                || CASE WHEN refunded + reserved + held > captured
                   THEN refunded + reserved + held - captured ELSE 0 END AS derived
         FROM derived
     )
     SELECT 'payment ' || {id} || ' refunded/reserved/excess', stored, derived
     FROM compared WHERE stored <> derived",
    // A payment's balance keeps the rule of the schema, in case that rule is gone.
    "SELECT 'balance of payment ' || {id},
            refunded || ' + ' || reserved || ' + ' || held, 'at most ' || captured || ' + ' || excess
     FROM payments WHERE captured <= 0 OR refunded < 0 OR reserved < 0 OR held < 0 OR excess < 0
        OR refunded + reserved + held > captured + excess",
    // Money on hold follows from the open holds (1): a payment covers it as far as its refunds leave it.
    "WITH sums AS (
         SELECT scope, payment, sum(amount) AS on_hold FROM holds WHERE state = 1
         GROUP BY scope, payment
     ), derived AS (
         SELECT p.id, p.held, p.held_excess, coalesce(s.on_hold, 0) AS on_hold,
                CASE WHEN p.refunded + p.reserved < p.captured
                    THEN p.captured - p.refunded - p.reserved ELSE 0 END AS free
         FROM payments p LEFT JOIN sums s ON s.scope = p.scope AND s.payment = p.id
     ), compared AS (
         SELECT id, held, held_excess, on_hold, CASE WHEN on_hold < free THEN on_hold ELSE free END AS covered
         FROM derived
     )
     SELECT 'payment ' || {id} || ' held/held excess', held || '/' || held_excess,
            covered || '/' || (on_hold - covered)
     FROM compared WHERE held <> covered OR held_excess <> on_hold - covered",
    // Every hold has a payment in the same currency.
    "SELECT 'hold ' || {h.id} || ' payment currency', h.currency, coalesce(p.currency, 'no payment')
     FROM holds h LEFT JOIN payments p ON p.scope = h.scope AND p.id = h.payment
     WHERE p.currency IS DISTINCT FROM h.currency",
    // A booked hold (3) has a refund of the same payment that was made at the provider (2), and no other
    // hold has one.
    "SELECT 'hold ' || {h.id} || ' in state ' || h.state || ' refund', coalesce({r.id}, 'none'),
            CASE h.state WHEN 3 THEN 'an external one of its payment' ELSE 'none' END
     FROM holds h LEFT JOIN refunds r
        ON r.scope = h.scope AND r.id = h.refund AND r.payment = h.payment AND r.origin = 2
     WHERE (h.state = 3) <> (r.id IS NOT NULL) OR (h.state = 3) <> (h.refund IS NOT NULL)",
    // Every refund has a payment in the same currency.
    "SELECT 'refund ' || {r.id} || ' payment currency', r.currency, coalesce(p.currency, 'no payment')
     FROM refunds r LEFT JOIN payments p ON p.scope = r.scope AND p.id = r.payment
     WHERE p.currency IS DISTINCT FROM r.currency",
    // The public status follows from the state.
    "SELECT 'refund ' || {id} || ' status of state ' || state, status,
            CASE WHEN state < 10 OR state = 13 THEN 1 ELSE state - 8 END
     FROM refunds WHERE status <> CASE WHEN state < 10 OR state = 13 THEN 1 ELSE state - 8 END",
    // An open refund with work to do has a due time.
    "SELECT 'refund ' || {id} || ' due in state ' || state, coalesce(CAST(due_at AS TEXT), 'never'),
            CASE WHEN due_at IS NULL THEN 'some time' ELSE 'never' END
     FROM refunds WHERE due_at IS NULL AND state IN (2, 3, 4, 6, 8)
        OR due_at IS NOT NULL AND state IN (1, 11, 12)",
    // A captured payment is posted once.
    "WITH captures AS (
         SELECT scope, payment, count(*) AS n, sum(amount) AS amount
         FROM postings WHERE reason = 1 GROUP BY scope, payment
     )
     SELECT 'payment ' || {p.id} || ' capture posted', coalesce(c.n, 0) || ' x ' || coalesce(c.amount, 0),
            '1 x ' || p.captured
     FROM payments p LEFT JOIN captures c ON c.scope = p.scope AND c.payment = p.id
     WHERE coalesce(c.n, 0) <> 1 OR c.amount <> p.captured",
    // A succeeded refund is posted with its amount; the transfers of any other refund sum to zero.
    "WITH posted AS (
         SELECT scope, source, sum(CASE reason WHEN 2 THEN amount ELSE -amount END) AS net
         FROM postings WHERE source_type = 6 GROUP BY scope, source
     )
     SELECT 'refund ' || {r.id} || ' posted', coalesce(n.net, 0),
            CASE WHEN r.state = 10 THEN r.amount ELSE 0 END
     FROM refunds r LEFT JOIN posted n ON n.scope = r.scope AND n.source = r.id
     WHERE coalesce(n.net, 0) <> CASE WHEN r.state = 10 THEN r.amount ELSE 0 END",
    // Every transfer about a refund belongs to one.
    "SELECT 'posting ' || {g.id} || ' source', {g.source}, 'no such refund or payment'
     FROM postings g
     WHERE NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = g.scope AND r.id = g.source)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = g.scope AND p.id = g.source)",
    // The running totals follow from the transfers.
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
        OR coalesce(t.credits, 0) <> coalesce(s.credits, 0)",
    // The ledger as a whole sums to zero in every currency.
    "SELECT 'ledger of scope ' || scope || ' ' || currency, sum(debits), sum(credits)
     FROM totals GROUP BY scope, currency HAVING sum(debits) <> sum(credits)",
    // Moves between queued, sending and waiting for funds are not told each time.
    last_event!(
        "refund",
        "refunds",
        "true",
        "e.state IS DISTINCT FROM t.state AND NOT (e.state IN (3, 4, 8) AND t.state IN (3, 4, 8))"
    ),
    // Every unique key leads to a row, has an answer (6) of its own or is a provider's event (9).
    "SELECT 'name ' || {k.hash}, {k.id}, 'no such thing'
     FROM keys k
     WHERE k.target <> 9 AND (k.target <> 6 OR k.answer IS NULL)
       AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.scope = k.scope AND r.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.scope = k.scope AND p.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM checkouts c WHERE c.scope = k.scope AND c.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.scope = k.scope AND i.id = k.id)
       AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.scope = k.scope AND h.id = k.id)",
    // A completed checkout (4) has one payment of the same kind and amount, any other has none.
    "SELECT 'checkout ' || {c.id} || ' in state ' || c.state || ' payment',
            coalesce(p.kind || ' ' || p.captured || ' ' || p.currency || ' ' || p.provider_payment_id, 'none'),
            CASE c.state WHEN 4 THEN c.kind || ' ' || c.amount || ' ' || c.currency || ' '
                || coalesce(c.provider_payment_id, '?') ELSE 'none' END
     FROM checkouts c LEFT JOIN payments p ON p.scope = c.scope AND p.id = c.id
     WHERE (c.state = 4) <> (p.id IS NOT NULL)
        OR (c.state = 4 AND (p.kind <> c.kind OR p.captured <> c.amount OR p.currency <> c.currency
            OR p.provider_payment_id IS DISTINCT FROM c.provider_payment_id OR c.completed_at IS NULL))",
    // A checkout waits for its provider exactly while an attempt is in flight, except when it was
    // canceled (7) in the meantime.
    "SELECT 'checkout ' || {id} || ' attempt in state ' || state, flight,
            CASE state WHEN 2 THEN 'in flight' ELSE 'none' END
     FROM checkouts WHERE state <> 7 AND (state = 2) <> (flight <> 0)",
    // The checkout of an invoice (kind 3) has no events of its own.
    last_event!("checkout", "checkouts", "t.kind <> 3"),
    last_event!("invoice", "invoices", "true"),
    // An invoice's sums follow from its lines.
    "WITH sums AS (
         SELECT i.scope, i.id,
                sum(CAST(l.value ->> 'q' AS BIGINT) * CAST(l.value ->> 'u' AS BIGINT)) AS subtotal
         FROM invoices i, {lines} GROUP BY i.scope, i.id
     )
     SELECT 'invoice ' || {i.id} || ' subtotal/total', i.subtotal || '/' || i.total,
            coalesce(s.subtotal, 0) || '/' || (coalesce(s.subtotal, 0) - i.discount + i.tax)
     FROM invoices i LEFT JOIN sums s ON s.scope = i.scope AND s.id = i.id
     WHERE i.subtotal <> coalesce(s.subtotal, 0)
        OR i.total <> coalesce(s.subtotal, 0) - i.discount + i.tax",
    // A charged invoice has a payment of its total, any other has none.
    "SELECT 'invoice ' || {i.id} || ' in state ' || i.state || ' payment', coalesce(CAST(p.captured AS TEXT), 'none'),
            CASE i.charged WHEN 1 THEN CAST(i.total AS TEXT) ELSE 'none' END
     FROM invoices i LEFT JOIN payments p ON p.scope = i.scope AND p.id = i.id
     WHERE (i.charged = 1) <> (p.id IS NOT NULL)
        OR (i.charged = 1 AND (i.state <> 4 OR p.kind <> 3 OR p.captured <> i.total))",
    // The invoices of an account and mode are numbered from 1 without a gap.
    "SELECT 'invoice numbers of scope ' || i.scope, coalesce(CAST(n.last AS TEXT), 'none'),
            count(*) || ' from ' || min(i.number) || ' to ' || max(i.number)
     FROM invoices i LEFT JOIN invoice_numbers n ON n.scope = i.scope
     GROUP BY i.scope, n.last HAVING min(i.number) <> 1 OR max(i.number) <> count(*) OR n.last IS DISTINCT FROM count(*)",
    // A pending delivery without a time waits for an earlier delivery that has one.
    "SELECT 'delivery ' || {d.id} || ' waits for', 'nothing', 'an earlier one of its subject'
     FROM deliveries d WHERE d.status = 1 AND d.next_at IS NULL AND NOT EXISTS (
         SELECT 1 FROM deliveries e WHERE e.scope = d.scope AND e.endpoint = d.endpoint
         AND e.subject = d.subject AND e.status = 1 AND e.next_at IS NOT NULL)",
    // The number of attempts is the number of logged attempts.
    "SELECT 'delivery ' || {d.id} || ' attempts', d.attempts, count(a.number)
     FROM deliveries d LEFT JOIN delivery_attempts a ON a.scope = d.scope AND a.delivery = d.id
     GROUP BY d.scope, d.id HAVING d.attempts <> count(a.number)",
];

/// A check in the SQL of one database.
pub(crate) fn written(check: &str, id: impl Fn(&str) -> String, lines: &str) -> String {
    let word = |part: &str| match part.split_once('}') {
        Some(("lines", rest)) => format!("{lines}{rest}"),
        Some((column, rest)) => format!("{}{rest}", id(column)),
        None => part.to_owned(),
    };
    check.split('{').map(word).collect()
}

/// A stored value that differs from the derived one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name of what was compared.
    pub subject: String,
    pub stored: String,
    pub derived: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: stored {}, derived {}", self.subject, self.stored, self.derived)
    }
}

/// The outcome of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub payments: u64,
    pub refunds: u64,
    pub transfers: u64,
    /// At most [`Report::LIMIT`] differences of each kind.
    pub differences: Vec<Difference>,
}

impl Report {
    /// How many differences of one kind are listed at most.
    pub const LIMIT: u32 = 1_000;

    /// Adds a difference, with ids as ULIDs instead of hexadecimal digits.
    pub(crate) fn add(&mut self, [subject, stored, derived]: [&str; 3]) {
        self.differences.push(Difference {
            subject: readable(subject),
            stored: readable(stored),
            derived: readable(derived),
        });
    }
}

fn readable(text: &str) -> String {
    let word = |word: &str| match u128::from_str_radix(word, 16) {
        Ok(id) if word.len() == 32 => ulid::Ulid(id).to_string(),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
