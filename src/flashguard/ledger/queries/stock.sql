-- name: items_on_sale
-- The stock of running sales, the newest sale first, at most $1 items and pools; and the number of all.
SELECT s.public_id AS sale_id, i.sku, i.kind, i.uses, sum(i.stock)::bigint AS stock, sum(i.held)::bigint AS held,
       sum(i.sold)::bigint AS sold, count(*) OVER () AS items
FROM flashguard.items i JOIN flashguard.sales s ON s.id = i.sale_id
WHERE s.status IN ('open', 'paused')
GROUP BY s.public_id, i.sku, i.kind, i.uses ORDER BY max(s.created_at) DESC, s.public_id, min(i.ordinal) LIMIT $1;

-- name: units_out
-- Units that are neither sold, nor rightly held, nor available: those of ended holds that have not expired yet, with the
-- oldest's age, and those of no hold at all. Items of sales that closed more than a day ago are not read: there may be very many.
WITH counted AS (
    SELECT id FROM flashguard.sales WHERE status <> 'closed' OR (status = 'closed' AND closed_at > now() - interval '1 day')
), held AS (
    SELECT sale_id, flashguard.clamped(expires_at) AS expires_at, (SELECT sum(flashguard.line_units(takes, n))
                        FROM generate_series(0, flashguard.line_count(takes) - 1) AS n) AS units
    FROM flashguard.reservations CROSS JOIN LATERAL (SELECT coalesce(details -> 'takes', lines)) AS t (takes)
    WHERE status = 'held'
)
SELECT coalesce(sum(units) FILTER (WHERE expires_at < now()), 0)::bigint AS returning,
       greatest(max(date_part('epoch', now() - expires_at)), 0) AS oldest_seconds,
       ((SELECT coalesce(sum(i.held), 0) FROM counted JOIN flashguard.items i ON i.sale_id = counted.id)
        - coalesce(sum(units) FILTER (WHERE sale_id IN (SELECT id FROM counted)), 0))::bigint AS leaked
FROM held;
