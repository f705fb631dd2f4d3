-- A retried creation or rotation of an API key finds the one that it made: the idempotency key, and what was asked.

ALTER TABLE flashguard.api_keys ADD COLUMN creation_key text, ADD COLUMN creation_body bigint;
CREATE UNIQUE INDEX api_keys_by_creation_key ON flashguard.api_keys (creation_key);
