-- Several sales share one waiting room: a tour's cities, the sizes of one shoe. The sale that has the room is their host.

ALTER TABLE flashguard.sales
    ADD COLUMN room_of text COLLATE "C"  -- the sale whose waiting room this one shares, also once its own doors are open
        GENERATED ALWAYS AS (coalesce(rules -> 'room' ->> 'of', rules -> 'doors' ->> 'of')) STORED;

-- The sales that share a room, which the recorders read every second.
CREATE INDEX sales_by_room ON flashguard.sales (room_of) WHERE room_of IS NOT NULL;
