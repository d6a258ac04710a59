-- Creates a refund with one call of a function on the server, as most systems do. The committer's
-- batches are compared with this function. The function writes the same rows as the committer, on
-- payments of its own whose ids follow from their numbers, so that a caller needs no list of ids.

CREATE SEQUENCE one_refund_no;

-- A UUID with the given time in front, in milliseconds.
CREATE FUNCTION one_id(at BIGINT, no BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(at), 12, '0') || lpad(to_hex(no), 20, '0'))::UUID
$$;

INSERT INTO payments
SELECT (jsonb_populate_record(
    p, jsonb_build_object('id', one_id(0, n), 'provider_payment_id', 'one_' || n))).*
FROM payments AS p, generate_series(1, :payments) AS n
WHERE p.scope = :scope AND p.provider_payment_id = 'bench_00000000';

CREATE FUNCTION one_refund(of_scope BIGINT, n BIGINT) RETURNS UUID LANGUAGE plpgsql AS $$
DECLARE
    at      BIGINT := extract(epoch FROM clock_timestamp()) * 1000;
    no      BIGINT := 2 * nextval('one_refund_no');
    refund  UUID := one_id(at, no);
    key     UUID := gen_random_uuid();
    paid    payments%ROWTYPE;
    earlier UUID;
BEGIN
    SELECT * INTO STRICT paid FROM payments
    WHERE scope = of_scope AND id = one_id(0, n) FOR UPDATE;
    SELECT id INTO earlier FROM keys WHERE scope = of_scope AND hash = key;
    IF FOUND THEN
        RETURN earlier;
    END IF;
    IF paid.captured + paid.excess - paid.refunded - paid.reserved - paid.held < 1 THEN
        RAISE EXCEPTION 'more than was captured';
    END IF;
    UPDATE payments SET reserved = reserved + 1, updated_at = at
    WHERE scope = of_scope AND id = paid.id;
    INSERT INTO refunds (scope, id, payment, amount, currency, state, status, origin, late,
        before_settlement, checks, last_seq, updated_at, due_at, reason)
    VALUES (of_scope, refund, paid.id, 1, paid.currency, 3, 1, 1, 0, 0, 0, 1, at, at,
        'requested_by_customer');
    INSERT INTO keys (scope, hash, request, target, id, state)
    VALUES (of_scope, key, gen_random_uuid(), 1, refund, 3);
    INSERT INTO events (scope, id, type, refund, state, seq)
    VALUES (of_scope, one_id(at, no + 1), 10, refund, 3, 1);
    RETURN refund;
END
$$;
