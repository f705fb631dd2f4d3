-- name: items_on_sale
-- The stock of running sales, the newest sale first, at most $1 items; and the number of all items.
SELECT s.public_id AS sale_id, i.sku, sum(i.stock)::bigint AS stock, sum(i.held)::bigint AS held,
       sum(i.sold)::bigint AS sold, count(*) OVER () AS items
FROM flashguard.items i JOIN flashguard.sales s ON s.id = i.sale_id
WHERE s.status IN ('open', 'paused')
GROUP BY s.public_id, i.sku ORDER BY max(s.created_at) DESC, s.public_id, min(i.ordinal) LIMIT $1;
