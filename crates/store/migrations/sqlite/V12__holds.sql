-- Money of payments that cannot be refunded for now, because a dispute is about it.
CREATE TABLE holds (
    scope      INTEGER  NOT NULL,
    id         BLOB     NOT NULL,
    payment    BLOB     NOT NULL,
    amount     INTEGER  NOT NULL CHECK (amount > 0),
    currency   TEXT     NOT NULL,
    state      INTEGER  NOT NULL,
    source     INTEGER  NOT NULL,
    updated_at INTEGER  NOT NULL,
    refund     BLOB,
    reason     TEXT     NOT NULL,
    reference  TEXT,
    PRIMARY KEY (scope, id),
    CHECK ((state = 3) = (refund IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_of_payment ON holds (scope, payment, id);

-- The part of the open holds that the payment does not cover.
ALTER TABLE payments ADD COLUMN held_excess INTEGER NOT NULL DEFAULT 0 CHECK (held_excess >= 0);

-- Holds are rare, and so are the events about them (4 to 6).
DROP INDEX events_by_type;

CREATE INDEX events_by_type ON events (scope, type, id)
    WHERE type NOT IN (1, 2, 3, 10, 11, 12, 16);
