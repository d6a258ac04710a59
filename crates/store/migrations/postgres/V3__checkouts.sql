-- What people are asked to pay. A checkout shares its id with the payment that it becomes, and the
-- checkout of an invoice with the invoice.

CREATE TABLE checkouts (
    scope               BIGINT   NOT NULL,
    amount              BIGINT   NOT NULL CHECK (amount > 0),
    updated_at          BIGINT   NOT NULL,
    due_at              BIGINT,
    expires_at          BIGINT,
    completed_at        BIGINT,
    attempts            INTEGER  NOT NULL,
    checks              INTEGER  NOT NULL,
    last_seq            INTEGER  NOT NULL,
    kind                SMALLINT NOT NULL,
    state               SMALLINT NOT NULL,
    flight              SMALLINT NOT NULL,
    deleted             SMALLINT NOT NULL,
    id                  UUID     NOT NULL,
    currency            TEXT     NOT NULL,
    methods             TEXT     NOT NULL,
    lines               TEXT     NOT NULL,
    method              TEXT,
    provider_payment_id TEXT,
    failure_code        TEXT,
    failure_message     TEXT,
    proof_url           TEXT,
    success_url         TEXT,
    cancel_url          TEXT,
    customer            TEXT,
    template            TEXT,
    metadata            TEXT,
    PRIMARY KEY (scope, id),
    -- What is in flight is looked after, what is paid is not in flight.
    CHECK (flight = 0 OR (due_at IS NOT NULL AND state <> 4))
);

-- Buyers know an id and no account.
CREATE UNIQUE INDEX checkouts_by_id ON checkouts (id);

CREATE INDEX checkouts_due ON checkouts (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE invoices (
    scope        BIGINT   NOT NULL,
    number       BIGINT   NOT NULL CHECK (number > 0),
    subtotal     BIGINT   NOT NULL CHECK (subtotal >= 0),
    discount     BIGINT   NOT NULL CHECK (discount >= 0),
    tax          BIGINT   NOT NULL CHECK (tax >= 0),
    total        BIGINT   NOT NULL,
    updated_at   BIGINT   NOT NULL,
    due_at       BIGINT,
    wake_at      BIGINT,
    issued_at    BIGINT,
    paid_at      BIGINT,
    voided_at    BIGINT,
    attempts     INTEGER  NOT NULL,
    last_seq     INTEGER  NOT NULL,
    state        SMALLINT NOT NULL,
    charged      SMALLINT NOT NULL,
    id           UUID     NOT NULL,
    currency     TEXT     NOT NULL,
    customer     TEXT     NOT NULL,
    lines        TEXT     NOT NULL,
    subscription TEXT,
    template     TEXT,
    memo         TEXT,
    metadata     TEXT,
    PRIMARY KEY (scope, id),
    CHECK (total >= 0 AND total = subtotal - discount + tax)
);

CREATE UNIQUE INDEX invoices_by_id ON invoices (id);

CREATE UNIQUE INDEX invoices_by_number ON invoices (scope, number);

CREATE INDEX invoices_due ON invoices (wake_at) WHERE wake_at IS NOT NULL;

-- The last number given, so that numbers have no gaps.
CREATE TABLE invoice_numbers (
    scope BIGINT NOT NULL PRIMARY KEY,
    last  BIGINT NOT NULL
);

ALTER TABLE events ADD COLUMN checkout UUID;

ALTER TABLE events ADD COLUMN invoice UUID;

CREATE UNIQUE INDEX events_of_checkout ON events (scope, checkout, seq) WHERE checkout IS NOT NULL;

CREATE UNIQUE INDEX events_of_invoice ON events (scope, invoice, seq) WHERE invoice IS NOT NULL;
