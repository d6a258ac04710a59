-- Who wants to be told, what is told, and what became of telling it.

CREATE TABLE webhook_endpoints (
    scope                BIGINT   NOT NULL,
    updated_at           BIGINT   NOT NULL,
    failing_since        BIGINT,
    disabled_at          BIGINT,
    previous_until       BIGINT,
    consecutive_failures INTEGER  NOT NULL,
    last_seq             INTEGER  NOT NULL,
    format               SMALLINT NOT NULL,
    active               SMALLINT NOT NULL,
    id                   UUID     NOT NULL,
    url                  TEXT     NOT NULL,
    events               TEXT     NOT NULL,
    disabled_reason      TEXT,
    secret               BYTEA    NOT NULL,
    previous_secret      BYTEA,
    description          TEXT,
    PRIMARY KEY (scope, id),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
);

-- One event on its way to one endpoint. `next_at` is set exactly while somebody is to look at it:
-- when it is to be sent, or when the lease of whoever sends it runs out. A pending delivery without
-- it waits for an earlier one of the same subject.
CREATE TABLE deliveries (
    scope           BIGINT   NOT NULL,
    updated_at      BIGINT   NOT NULL,
    next_at         BIGINT,
    last_attempt_at BIGINT,
    delivered_at    BIGINT,
    body            BIGINT,
    seq             INTEGER  NOT NULL,
    attempts        INTEGER  NOT NULL,
    response_code   INTEGER,
    type            SMALLINT NOT NULL,
    format          SMALLINT NOT NULL,
    status          SMALLINT NOT NULL,
    once            SMALLINT NOT NULL,
    id              UUID     NOT NULL,
    endpoint        UUID     NOT NULL,
    event           UUID     NOT NULL,
    subject         UUID     NOT NULL,
    last_error      TEXT,
    PRIMARY KEY (scope, id),
    CHECK (status = 1 OR next_at IS NULL)
);

-- What is due, endpoint by endpoint, so that a backlog of one is not in the way of another.
CREATE INDEX deliveries_due ON deliveries (scope, endpoint, next_at) WHERE next_at IS NOT NULL;

-- What is pending of one subject, in order.
CREATE INDEX deliveries_pending ON deliveries (scope, endpoint, subject, seq) WHERE status = 1;

CREATE INDEX deliveries_by_endpoint ON deliveries (scope, endpoint, id);

CREATE INDEX deliveries_failed ON deliveries (scope, id) WHERE status = 3;

-- The exact text that is sent, on every attempt the same. Apart from the deliveries, whose rows are
-- changed several times, and written once.
CREATE SEQUENCE delivery_bodies_no;

CREATE TABLE delivery_bodies (
    no   BIGINT NOT NULL PRIMARY KEY DEFAULT nextval('delivery_bodies_no'),
    body TEXT   NOT NULL
);

CREATE TABLE delivery_attempts (
    scope         BIGINT  NOT NULL,
    attempted_at  BIGINT  NOT NULL,
    duration_ms   BIGINT  NOT NULL,
    next_at       BIGINT,
    number        INTEGER NOT NULL,
    response_code INTEGER,
    delivery      UUID    NOT NULL,
    error         TEXT,
    PRIMARY KEY (scope, delivery, number)
);

-- The event of an endpoint that was disabled.
ALTER TABLE events ADD COLUMN endpoint UUID;
