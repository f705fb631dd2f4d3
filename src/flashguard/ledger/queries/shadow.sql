-- name: begin_shadow
-- Only a draft: earlier sales would have no counterpart.
INSERT INTO flashguard.shadow_sales (sale_id)
SELECT id FROM flashguard.sales WHERE id = $1 AND status = 'draft' AND NOT rules ? 'spread' ON CONFLICT DO NOTHING;

-- name: shadow_since
SELECT since FROM flashguard.shadow_sales WHERE sale_id = $1;

-- name: note_attempts
-- The two decisions; an attempt that is reported again stays unchanged.
WITH refused AS (
    UPDATE flashguard.shadow_sales SET both_refused = both_refused + $8 WHERE sale_id = $1 AND $8::bigint > 0
)
INSERT INTO flashguard.shadow_attempts (sale_id, key, customer, lines, shop, ours, reference)
SELECT $1, key, customer, lines::jsonb, shop, ours, reference
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     AS a (key, customer, lines, shop, ours, reference)
ON CONFLICT DO NOTHING;

-- name: attempts_to_return
SELECT key, lines, ours, returned_at IS NOT NULL AS returned
FROM flashguard.shadow_attempts WHERE sale_id = $1 AND key = ANY($2::text[]) AND shop = 'sold';

-- name: note_returned
UPDATE flashguard.shadow_attempts SET returned_at = now()
WHERE sale_id = $1 AND key = ANY($2::text[]) AND returned_at IS NULL;

-- name: shadow_counts
SELECT s.since, s.both_refused,
       count(a.key) FILTER (WHERE shop = 'sold' AND ours = 'confirmed') AS both_sold,
       count(a.key) FILTER (WHERE shop = 'sold' AND ours <> 'confirmed') AS only_shop_sold,
       count(a.key) FILTER (WHERE shop = 'refused' AND ours = 'confirmed') AS only_flashguard_sold,
       count(a.returned_at) AS returned
FROM flashguard.shadow_sales s LEFT JOIN flashguard.shadow_attempts a USING (sale_id)
WHERE s.sale_id = $1 GROUP BY s.sale_id;

-- name: shadow_items
-- Per item and pool: its stock, at all locations, without the units that returns put back, and what each side sold and did not
-- get back. An item without a stock of its own is left out: its pools show what was sold.
WITH lines AS (
    SELECT a.lines ->> (2 * n) AS sku, (a.lines ->> (2 * n + 1))::bigint AS units,
           shop = 'sold' AND returned_at IS NULL AS by_shop, ours = 'confirmed' AND returned_at IS NOT NULL AS is_back
    FROM flashguard.shadow_attempts a
    CROSS JOIN LATERAL generate_series(0, jsonb_array_length(a.lines) / 2 - 1) AS n
    WHERE a.sale_id = $1
), taken AS (
    SELECT * FROM lines
    UNION ALL
    SELECT i.uses ->> (2 * n), l.units * flashguard.line_units(i.uses, n), by_shop, is_back
    FROM lines l JOIN flashguard.items i ON i.sale_id = $1 AND i.sku = l.sku
    CROSS JOIN LATERAL generate_series(0, flashguard.line_count(i.uses) - 1) AS n
), units AS (
    SELECT sku, sum(units) FILTER (WHERE by_shop) AS shop, sum(units) FILTER (WHERE is_back) AS back FROM taken GROUP BY 1
), located AS (
    SELECT split_part(sku, E'\x1f', 1) AS sku, sum(stock)::bigint AS stock
    FROM flashguard.items WHERE sale_id = $1 AND kind = 'location' GROUP BY 1
)
SELECT i.sku, coalesce(at.stock, i.stock) - coalesce(u.back, 0)::bigint AS stock, coalesce(u.shop, 0)::bigint AS shop_sold,
       i.held + i.sold - coalesce(u.back, 0)::bigint AS flashguard_sold
FROM flashguard.items i LEFT JOIN units u USING (sku) LEFT JOIN located at USING (sku)
WHERE i.sale_id = $1 AND i.kind <> 'location' AND coalesce(at.stock, i.stock) <= (2::bigint ^ 49)::bigint ORDER BY i.ordinal;

-- name: shadow_reasons
-- Why FlashGuard refused what the shop sold.
SELECT ours AS code, count(*) AS attempts FROM flashguard.shadow_attempts
WHERE sale_id = $1 AND shop = 'sold' AND ours <> 'confirmed' GROUP BY ours ORDER BY count(*) DESC, ours;

-- name: shadow_differences
SELECT key, customer, lines, shop, ours, reference, at, returned_at FROM flashguard.shadow_attempts
WHERE sale_id = $1 AND (shop = 'sold') <> (ours = 'confirmed') ORDER BY at, key LIMIT $2;
