-- Written by deploy/supabase/generate.py from 0010_waiting_room.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0010_waiting_room') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0010$
-- A sale's waiting room: its rules, and the secret seed of its lottery, to which the sale commits when it is made.

ALTER TABLE flashguard.sales
    ADD COLUMN waiting_room jsonb,               -- model.WaitingRoom, without the commitment, which follows from the seed
    ADD COLUMN room_seed text CHECK (room_seed ~ '^[0-9a-f]{64}$'),
    ADD COLUMN room_opened_at timestamptz,       -- the lottery is closed: the seed may be published
    ADD CHECK ((waiting_room IS NULL) = (room_seed IS NULL));

$migration_0010$;
INSERT INTO flashguard.migrations (name) VALUES ('0010_waiting_room');
END IF;
END $guard$;
