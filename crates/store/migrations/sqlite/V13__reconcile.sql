-- How far the changes at each provider were read, per account there (empty where there is only one). `since` is where
-- the round begins that is under way or comes next, `page` where its next page does
-- (empty between two rounds), `began_at` when it began.
CREATE TABLE reconcile_cursors (
    scope            INTEGER NOT NULL,
    provider         TEXT    NOT NULL,
    provider_account TEXT    NOT NULL,
    since            INTEGER NOT NULL,
    page             TEXT    NOT NULL,
    began_at         INTEGER NOT NULL,
    failures         INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    PRIMARY KEY (scope, provider, provider_account)
) STRICT, WITHOUT ROWID;

-- The few refunds that wait for a person who was told.
CREATE INDEX refunds_for_attention ON refunds (needs_attention) WHERE needs_attention = 1;

-- Refunds in the states that wait for somebody else, of which no person was told yet.
CREATE INDEX refunds_that_age ON refunds (updated_at, scope, id)
    WHERE needs_attention = 0 AND state IN (5, 6, 7, 8, 9, 13);
