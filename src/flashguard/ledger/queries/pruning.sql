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
-- The payments of the next $3 reservations, with their refunds and events. One that is not settled stays: a cancel may have asked
-- for a refund at the moment when the sale went.
WITH paid_for AS (
    SELECT DISTINCT reservation FROM flashguard.payments WHERE sale_id = $1 AND reservation > $2 ORDER BY reservation LIMIT $3
), settled AS (
    SELECT id FROM flashguard.payments p JOIN paid_for USING (reservation)
    WHERE sale_id = $1 AND due_at IS NULL
      AND NOT EXISTS (SELECT FROM flashguard.payment_refunds f WHERE f.payment = p.id
                        AND (f.state = 'pending' OR f.state = 'failed' AND f.retried_as IS NULL))
), refunds AS (
    DELETE FROM flashguard.payment_refunds USING settled WHERE payment = settled.id RETURNING 1
), events AS (
    DELETE FROM flashguard.payment_events USING settled WHERE payment = settled.id RETURNING 1
), gone AS (
    DELETE FROM flashguard.payments p USING settled WHERE p.id = settled.id RETURNING 1
)
SELECT (SELECT max(reservation) FROM paid_for) AS last,
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
