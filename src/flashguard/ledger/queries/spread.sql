-- name: spread_of
-- The number of shards of a sale; no row when there is no such sale.
SELECT coalesce((rules ->> 'spread')::integer, 1) AS parts FROM flashguard.sales WHERE id = $1;

-- name: parts_that_differ
-- Shards of spread sales, or of this one, whose status or rules are not the first shard's; and the first shard's status and
-- rules. Each shard has its own time from which the hold history counts.
SELECT p.id, p.partition, p.rules AS had, s.status, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds,
       s.limit_per_customer, s.hold_durability, s.rules
FROM flashguard.sales p JOIN flashguard.sales s ON s.id = p.public_id
WHERE p.id <> p.public_id AND p.status <> 'closed' AND ($1::text IS NULL OR p.public_id = $1)
  AND flashguard.readable(s.starts_at, s.ends_at)
  AND (s.status, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds, s.limit_per_customer, s.hold_durability,
       s.rules - 'counted_since_ms')
      IS DISTINCT FROM
      (p.status, p.starts_at, p.ends_at, p.hold_seconds, p.max_hold_seconds, p.limit_per_customer, p.hold_durability,
       p.rules - 'counted_since_ms')
ORDER BY p.id LIMIT $2;

-- name: transfers_to_complete
-- Units that left a shard at least $2 seconds ago and have not arrived.
SELECT o.sale_id AS donor, r.id AS receiver, r.partition, o.sku, -o.delta AS units, u.id, o.fingerprint
FROM flashguard.transfers_under_way u
JOIN flashguard.restocks o ON o.sale_id = u.donor AND o.key = u.key
JOIN flashguard.sales r ON r.id = u.receiver
WHERE ($1::text IS NULL OR r.public_id = $1) AND o.at < now() - make_interval(secs => $2)
  AND NOT EXISTS (SELECT FROM flashguard.refused_transitions t WHERE t.sale_id = r.id AND t.kind = 'restock'
                    AND t.id = 'transfer:' || u.id || ':in' AND t.times > 1)
ORDER BY o.at LIMIT $3;

-- name: moves_to_load
-- What memory counts of a shard's transfers, per item: see scripts/lib/moved.lua.
SELECT sku, count(*) FILTER (WHERE delta < 0) AS outs, count(*) FILTER (WHERE delta > 0) AS ins,
       coalesce(-sum(delta) FILTER (WHERE delta < 0), 0)::bigint AS units_out,
       coalesce(sum(delta) FILTER (WHERE delta > 0), 0)::bigint AS units_in
FROM flashguard.restocks WHERE sale_id = $1 AND key LIKE 'transfer:%' GROUP BY sku;

-- name: audit_transfers
-- By item of a sale: units that left a shard and have not arrived, the age of the oldest, and
-- transfers whose halves differ.
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
