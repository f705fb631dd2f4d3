-- Written by deploy/supabase/generate.py from 0021_sales_in_the_journal.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0021_sales_in_the_journal') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0021$
-- restore_sales: creates the sales that the journal says exist and this ledger lacks, because it was restored or failed
-- over to an older state. A sale that is there stays as it is, so that replaying an entry again changes nothing.
--
-- definitions  an array of what the query `sale_definition` makes
-- Returns the ids that belong to another sale here: created at another time, or kept out by a creation key in use.

CREATE FUNCTION flashguard.restore_sales(definitions jsonb) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    definition jsonb;
    s sales;
BEGIN
    FOR definition IN SELECT jsonb_array_elements(definitions) LOOP
        s := jsonb_populate_record(NULL::sales, definition -> 'sale');
        INSERT INTO sales (id, name, status, partition, starts_at, ends_at, hold_seconds, max_hold_seconds,
                           limit_per_customer, created_at, closed_at, creation_key, creation_body, hold_durability,
                           waiting_room, room_seed, room_opened_at, rules)
        VALUES (s.id, s.name, s.status, s.partition, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds,
                s.limit_per_customer, s.created_at, s.closed_at, s.creation_key, s.creation_body, s.hold_durability,
                s.waiting_room, s.room_seed, s.room_opened_at, s.rules)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, currency, stock)
            SELECT s.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock
            FROM jsonb_populate_recordset(NULL::items, definition -> 'items') AS i;
        ELSIF NOT EXISTS (SELECT FROM sales WHERE id = s.id AND created_at = s.created_at) THEN
            RETURN NEXT s.id;
        END IF;
    END LOOP;
END
$$;
;
SELECT flashguard.close_to_public()
$migration_0021$;
INSERT INTO flashguard.migrations (name) VALUES ('0021_sales_in_the_journal');
END IF;
END $guard$;
