-- Written by deploy/supabase/generate.py from 0017_pools.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0017_pools') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0017$
-- Pools: what several items draw from. A pool is a row of items: it has counters as an item has, and the same never_oversold.

ALTER TABLE flashguard.items
    ADD COLUMN kind text NOT NULL DEFAULT 'item' CHECK (kind IN ('item', 'pool')),
    ADD COLUMN uses jsonb;                  -- what a unit draws: [pool, units, ...]; such an item has a stock of 2^50, or one of its own

-- nothing_left: return whether no item of a sale has a unit left that is not sold, over all shards: of itself, and of every pool
-- that it draws from.
CREATE FUNCTION flashguard.nothing_left(p_sale text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    WITH counter AS (
        SELECT i.sku, min(i.kind) AS kind, (array_agg(i.uses))[1] AS uses, sum(i.stock - i.sold) AS units
        FROM sales s JOIN items i ON i.sale_id = s.id WHERE s.public_id = p_sale GROUP BY i.sku
    )
    SELECT NOT EXISTS (
        SELECT FROM counter item WHERE kind = 'item' AND units > 0 AND NOT EXISTS (
            SELECT FROM generate_series(0, line_count(item.uses) - 1) AS n
            JOIN counter pool ON pool.sku = item.uses ->> (2 * n)
            WHERE pool.units < line_units(item.uses, n)))
$$;

-- The functions of 0007_recording and 0015_facts that follow are as they were, but for the pools.

CREATE OR REPLACE FUNCTION flashguard.write_events(p_new jsonb, p_changed jsonb, p_items jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    is_read boolean;
    ended text[];
    ended_in integer[];
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled UNION ALL SELECT FROM facts_feed) THEN
        RETURN;
    END IF;
    is_read := EXISTS (SELECT FROM facts_feed);

    WITH e AS (
        SELECT 1 AS step, 'reservation.held' AS type, sale, id, created_ms AS at_ms, customer, lines,
               to_timestamp(created_ms::float8 / 1000) AS created_at,
               to_timestamp((created_ms + hold_ms)::float8 / 1000) AS expires_at
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, lines jsonb, created_ms bigint, hold_ms bigint)
        WHERE hold_ms > 0
        UNION ALL
        SELECT 2, event_of(status), sale, id, ended_ms, customer, lines,
               to_timestamp(created_ms::float8 / 1000),
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, status text, lines jsonb, created_ms bigint, expires_ms bigint,
                   ended_ms bigint)
        WHERE status <> 'held'
        UNION ALL
        SELECT 2, event_of(c.status), c.sale, c.id, c.ended_ms, r.customer, r.lines, r.created_at, r.expires_at
        FROM (SELECT * FROM jsonb_to_recordset(p_changed) AS x (sale text, id text, status text, ended_ms bigint)
              LIMIT jsonb_array_length(p_changed)) AS c
        JOIN reservations r ON r.sale_id = c.sale AND r.id = c.id
        WHERE c.status <> 'held'
    ), fed AS (
        INSERT INTO facts (partition, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at)
        SELECT (SELECT partition FROM sales WHERE sales.id = e.sale), e.type, e.sale, e.id,
               to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at, e.expires_at,
               CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
        FROM e WHERE is_read ORDER BY e.step
    )
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, e.type, e.sale, e.id, to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at,
           e.expires_at, CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
    FROM e JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    ORDER BY e.step;

    -- Sold out: the group took the last unit of an item, and no item of the sale has one left to sell.
    PERFORM write_fact(e.partition, 'sale.sold_out', e.sale, '', clock_timestamp())
    FROM (SELECT DISTINCT i.sale, sales.partition
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND NOT sales.rules ?| ARRAY['spread', 'pools']
          WHERE items.sold = items.stock AND items.stock > 0 AND items.sold - i.sold < items.stock - i.stock
            AND NOT EXISTS (SELECT FROM items left_over
                            WHERE left_over.sale_id = i.sale AND left_over.sold < left_over.stock)) AS e;

    -- A spread sale is sold out when all its shards are and no units are under way between them. Two shards may sell their
    -- last units at once: the lock lets the later of the two recorders see what the earlier one wrote. A group in which units
    -- left the shard writes no such event: another shard sells them, or they remain unsold. A sale with pools is sold out when
    -- none of its items can be had, of itself and of its pools; a pool may have a remainder that no item can use.
    SELECT array_agg(e.sale ORDER BY e.sale), array_agg(e.partition ORDER BY e.sale) INTO ended, ended_in
    FROM (SELECT sales.public_id AS sale, min(sales.partition) AS partition  -- any that this transaction has locked
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND sales.rules ?| ARRAY['spread', 'pools']
          WHERE (items.sold = items.stock OR sales.rules ? 'pools') AND i.sold > 0 AND i.stock >= 0
          GROUP BY sales.public_id) AS e;
    IF ended IS NOT NULL
       AND (is_read OR EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND 'sale.sold_out' = ANY (events))) THEN
        PERFORM pg_advisory_xact_lock(hashtext('flashguard sold out ' || sale)) FROM unnest(ended) AS e (sale);
        PERFORM write_fact(e.partition, 'sale.sold_out', e.sale, '', clock_timestamp())
        FROM unnest(ended, ended_in) AS e (sale, partition)
        WHERE nothing_left(e.sale)
          AND NOT EXISTS (SELECT FROM transfers t WHERE t.sale_id = e.sale AND t.arrived_at IS NULL);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION flashguard.restore_sales(definitions jsonb) RETURNS SETOF text
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
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, currency, stock, kind, uses)
            SELECT s.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock, coalesce(i.kind, 'item'), i.uses
            FROM jsonb_populate_recordset(NULL::items, definition -> 'items') AS i;
        ELSIF NOT EXISTS (SELECT FROM sales WHERE id = s.id AND created_at = s.created_at) THEN
            RETURN NEXT s.id;
        END IF;
    END LOOP;
END
$$;
;
SELECT flashguard.close_to_public()
$migration_0017$;
INSERT INTO flashguard.migrations (name) VALUES ('0017_pools');
END IF;
END $guard$;
