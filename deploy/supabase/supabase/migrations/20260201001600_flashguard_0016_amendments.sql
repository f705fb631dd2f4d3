-- Written by deploy/supabase/generate.py from 0016_amendments.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0016_amendments') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0016$
-- Amendments: changes of what is held or bought. A reservation keeps its id, and `details` counts them as its revision.

-- The amends, one row for each key, also of requests to cancel items; each with what it made of the reservation.
CREATE TABLE flashguard.amendments (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,  -- of the reservation
    revision    bigint NOT NULL,
    fingerprint bigint NOT NULL,            -- of the request, for idempotency
    customer    text NOT NULL,
    lines       jsonb NOT NULL,
    details     jsonb,
    restocked   boolean NOT NULL,
    reason      text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

ALTER TABLE flashguard.webhook_deliveries
    ADD COLUMN details jsonb;               -- of an amended reservation: its revision, and the items cancelled so far
ALTER TABLE flashguard.facts
    ADD COLUMN details jsonb;               -- as in webhook_deliveries

-- write_fact: write one fact for those who are told of it: the feed, if it has readers, and the enabled endpoints that asked for
-- its type. For rare facts; write_events writes those of a group at once. The caller holds the lock of the partition's row.
DROP FUNCTION flashguard.write_fact(integer, text, text, text, timestamptz, text, jsonb, timestamptz, timestamptz, timestamptz,
                                    boolean, text);
CREATE FUNCTION flashguard.write_fact(
    p_partition integer, p_type text, p_sale text, p_reservation text, p_at timestamptz, p_customer text DEFAULT NULL,
    p_lines jsonb DEFAULT NULL, p_created_at timestamptz DEFAULT NULL, p_expires_at timestamptz DEFAULT NULL,
    p_confirmed_at timestamptz DEFAULT NULL, p_restocked boolean DEFAULT NULL, p_detail text DEFAULT NULL,
    p_details jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    INSERT INTO facts (partition, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at,
                       restocked, detail, details)
    SELECT p_partition, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail, p_details
    FROM facts_feed;
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at, expires_at,
                                    confirmed_at, restocked, detail, details)
    SELECT w.id, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail, p_details
    FROM webhook_endpoints w WHERE w.enabled AND p_type = ANY (w.events);
END
$$;

-- revision_of: return how often a reservation with these details was amended.
CREATE FUNCTION flashguard.revision_of(details jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN jsonb_typeof(details -> 'revision') = 'number'
                THEN CASE WHEN abs((details -> 'revision')::numeric) < 1000000000000000
                          THEN (details -> 'revision')::bigint ELSE 0 END ELSE 0 END
$$;

-- record_amends: amend reservations and write their facts, in record_group's transaction, after it: record_group has moved the
-- counters. Each must be at the revision before, else the whole group is refused.
CREATE FUNCTION flashguard.record_amends(amends jsonb) RETURNS void
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
            details = (coalesce(r.details, '{}') - 'takes') || coalesce(a.details, '{}')
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

-- record_cancels: cancel orders and write their facts, in record_group's transaction, after it: record_group has moved the
-- counters. A request to cancel items, where they were all that was left, has a key.
CREATE OR REPLACE FUNCTION flashguard.record_cancels(cancels jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    cancelled record;
    changed bigint := 0;
BEGIN
    -- The recorder has this lock; cancel_archived has not.
    PERFORM FROM partitions WHERE partition IN (SELECT s.partition FROM jsonb_to_recordset(cancels) AS c (sale text)
                                                JOIN sales s ON s.id = c.sale) FOR NO KEY UPDATE;
    FOR cancelled IN
        UPDATE reservations r
        SET status = 'cancelled', ended_at = to_timestamp(c.at_ms::float8 / 1000), restocked = c.restock,
            cancel_reason = c.reason
        FROM jsonb_to_recordset(cancels)
             AS c (sale text, id text, at_ms bigint, restock boolean, reason text, key text, body bigint)
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'confirmed'
        RETURNING r.*, c.key, c.body, (SELECT s.partition FROM sales s WHERE s.id = r.sale_id) AS partition
    LOOP
        changed := changed + 1;
        IF cancelled.key IS NOT NULL THEN
            INSERT INTO amendments (sale_id, key, id, revision, fingerprint, customer, lines, restocked, reason, at)
            VALUES (cancelled.sale_id, cancelled.key, cancelled.id, revision_of(cancelled.details), cancelled.body,
                    cancelled.customer, cancelled.lines, cancelled.restocked, cancelled.cancel_reason, cancelled.ended_at);
        END IF;
        PERFORM write_fact(cancelled.partition, 'order.cancelled', cancelled.sale_id, cancelled.id, cancelled.ended_at,
                           cancelled.customer, cancelled.lines, cancelled.created_at, cancelled.expires_at,
                           cancelled.confirmed_at, cancelled.restocked, cancelled.cancel_reason,
                           nullif(jsonb_strip_nulls(jsonb_build_object('cancelled', cancelled.details -> 'cancelled')), '{}'));
    END LOOP;
    IF changed <> jsonb_array_length(cancels) THEN
        RAISE EXCEPTION 'the group cancels % orders, the ledger has % of them', jsonb_array_length(cancels), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- cancel_items_archived: cancel items of an order of a sale that was closed more than p_seconds ago, as cancel_archived does
-- with a whole order. p_amend is what record_amends takes; without lines nothing is left, and the order is cancelled. Returns
-- false when there is no such order at the revision before, or no such sale.
CREATE FUNCTION flashguard.cancel_items_archived(p_amend jsonb, p_seconds float8) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    amend jsonb := p_amend || jsonb_build_object('at_ms', round(date_part('epoch', clock_timestamp()) * 1000)::bigint);
BEGIN
    PERFORM FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = amend ->> 'sale' AND r.id = amend ->> 'id' AND r.status = 'confirmed'
      AND revision_of(r.details) = (amend ->> 'revision')::bigint - 1
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r FOR KEY SHARE OF s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE items SET sold = sold + units, stock = stock + CASE WHEN (amend ->> 'restock')::boolean THEN 0 ELSE units END
    FROM (SELECT amend -> 'moves' ->> (2 * n) AS sku, sum((amend -> 'moves' ->> (2 * n + 1))::bigint)::bigint AS units
          FROM generate_series(0, jsonb_array_length(amend -> 'moves') / 2 - 1) AS n GROUP BY 1) AS line
    WHERE items.sale_id = amend ->> 'sale' AND items.sku = line.sku;
    IF jsonb_array_length(amend -> 'lines') > 0 THEN
        PERFORM record_amends(jsonb_build_array(amend));
    ELSE
        PERFORM record_cancels(jsonb_build_array(amend || jsonb_build_object('body', amend -> 'fingerprint')));
    END IF;
    RETURN true;
END
$$;
;
SELECT flashguard.close_to_public()
$migration_0016$;
INSERT INTO flashguard.migrations (name) VALUES ('0016_amendments');
END IF;
END $guard$;
