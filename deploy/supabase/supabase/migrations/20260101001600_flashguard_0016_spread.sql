-- Written by deploy/supabase/generate.py from 0016_spread.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0016_spread') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0016$
-- Spread sales: one sale over several partitions. Its parts are sales of their own, `s`, `s~1`, `s~2`, …, with their own
-- stock, each bound by never_oversold; units move between them by transfers, which are two restocks: one that takes
-- units from a part, and, once that is committed, one that gives them to another.

ALTER TABLE flashguard.sales
    DROP CONSTRAINT sales_id_check,
    ADD CONSTRAINT sales_id_check CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,63}(~[1-9][0-9]{0,2})?$') NOT VALID,
    ADD COLUMN public_id text COLLATE "C" GENERATED ALWAYS AS (split_part(id, '~', 1)) STORED;
ALTER TABLE flashguard.sales VALIDATE CONSTRAINT sales_id_check;
CREATE INDEX sales_by_public_id ON flashguard.sales (public_id);

-- Outs, to look for those whose units did not arrive: see queries/spread.sql.
CREATE INDEX restocks_that_transfer ON flashguard.restocks (sale_id, key) WHERE key LIKE 'transfer:%:out';

-- Every transfer: which part gave how many units to which, and when they arrived. `reason` names the other part.
CREATE VIEW flashguard.transfers AS
SELECT s.public_id AS sale_id, o.sale_id AS donor, o.reason AS receiver, o.sku, -o.delta AS units, i.delta AS arrived,
       split_part(o.key, ':', 2) AS id, o.fingerprint, o.at AS left_at, i.at AS arrived_at
FROM flashguard.restocks o
JOIN flashguard.sales s ON s.id = o.sale_id
LEFT JOIN flashguard.restocks i
       ON i.sale_id = o.reason AND i.key = 'transfer:' || split_part(o.key, ':', 2) || ':in'
WHERE o.key LIKE 'transfer:%:out';

-- write_events, as before, but a spread sale is sold out when all of it is.
CREATE OR REPLACE FUNCTION flashguard.write_events(
    n_sale text[], n_id text[], n_customer text[], n_status text[], n_lines text[],
    n_created_ms bigint[], n_hold_ms bigint[], n_expires_ms bigint[], n_ended_ms bigint[],
    o_sale text[], o_id text[], o_status text[], o_ended_ms bigint[],
    i_sale text[], i_sku text[], i_stock bigint[], i_sold bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    ended text[];
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled) THEN
        RETURN;
    END IF;

    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, e.type, e.sale, e.id, to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at,
           e.expires_at, CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
    FROM (
        SELECT 1 AS step, 'reservation.held' AS type, sale, id, created_ms AS at_ms, customer, lines::jsonb AS lines,
               to_timestamp(created_ms::float8 / 1000) AS created_at,
               to_timestamp((created_ms + hold_ms)::float8 / 1000) AS expires_at
        FROM unnest(n_sale, n_id, n_customer, n_lines, n_created_ms, n_hold_ms)
             AS n (sale, id, customer, lines, created_ms, hold_ms)
        WHERE hold_ms > 0
        UNION ALL
        SELECT 2, event_of(status), sale, id, ended_ms, customer, lines::jsonb,
               to_timestamp(created_ms::float8 / 1000),
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END
        FROM unnest(n_sale, n_id, n_customer, n_status, n_lines, n_created_ms, n_expires_ms, n_ended_ms)
             AS n (sale, id, customer, status, lines, created_ms, expires_ms, ended_ms)
        WHERE status <> 'held'
        UNION ALL
        SELECT 2, event_of(o.status), sale, o.id, ended_ms, r.customer, r.lines, r.created_at, r.expires_at
        FROM unnest(o_sale, o_id, o_status, o_ended_ms) AS o (sale, id, status, ended_ms)
        JOIN reservations r ON r.sale_id = o.sale AND r.id = o.id
        WHERE o.status <> 'held'
    ) AS e
    JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    ORDER BY e.step;

    -- Sold out: the group took the last unit of an item, and no item of the sale has one left to sell.
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, at)
    SELECT w.id, 'sale.sold_out', e.sale, clock_timestamp()
    FROM (SELECT DISTINCT sale
          FROM unnest(i_sale, i_sku, i_stock, i_sold) AS i (sale, sku, stock, sold)
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND NOT sales.rules ? 'spread'
          WHERE items.sold = items.stock AND items.stock > 0 AND items.sold - i.sold < items.stock - i.stock
            AND NOT EXISTS (SELECT FROM items left_over
                            WHERE left_over.sale_id = i.sale AND left_over.sold < left_over.stock)) AS e
    JOIN webhook_endpoints w ON w.enabled AND 'sale.sold_out' = ANY (w.events);

    -- A spread sale is sold out when all its parts are and nothing is on its way between them. Two parts may sell their
    -- last units at once: the lock has the later of the two recorders see what the earlier one wrote. A group that units
    -- left does not say so: they will be sold elsewhere, or be what is left over.
    SELECT array_agg(DISTINCT sales.public_id ORDER BY sales.public_id) INTO ended
    FROM unnest(i_sale, i_sku, i_stock, i_sold) AS i (sale, sku, stock, sold)
    JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
    JOIN sales ON sales.id = i.sale AND sales.rules ? 'spread'
    WHERE items.sold = items.stock AND i.sold > 0 AND i.stock >= 0;
    IF ended IS NOT NULL AND EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND 'sale.sold_out' = ANY (events)) THEN
        PERFORM pg_advisory_xact_lock(hashtext('flashguard sold out ' || sale)) FROM unnest(ended) AS e (sale);
        INSERT INTO webhook_deliveries (endpoint, type, sale_id, at)
        SELECT w.id, 'sale.sold_out', e.sale, clock_timestamp()
        FROM unnest(ended) AS e (sale)
        JOIN webhook_endpoints w ON w.enabled AND 'sale.sold_out' = ANY (w.events)
        WHERE NOT EXISTS (SELECT FROM sales s JOIN items i ON i.sale_id = s.id
                          WHERE s.public_id = e.sale AND i.sold < i.stock)
          AND NOT EXISTS (SELECT FROM transfers t WHERE t.sale_id = e.sale AND t.arrived_at IS NULL);
    END IF;
END
$$;

-- write_rare_events, as before, but the parts of a spread sale open and close without a word.
CREATE OR REPLACE FUNCTION flashguard.write_rare_events(honours jsonb, sale_changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, 'order.confirmed', h.sale, h.id, to_timestamp(h.at_ms::float8 / 1000), h.customer, h.lines,
           to_timestamp(h.created_ms::float8 / 1000), to_timestamp((h.created_ms + h.hold_ms)::float8 / 1000),
           to_timestamp(h.at_ms::float8 / 1000)
    FROM jsonb_to_recordset(honours)
         AS h (sale text, id text, customer text, lines jsonb, created_ms bigint, hold_ms bigint, at_ms bigint)
    JOIN webhook_endpoints w ON w.enabled AND 'order.confirmed' = ANY (w.events);

    INSERT INTO webhook_deliveries (endpoint, type, sale_id, at, detail)
    SELECT w.id, e.type, e.sale, to_timestamp(e.at_ms::float8 / 1000), e.status
    FROM (SELECT c.ordinal, c.sale, c.status, c.at_ms,
                 CASE c.status WHEN 'open' THEN 'sale.opened' WHEN 'closed' THEN 'sale.closed' END AS type,
                 lag(c.status, 1, sales.status) OVER (PARTITION BY c.sale ORDER BY c.ordinal) AS before
          FROM ROWS FROM (jsonb_to_recordset(sale_changes) AS (sale text, status text, at_ms bigint))
               WITH ORDINALITY AS c (sale, status, at_ms, ordinal)
          JOIN sales ON sales.id = c.sale) AS e
    JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    WHERE e.status <> e.before AND position('~' IN e.sale) = 0  -- the parts of a spread sale follow its first
    ORDER BY e.ordinal;
END
$$;

-- orders_for_shop, as before, but an order of a spread sale is of the sale that its buyers know.
CREATE OR REPLACE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, s.public_id AS sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, (r.lines ->> (2 * n + 1))::bigint AS quantity,
       i.price_minor, i.currency, (r.lines ->> (2 * n + 1))::bigint * i.price_minor AS amount_minor,
       r.confirmed_at, CASE WHEN r.status = 'cancelled' THEN r.ended_at END AS cancelled_at,
       r.restocked, r.cancel_reason
FROM flashguard.reservations r
JOIN flashguard.sales s ON s.id = r.sale_id
CROSS JOIN LATERAL generate_series(0, jsonb_array_length(r.lines) / 2 - 1) AS n
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.confirmed_at IS NOT NULL;

$migration_0016$;
INSERT INTO flashguard.migrations (name) VALUES ('0016_spread');
END IF;
END $guard$;
