-- Written by deploy/supabase/generate.py from 0002_record_group.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0002_record_group') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0002$
-- record_group: applies one group of journal entries and moves the partition's position, all or nothing.
--
-- The position moves only from where the recorder read it (compare-and-set): a second recorder that read the
-- same entries finds it moved and changes nothing. Counters move by the group's sums; each touched item's
-- counters are then compared with what memory said they are after the group, and differences are returned.
--
-- Returns {applied, drift}: applied is false when the position was not the one given; drift lists items
-- ("sale/sku") whose counters differ from memory's.

CREATE FUNCTION flashguard.record_group(
    p_partition integer, p_epoch bigint, p_from_seq bigint, p_from_token text, p_to_seq bigint, p_to_token text,
    -- reservations that are new to the ledger, in the state the group leaves them
    n_sale text[], n_id text[], n_customer text[], n_status text[], n_lines text[], n_fingerprint bigint[],
    n_created_ms bigint[], n_hold_ms bigint[], n_expires_ms bigint[], n_ended_ms bigint[], n_extensions text[],
    -- reservations the ledger knows, in the state the group leaves them
    o_sale text[], o_id text[], o_status text[], o_expires_ms bigint[], o_ended_ms bigint[], o_extensions text[],
    -- items: the sums of the group, and memory's counters after it
    i_sale text[], i_sku text[], i_stock bigint[], i_held bigint[], i_sold bigint[],
    m_stock bigint[], m_held bigint[], m_sold bigint[],
    OUT applied boolean, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE partitions SET seq = p_to_seq, token = p_to_token, recorded_at = clock_timestamp()
    WHERE partition = p_partition AND epoch = p_epoch AND seq = p_from_seq AND token = p_from_token;
    applied := FOUND;
    drift := '{}';
    IF NOT applied THEN
        RETURN;
    END IF;

    IF cardinality(n_id) > 0 THEN
        INSERT INTO reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                  expires_at, confirmed_at, ended_at, extensions)
        SELECT sale, id, customer, status, lines::jsonb, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END,
               CASE WHEN status = 'confirmed' THEN to_timestamp(ended_ms::float8 / 1000) END,
               CASE WHEN ended_ms > 0 THEN to_timestamp(ended_ms::float8 / 1000) END,
               extensions::jsonb
        FROM unnest(n_sale, n_id, n_customer, n_status, n_lines, n_fingerprint, n_created_ms, n_hold_ms,
                    n_expires_ms, n_ended_ms, n_extensions)
             AS n (sale, id, customer, status, lines, fingerprint, created_ms, hold_ms, expires_ms, ended_ms, extensions);
    END IF;

    IF cardinality(o_id) > 0 THEN
        UPDATE reservations r
        SET status = o.status,
            expires_at = CASE WHEN o.expires_ms > 0 THEN to_timestamp(o.expires_ms::float8 / 1000) ELSE r.expires_at END,
            confirmed_at = CASE WHEN o.status = 'confirmed' THEN to_timestamp(o.ended_ms::float8 / 1000) END,
            ended_at = CASE WHEN o.ended_ms > 0 THEN to_timestamp(o.ended_ms::float8 / 1000) END,
            extensions = CASE WHEN o.extensions IS NULL THEN r.extensions
                              ELSE coalesce(r.extensions, '[]') || o.extensions::jsonb END
        FROM unnest(o_sale, o_id, o_status, o_expires_ms, o_ended_ms, o_extensions)
             AS o (sale, id, status, expires_ms, ended_ms, extensions)
        WHERE r.sale_id = o.sale AND r.id = o.id AND r.status = 'held';
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> cardinality(o_id) THEN
            RAISE EXCEPTION 'the group ends % holds, the ledger has % of them live', cardinality(o_id), changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;

    IF cardinality(i_sku) > 0 THEN
        WITH moved AS (
            UPDATE items SET stock = items.stock + i.stock, held = items.held + i.held, sold = items.sold + i.sold
            FROM unnest(i_sale, i_sku, i_stock, i_held, i_sold, m_stock, m_held, m_sold)
                 AS i (sale, sku, stock, held, sold, memory_stock, memory_held, memory_sold)
            WHERE items.sale_id = i.sale AND items.sku = i.sku
            RETURNING i.sale || '/' || i.sku AS item,
                      (items.stock, items.held, items.sold) IS DISTINCT FROM (i.memory_stock, i.memory_held, i.memory_sold) AS differs
        )
        SELECT count(*), coalesce(array_agg(item) FILTER (WHERE differs), '{}') INTO changed, drift FROM moved;
        IF changed <> cardinality(i_sku) THEN
            RAISE EXCEPTION 'the group touches % items, the ledger has % of them', cardinality(i_sku), changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
END
$$;

-- record_changes: the rare transitions of a group, as JSON; called in the same transaction.
CREATE FUNCTION flashguard.record_changes(restocks jsonb, sale_changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
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
        closed_at = CASE WHEN c.status = 'closed' THEN coalesce(closed_at, to_timestamp(c.at_ms::float8 / 1000)) END
    FROM jsonb_to_recordset(sale_changes)
         AS c (sale text, status text, starts_ms bigint, ends_ms bigint, hold_ms bigint, max_hold_ms bigint,
               "limit" bigint, at_ms bigint)
    WHERE sales.id = c.sale;
END
$$;

$migration_0002$;
INSERT INTO flashguard.migrations (name) VALUES ('0002_record_group');
END IF;
END $guard$;
