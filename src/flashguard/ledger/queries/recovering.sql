-- name: sale_from_memory
-- A sale that only memory has. What memory does not keep is made up: the name is the id.
INSERT INTO flashguard.sales (id, name, partition, hold_seconds, max_hold_seconds)
VALUES ($1, $1, $2, 1, 1) ON CONFLICT DO NOTHING;

-- name: items_from_memory
-- Items that only memory has: their names are their SKUs, their prices are gone (XXX: no currency).
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock)
SELECT $1, sku, 1000000 + place, sku, 0, 'XXX', 0 FROM unnest($2::text[]) WITH ORDINALITY AS i (sku, place)
ON CONFLICT DO NOTHING;

-- name: rules_as_in_memory
UPDATE flashguard.sales
SET status = $2, starts_at = CASE WHEN $3::bigint > 0 THEN to_timestamp($3::float8 / 1000) END,
    ends_at = CASE WHEN $4::bigint > 0 THEN to_timestamp($4::float8 / 1000) END,
    hold_seconds = $5::bigint / 1000, max_hold_seconds = $6::bigint / 1000, limit_per_customer = nullif($7::bigint, 0),
    hold_durability = coalesce(nullif($8, ''), 'disk'), rules = $9::text::jsonb,
    closed_at = CASE WHEN $2 = 'closed' THEN coalesce(closed_at, now()) END
WHERE id = $1;

-- name: any_stock
-- While the journal's tail is written, no order is refused for units that came with what is missing before the tail. 2^49,
-- because the ledger takes no stock above 2^50; counters_as_in_memory subtracts the same number.
UPDATE flashguard.items SET stock = stock + (2::bigint ^ 49)::bigint WHERE sale_id = ANY ($1::text[]);

-- name: ended_as_in_memory
-- Orders and ended holds that the ledger has in an older state. Memory does not keep how an order was cancelled.
UPDATE flashguard.reservations r
SET status = m.status, ended_at = to_timestamp(m.ended_ms::float8 / 1000),
    confirmed_at = CASE m.status WHEN 'confirmed' THEN to_timestamp(m.ended_ms::float8 / 1000)
                                 WHEN 'cancelled' THEN coalesce(r.confirmed_at, to_timestamp(m.ended_ms::float8 / 1000)) END,
    restocked = CASE m.status WHEN 'cancelled' THEN true END,
    cancel_reason = CASE m.status WHEN 'cancelled' THEN 'recovered from memory' END
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS m (id, status, ended_ms)
WHERE r.sale_id = $1 AND r.id = m.id AND r.status <> m.status;

-- name: offers_as_in_memory
-- Holds that the waiting list offered and that ended since: the list entry has their content.
INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at,
                                     confirmed_at, ended_at, restocked, cancel_reason)
SELECT $1, m.id, w.customer, m.status, jsonb_build_array(w.sku, w.quantity), m.fingerprint,
       to_timestamp(m.created_ms::float8 / 1000), m.hold_ms, to_timestamp((m.created_ms + m.hold_ms)::float8 / 1000),
       CASE WHEN m.status IN ('confirmed', 'cancelled') THEN to_timestamp(m.ended_ms::float8 / 1000) END,
       to_timestamp(m.ended_ms::float8 / 1000), CASE m.status WHEN 'cancelled' THEN true END,
       CASE m.status WHEN 'cancelled' THEN 'recovered from memory' END
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS m (id, status, ended_ms, fingerprint, created_ms, hold_ms)
JOIN flashguard.waiting_list w ON w.sale_id = $1 AND w.id = m.id AND w.state = 'offered'
ON CONFLICT DO NOTHING;

-- name: held_as_in_memory
INSERT INTO flashguard.reservations AS r (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                          expires_at, extensions)
SELECT $1, id, customer, 'held', lines::jsonb, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
       to_timestamp(expires_ms::float8 / 1000), extensions::jsonb
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[])
     AS m (id, customer, lines, fingerprint, created_ms, hold_ms, expires_ms, extensions)
ON CONFLICT (sale_id, id) DO UPDATE SET expires_at = excluded.expires_at, extensions = excluded.extensions
WHERE r.status = 'held';

-- name: waiting_as_in_memory
INSERT INTO flashguard.waiting_list AS w (sale_id, id, place, customer, sku, quantity, fingerprint, state, created_at,
                                          admitted, ended_at)
SELECT $1, id, place, customer, sku, quantity, fingerprint, state, to_timestamp(created_ms::float8 / 1000),
       admitted, CASE WHEN state <> 'waiting' THEN now() END
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
            $10::boolean[]) AS m (id, place, customer, sku, quantity, fingerprint, state, created_ms, admitted)
ON CONFLICT (sale_id, id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at
WHERE w.state = 'waiting';

-- name: restocks_as_in_memory
-- The outcome of each key, so that a retry changes nothing; its units are in the counters.
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, key, '', 0, 'recovered from memory', fingerprint, stock, held, sold, now()
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS m (key, fingerprint, stock, held, sold)
ON CONFLICT DO NOTHING;

-- name: changes_as_in_memory
INSERT INTO flashguard.sale_changes (sale_id, key, verb, status, at)
SELECT $1, key, verb, status, now() FROM unnest($2::text[], $3::text[], $4::text[]) AS m (key, verb, status)
ON CONFLICT DO NOTHING;

-- name: used_as_in_memory
-- Units that customers have by memory and by no reservation of the ledger.
INSERT INTO flashguard.lost_units (sale_id, customer, units)
SELECT $1, m.customer, m.units - coalesce(r.units, 0)
FROM unnest($2::text[], $3::bigint[]) AS m (customer, units)
LEFT JOIN (SELECT customer, sum((SELECT sum(flashguard.line_units(lines, n))
                                 FROM generate_series(0, flashguard.line_count(lines) - 1) AS n))::bigint AS units
           FROM flashguard.reservations
           WHERE sale_id = $1 AND status IN ('held', 'confirmed') AND customer = ANY ($2::text[])
           GROUP BY customer) AS r USING (customer)
WHERE m.units > coalesce(r.units, 0)
ON CONFLICT (sale_id, customer) DO UPDATE SET units = excluded.units;

-- name: counters_as_in_memory
-- held and sold become what the rows add up to. Units beyond them belong to orders whose content is lost: they leave the
-- stock, so that they are not sold again. A restock ($6 names it) says by how much the stock changed.
WITH by_rows AS (
    SELECT r.lines ->> (2 * n) AS sku,
           sum(flashguard.line_units(r.lines, n)) FILTER (WHERE r.status = 'confirmed') AS sold,
           sum(flashguard.line_units(r.lines, n)) FILTER (WHERE r.status = 'held') AS held
    FROM flashguard.reservations r
    CROSS JOIN LATERAL generate_series(0, flashguard.line_count(r.lines) - 1) AS n
    WHERE r.sale_id = $1 AND r.status IN ('confirmed', 'held') GROUP BY 1
), item AS (
    SELECT m.sku, coalesce(r.held, 0)::bigint AS held, coalesce(r.sold, 0)::bigint AS sold, i.stock AS before,
           m.stock - greatest(0, m.sold - coalesce(r.sold, 0)) - greatest(0, m.held - coalesce(r.held, 0)) AS stock
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS m (sku, stock, held, sold)
    JOIN flashguard.items i ON i.sale_id = $1 AND i.sku = m.sku LEFT JOIN by_rows r ON r.sku = m.sku
), changed AS (
    UPDATE flashguard.items i SET held = item.held, sold = item.sold, stock = greatest(item.held + item.sold, item.stock)::bigint
    FROM item WHERE i.sale_id = $1 AND i.sku = item.sku
    RETURNING i.sku, i.stock, i.held, i.sold, i.stock - item.before + (2::bigint ^ 49)::bigint AS delta
)
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, 'recover:' || $6::bigint || ':' || sku, sku, delta, 'as memory had it, less orders that the ledger lost',
       0, stock, held, sold, now()
FROM changed WHERE delta <> 0 ON CONFLICT DO NOTHING;
