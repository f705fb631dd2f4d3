-- Written by deploy/supabase/generate.py from 0024_waiting_admitted.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0024_waiting_admitted') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0024$
-- Whether an entry of a waiting list may be served before the sale's waiting room is empty: its customer was admitted when
-- it joined, or the sale has no room. Entries of before are taken as not admitted, where there is a room.

ALTER TABLE flashguard.waiting_list ADD COLUMN admitted boolean NOT NULL DEFAULT false;
;
SELECT flashguard.close_to_public()
$migration_0024$;
INSERT INTO flashguard.migrations (name) VALUES ('0024_waiting_admitted');
END IF;
END $guard$;
