-- Items are not frozen: they are added, changed and removed while their sale sells. A reservation keeps the price of its hold.

ALTER TABLE flashguard.items
    ADD COLUMN price_now_minor bigint CHECK (price_now_minor BETWEEN 0 AND 100000000000),  -- null: price_minor never changed. A line has price_minor, the first price, unless its reservation has one of its own
    ADD COLUMN on_sale boolean NOT NULL DEFAULT true,   -- false: no new holds
    ADD COLUMN was_held boolean NOT NULL DEFAULT false; -- units of it were held, or sold, that no reservation names any more: an amend took them out

-- remove_item: remove an item of which nothing is held or sold, also at locations, with its owner's rights: a role that sells may
-- delete no row.
CREATE FUNCTION flashguard.remove_item(p_sale text, p_sku text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = flashguard, pg_temp
AS $$
    WITH gone AS (DELETE FROM items WHERE sale_id = p_sale AND split_part(sku, E'\x1f', 1) = p_sku AND held + sold = 0 RETURNING 1)
    SELECT EXISTS (SELECT FROM gone)
$$;

-- change_items: add, change and remove items, in order, in record_group's transaction, before it: a group may move counters of a
-- new item. A row that recover made up, because only memory had the item, gets its name and price from the journal.
CREATE FUNCTION flashguard.change_items(changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    c record;
    rows bigint;
BEGIN
    FOR c IN SELECT * FROM ROWS FROM (jsonb_to_recordset(changes) AS (sale text, sku text, what text, row jsonb, opened boolean))
             WITH ORDINALITY AS x (sale, sku, what, row, opened, place) ORDER BY place LOOP
        IF c.what = 'add' THEN
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, price_now_minor, currency, stock, kind, uses)
            SELECT c.sale, i.sku, i.place + (SELECT coalesce(max(ordinal), 0) FROM items WHERE sale_id = c.sale), i.name,
                   i.price_minor, CASE WHEN c.opened AND i.kind = 'item' THEN i.price_minor END, i.currency, i.stock, i.kind, i.uses
            FROM ROWS FROM (jsonb_to_recordset(c.row) AS (sku text, name text, price_minor bigint, currency text, stock bigint,
                                                          kind text, uses jsonb))
                 WITH ORDINALITY AS i (sku, name, price_minor, currency, stock, kind, uses, place)
            ON CONFLICT (sale_id, sku) DO UPDATE
            SET name = excluded.name, price_minor = excluded.price_minor, price_now_minor = excluded.price_now_minor,
                currency = excluded.currency
            WHERE items.ordinal > 1000000;
            GET DIAGNOSTICS rows = ROW_COUNT;
            rows := rows - jsonb_array_length(c.row) + 1;
        ELSIF c.what = 'set' THEN
            UPDATE items
            SET name = coalesce(c.row ->> 'name', name), on_sale = coalesce((c.row ->> 'on_sale')::boolean, on_sale),
                price_minor = CASE WHEN c.opened THEN price_minor ELSE coalesce((c.row ->> 'price_minor')::bigint, price_minor) END,
                price_now_minor = CASE WHEN c.opened THEN coalesce((c.row ->> 'price_minor')::bigint, price_now_minor) END
            WHERE sale_id = c.sale AND sku = c.sku AND kind = 'item';
            GET DIAGNOSTICS rows = ROW_COUNT;
        ELSE
            rows := remove_item(c.sale, c.sku)::integer;
        END IF;
        IF rows <> 1 THEN
            RAISE EXCEPTION 'the ledger can''t % item % of sale %', c.what, c.sku, c.sale
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
END
$$;

-- record_amends is as in 0020_locations, but notes the items that an amend takes out of a basket.
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
    UPDATE items i SET was_held = true
    FROM jsonb_to_recordset(amends) AS a (sale text, moves jsonb), generate_series(0, line_count(a.moves) - 1) AS n
    WHERE i.sale_id = a.sale AND i.sku = a.moves ->> (2 * n) AND line_units(a.moves, n) < 0 AND NOT i.was_held;

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

-- first_prices: return the first prices of these lines' items, by sku: of all, or of those whose prices have changed; null where
-- that is none. A reservation without a price of its own was made at the first price.
CREATE FUNCTION flashguard.first_prices(p_sale text, p_lines jsonb, p_all boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT jsonb_object_agg(i.sku, i.price_minor) FROM generate_series(0, line_count(p_lines) - 1) AS n
    JOIN items i ON i.sale_id = p_sale AND i.sku = p_lines ->> (2 * n)
    WHERE p_all OR i.price_now_minor IS NOT NULL
$$;

-- Confirmed and cancelled orders, one row per line, for a shop's own programs. Its columns stay; new ones come at the end.
-- No row makes a query fail: units that are not a whole number are NULL, and so is an amount beyond 64 bits. It calls no
-- function of ours, because a reader of a view needs the right to call its functions.
CREATE OR REPLACE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, s.public_id AS sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, u.units::bigint AS quantity,
       p.price_minor::bigint, i.currency,
       CASE WHEN abs(u.units * p.price_minor) < 9223372036854775808 THEN (u.units * p.price_minor)::bigint END AS amount_minor,
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
CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(r.details -> 'prices' -> (r.lines ->> (2 * n))) = 'number'
                                THEN CASE WHEN abs((r.details -> 'prices' -> (r.lines ->> (2 * n)))::numeric) < 1000000000000000
                                          THEN (r.details -> 'prices' -> (r.lines ->> (2 * n)))::numeric END
                                ELSE i.price_minor END AS price_minor) AS p
WHERE r.confirmed_at IS NOT NULL;
