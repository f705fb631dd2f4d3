-- Written by deploy/supabase/generate.py from 0026_shared_rooms.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0026_shared_rooms') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0026$
-- Several sales share one waiting room: a tour's cities, the sizes of one shoe. The sale that has the room is their host.

ALTER TABLE flashguard.sales
    ADD COLUMN room_of text COLLATE "C"  -- the sale whose waiting room this one shares, also once its own doors are open
        GENERATED ALWAYS AS (coalesce(rules -> 'room' ->> 'of', rules -> 'doors' ->> 'of')) STORED;

-- The sales that share a room, which the recorders read every second.
CREATE INDEX sales_by_room ON flashguard.sales (room_of) WHERE room_of IS NOT NULL;
;
SELECT flashguard.close_to_public()
$migration_0026$;
INSERT INTO flashguard.migrations (name) VALUES ('0026_shared_rooms');
END IF;
END $guard$;
