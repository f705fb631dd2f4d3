-- Written by deploy/supabase/generate.py from 0012_details.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0012_details') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0012$
-- Details: what few reservations have, in one column, so that all others pay for one NULL.

ALTER TABLE flashguard.reservations
    ADD COLUMN details jsonb;               -- by name, absent names absent: takes, [counter, units, ...], which it moves in place of its lines

-- The functions of 0007_recording that follow are as they were, but for the details.

CREATE OR REPLACE FUNCTION flashguard.record_group(
    p_partition integer, p_epoch bigint, p_from_seq bigint, p_from_token text, p_to_seq bigint, p_to_token text,
    p_new jsonb, p_changed jsonb, p_items jsonb, OUT applied boolean, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    given bigint;
    changed bigint;
BEGIN
    UPDATE partitions SET seq = p_to_seq, token = p_to_token, recorded_at = clock_timestamp()
    WHERE partition = p_partition AND epoch = p_epoch AND seq = p_from_seq AND token = p_from_token;
    applied := FOUND;
    drift := '{}';
    IF NOT applied THEN
        RETURN;
    END IF;

    IF jsonb_array_length(p_new) > 0 THEN
        INSERT INTO reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                  expires_at, confirmed_at, ended_at, extensions, details)
        SELECT sale, id, customer, status, lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END,
               CASE WHEN status = 'confirmed' THEN to_timestamp(ended_ms::float8 / 1000) END,
               CASE WHEN ended_ms > 0 THEN to_timestamp(ended_ms::float8 / 1000) END,
               extensions, details
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, status text, lines jsonb, fingerprint bigint, created_ms bigint,
                   hold_ms bigint, expires_ms bigint, ended_ms bigint, extensions jsonb, details jsonb);
    END IF;

    given := jsonb_array_length(p_changed);
    IF given > 0 THEN
        UPDATE reservations r
        SET status = c.status,
            expires_at = CASE WHEN c.expires_ms > 0 THEN to_timestamp(c.expires_ms::float8 / 1000) ELSE r.expires_at END,
            confirmed_at = CASE WHEN c.status = 'confirmed' THEN to_timestamp(c.ended_ms::float8 / 1000) END,
            ended_at = CASE WHEN c.ended_ms > 0 THEN to_timestamp(c.ended_ms::float8 / 1000) END,
            extensions = CASE WHEN c.extensions IS NULL THEN r.extensions
                              ELSE coalesce(r.extensions, '[]') || c.extensions END
        FROM (SELECT * FROM jsonb_to_recordset(p_changed)
                  AS x (sale text, id text, status text, expires_ms bigint, ended_ms bigint, extensions jsonb)
              LIMIT given) AS c
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'held';
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> given THEN
            RAISE EXCEPTION 'the group ends % holds, the ledger has % of them live', given, changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;

    given := jsonb_array_length(p_items);
    IF given > 0 THEN
        WITH moved AS (
            UPDATE items SET stock = items.stock + i.stock, held = items.held + i.held, sold = items.sold + i.sold
            FROM (SELECT * FROM jsonb_to_recordset(p_items)
                      AS x (sale text, sku text, stock bigint, held bigint, sold bigint,
                            memory_stock bigint, memory_held bigint, memory_sold bigint)
                  LIMIT given) AS i
            WHERE items.sale_id = i.sale AND items.sku = i.sku
            RETURNING i.sale || '/' || i.sku AS item,
                      (items.stock, items.held, items.sold) IS DISTINCT FROM (i.memory_stock, i.memory_held, i.memory_sold) AS differs
        )
        SELECT count(*), coalesce(array_agg(item) FILTER (WHERE differs), '{}') INTO changed, drift FROM moved;
        IF changed <> given THEN
            RAISE EXCEPTION 'the group touches % items, the ledger has % of them', given, changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
END
$$;

-- record_changes: apply the rare transitions of a group, as JSON, in record_group's transaction: restocks, changes of sales,
-- and late confirms: orders from holds that had ended or were forgotten, granted because the buyer had the receipt. Such
-- a hold is in the ledger as expired, with the receipt's basket, customer and revision, or not at all; otherwise the whole
-- group is refused. What the order takes from pools and locations is what the late confirm took.
CREATE OR REPLACE FUNCTION flashguard.record_changes(restocks jsonb, sale_changes jsonb, late_confirms jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO reservations AS r (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                   expires_at, confirmed_at, ended_at, details)
    SELECT sale, id, customer, 'confirmed', lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
           to_timestamp((created_ms + hold_ms)::float8 / 1000), to_timestamp(at_ms::float8 / 1000),
           to_timestamp(at_ms::float8 / 1000), details
    FROM jsonb_to_recordset(late_confirms)
         AS c (sale text, id text, customer text, lines jsonb, fingerprint bigint, created_ms bigint,
               hold_ms bigint, at_ms bigint, details jsonb)
    ON CONFLICT (sale_id, id) DO UPDATE
    SET status = 'confirmed', confirmed_at = excluded.confirmed_at, ended_at = excluded.ended_at,
        details = nullif((coalesce(r.details, '{}') - 'takes') || coalesce(excluded.details, '{}'), '{}')
    WHERE r.status = 'expired' AND r.fingerprint = excluded.fingerprint AND r.customer = excluded.customer
      AND r.lines = excluded.lines AND revision_of(r.details) = revision_of(excluded.details);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> jsonb_array_length(late_confirms) THEN
        RAISE EXCEPTION 'the group confirms % holds late, the ledger allows % of them', jsonb_array_length(late_confirms), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    INSERT INTO restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
    SELECT sale, key, sku, delta, reason, fingerprint, stock, held, sold, to_timestamp(at_ms::float8 / 1000)
    FROM jsonb_to_recordset(record_changes.restocks)
         AS r (sale text, key text, sku text, delta bigint, reason text, fingerprint bigint,
               stock bigint, held bigint, sold bigint, at_ms bigint);

    UPDATE sales
    SET status = c.status,
        starts_at = CASE WHEN c.starts_ms > 0 THEN to_timestamp(c.starts_ms::float8 / 1000) END,
        ends_at = CASE WHEN c.ends_ms > 0 THEN to_timestamp(c.ends_ms::float8 / 1000) END,
        hold_seconds = c.hold_ms / 1000,
        max_hold_seconds = c.max_hold_ms / 1000,
        limit_per_customer = nullif(c."limit", 0),
        hold_durability = coalesce(nullif(c.durability, ''), 'disk'),
        closed_at = CASE WHEN c.status = 'closed' THEN coalesce(closed_at, to_timestamp(c.at_ms::float8 / 1000)) END
    FROM jsonb_to_recordset(sale_changes)
         AS c (sale text, status text, starts_ms bigint, ends_ms bigint, hold_ms bigint, max_hold_ms bigint,
               "limit" bigint, durability text, at_ms bigint)
    WHERE sales.id = c.sale;
END
$$;

CREATE OR REPLACE FUNCTION flashguard.cancel_archived(p_sale text, p_id text, p_restock boolean, p_reason text, p_seconds float8)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    ordered jsonb;
BEGIN
    SELECT coalesce(r.details -> 'takes', r.lines) INTO ordered FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = p_sale AND r.id = p_id AND r.status = 'confirmed'
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r FOR KEY SHARE OF s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE items SET sold = sold - units, stock = stock - CASE WHEN p_restock THEN 0 ELSE units END
    FROM (SELECT ordered ->> (2 * n) AS sku, sum((ordered ->> (2 * n + 1))::bigint)::bigint AS units
          FROM generate_series(0, jsonb_array_length(ordered) / 2 - 1) AS n GROUP BY 1) AS line
    WHERE items.sale_id = p_sale AND items.sku = line.sku;
    PERFORM record_cancels(jsonb_build_array(jsonb_build_object(
        'sale', p_sale, 'id', p_id, 'at_ms', round(date_part('epoch', clock_timestamp()) * 1000)::bigint,
        'restock', p_restock, 'reason', p_reason)));
    RETURN true;
END
$$;
;
SELECT flashguard.close_to_public()
$migration_0012$;
INSERT INTO flashguard.migrations (name) VALUES ('0012_details');
END IF;
END $guard$;
