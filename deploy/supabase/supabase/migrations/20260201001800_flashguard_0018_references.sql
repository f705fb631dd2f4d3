-- Written by deploy/supabase/generate.py from 0018_references.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0018_references') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0018$
-- References and metadata: what a shop attaches to a hold or an order, among its details.

-- Only the reservations that have a reference are in it.
CREATE INDEX reservations_by_reference ON flashguard.reservations (sale_id, (details ->> 'reference'))
    WHERE details ->> 'reference' IS NOT NULL;

-- Confirmed and cancelled orders, one row per line, for a shop's own programs. Its columns stay; new ones come at the end.
-- No row makes a query fail: units that are not a whole number are NULL, and so is an amount beyond 64 bits. It calls no
-- function of ours, because a reader of a view needs the right to call its functions.
CREATE OR REPLACE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, s.public_id AS sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, u.units::bigint AS quantity,
       i.price_minor, i.currency,
       CASE WHEN abs(u.units * i.price_minor) < 9223372036854775808 THEN (u.units * i.price_minor)::bigint END AS amount_minor,
       r.confirmed_at, CASE WHEN r.status = 'cancelled' THEN r.ended_at END AS cancelled_at,
       r.restocked, r.cancel_reason, r.details ->> 'reference' AS reference, r.details -> 'metadata' AS metadata
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
$migration_0018$;
INSERT INTO flashguard.migrations (name) VALUES ('0018_references');
END IF;
END $guard$;
