-- Everything a refund engine keeps. Keys are compact: `scope` is an account's number and mode, ids
-- are ULIDs in 16 bytes that sort by time, so that new rows land next to each other. The tables and
-- columns are those of SQLite; columns of eight bytes come first, since they are aligned.

CREATE TABLE accounts (
    created_at BIGINT  NOT NULL,
    no         INTEGER NOT NULL PRIMARY KEY,
    id         UUID    NOT NULL UNIQUE,
    name       TEXT    NOT NULL
);

CREATE TABLE api_keys (
    created_at    BIGINT   NOT NULL,
    revoked_at    BIGINT,
    account       INTEGER  NOT NULL REFERENCES accounts (no),
    mode          SMALLINT,
    platform      SMALLINT NOT NULL,
    id            TEXT     NOT NULL PRIMARY KEY,
    scopes        TEXT     NOT NULL,
    error_profile TEXT     NOT NULL,
    name          TEXT     NOT NULL,
    bearer_hash   BYTEA    NOT NULL UNIQUE,
    secret_sealed BYTEA    NOT NULL
);

CREATE TABLE payments (
    scope               BIGINT   NOT NULL,
    captured            BIGINT   NOT NULL,
    refunded            BIGINT   NOT NULL,
    reserved            BIGINT   NOT NULL,
    held                BIGINT   NOT NULL,
    excess              BIGINT   NOT NULL,
    updated_at          BIGINT   NOT NULL,
    captured_at         BIGINT   NOT NULL,
    settled_at          BIGINT,
    last_seq            INTEGER  NOT NULL,
    kind                SMALLINT NOT NULL,
    reversed            SMALLINT NOT NULL,
    id                  UUID     NOT NULL,
    currency            TEXT     NOT NULL,
    provider            TEXT     NOT NULL,
    provider_payment_id TEXT     NOT NULL,
    reference           TEXT,
    metadata            TEXT,
    PRIMARY KEY (scope, id),
    -- The last guard of the first promise: never more than was captured goes back, except what a
    -- provider paid out on its own, which is counted in `excess`.
    CONSTRAINT never_more_than_captured CHECK (
        captured > 0 AND refunded >= 0 AND reserved >= 0 AND held >= 0 AND excess >= 0
        AND refunded + reserved + held <= captured + excess
    )
);

CREATE TABLE refunds (
    scope              BIGINT   NOT NULL,
    amount             BIGINT   NOT NULL CHECK (amount > 0),
    updated_at         BIGINT   NOT NULL,
    due_at             BIGINT,
    evidence_at        BIGINT,
    checks             INTEGER  NOT NULL,
    last_seq           INTEGER  NOT NULL,
    state              SMALLINT NOT NULL,
    status             SMALLINT NOT NULL,
    origin             SMALLINT NOT NULL,
    late               SMALLINT NOT NULL,
    before_settlement  SMALLINT NOT NULL,
    id                 UUID     NOT NULL,
    payment            UUID     NOT NULL,
    currency           TEXT     NOT NULL,
    reason             TEXT,
    reference          TEXT,
    metadata           TEXT,
    provider_refund_id TEXT,
    failure_code       TEXT,
    failure_message    TEXT,
    PRIMARY KEY (scope, id)
);

CREATE INDEX refunds_by_payment ON refunds (scope, payment, id);

-- Nearly all refunds end as succeeded (2), so a filter on that is a plain scan and the index holds
-- only the few others.
CREATE INDEX refunds_not_succeeded ON refunds (scope, status, id) WHERE status <> 2;

CREATE INDEX refunds_due ON refunds (due_at) WHERE due_at IS NOT NULL;

-- Names that mean one thing: idempotency keys, references, provider ids. Found by hash.
CREATE TABLE keys (
    scope      BIGINT   NOT NULL,
    expires_at BIGINT,
    target     SMALLINT NOT NULL,
    state      SMALLINT,
    hash       UUID     NOT NULL,
    request    UUID     NOT NULL,
    id         UUID     NOT NULL,
    PRIMARY KEY (scope, hash)
);

CREATE INDEX keys_expiring ON keys (expires_at) WHERE expires_at IS NOT NULL;

-- `detail` holds what changed; the unchanging part of the subject is read from its own row.
CREATE TABLE events (
    scope   BIGINT   NOT NULL,
    seq     INTEGER  NOT NULL,
    type    SMALLINT NOT NULL,
    state   SMALLINT,
    id      UUID     NOT NULL,
    payment UUID,
    refund  UUID,
    detail  TEXT,
    PRIMARY KEY (scope, id)
);

CREATE UNIQUE INDEX events_of_refund ON events (scope, refund, seq) WHERE refund IS NOT NULL;

-- One row is a debit and a credit of the same amount; the two accounts follow from `reason`.
CREATE TABLE postings (
    scope       BIGINT   NOT NULL,
    amount      BIGINT   NOT NULL CHECK (amount > 0),
    reason      SMALLINT NOT NULL,
    source_type SMALLINT NOT NULL,
    id          UUID     NOT NULL,
    source      UUID     NOT NULL,
    payment     UUID     NOT NULL,
    currency    TEXT     NOT NULL,
    PRIMARY KEY (scope, id)
);

CREATE INDEX postings_by_source ON postings (scope, source, id);

-- A total is the sum of its parts, so that batches of several nodes do not wait for each other's
-- commit on one row. There are 16 parts; none may grow so large that their sum would not fit.
CREATE TABLE totals (
    scope    BIGINT   NOT NULL,
    debits   BIGINT   NOT NULL CHECK (debits BETWEEN 0 AND 576460752303423487),
    credits  BIGINT   NOT NULL CHECK (credits BETWEEN 0 AND 576460752303423487),
    code     SMALLINT NOT NULL,
    part     SMALLINT NOT NULL DEFAULT 0,
    currency TEXT     NOT NULL,
    PRIMARY KEY (scope, currency, code, part)
);
