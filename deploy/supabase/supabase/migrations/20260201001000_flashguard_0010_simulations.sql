-- Written by deploy/supabase/generate.py from 0010_simulations.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0010_simulations') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0010$
-- Simulations: each one's request and its result, so that a finished one keeps its address.

-- A simulation of a rush, started from the pages or the API.
CREATE TABLE flashguard.simulations (
    id          text COLLATE "C" PRIMARY KEY,
    status      text NOT NULL DEFAULT 'starting' CHECK (status IN ('starting', 'finished', 'stopped', 'failed')),
    environment text NOT NULL,
    buyers      integer NOT NULL,
    stock       integer NOT NULL,
    strategies  text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                -- null while it runs, as far as the ledger knows
    detail      text,                       -- why it failed
    report      jsonb,                      -- runs, counters, log, series
    CHECK ((status = 'starting') = (finished_at IS NULL))
);
CREATE INDEX simulations_by_time ON flashguard.simulations (created_at DESC);

$migration_0010$;
INSERT INTO flashguard.migrations (name) VALUES ('0010_simulations');
END IF;
END $guard$;
