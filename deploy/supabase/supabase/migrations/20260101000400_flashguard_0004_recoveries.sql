-- Written by deploy/supabase/generate.py from 0004_recoveries.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0004_recoveries') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0004$
-- Every time memory was built again from the ledger, why, and how long nobody could buy.

CREATE TABLE flashguard.recoveries (
    partition    integer NOT NULL,
    epoch        bigint NOT NULL,           -- the one that began
    why          text NOT NULL,
    seconds      double precision NOT NULL, -- from noticing to serving again
    entries      bigint NOT NULL,           -- of the old journal, recorded before the rebuild
    sales        integer NOT NULL,
    reservations bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch)
);
CREATE INDEX recoveries_by_time ON flashguard.recoveries (at DESC);

$migration_0004$;
INSERT INTO flashguard.migrations (name) VALUES ('0004_recoveries');
END IF;
END $guard$;
