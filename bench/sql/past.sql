-- Stores :count succeeded refunds, two seconds apart, the last one at :until (milliseconds). Each
-- has its key, its events and its posting, and the books balance afterwards. One in :hot_one_in is
-- for one of the first :hot payments.

SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '512MB';

CREATE FUNCTION past_id(at BIGINT, no BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(at), 12, '0') || lpad(to_hex(no), 20, '0'))::UUID
$$;

-- Numbers the payments in an order that differs from the order of their creation.
CREATE TEMP TABLE paid AS
SELECT id, row_number() OVER (ORDER BY md5(id::TEXT)) - 1 AS n, count(*) OVER () AS all_of_them
FROM payments WHERE scope = :scope AND provider_payment_id LIKE 'bench_%';
CREATE UNIQUE INDEX ON paid (n);

CREATE TEMP TABLE past AS
SELECT i, :until - (:count - i) * 2000 AS at, p.id AS payment,
    row_number() OVER (PARTITION BY p.id ORDER BY i) AS nth
FROM generate_series(1::BIGINT, :count) AS i
JOIN paid p ON p.n = CASE WHEN i % :hot_one_in = 0 THEN i / :hot_one_in % :hot
    ELSE i * 7919 % (SELECT count(*) FROM paid) END
ORDER BY i;
ANALYZE past;

-- Drops the indexes that are not constraints. They are created again at the end, over all rows.
CREATE TEMP TABLE dropped_indexes AS
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename IN ('refunds', 'keys', 'events', 'postings')
AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = indexname);
SELECT format('DROP INDEX %I', indexname) FROM dropped_indexes \gexec

INSERT INTO refunds (scope, id, payment, amount, currency, state, status, origin, late,
    before_settlement, checks, last_seq, updated_at, evidence_at, reason, provider_refund_id)
SELECT :scope, past_id(at, i * 8), payment, 1, 'USD', 10, 2, 1, 0, 0, 0, 2, at, at,
    'requested_by_customer', 're_' || i
FROM past ORDER BY i;

INSERT INTO keys (scope, hash, request, target, id, state)
SELECT :scope, md5('past' || i)::UUID, md5('request' || i)::UUID, 1, past_id(at, i * 8), 4
FROM past ORDER BY md5('past' || i)::UUID;

CREATE TEMP VIEW past_events AS
SELECT i, :scope::BIGINT AS scope, past_id(at, i * 8 + n) AS id,
    CASE n WHEN 1 THEN 10 WHEN 2 THEN 12 ELSE 2 END AS type,
    CASE n WHEN 3 THEN payment END AS payment,
    CASE WHEN n < 3 THEN past_id(at, i * 8) END AS refund,
    CASE n WHEN 1 THEN 4 WHEN 2 THEN 10 END AS state,
    CASE n WHEN 3 THEN 1 + nth ELSE n END AS seq,
    CASE n WHEN 2 THEN format(
        '{"providerRefundId":"re_%s","source":"submit","providerAt":%s}', i, at)
    WHEN 3 THEN format('{"refunded":%s}', nth) END AS detail
FROM past, generate_series(1, 3) AS n;

-- A vacuum finds room for a short event in every second page, and the next events are spread over
-- these pages until the room is used up. A table of this size is rarely in that state: the room is
-- soon used up, and the next vacuum is far away. Hence the last tenth is inserted after a vacuum.
INSERT INTO events (scope, id, type, payment, refund, state, seq, detail)
SELECT scope, id, type, payment, refund, state, seq, detail
FROM past_events WHERE i <= :count * 9 / 10 ORDER BY id;
VACUUM events;
INSERT INTO events (scope, id, type, payment, refund, state, seq, detail)
SELECT scope, id, type, payment, refund, state, seq, detail
FROM past_events WHERE i > :count * 9 / 10 ORDER BY id;

INSERT INTO postings (scope, id, reason, source_type, source, payment, amount, currency)
SELECT :scope, past_id(at, i * 8 + 4), 2, 6, past_id(at, i * 8), payment, 1, 'USD'
FROM past ORDER BY i;

UPDATE payments p SET refunded = refunded + s.refunds, last_seq = last_seq + s.refunds
FROM (SELECT payment, count(*) AS refunds FROM past GROUP BY payment) AS s
WHERE p.scope = :scope AND p.id = s.payment;

INSERT INTO totals (scope, currency, code, debits, credits, part)
VALUES (:scope, 'USD', 3, :count, 0, 0), (:scope, 'USD', 1, 0, :count, 0)
ON CONFLICT (scope, currency, code, part) DO UPDATE
SET debits = totals.debits + excluded.debits, credits = totals.credits + excluded.credits;

SELECT indexdef FROM dropped_indexes \gexec
DROP VIEW past_events;
DROP FUNCTION past_id;
VACUUM ANALYZE payments, refunds, keys, postings, totals;
ANALYZE events;
CHECKPOINT;
