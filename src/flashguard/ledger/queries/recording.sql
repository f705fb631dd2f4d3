-- name: position
SELECT epoch, seq, token FROM flashguard.partitions WHERE partition = $1;

-- name: doubted
SELECT doubted FROM flashguard.partitions WHERE partition = $1;

-- name: doubt
UPDATE flashguard.partitions SET doubted = true WHERE partition = $1;

-- name: positions
SELECT partition, epoch, seq, token FROM flashguard.partitions ORDER BY partition;

-- name: record_group
-- The facts and their events, in one statement and therefore one transaction.
SELECT applied, drift, CASE WHEN applied THEN flashguard.write_events($7, $8, $9) END
FROM flashguard.record_group($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: write_rare_events
SELECT flashguard.write_rare_events($1::text::jsonb, $2::text::jsonb);

-- name: record_changes
SELECT flashguard.record_changes($1::text::jsonb, $2::text::jsonb, $3::text::jsonb);

-- name: record_sale_rules
UPDATE flashguard.sales s SET rules = c.rules::jsonb
FROM unnest($1::text[], $2::text[]) AS c (sale, rules) WHERE s.id = c.sale;

-- name: restore_sales
SELECT flashguard.restore_sales($1::text::jsonb) AS id;

-- name: describe_sales
-- Names and waiting rooms that changed; '' where unchanged. The shards of a spread sale share its name.
UPDATE flashguard.sales s SET name = coalesce(nullif(d.name, ''), s.name),
       waiting_room = CASE WHEN s.waiting_room IS NOT NULL AND d.room <> '' THEN d.room::jsonb ELSE s.waiting_room END
FROM unnest($1::text[], $2::text[], $3::text[]) AS d (sale, name, room) WHERE s.public_id = d.sale;

-- name: record_cancels
SELECT flashguard.record_cancels($1::text::jsonb);

-- name: cancel_archived
SELECT flashguard.cancel_archived($1, $2, $3, $4, $5);

-- name: record_change_keys
-- The first outcome stays, if a memory that lost a key accepts it again.
INSERT INTO flashguard.sale_changes (sale_id, key, verb, status, at)
SELECT sale, key, verb, status, to_timestamp(at_ms::float8 / 1000)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS c (sale, key, verb, status, at_ms)
ON CONFLICT DO NOTHING;

-- name: record_refusals
WITH refused AS (
    INSERT INTO flashguard.refusals (sale_id, id, customer, lines, reason, epoch)
    SELECT sale_id, id, customer, lines::jsonb, reason, $6
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS r (sale_id, id, customer, lines, reason)
    RETURNING sale_id, id, customer, lines, reason, at
)
INSERT INTO flashguard.webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, detail)
SELECT w.id, 'ledger.refused', r.sale_id, r.id, r.at, r.customer, r.lines, r.reason
FROM refused r JOIN flashguard.webhook_endpoints w ON w.enabled AND 'ledger.refused' = ANY (w.events);

-- name: counters_for_update
-- The items of a doubtful group, locked until its transaction ends.
SELECT sale_id, sku, stock, held, sold FROM flashguard.items
WHERE (sale_id, sku) IN (SELECT * FROM unnest($1::text[], $2::text[])) FOR UPDATE;

-- name: raise_epoch
-- Compare-and-set: only one recorder gets the next epoch.
UPDATE flashguard.partitions SET epoch = epoch + 1, seq = 0, token = $5, recorded_at = now(), doubted = false
WHERE partition = $1 AND epoch = $2 AND seq = $3 AND token = $4 RETURNING epoch;

-- name: note_recovery
-- One more rebuild; only the newest 10,000 are kept.
WITH old AS (
    DELETE FROM flashguard.recoveries WHERE (partition, epoch) IN (
        SELECT partition, epoch FROM flashguard.recoveries ORDER BY at DESC OFFSET 10000)
)
INSERT INTO flashguard.recoveries (partition, epoch, why, seconds, entries, sales, reservations)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING;

-- name: recoveries
-- The number of rebuilds, the seconds of all together, and the newest one.
SELECT count(*) AS count, coalesce(sum(seconds), 0) AS seconds, max(seconds) AS longest,
       (SELECT why FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS why,
       (SELECT seconds FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS newest_seconds,
       (SELECT partition FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS partition,
       max(at) AS at
FROM flashguard.recoveries;
