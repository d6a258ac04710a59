-- Who wants to be told, what is told, and what became of telling it.

CREATE TABLE webhook_endpoints (
    scope                INTEGER NOT NULL,
    id                   BLOB    NOT NULL,
    url                  TEXT    NOT NULL,
    events               TEXT    NOT NULL,
    format               INTEGER NOT NULL,
    active               INTEGER NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    last_seq             INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    failing_since        INTEGER,
    disabled_at          INTEGER,
    disabled_reason      TEXT,
    previous_until       INTEGER,
    secret               BLOB    NOT NULL,
    previous_secret      BLOB,
    description          TEXT,
    PRIMARY KEY (scope, id),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
) STRICT, WITHOUT ROWID;

-- One event on its way to one endpoint. `next_at` is set exactly while somebody is to look at it:
-- when it is to be sent, or when the lease of whoever sends it runs out. A pending delivery without
-- it waits for an earlier one of the same subject.
CREATE TABLE deliveries (
    scope           INTEGER NOT NULL,
    id              BLOB    NOT NULL,
    endpoint        BLOB    NOT NULL,
    event           BLOB    NOT NULL,
    subject         BLOB    NOT NULL,
    type            INTEGER NOT NULL,
    format          INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    once            INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    next_at         INTEGER,
    last_attempt_at INTEGER,
    delivered_at    INTEGER,
    response_code   INTEGER,
    body            INTEGER,
    last_error      TEXT,
    PRIMARY KEY (scope, id),
    CHECK (status = 1 OR next_at IS NULL)
) STRICT, WITHOUT ROWID;

-- What is due, endpoint by endpoint, so that a backlog of one is not in the way of another.
CREATE INDEX deliveries_due ON deliveries (scope, endpoint, next_at) WHERE next_at IS NOT NULL;

-- What is pending of one subject, in order.
CREATE INDEX deliveries_pending ON deliveries (scope, endpoint, subject, seq) WHERE status = 1;

CREATE INDEX deliveries_by_endpoint ON deliveries (scope, endpoint, id);

CREATE INDEX deliveries_failed ON deliveries (scope, id) WHERE status = 3;

-- The exact text that is sent, on every attempt the same. Apart from the deliveries, whose rows are
-- changed several times, and written once.
CREATE TABLE delivery_bodies (
    no   INTEGER NOT NULL PRIMARY KEY,
    body TEXT    NOT NULL
) STRICT;

CREATE TABLE delivery_attempts (
    scope         INTEGER NOT NULL,
    delivery      BLOB    NOT NULL,
    number        INTEGER NOT NULL,
    attempted_at  INTEGER NOT NULL,
    duration_ms   INTEGER NOT NULL,
    response_code INTEGER,
    next_at       INTEGER,
    error         TEXT,
    PRIMARY KEY (scope, delivery, number)
) STRICT, WITHOUT ROWID;

-- The event of an endpoint that was disabled.
ALTER TABLE events ADD COLUMN endpoint BLOB;
