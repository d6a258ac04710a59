-- The first characters of a key's Bearer token, by which people recognise it, and when it was last
-- used, to the hour. Keys that were made before have neither.
ALTER TABLE api_keys ADD COLUMN bearer_prefix TEXT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;
