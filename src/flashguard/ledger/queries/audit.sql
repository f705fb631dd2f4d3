-- name: status_of
SELECT status FROM flashguard.sales WHERE id = $1;

-- name: audit_items
-- What the rows of orders and holds add up to, beside the counters.
WITH units AS (
    SELECT takes ->> (2 * n) AS sku,
           sum(flashguard.line_units(takes, n)) FILTER (WHERE r.status = 'confirmed') AS sold,
           sum(flashguard.line_units(takes, n)) FILTER (WHERE r.status = 'held') AS held,
           sum(flashguard.line_units(takes, n)) FILTER (WHERE r.status = 'held' AND r.expires_at < now()) AS returning,
           max(date_part('epoch', now() - flashguard.clamped(r.expires_at))) FILTER (WHERE r.status = 'held') AS returning_seconds
    FROM flashguard.reservations r
    CROSS JOIN LATERAL (SELECT coalesce(r.details -> 'takes', r.lines)) AS t (takes)
    CROSS JOIN LATERAL generate_series(0, flashguard.line_count(takes) - 1) AS n
    WHERE r.sale_id = $1 AND r.status IN ('confirmed', 'held')
    GROUP BY 1
)
SELECT i.sku, i.kind, i.uses, i.stock, i.held, i.sold, coalesce(u.held, 0)::bigint AS held_by_rows, coalesce(u.sold, 0)::bigint AS sold_by_rows,
       coalesce(u.returning, 0)::bigint AS returning, greatest(u.returning_seconds, 0) AS returning_seconds
FROM flashguard.items i LEFT JOIN units u USING (sku)
WHERE i.sale_id = $1 ORDER BY i.ordinal;

-- name: audit_orders
-- Orders, and those that break a rule: an unknown item, or no units.
SELECT (SELECT count(*) FROM flashguard.reservations WHERE sale_id = $1 AND status = 'confirmed') AS orders,
       (SELECT count(*) FROM flashguard.order_lines WHERE sale_id = $1 AND (currency IS NULL OR coalesce(quantity, 0) <= 0)) AS broken_lines,
       (SELECT count(*) FROM flashguard.refusals WHERE sale_id = $1) AS refused;

-- name: audit_transfers
-- By item of a sale: units that left a shard and have not arrived, the age of the oldest, and transfers whose halves
-- differ.
SELECT t.sku, coalesce(sum(t.units) FILTER (WHERE t.arrived_at IS NULL), 0)::bigint AS in_transit,
       coalesce(max(date_part('epoch', now() - t.left_at)) FILTER (WHERE t.arrived_at IS NULL), 0) AS oldest_seconds,
       count(*) FILTER (WHERE t.arrived <> t.units) AS unequal
FROM flashguard.transfers t WHERE t.sale_id = $1 GROUP BY t.sku;

-- name: audit_arrivals
-- Units that arrived and never left: a defect, or a ledger that lost what it had committed.
SELECT i.sku, count(*) AS transfers
FROM flashguard.sales s JOIN flashguard.restocks i ON i.sale_id = s.id AND i.key LIKE 'transfer:%:in'
LEFT JOIN flashguard.restocks o ON o.sale_id = i.reason AND o.key = 'transfer:' || split_part(i.key, ':', 2) || ':out'
WHERE s.public_id = $1 AND o.key IS NULL GROUP BY i.sku;
