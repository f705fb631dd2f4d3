-- Written by deploy/supabase/generate.py from 0011_waiting_list.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0011_waiting_list') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0011$
-- Who waits for units of an item that is sold out. The lowest place is served first; an entry that was offered its
-- units has a reservation under its own id.

CREATE TABLE flashguard.waiting_list (
    sale_id     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    place       bigint NOT NULL,
    customer    text NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    quantity    bigint NOT NULL CHECK (quantity > 0),
    fingerprint bigint NOT NULL,            -- of the request body, for idempotency
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'offered', 'left', 'limit-reached')),
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    PRIMARY KEY (sale_id, id),
    CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX waiting_list_by_place ON flashguard.waiting_list (sale_id, place);

$migration_0011$;
INSERT INTO flashguard.migrations (name) VALUES ('0011_waiting_list');
END IF;
END $guard$;
