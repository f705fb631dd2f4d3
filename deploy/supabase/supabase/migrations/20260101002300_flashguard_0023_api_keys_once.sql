-- Written by deploy/supabase/generate.py from 0023_api_keys_once.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0023_api_keys_once') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0023$
-- A retried creation or rotation of an API key finds the one that it made: the idempotency key, and what was asked.

ALTER TABLE flashguard.api_keys ADD COLUMN creation_key text, ADD COLUMN creation_body bigint;
CREATE UNIQUE INDEX api_keys_by_creation_key ON flashguard.api_keys (creation_key);
;
SELECT flashguard.close_to_public()
$migration_0023$;
INSERT INTO flashguard.migrations (name) VALUES ('0023_api_keys_once');
END IF;
END $guard$;
