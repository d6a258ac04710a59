-- The calls to the provider: the last one stands on the refund's own row, earlier ones have rows.
ALTER TABLE refunds ADD COLUMN lane BIGINT NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN sends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN first_sent_at BIGINT;
ALTER TABLE refunds ADD COLUMN sent_at BIGINT;
ALTER TABLE refunds ADD COLUMN answered_at BIGINT;
ALTER TABLE refunds ADD COLUMN answer TEXT;
ALTER TABLE refunds ADD COLUMN absent_at BIGINT;
ALTER TABLE refunds ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN needs_attention SMALLINT NOT NULL DEFAULT 0;

CREATE TABLE refund_attempts (
    scope       BIGINT  NOT NULL,
    refund      UUID   NOT NULL,
    number      INTEGER NOT NULL,
    sent_at     BIGINT  NOT NULL,
    answered_at BIGINT,
    answer      TEXT,
    PRIMARY KEY (scope, refund, number)
);

ALTER TABLE payments ADD COLUMN provider_account TEXT;
ALTER TABLE payments ADD COLUMN provider_data TEXT;

-- Due work waits in one lane per tenant, provider and account there.
DROP INDEX refunds_due;

CREATE INDEX refunds_due ON refunds (lane, due_at) WHERE due_at IS NOT NULL;

-- Statements of providers that fit nothing yet. They are tried again until they do.
CREATE TABLE unmatched_notices (
    scope               BIGINT  NOT NULL,
    id                  UUID    NOT NULL,
    hash                UUID    NOT NULL,
    provider            TEXT    NOT NULL,
    provider_account    TEXT    NOT NULL,
    provider_payment_id TEXT    NOT NULL,
    reason              TEXT    NOT NULL,
    notice              TEXT    NOT NULL,
    tries               INTEGER NOT NULL,
    due_at              BIGINT,
    PRIMARY KEY (scope, id)
);

CREATE UNIQUE INDEX unmatched_notices_once ON unmatched_notices (scope, hash);

CREATE INDEX unmatched_notices_of_payment
    ON unmatched_notices (scope, provider, provider_payment_id, id);

CREATE INDEX unmatched_notices_due ON unmatched_notices (due_at) WHERE due_at IS NOT NULL;
