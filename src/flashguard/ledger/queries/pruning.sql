-- name: sales_to_prune
-- The sales that closed before $1, those that share another's waiting room before that one; and why each stays, if it does.
SELECT public_id AS id, flashguard.clamped(closed_at) AS closed_at, flashguard.why_kept(public_id, $1) AS why,
       (SELECT array_agg(s.id ORDER BY s.id) FROM flashguard.sales s WHERE s.public_id = sales.public_id) AS shards,
       (SELECT coalesce(sum(i.sold), 0)::bigint FROM flashguard.items i JOIN flashguard.sales s ON s.id = i.sale_id
        WHERE s.public_id = sales.public_id AND i.kind = 'item') AS sold
FROM flashguard.sales WHERE status = 'closed' AND closed_at < $1 AND id = public_id
ORDER BY room_of IS NULL, closed_at, id;

-- name: prune_sale
SELECT flashguard.prune_sale($1, $2);

-- name: prunes_to_finish
-- Sales that are gone, with rows left.
SELECT id FROM flashguard.pruned_sales WHERE finished_at IS NULL ORDER BY pruned_at, id;

-- name: prune_reservations
-- The next $3 after the id $2: a batch does not read again what the ones before it deleted. Returns the last id of the batch,
-- NULL when there is none left; so does each of these.
WITH gone AS (
    DELETE FROM flashguard.reservations WHERE sale_id = $1 AND id IN (
        SELECT id FROM flashguard.reservations WHERE sale_id = $1 AND id > $2 ORDER BY id LIMIT $3)
    RETURNING id
)
SELECT max(id) AS last, count(*) AS rows FROM gone;

-- name: reservations_to_sweep
-- Of a removed sale: whether it is large; how many pages the table has; and which file it is, because a VACUUM FULL moves its rows.
SELECT is_large, pg_relation_size('flashguard.reservations') / current_setting('block_size')::bigint AS pages,
       pg_relation_filenode('flashguard.reservations') AS file
FROM flashguard.pruned_sales WHERE id = $1;

-- name: sweep_reservations
-- The next $4 of a large sale from the place $2 of the table on, before $3: those of one page together. No index is read.
WITH found AS MATERIALIZED (
    SELECT ctid FROM flashguard.reservations WHERE ctid >= $2::tid AND ctid < $3::tid AND sale_id || '' = $1 LIMIT $4
), gone AS (
    DELETE FROM flashguard.reservations WHERE ctid = ANY (ARRAY(SELECT ctid FROM found)) RETURNING 1
)
SELECT (SELECT max(ctid) FROM found) AS last, count(*) AS rows FROM gone;

-- name: prune_amendments
WITH gone AS (
    DELETE FROM flashguard.amendments WHERE sale_id = $1 AND key IN (
        SELECT key FROM flashguard.amendments WHERE sale_id = $1 AND key > $2 ORDER BY key LIMIT $3)
    RETURNING key
)
SELECT max(key) AS last, count(*) AS rows FROM gone;

-- name: prune_restocks
WITH gone AS (
    DELETE FROM flashguard.restocks WHERE sale_id = $1 AND key IN (
        SELECT key FROM flashguard.restocks WHERE sale_id = $1 AND key > $2 ORDER BY key LIMIT $3)
    RETURNING key
)
SELECT max(key) AS last, count(*) AS rows FROM gone;

-- name: prune_waiting_list
WITH gone AS (
    DELETE FROM flashguard.waiting_list WHERE sale_id = $1 AND id IN (
        SELECT id FROM flashguard.waiting_list WHERE sale_id = $1 AND id > $2 ORDER BY id LIMIT $3)
    RETURNING id
)
SELECT max(id) AS last, count(*) AS rows FROM gone;

-- name: prune_shadow_attempts
WITH gone AS (
    DELETE FROM flashguard.shadow_attempts WHERE sale_id = $1 AND key IN (
        SELECT key FROM flashguard.shadow_attempts WHERE sale_id = $1 AND key > $2 ORDER BY key LIMIT $3)
    RETURNING key
)
SELECT max(key) AS last, count(*) AS rows FROM gone;

-- name: prune_payments
-- The next $3, in the order in which they were made, and so in that of the table's pages; with their refunds and events. One that
-- is not settled stays: a cancel may have asked for a refund at the moment when the sale went.
WITH next AS MATERIALIZED (
    SELECT id, created_at, due_at FROM flashguard.payments
    WHERE sale_id = $1 AND ($2 = '' OR (created_at, id) > (nullif(split_part($2, '|', 1), '')::timestamptz, split_part($2, '|', 2)))
    ORDER BY created_at, id LIMIT $3
), settled AS (
    SELECT id FROM next
    WHERE due_at IS NULL
      AND NOT EXISTS (SELECT FROM flashguard.payment_refunds f WHERE f.payment = next.id
                        AND (f.state = 'pending' OR f.state = 'failed' AND f.retried_as IS NULL))
), refunds AS (
    DELETE FROM flashguard.payment_refunds USING settled WHERE payment = settled.id RETURNING 1
), events AS (
    DELETE FROM flashguard.payment_events USING settled WHERE payment = settled.id RETURNING 1
), gone AS (
    DELETE FROM flashguard.payments p USING settled WHERE p.id = settled.id RETURNING 1
)
SELECT (SELECT created_at || '|' || id FROM next ORDER BY next.created_at DESC, id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM gone) + (SELECT count(*) FROM refunds) + (SELECT count(*) FROM events) AS rows;

-- name: prune_refusals
-- There are few of these and of the next: each batch begins at the start.
WITH gone AS (
    DELETE FROM flashguard.refusals WHERE ctid IN (
        SELECT ctid FROM flashguard.refusals WHERE sale_id = $1 AND $2::text IS NOT NULL LIMIT $3)
    RETURNING 1
)
SELECT CASE WHEN count(*) > 0 THEN '' END AS last, count(*) AS rows FROM gone;

-- name: prune_refused_transitions
WITH gone AS (
    DELETE FROM flashguard.refused_transitions WHERE ctid IN (
        SELECT ctid FROM flashguard.refused_transitions WHERE sale_id = $1 AND $2::text IS NOT NULL LIMIT $3)
    RETURNING 1
)
SELECT CASE WHEN count(*) > 0 THEN '' END AS last, count(*) AS rows FROM gone;

-- name: note_pruned
-- Nothing is left of it, except payments that are not settled yet: those wait for the next prune.
UPDATE flashguard.pruned_sales SET finished_at = clock_timestamp()
WHERE id = $1 AND finished_at IS NULL AND NOT EXISTS (SELECT FROM flashguard.payments WHERE sale_id = $1);
