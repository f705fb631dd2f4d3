-- Written by deploy/supabase/generate.py from 0013_reservation_times.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0013_reservation_times') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0013$
-- The times of a reservation: the CHECK says what `readable` says, spelled out. PostgreSQL parses an SQL function of a CHECK again
-- in every statement that writes, which was a fifth of its CPU for a small group.
ALTER TABLE flashguard.reservations DROP CONSTRAINT reservations_times_in_range;
ALTER TABLE flashguard.reservations ADD CONSTRAINT reservations_times_in_range CHECK (
    created_at >= '1970-01-01 00:00:00+00' AND created_at < '9999-01-01 00:00:00+00'
    AND (expires_at IS NULL OR expires_at >= '1970-01-01 00:00:00+00' AND expires_at < '9999-01-01 00:00:00+00')
    AND (confirmed_at IS NULL OR confirmed_at >= '1970-01-01 00:00:00+00' AND confirmed_at < '9999-01-01 00:00:00+00')
    AND (ended_at IS NULL OR ended_at >= '1970-01-01 00:00:00+00' AND ended_at < '9999-01-01 00:00:00+00')) NOT VALID;
ALTER TABLE flashguard.reservations VALIDATE CONSTRAINT reservations_times_in_range;
;
SELECT flashguard.close_to_public()
$migration_0013$;
INSERT INTO flashguard.migrations (name) VALUES ('0013_reservation_times');
END IF;
END $guard$;
