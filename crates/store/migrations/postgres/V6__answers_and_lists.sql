-- What was answered under a name that leads to nothing else.
ALTER TABLE keys ADD COLUMN answer TEXT;

-- Lists with a filter stay on one index.
CREATE INDEX checkouts_by_state ON checkouts (scope, kind, state, id) WHERE deleted = 0;

CREATE INDEX checkouts_by_customer ON checkouts (scope, customer, id) WHERE customer IS NOT NULL;

CREATE INDEX invoices_by_state ON invoices (scope, state, id);

CREATE INDEX invoices_by_customer ON invoices (scope, customer, id);
