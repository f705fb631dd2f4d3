-- Written by deploy/supabase/generate.py from 0007_sale_changes.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0007_sale_changes') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0007$
-- The idempotency keys under which sales were opened, paused and closed, and what came of each.

CREATE TABLE flashguard.sale_changes (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    key         text COLLATE "C" NOT NULL,
    verb        text NOT NULL,
    status      text NOT NULL,              -- the sale's, after it
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

$migration_0007$;
INSERT INTO flashguard.migrations (name) VALUES ('0007_sale_changes');
END IF;
END $guard$;
