-- The credentials of a payment provider, for one account and mode. `config` is a JSON object of texts without any
-- secret. A deleted one stays, without its secrets.
CREATE TABLE provider_accounts (
    scope          BIGINT   NOT NULL,
    created_at     BIGINT   NOT NULL,
    updated_at     BIGINT   NOT NULL,
    deleted_at     BIGINT,
    version        INTEGER  NOT NULL,
    last_seq       INTEGER  NOT NULL,
    state          SMALLINT NOT NULL,
    id             UUID     NOT NULL,
    provider       TEXT     NOT NULL,
    name           TEXT     NOT NULL,
    paused_reason  TEXT,
    config         TEXT     NOT NULL,
    secrets_sealed BYTEA,
    PRIMARY KEY (scope, id),
    CHECK ((secrets_sealed IS NULL) = (deleted_at IS NOT NULL)),
    CHECK (paused_reason IS NULL OR state = 2)
);

-- Whether refunds are sent, for one account and mode; the scopes of account 0 stand for all accounts. A switch that
-- was never thrown has no row.
CREATE TABLE sending (
    scope      BIGINT   NOT NULL PRIMARY KEY,
    updated_at BIGINT   NOT NULL,
    thrown_at  BIGINT,
    last_seq   INTEGER  NOT NULL,
    stopped    SMALLINT NOT NULL,
    reason     TEXT
);

-- What else an event is about, as its type says: a provider account, or the account whose sending stopped.
ALTER TABLE events ADD COLUMN about UUID;
