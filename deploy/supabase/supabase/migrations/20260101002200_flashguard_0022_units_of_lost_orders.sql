-- Written by deploy/supabase/generate.py from 0022_units_of_lost_orders.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0022_units_of_lost_orders') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0022$
-- What an operator's `recover --take memory` keeps of orders that only memory knew and whose content is gone: how many
-- units each customer had, so that limits count them. Rebuilds load them; no order is in here.

CREATE TABLE flashguard.lost_units (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    customer    text NOT NULL,
    units       bigint NOT NULL CHECK (units > 0),
    PRIMARY KEY (sale_id, customer)
);
;
SELECT flashguard.close_to_public()
$migration_0022$;
INSERT INTO flashguard.migrations (name) VALUES ('0022_units_of_lost_orders');
END IF;
END $guard$;
