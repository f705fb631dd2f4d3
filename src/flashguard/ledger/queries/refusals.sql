-- name: count_refused
-- One more refusal of each of these; how often each was refused by now.
INSERT INTO flashguard.refused_transitions AS t (sale_id, kind, id, reason, partition)
SELECT sale_id, kind, id, reason, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS r (sale_id, kind, id, reason)
ON CONFLICT (sale_id, kind, id) DO UPDATE SET times = t.times + 1, reason = excluded.reason, last_at = now()
RETURNING sale_id, kind, id, reason, times;

-- name: end_parked_entries
-- What could not be offered twice is not offered again: the next in line is served.
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
-- The newest that are parked, at most $1 of them, and how many there are.
SELECT sale_id, kind, id, partition, reason, times, last_at, count(*) OVER () AS total
FROM flashguard.refused_transitions WHERE times > 1 ORDER BY last_at DESC, sale_id, id LIMIT $1;

-- name: parked_to_load
-- Parked ids that memory keeps closed: whatever asks for one of them again is refused without another journal entry. Grants
-- that the ledger never took, holds that it could not end (their units stay held), and entries that it never took.
SELECT p.id, p.entry, coalesce(round(date_part('epoch', r.created_at) * 1000)::bigint, 0) AS created_ms
FROM (SELECT id, bool_or(kind = 'join') AS entry,
             bool_or(kind IN ('confirm', 'release', 'expire', 'extend')) AS ends,
             bool_or(kind IN ('hold', 'buy', 'honour')) AS grants
      FROM flashguard.refused_transitions WHERE sale_id = $1 AND times > 1 GROUP BY id) AS p
LEFT JOIN flashguard.reservations r ON r.sale_id = $1 AND r.id = p.id
WHERE (p.entry AND NOT EXISTS (SELECT FROM flashguard.waiting_list w WHERE w.sale_id = $1 AND w.id = p.id))
   OR (p.grants AND r.id IS NULL) OR (p.ends AND r.status = 'held');

-- name: doubted_partitions
SELECT partition FROM flashguard.partitions WHERE doubted;
