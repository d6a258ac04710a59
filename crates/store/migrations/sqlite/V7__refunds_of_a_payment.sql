-- The refunds of a payment as a chain, newest first: the payment names the last one, and each refund
-- the one before it. Both rows are written anyway when a refund is made, while an index by payment
-- is one more page in a random place for each refund.
ALTER TABLE payments ADD COLUMN last_refund BLOB;
ALTER TABLE refunds ADD COLUMN previous BLOB;

UPDATE refunds SET previous = (
    SELECT max(earlier.id) FROM refunds earlier
    WHERE earlier.scope = refunds.scope AND earlier.payment = refunds.payment AND earlier.id < refunds.id
);
UPDATE payments SET last_refund = (
    SELECT max(id) FROM refunds WHERE refunds.scope = payments.scope AND refunds.payment = payments.id
);

DROP INDEX refunds_by_payment;
