-- Written by deploy/supabase/generate.py from 0027_sealed_secrets.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0027_sealed_secrets') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0027$
-- Encrypted secrets: a signing key may be longer than its 32 bytes. Those of webhooks are text of any length already.

ALTER TABLE flashguard.signing_keys DROP CONSTRAINT signing_keys_secret_check;
ALTER TABLE flashguard.signing_keys ADD CONSTRAINT signing_keys_secret_check
    CHECK (length(secret) = 32 OR substr(secret, 1, 5) = 'fgs1.'::bytea);
;
SELECT flashguard.close_to_public()
$migration_0027$;
INSERT INTO flashguard.migrations (name) VALUES ('0027_sealed_secrets');
END IF;
END $guard$;
