-- The calls to the provider: the last one stands on the refund's own row, earlier ones have rows.
ALTER TABLE refunds ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN sends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN first_sent_at INTEGER;
ALTER TABLE refunds ADD COLUMN sent_at INTEGER;
ALTER TABLE refunds ADD COLUMN answered_at INTEGER;
ALTER TABLE refunds ADD COLUMN answer TEXT;
ALTER TABLE refunds ADD COLUMN absent_at INTEGER;
ALTER TABLE refunds ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN needs_attention INTEGER NOT NULL DEFAULT 0;

CREATE TABLE refund_attempts (
    scope       INTEGER NOT NULL,
    refund      BLOB    NOT NULL,
    number      INTEGER NOT NULL,
    sent_at     INTEGER NOT NULL,
    answered_at INTEGER,
    answer      TEXT,
    PRIMARY KEY (scope, refund, number)
) STRICT, WITHOUT ROWID;

ALTER TABLE payments ADD COLUMN provider_account TEXT;
ALTER TABLE payments ADD COLUMN provider_data TEXT;

-- Due work waits in one lane per tenant, provider and account there.
DROP INDEX refunds_due;

CREATE INDEX refunds_due ON refunds (lane, due_at) WHERE due_at IS NOT NULL;

-- Statements of providers that fit nothing yet. They are tried again until they do.
CREATE TABLE unmatched_notices (
    scope               INTEGER NOT NULL,
    id                  BLOB    NOT NULL,
    hash                BLOB    NOT NULL,
    provider            TEXT    NOT NULL,
    provider_account    TEXT    NOT NULL,
    provider_payment_id TEXT    NOT NULL,
    reason              TEXT    NOT NULL,
    notice              TEXT    NOT NULL,
    tries               INTEGER NOT NULL,
    due_at              INTEGER,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX unmatched_notices_once ON unmatched_notices (scope, hash);

CREATE INDEX unmatched_notices_of_payment
    ON unmatched_notices (scope, provider, provider_payment_id, id);

CREATE INDEX unmatched_notices_due ON unmatched_notices (due_at) WHERE due_at IS NOT NULL;
