-- What people are asked to pay. A checkout shares its id with the payment that it becomes, and the
-- checkout of an invoice with the invoice.

CREATE TABLE checkouts (
    scope               INTEGER NOT NULL,
    id                  BLOB    NOT NULL,
    kind                INTEGER NOT NULL,
    amount              INTEGER NOT NULL CHECK (amount > 0),
    currency            TEXT    NOT NULL,
    state               INTEGER NOT NULL,
    flight              INTEGER NOT NULL,
    attempts            INTEGER NOT NULL,
    checks              INTEGER NOT NULL,
    deleted             INTEGER NOT NULL,
    last_seq            INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    due_at              INTEGER,
    expires_at          INTEGER,
    completed_at        INTEGER,
    methods             TEXT    NOT NULL,
    lines               TEXT    NOT NULL,
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
) STRICT, WITHOUT ROWID;

-- Buyers know an id and no account.
CREATE UNIQUE INDEX checkouts_by_id ON checkouts (id);

CREATE INDEX checkouts_due ON checkouts (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE invoices (
    scope        INTEGER NOT NULL,
    id           BLOB    NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    currency     TEXT    NOT NULL,
    subtotal     INTEGER NOT NULL CHECK (subtotal >= 0),
    discount     INTEGER NOT NULL CHECK (discount >= 0),
    tax          INTEGER NOT NULL CHECK (tax >= 0),
    total        INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    charged      INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    due_at       INTEGER,
    wake_at      INTEGER,
    issued_at    INTEGER,
    paid_at      INTEGER,
    voided_at    INTEGER,
    customer     TEXT    NOT NULL,
    lines        TEXT    NOT NULL,
    subscription TEXT,
    template     TEXT,
    memo         TEXT,
    metadata     TEXT,
    PRIMARY KEY (scope, id),
    CHECK (total >= 0 AND total = subtotal - discount + tax)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX invoices_by_id ON invoices (id);

CREATE UNIQUE INDEX invoices_by_number ON invoices (scope, number);

CREATE INDEX invoices_due ON invoices (wake_at) WHERE wake_at IS NOT NULL;

-- The last number given, so that numbers have no gaps.
CREATE TABLE invoice_numbers (
    scope INTEGER NOT NULL PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;

ALTER TABLE events ADD COLUMN checkout BLOB;

ALTER TABLE events ADD COLUMN invoice BLOB;

CREATE UNIQUE INDEX events_of_checkout ON events (scope, checkout, seq) WHERE checkout IS NOT NULL;

CREATE UNIQUE INDEX events_of_invoice ON events (scope, invoice, seq) WHERE invoice IS NOT NULL;
