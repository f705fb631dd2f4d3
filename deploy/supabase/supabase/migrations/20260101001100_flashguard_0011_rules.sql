-- Written by deploy/supabase/generate.py from 0011_rules.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0011_rules') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0011$
-- The optional rules of a sale, as the map that the kernel reads (see rules.py); none: '{}'.

ALTER TABLE flashguard.sales ADD COLUMN rules jsonb NOT NULL DEFAULT '{}';

$migration_0011$;
INSERT INTO flashguard.migrations (name) VALUES ('0011_rules');
END IF;
END $guard$;
