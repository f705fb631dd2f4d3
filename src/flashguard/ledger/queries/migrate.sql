-- name: ensure_schema
CREATE SCHEMA IF NOT EXISTS flashguard;

-- name: schema_is_there
SELECT to_regnamespace('flashguard') IS NOT NULL;

-- name: who_may_migrate
-- The owner of the schema; if there is none, what an owner of the database must run for this role.
SELECT (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'flashguard') AS owner,
       format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) AS missing;

-- name: ensure_migrations_table
-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- name: lock_migrations
-- One migrator at a time, until the transaction ends: this works through a transaction-mode pooler.
SELECT pg_advisory_xact_lock(7023614415190137);

-- name: wait_for_locks_briefly
-- Shorter than deadlock_timeout: the migrator gives way, never a process that sells.
SET LOCAL lock_timeout = '250ms';

-- name: close_to_public
SELECT flashguard.close_to_public();

-- name: applied_migrations
SELECT name FROM flashguard.migrations ORDER BY name;

-- name: note_migration
INSERT INTO flashguard.migrations (name) VALUES ($1);

-- name: create_installation
INSERT INTO flashguard.installation (secret, partitions) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: create_partitions
INSERT INTO flashguard.partitions (partition)
SELECT generate_series(0, partitions - 1) FROM flashguard.installation ON CONFLICT DO NOTHING;

-- name: installation
SELECT secret, partitions FROM flashguard.installation;
