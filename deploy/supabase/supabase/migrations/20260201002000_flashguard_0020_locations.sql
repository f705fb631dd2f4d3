-- Written by deploy/supabase/generate.py from 0020_locations.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0020_locations') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0020$
-- Locations: where units of an item are. An item's units at one of them are a row of items, <sku>\x1f<location>, with the same
-- never_oversold; the item's own row has a stock of 2^50.

ALTER TABLE flashguard.items
    DROP CONSTRAINT items_kind_check,
    ADD CONSTRAINT items_kind_check CHECK (kind IN ('item', 'pool', 'location'));

-- nothing_left: return whether no item of a sale has a unit left that is not sold, over all shards: of itself, of every pool
-- that it draws from, and at any location if it has its stock at locations.
CREATE OR REPLACE FUNCTION flashguard.nothing_left(p_sale text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    WITH counter AS (
        SELECT i.sku, min(i.kind) AS kind, (array_agg(i.uses))[1] AS uses, sum(i.stock - i.sold) AS units
        FROM sales s JOIN items i ON i.sale_id = s.id WHERE s.public_id = p_sale GROUP BY i.sku
    ), located AS (
        SELECT split_part(sku, E'\x1f', 1) AS sku, sum(units) AS units FROM counter WHERE kind = 'location' GROUP BY 1
    )
    SELECT NOT EXISTS (
        SELECT FROM counter item LEFT JOIN located USING (sku)
        WHERE item.kind = 'item' AND item.units > 0 AND coalesce(located.units, 1) > 0 AND NOT EXISTS (
            SELECT FROM generate_series(0, line_count(item.uses) - 1) AS n
            JOIN counter pool ON pool.sku = item.uses ->> (2 * n)
            WHERE pool.units < line_units(item.uses, n)))
$$;

-- record_amends: amend reservations and write their facts, in record_group's transaction, after it: record_group has moved the
-- counters. Each must be at the revision before, else the whole group is refused.
CREATE OR REPLACE FUNCTION flashguard.record_amends(amends jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    amended record;
    changed bigint := 0;
BEGIN
    -- The recorder has this lock; cancel_items_archived has not.
    PERFORM FROM partitions WHERE partition IN (SELECT s.partition FROM jsonb_to_recordset(amends) AS a (sale text)
                                                JOIN sales s ON s.id = a.sale) FOR NO KEY UPDATE;
    FOR amended IN
        UPDATE reservations r
        SET lines = a.lines, customer = a.customer,
            details = (coalesce(r.details, '{}') - 'takes' - 'pick_up') || coalesce(a.details, '{}')
                      || jsonb_build_object('revision', a.revision)
        FROM jsonb_to_recordset(amends)
             AS a (sale text, id text, lines jsonb, at_ms bigint, key text, fingerprint bigint, customer text, revision bigint,
                   is_order boolean, restock boolean, reason text, details jsonb)
        WHERE r.sale_id = a.sale AND r.id = a.id AND r.status = CASE WHEN a.is_order THEN 'confirmed' ELSE 'held' END
          AND revision_of(r.details) = a.revision - 1
        RETURNING a.*, to_timestamp(a.at_ms::float8 / 1000) AS at, r.created_at, r.expires_at, r.confirmed_at,
                  r.details -> 'cancelled' AS cancelled, (SELECT s.partition FROM sales s WHERE s.id = r.sale_id) AS partition
    LOOP
        changed := changed + 1;
        INSERT INTO amendments (sale_id, key, id, revision, fingerprint, customer, lines, details, restocked, reason, at)
        VALUES (amended.sale, amended.key, amended.id, amended.revision, amended.fingerprint, amended.customer, amended.lines,
                amended.details, amended.restock, amended.reason, amended.at);
        PERFORM write_fact(amended.partition, CASE WHEN amended.is_order THEN 'order.amended' ELSE 'reservation.amended' END,
                           amended.sale, amended.id, amended.at, amended.customer, amended.lines, amended.created_at,
                           amended.expires_at, amended.confirmed_at, amended.restock, amended.reason,
                           jsonb_strip_nulls(jsonb_build_object('revision', amended.revision, 'cancelled', amended.cancelled)));
    END LOOP;
    IF changed <> jsonb_array_length(amends) THEN
        RAISE EXCEPTION 'the group amends % reservations, the ledger has % of them so', jsonb_array_length(amends), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- Confirmed and cancelled orders, one row per line, for a shop's own programs. Its columns stay; new ones come at the end.
-- No row makes a query fail: units that are not a whole number are NULL, and so is an amount beyond 64 bits. It calls no
-- function of ours, because a reader of a view needs the right to call its functions.
CREATE OR REPLACE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, s.public_id AS sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, u.units::bigint AS quantity,
       i.price_minor, i.currency,
       CASE WHEN abs(u.units * i.price_minor) < 9223372036854775808 THEN (u.units * i.price_minor)::bigint END AS amount_minor,
       r.confirmed_at, CASE WHEN r.status = 'cancelled' THEN r.ended_at END AS cancelled_at,
       r.restocked, r.cancel_reason, r.details ->> 'reference' AS reference, r.details -> 'metadata' AS metadata,
       (SELECT jsonb_agg(jsonb_build_object('location', split_part(t.takes ->> (2 * m), E'\x1f', 2), 'quantity', t.takes -> (2 * m + 1))
                         ORDER BY m)
        FROM (SELECT r.details -> 'takes' AS takes) AS t
        CROSS JOIN LATERAL generate_series(0, CASE WHEN jsonb_typeof(t.takes) = 'array' THEN jsonb_array_length(t.takes) / 2
                                                   ELSE 0 END - 1) AS m
        WHERE starts_with(t.takes ->> (2 * m), (r.lines ->> (2 * n)) || E'\x1f')) AS allocations
FROM flashguard.reservations r
JOIN flashguard.sales s ON s.id = r.sale_id
CROSS JOIN LATERAL generate_series(0, CASE WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2 ELSE 0 END - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(r.lines -> (2 * n + 1)) = 'number'
                                THEN CASE WHEN abs((r.lines -> (2 * n + 1))::numeric) < 1000000000000000
                                          THEN (r.lines -> (2 * n + 1))::numeric END END AS units) AS u
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.confirmed_at IS NOT NULL;
;
SELECT flashguard.close_to_public()
$migration_0020$;
INSERT INTO flashguard.migrations (name) VALUES ('0020_locations');
END IF;
END $guard$;
