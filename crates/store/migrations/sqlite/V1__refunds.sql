-- Everything a refund engine keeps. Keys are compact: `scope` is an account's number and mode, ids
-- are 16-byte ULIDs that sort by time, so that new rows land next to each other.

CREATE TABLE accounts (
    no         INTEGER NOT NULL PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    account       INTEGER NOT NULL REFERENCES accounts (no),
    mode          INTEGER,
    platform      INTEGER NOT NULL,
    scopes        TEXT    NOT NULL,
    error_profile TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    bearer_hash   BLOB    NOT NULL UNIQUE,
    secret_sealed BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE payments (
    scope               INTEGER NOT NULL,
    id                  BLOB    NOT NULL,
    kind                INTEGER NOT NULL,
    captured            INTEGER NOT NULL,
    currency            TEXT    NOT NULL,
    refunded            INTEGER NOT NULL,
    reserved            INTEGER NOT NULL,
    held                INTEGER NOT NULL,
    excess              INTEGER NOT NULL,
    reversed            INTEGER NOT NULL,
    last_seq            INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    captured_at         INTEGER NOT NULL,
    settled_at          INTEGER,
    provider            TEXT    NOT NULL,
    provider_payment_id TEXT    NOT NULL,
    reference           TEXT,
    metadata            TEXT,
    PRIMARY KEY (scope, id),
    -- The last guard of the first promise: never more than was captured goes back, except what a
    -- provider paid out on its own, which is counted in `excess`.
    CHECK (
        captured > 0 AND refunded >= 0 AND reserved >= 0 AND held >= 0 AND excess >= 0
        AND refunded + reserved + held <= captured + excess
    )
) STRICT, WITHOUT ROWID;

CREATE TABLE refunds (
    scope              INTEGER NOT NULL,
    id                 BLOB    NOT NULL,
    payment            BLOB    NOT NULL,
    amount             INTEGER NOT NULL CHECK (amount > 0),
    currency           TEXT    NOT NULL,
    state              INTEGER NOT NULL,
    status             INTEGER NOT NULL,
    origin             INTEGER NOT NULL,
    late               INTEGER NOT NULL,
    before_settlement  INTEGER NOT NULL,
    checks             INTEGER NOT NULL,
    last_seq           INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    due_at             INTEGER,
    evidence_at        INTEGER,
    reason             TEXT,
    reference          TEXT,
    metadata           TEXT,
    provider_refund_id TEXT,
    failure_code       TEXT,
    failure_message    TEXT,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX refunds_by_payment ON refunds (scope, payment, id);

-- Nearly all refunds end as succeeded (2), so a filter on that is a plain scan and the index holds
-- only the few others.
CREATE INDEX refunds_not_succeeded ON refunds (scope, status, id) WHERE status <> 2;

CREATE INDEX refunds_due ON refunds (due_at) WHERE due_at IS NOT NULL;

-- Names that mean one thing: idempotency keys, references, provider ids. Found by hash.
CREATE TABLE keys (
    scope      INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    request    BLOB    NOT NULL,
    target     INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    state      INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (scope, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_expiring ON keys (expires_at) WHERE expires_at IS NOT NULL;

-- `detail` holds what changed; the unchanging part of the subject is read from its own row.
CREATE TABLE events (
    scope   INTEGER NOT NULL,
    id      BLOB    NOT NULL,
    type    INTEGER NOT NULL,
    payment BLOB,
    refund  BLOB,
    state   INTEGER,
    seq     INTEGER NOT NULL,
    detail  TEXT,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX events_of_refund ON events (scope, refund, seq) WHERE refund IS NOT NULL;

-- One row is a debit and a credit of the same amount; the two accounts follow from `reason`.
CREATE TABLE postings (
    scope       INTEGER NOT NULL,
    id          BLOB    NOT NULL,
    reason      INTEGER NOT NULL,
    source_type INTEGER NOT NULL,
    source      BLOB    NOT NULL,
    payment     BLOB    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    currency    TEXT    NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX postings_by_source ON postings (scope, source, id);

CREATE TABLE totals (
    scope    INTEGER NOT NULL,
    currency TEXT    NOT NULL,
    code     INTEGER NOT NULL,
    debits   INTEGER NOT NULL CHECK (debits >= 0),
    credits  INTEGER NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (scope, currency, code)
) STRICT, WITHOUT ROWID;
