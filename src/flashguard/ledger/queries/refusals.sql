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

-- name: parked_to_load
-- Parked ids that memory keeps closed: a request for one of them is refused without another journal entry. Grants that the
-- ledger never took, holds that it could not end (their units stay held), and waiting list entries that it never took.
SELECT p.id, p.entry, coalesce(flashguard.to_millis(r.created_at), 0) AS created_ms
FROM (SELECT id, bool_or(kind = 'join') AS entry,
             bool_or(kind IN ('confirm', 'release', 'expire', 'extend')) AS ends,
             bool_or(kind IN ('hold', 'buy', 'honour')) AS grants
      FROM flashguard.refused_transitions WHERE sale_id = $1 AND times > 1 GROUP BY id) AS p
LEFT JOIN flashguard.reservations r ON r.sale_id = $1 AND r.id = p.id
WHERE (p.entry AND NOT EXISTS (SELECT FROM flashguard.waiting_list w WHERE w.sale_id = $1 AND w.id = p.id))
   OR (p.grants AND r.id IS NULL) OR (p.ends AND r.status = 'held');

-- name: doubted_partitions
SELECT partition FROM flashguard.partitions WHERE doubted;

-- name: unreadable_sales
-- Sales with unreadable times or rules: lists and rebuilds leave them out.
SELECT id, concat_ws(', ', 'starts ' || starts_at, 'ends ' || ends_at, 'created ' || created_at,
                     'room opened ' || room_opened_at, 'rules ' || left(rules::text, 100)) AS what
FROM flashguard.sales
WHERE NOT flashguard.readable(starts_at, ends_at, created_at, room_opened_at) OR jsonb_typeof(rules) <> 'object'
   OR EXISTS (SELECT FROM jsonb_each(CASE jsonb_typeof(rules) WHEN 'object' THEN rules ELSE '{}' END) AS rule (name, value)
              WHERE name IN ('max_held', 'cool_down_after', 'cool_down_ms', 'waiting_most', 'waiting_hold_ms', 'spread')
                AND CASE jsonb_typeof(value)
                    WHEN 'number' THEN value::numeric < 0 OR value::numeric <> trunc(value::numeric)
                                       OR value::numeric > CASE name WHEN 'spread' THEN 256 ELSE 9007199254740992 END
                    ELSE jsonb_typeof(value) NOT IN ('boolean', 'null') END)
ORDER BY id LIMIT $1;

-- name: unreadable_reservations
-- Reservations with unreadable times or lines: lists leave them out. Lines are
-- sku, units, sku, units, ... with whole numbers.
SELECT sale_id || '.' || id AS id,
       concat_ws(', ', 'created ' || created_at, 'expires ' || expires_at, 'confirmed ' || confirmed_at, 'ended ' || ended_at,
                 'lines ' || left(lines::text, 100)) AS what
FROM flashguard.reservations
WHERE NOT flashguard.readable(created_at, expires_at, confirmed_at, ended_at)
   OR flashguard.line_count(lines) = 0 OR jsonb_array_length(lines) % 2 = 1
   OR EXISTS (SELECT FROM generate_series(0, flashguard.line_count(lines) - 1) AS n
              WHERE flashguard.line_units(lines, n) IS DISTINCT FROM CASE WHEN jsonb_typeof(lines -> (2 * n + 1)) = 'number'
                                                                           THEN (lines -> (2 * n + 1))::numeric END
                 OR flashguard.line_units(lines, n) IS NULL OR jsonb_typeof(lines -> (2 * n)) <> 'string')
LIMIT $1;

-- name: unreadable_deliveries
-- Webhook messages with unreadable times: they are not sent.
SELECT 'webhook message ' || id AS id,
       concat_ws(', ', 'at ' || at, 'created ' || created_at, 'expires ' || expires_at, 'confirmed ' || confirmed_at,
                 'due ' || due_at, 'first tried ' || first_at) AS what
FROM flashguard.webhook_deliveries
WHERE state = 'pending' AND NOT (flashguard.readable(at, created_at, expires_at, confirmed_at, first_at)
                                 AND flashguard.readable(due_at))
LIMIT $1;

-- name: missing_ranges
-- The constraints on times, prices and stock that this ledger lacks: an operator dropped them.
SELECT name FROM unnest(ARRAY['sales_times_in_range', 'items_price_in_range', 'items_stock_in_range',
                              'reservations_times_in_range', 'waiting_list_times_in_range']) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_constraint c
                  WHERE c.conname = wanted.name AND c.connamespace = 'flashguard'::regnamespace)
ORDER BY name;
