-- Written by deploy/supabase/generate.py from 0021_plans.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0021_plans') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0021$
-- The plans of two functions of the recorders, which the planner got wrong.

-- write_events: its statements were planned in every call, because a LIMIT of unknown size makes a plan for any value look dearer
-- than one for this value. That took half of the time of telling a group to the feed or to webhooks. A later CREATE OR REPLACE
-- of the function must repeat the setting.
ALTER FUNCTION flashguard.write_events(jsonb, jsonb, jsonb) SET plan_cache_mode = force_generic_plan;

-- apply_rows: apply reservations and counters of one group, or of several partitions' groups, whose positions have moved in the
-- same transaction. Counters move by the groups' sums; each touched item's counters are then compared with memory's counters
-- after the group.
--
-- p_new: reservations that the ledger does not have, in the state that the group leaves them.
-- p_changed: holds that the ledger has, in the state that the group leaves them; a field that is left out is unchanged.
-- p_items: per item the sums of the group, and memory's counters after it.
-- Their fields are those of New, Changed and Moved in recorder/fold.py.
--
-- LIMIT tells the planner how many rows come. It expects 100 of any recordset, and would read thousands of reservations one
-- after the other for a group that changes one. A hold is found by the primary key: with `status = 'held'` as it stands, the planner
-- also knows the index of live holds, prefers it before the table is first analyzed, and reads all of the sale's for each hold.
--
-- Returns drift: the items ("sale/sku") whose counters differ from memory's.
CREATE OR REPLACE FUNCTION flashguard.apply_rows(p_new jsonb, p_changed jsonb, p_items jsonb, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    given bigint;
    changed bigint;
BEGIN
    drift := '{}';
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
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status || '' = 'held';
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
;
SELECT flashguard.close_to_public()
$migration_0021$;
INSERT INTO flashguard.migrations (name) VALUES ('0021_plans');
END IF;
END $guard$;
