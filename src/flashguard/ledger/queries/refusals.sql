-- name: count_refused
-- One more refusal of each; and the refusals of each so far.
INSERT INTO flashguard.refused_transitions AS t (sale_id, kind, id, reason, partition)
SELECT sale_id, kind, id, reason, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS r (sale_id, kind, id, reason)
ON CONFLICT (sale_id, kind, id) DO UPDATE SET times = t.times + 1, reason = excluded.reason, last_at = now()
RETURNING sale_id, kind, id, reason, times;

-- name: end_parked_entries
-- An offer that was refused twice is not made again: the next entry in the queue is served.
UPDATE flashguard.waiting_list w SET state = 'ended', ended_at = now()
FROM unnest($1::text[], $2::text[]) AS p (sale_id, id)
WHERE w.sale_id = p.sale_id AND w.id = p.id AND w.state = 'waiting';

-- name: parked
-- Whether this very transition is parked.
SELECT 1 FROM flashguard.refused_transitions WHERE sale_id = $1 AND kind = $2 AND id = $3 AND times > 1;

-- name: parked_of_id
-- Whether anything under this id is parked.
SELECT 1 FROM flashguard.refused_transitions WHERE sale_id = $1 AND id = $2 AND times > 1 LIMIT 1;

-- name: parked_transitions
-- The newest parked transitions, at most $1, and the number of all.
SELECT sale_id, kind, id, partition, reason, times, last_at, count(*) OVER () AS total
FROM flashguard.refused_transitions WHERE times > 1 ORDER BY last_at DESC, sale_id, id LIMIT $1;

-- name: refused_order
SELECT reason FROM flashguard.refusals WHERE sale_id = $1 AND id = $2 LIMIT 1;

-- name: record_refusals
WITH refused AS (
    INSERT INTO flashguard.refusals (sale_id, id, customer, lines, reason, epoch)
    SELECT sale_id, id, customer, lines::jsonb, reason, $6
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS r (sale_id, id, customer, lines, reason)
    RETURNING sale_id, id, customer, lines, reason, at
)
SELECT flashguard.write_fact(s.partition, 'ledger.refused', r.sale_id, r.id, r.at, r.customer, r.lines, p_detail => r.reason)
FROM refused r JOIN flashguard.sales s ON s.id = r.sale_id;
