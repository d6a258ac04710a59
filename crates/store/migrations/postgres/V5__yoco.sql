-- What else the door that a checkout was made through keeps of it, and when a buyer first saw its page.
ALTER TABLE checkouts ADD COLUMN extra TEXT;
ALTER TABLE checkouts ADD COLUMN visited_at BIGINT;

-- The SHA-256 of a key's secret, which some clients send as a Bearer token. Keys that were made
-- before have none.
ALTER TABLE api_keys ADD COLUMN secret_hash BYTEA;

CREATE UNIQUE INDEX api_keys_by_secret ON api_keys (secret_hash) WHERE secret_hash IS NOT NULL;

-- Requests under an idempotency key and what they were answered, of doors that repeat the whole
-- answer, refusals included. `status` and `body` are empty while the request is being processed,
-- by a node that holds it until `lease_until`. `generation` names this use of the key; what is done
-- under it is done once. The body is sealed.
CREATE TABLE answers (
    scope       BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    status      SMALLINT,
    hash        UUID   NOT NULL,
    request     UUID   NOT NULL,
    generation  UUID   NOT NULL,
    body        BYTEA,
    PRIMARY KEY (scope, hash),
    CHECK ((status IS NULL) = (body IS NULL))
);

CREATE INDEX answers_expiring ON answers (expires_at);
