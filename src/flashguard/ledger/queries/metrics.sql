-- name: items_on_sale
-- The stock of running sales, the newest sale first, at most $1 items; and how many items there are.
SELECT i.sale_id, i.sku, i.stock, i.held, i.sold, count(*) OVER () AS items
FROM flashguard.items i JOIN flashguard.sales s ON s.id = i.sale_id
WHERE s.status IN ('open', 'paused') ORDER BY s.created_at DESC, s.id, i.ordinal LIMIT $1;
