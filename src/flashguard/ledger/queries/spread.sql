-- name: spread_of
-- The number of shards of a sale; no row when there is no such sale.
SELECT coalesce((rules ->> 'spread')::integer, 1) AS shards FROM flashguard.sales WHERE id = $1;

-- name: shards_that_differ
-- Shards of spread sales, or of this one, whose status or rules are not the first shard's; and the first shard's status and
-- rules. Each shard has its own time from which the hold history counts.
SELECT p.id, p.partition, p.rules AS had, s.status, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds,
       s.limit_per_customer, s.hold_durability, s.rules, s.waiting_room, s.room_opened_at
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

-- name: shards_of
SELECT id, partition FROM flashguard.sales WHERE public_id = $1 ORDER BY id;

-- name: arrivals_without_departure
-- Units that arrived at a shard, and whose departure from a shard on one of these partitions the ledger lost.
SELECT d.id AS donor, d.partition, i.sku, i.delta AS units, i.sale_id AS receiver, split_part(i.key, ':', 2) AS id,
       i.fingerprint
FROM flashguard.restocks i JOIN flashguard.sales d ON d.id = i.reason
WHERE i.key LIKE 'transfer:%:in' AND d.partition = ANY ($1::integer[])
  AND NOT EXISTS (SELECT FROM flashguard.restocks o
                  WHERE o.sale_id = d.id AND o.key = 'transfer:' || split_part(i.key, ':', 2) || ':out')
ORDER BY i.sale_id, i.key;

-- name: departures_under_way
-- Units that left a shard and have not arrived at their receiver on one of these partitions.
SELECT u.id, o.sku, -o.delta AS units, u.donor, u.receiver, r.partition, o.fingerprint
FROM flashguard.transfers_under_way u
JOIN flashguard.restocks o ON o.sale_id = u.donor AND o.key = u.key
JOIN flashguard.sales r ON r.id = u.receiver
WHERE r.partition = ANY ($1::integer[]) ORDER BY u.id;

-- name: depart
-- A departure that the ledger lost. With $6 the units are still in its stock, and leave it as far as they are unsold.
WITH item AS (
    UPDATE flashguard.items SET stock = stock - CASE WHEN $6 THEN least($3::bigint, stock - held - sold) ELSE 0 END
    WHERE sale_id = $1 AND sku = $2 RETURNING stock, held, sold
)
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, 'transfer:' || $5 || ':out', $2, -$3::bigint, $4, $7, stock, held, sold, now() FROM item
ON CONFLICT DO NOTHING;

-- name: arrive
-- An arrival that memory has and the ledger lost; its units are in the counters.
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, 'transfer:' || $5 || ':in', $2, $3::bigint, $4, $6, stock, held, sold, now()
FROM flashguard.items WHERE sale_id = $1 AND sku = $2 ON CONFLICT DO NOTHING;

-- name: return_units
-- $3 units are on their way by memory: those that no transfer of the ledger explains, returned or not, return here.
WITH lost AS (
    SELECT $3::bigint
           - coalesce((SELECT sum(-o.delta) FROM flashguard.transfers_under_way u
                       JOIN flashguard.restocks o ON o.sale_id = u.donor AND o.key = u.key
                       JOIN flashguard.sales s ON s.id = u.donor
                       WHERE s.public_id = split_part($1, '~', 1) AND o.sku = $2), 0)
           - coalesce((SELECT sum(b.delta) FROM flashguard.restocks b JOIN flashguard.sales s ON s.id = b.sale_id
                       WHERE s.public_id = split_part($1, '~', 1) AND b.sku = $2
                         AND b.key LIKE 'recover:' || $4::bigint || ':returned:%'), 0) AS units
), item AS (
    UPDATE flashguard.items i SET stock = stock + lost.units FROM lost
    WHERE i.sale_id = $1 AND i.sku = $2 AND lost.units > 0 RETURNING i.stock, i.held, i.sold, lost.units
)
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, 'recover:' || $4::bigint || ':returned:' || $2, $2, units, 'units on their way that the ledger lost', 0,
       stock, held, sold, now()
FROM item ON CONFLICT DO NOTHING;
