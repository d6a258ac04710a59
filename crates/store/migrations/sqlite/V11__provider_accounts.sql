-- The credentials of a payment provider, for one account and mode. `config` is a JSON object of texts without any
-- secret. A deleted one stays, without its secrets.
CREATE TABLE provider_accounts (
    scope          INTEGER NOT NULL,
    id             BLOB    NOT NULL,
    state          INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    deleted_at     INTEGER,
    provider       TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    paused_reason  TEXT,
    config         TEXT    NOT NULL,
    secrets_sealed BLOB,
    PRIMARY KEY (scope, id),
    CHECK ((secrets_sealed IS NULL) = (deleted_at IS NOT NULL)),
    CHECK (paused_reason IS NULL OR state = 2)
) STRICT, WITHOUT ROWID;

-- Whether refunds are sent, for one account and mode; the scopes of account 0 stand for all accounts. A switch that
-- was never thrown has no row.
CREATE TABLE sending (
    scope      INTEGER NOT NULL PRIMARY KEY,
    stopped    INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    thrown_at  INTEGER,
    reason     TEXT
) STRICT;

-- What else an event is about, as its type says: a provider account, or the account whose sending stopped.
ALTER TABLE events ADD COLUMN about BLOB;
