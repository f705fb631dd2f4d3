-- Limits by item and by identity (a card, an address): what they count, and the identities of entries that wait.

-- By name, what limits by identity count the entry by: a keyed hash, never what the shop sent.
ALTER TABLE flashguard.waiting_list ADD COLUMN identities jsonb;

-- limits_used: return what limits by item and by identity count of a sale, by the fields of kernel/scripts/lib/limits.lua.
CREATE FUNCTION flashguard.limits_used(p_sale text) RETURNS TABLE (field text, units bigint)
LANGUAGE sql STABLE
AS $$
    WITH line AS (
        SELECT r.customer, r.details -> 'identities' AS identities, r.lines ->> (2 * n) AS sku,
               flashguard.line_units(r.lines, n) AS units
        FROM flashguard.reservations r
        CROSS JOIN LATERAL generate_series(0, flashguard.line_count(r.lines) - 1) AS n
        WHERE r.sale_id = p_sale AND r.status IN ('held', 'confirmed')
    ), rule AS (
        SELECT rules -> 'item_limits' AS item_limits,
               CASE jsonb_typeof(rules -> 'limits') WHEN 'array' THEN rules -> 'limits' ELSE '[]' END AS limits
        FROM flashguard.sales WHERE id = p_sale
    )
    SELECT customer || E'\x1f' || sku, sum(units)::bigint FROM line CROSS JOIN rule WHERE item_limits ? sku GROUP BY 1
    UNION ALL
    SELECT E'\x1f' || by || E'\x1f' || (identities ->> by), sum(units)::bigint
    FROM rule CROSS JOIN LATERAL (SELECT l ->> 0 AS by, l -> 2 AS skus FROM jsonb_array_elements(limits) AS l) AS l CROSS JOIN line
    WHERE identities ? by AND (skus IS NULL OR skus ? sku) GROUP BY 1
$$;
