-- name: status_of
SELECT status FROM flashguard.sales WHERE id = $1;

-- name: audit_items
-- What the rows of orders and holds add up to, beside the counters.
WITH units AS (
    SELECT r.lines ->> (2 * n) AS sku,
           sum(flashguard.line_units(r.lines, n)) FILTER (WHERE r.status = 'confirmed') AS sold,
           sum(flashguard.line_units(r.lines, n)) FILTER (WHERE r.status = 'held') AS held,
           sum(flashguard.line_units(r.lines, n)) FILTER (WHERE r.status = 'held' AND r.expires_at < now()) AS returning,
           max(date_part('epoch', now() - flashguard.clamped(r.expires_at))) FILTER (WHERE r.status = 'held') AS returning_seconds
    FROM flashguard.reservations r
    CROSS JOIN LATERAL generate_series(0, flashguard.line_count(r.lines) - 1) AS n
    WHERE r.sale_id = $1 AND r.status IN ('confirmed', 'held')
    GROUP BY 1
)
SELECT i.sku, i.stock, i.held, i.sold, coalesce(u.held, 0)::bigint AS held_by_rows, coalesce(u.sold, 0)::bigint AS sold_by_rows,
       coalesce(u.returning, 0)::bigint AS returning, greatest(u.returning_seconds, 0) AS returning_seconds
FROM flashguard.items i LEFT JOIN units u USING (sku)
WHERE i.sale_id = $1 ORDER BY i.ordinal;

-- name: audit_orders
-- Orders, and those that break a rule: an unknown item, or no units.
SELECT (SELECT count(*) FROM flashguard.reservations WHERE sale_id = $1 AND status = 'confirmed') AS orders,
       (SELECT count(*) FROM flashguard.order_lines WHERE sale_id = $1 AND (currency IS NULL OR coalesce(quantity, 0) <= 0)) AS broken_lines,
       (SELECT count(*) FROM flashguard.refusals WHERE sale_id = $1) AS refused;

-- name: units_out
-- Units that are neither sold, nor rightly held, nor available: those of ended holds that have not expired yet, with the
-- oldest's age, and those of no hold at all.
WITH held AS (
    SELECT flashguard.clamped(expires_at) AS expires_at, (SELECT sum(flashguard.line_units(lines, n))
                        FROM generate_series(0, flashguard.line_count(lines) - 1) AS n) AS units
    FROM flashguard.reservations WHERE status = 'held'
)
SELECT coalesce(sum(units) FILTER (WHERE expires_at < now()), 0)::bigint AS returning,
       greatest(max(date_part('epoch', now() - expires_at)), 0) AS oldest_seconds,
       ((SELECT coalesce(sum(held), 0) FROM flashguard.items) - coalesce(sum(units), 0))::bigint AS leaked
FROM held;
