-- Written by deploy/supabase/generate.py from 0013_orders_out.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0013_orders_out') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0013$
-- Orders that are taken back, and orders as a shop's own programs may read them.

ALTER TABLE flashguard.reservations
    ADD COLUMN restocked boolean,           -- of a cancelled order: its units went on sale again, or left the stock
    ADD COLUMN cancel_reason text,
    DROP CONSTRAINT reservations_status_check,
    ADD CONSTRAINT reservations_status_check
        CHECK (status IN ('held', 'confirmed', 'released', 'expired', 'cancelled')) NOT VALID;
ALTER TABLE flashguard.reservations VALIDATE CONSTRAINT reservations_status_check;

-- record_cancels: orders that a group takes back, with their events; called in record_group's transaction, after it.
-- Counters are record_group's matter.
CREATE FUNCTION flashguard.record_cancels(cancels jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    WITH cancelled AS (
        UPDATE reservations r
        SET status = 'cancelled', ended_at = to_timestamp(c.at_ms::float8 / 1000), restocked = c.restock,
            cancel_reason = c.reason
        FROM jsonb_to_recordset(cancels) AS c (sale text, id text, at_ms bigint, restock boolean, reason text)
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'confirmed'
        RETURNING r.sale_id, r.id, r.customer, r.lines, r.created_at, r.expires_at, r.confirmed_at, r.ended_at,
                  r.restocked, r.cancel_reason
    ), told AS (
        INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                        expires_at, confirmed_at, restocked, detail)
        SELECT w.id, 'order.cancelled', c.sale_id, c.id, c.ended_at, c.customer, c.lines, c.created_at,
               c.expires_at, c.confirmed_at, c.restocked, c.cancel_reason
        FROM cancelled c JOIN webhook_endpoints w ON w.enabled AND 'order.cancelled' = ANY (w.events)
    )
    SELECT count(*) INTO changed FROM cancelled;
    IF changed <> jsonb_array_length(cancels) THEN
        RAISE EXCEPTION 'the group cancels % orders, the ledger has % of them', jsonb_array_length(cancels), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- cancel_archived: an order of a sale that was closed so long ago (in seconds) that no memory has it any more: there is
-- nobody else to ask, and a closed sale never opens again. False: there is no such order, or no such sale.
CREATE FUNCTION flashguard.cancel_archived(p_sale text, p_id text, p_restock boolean, p_reason text, p_seconds float8)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    taken jsonb;
BEGIN
    SELECT r.lines INTO taken FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = p_sale AND r.id = p_id AND r.status = 'confirmed'
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE items SET sold = sold - units, stock = stock - CASE WHEN p_restock THEN 0 ELSE units END
    FROM (SELECT taken ->> (2 * n) AS sku, sum((taken ->> (2 * n + 1))::bigint)::bigint AS units
          FROM generate_series(0, jsonb_array_length(taken) / 2 - 1) AS n GROUP BY 1) AS line
    WHERE items.sale_id = p_sale AND items.sku = line.sku;
    PERFORM record_cancels(jsonb_build_array(jsonb_build_object(
        'sale', p_sale, 'id', p_id, 'at_ms', round(date_part('epoch', clock_timestamp()) * 1000)::bigint,
        'restock', p_restock, 'reason', p_reason)));
    RETURN true;
END
$$;

-- What a shop's own programs may read: one row per order line. Its columns stay; new ones come at the end.
CREATE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, r.sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, (r.lines ->> (2 * n + 1))::bigint AS quantity,
       i.price_minor, i.currency, (r.lines ->> (2 * n + 1))::bigint * i.price_minor AS amount_minor,
       r.confirmed_at, CASE WHEN r.status = 'cancelled' THEN r.ended_at END AS cancelled_at,
       r.restocked, r.cancel_reason
FROM flashguard.reservations r
CROSS JOIN LATERAL generate_series(0, jsonb_array_length(r.lines) / 2 - 1) AS n
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.confirmed_at IS NOT NULL;
COMMENT ON VIEW flashguard.orders_for_shop IS 'Confirmed and cancelled orders, one row per line; for programs of the shop.';

$migration_0013$;
INSERT INTO flashguard.migrations (name) VALUES ('0013_orders_out');
END IF;
END $guard$;
