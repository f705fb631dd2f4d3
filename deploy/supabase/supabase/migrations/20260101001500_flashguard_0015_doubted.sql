-- Written by deploy/supabase/generate.py from 0015_doubted.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0015_doubted') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0015$
-- Set in the transaction that refuses some of memory's grants: memory of that epoch must be built again, also
-- when the recorder that saw it is killed before it does.
ALTER TABLE flashguard.partitions ADD COLUMN doubted boolean NOT NULL DEFAULT false;

$migration_0015$;
INSERT INTO flashguard.migrations (name) VALUES ('0015_doubted');
END IF;
END $guard$;
