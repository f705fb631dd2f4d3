-- name: sales_in_memory
-- The sales of a partition that memory must have: all but those closed for longer than their keys live, and those to which
-- units are on their way. Without sales whose own row the ledger refuses to change: the clock would ask for that without
-- end. The times of a row that is not `readable` are clamped: it must not be loaded.
SELECT id, status, flashguard.readable(starts_at, ends_at, room_opened_at) AS readable,
       flashguard.clamped(starts_at) AS starts_at, flashguard.clamped(ends_at) AS ends_at, hold_seconds, max_hold_seconds,
       limit_per_customer, hold_durability, waiting_room, flashguard.clamped(room_opened_at) AS room_opened_at, rules
FROM (SELECT id FROM flashguard.sales WHERE partition = $1 AND status <> 'closed'
      UNION
      SELECT id FROM flashguard.sales WHERE status = 'closed' AND closed_at > now() - make_interval(secs => $2)
      UNION
      SELECT receiver FROM flashguard.transfers_under_way) AS wanted (sale)
CROSS JOIN LATERAL (SELECT * FROM flashguard.sales WHERE sales.id = wanted.sale OFFSET 0) AS sales -- each by its id
WHERE partition = $1
  AND NOT EXISTS (SELECT FROM flashguard.refused_transitions t
                  WHERE t.sale_id = sales.id AND t.kind = 'sale' AND t.id IN ('clock', 'follow') AND t.times > 1)
ORDER BY id;

-- name: sale_definition
-- The JSON that restores a new sale in a ledger that lost it: see restore_sales.
SELECT jsonb_build_object('sale', to_jsonb(s) - 'public_id' - 'room_of',
                          'items', (SELECT jsonb_agg(to_jsonb(i) ORDER BY ordinal) FROM flashguard.items i
                                    WHERE i.sale_id = s.id))::text
FROM flashguard.sales s WHERE id = $1;

-- name: restocks_to_load
SELECT key, fingerprint, stock, held, sold FROM flashguard.restocks WHERE sale_id = $1 ORDER BY key;

-- name: moves_to_load
-- What memory counts of a shard's transfers, per item: see scripts/lib/moved.lua.
SELECT sku, count(*) FILTER (WHERE delta < 0) AS outs, count(*) FILTER (WHERE delta > 0) AS ins,
       coalesce(-sum(delta) FILTER (WHERE delta < 0), 0)::bigint AS units_out,
       coalesce(sum(delta) FILTER (WHERE delta > 0), 0)::bigint AS units_in
FROM flashguard.restocks WHERE sale_id = $1 AND key LIKE 'transfer:%' GROUP BY sku;

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

-- name: amendments_to_load
-- The keys of amends, and those of parked ones, which no request matches.
SELECT key, fingerprint, id, revision, customer, lines, details FROM flashguard.amendments WHERE sale_id = $1
UNION ALL
SELECT id, -1, '', 0, '', '["", 0]', NULL FROM flashguard.refused_transitions
WHERE sale_id = $1 AND kind = 'amend' AND times > 1
ORDER BY key;

-- name: sale_changes_to_load
SELECT key, verb, status FROM flashguard.sale_changes WHERE sale_id = $1 ORDER BY key;

-- name: ended_to_load
-- A sale's orders and ended holds as memory keeps them (2 confirmed, 3 released, 4 expired, 5 cancelled), for a cursor: in
-- the order that costs least: a million of them must take seconds. Unreadable times are clamped, so that their idempotency
-- keys stay known.
SELECT id, CASE status WHEN 'confirmed' THEN 2 WHEN 'released' THEN 3 WHEN 'expired' THEN 4 ELSE 5 END,
       fingerprint, flashguard.to_millis(created_at), hold_ms,
       flashguard.to_millis(ended_at) - flashguard.to_millis(created_at), flashguard.revision_of(details)
FROM flashguard.reservations WHERE sale_id = $1 AND status <> 'held';

-- name: used_to_load
-- The units that each customer of a sale holds or bought, for a cursor, including those of orders that the ledger lost.
SELECT customer, coalesce(sum(units), 0)::bigint
FROM (SELECT customer, CASE flashguard.line_count(lines) WHEN 1 THEN flashguard.line_units(lines, 0)
                       ELSE (SELECT sum(flashguard.line_units(lines, n))
                             FROM generate_series(0, flashguard.line_count(lines) - 1) AS n) END AS units
      FROM flashguard.reservations WHERE sale_id = $1 AND status IN ('held', 'confirmed')
      UNION ALL
      SELECT customer, units FROM flashguard.lost_units WHERE sale_id = $1 AND strpos(customer, E'\x1f') = 0) AS used
GROUP BY customer;

-- name: limits_used_to_load
-- What limits by item and by identity count, for a cursor, including units of orders that the ledger lost: their fields are no
-- customer's id.
SELECT field, sum(units)::bigint
FROM (SELECT field, units FROM flashguard.limits_used($1)
      UNION ALL
      SELECT customer, units FROM flashguard.lost_units WHERE sale_id = $1 AND strpos(customer, E'\x1f') > 0) AS used
GROUP BY field;

-- name: holds_to_load
-- A sale's live holds, for a cursor; not those whose end is parked, see parked_to_load.
SELECT id, customer, lines, fingerprint, hold_ms, extensions, details,
       flashguard.to_millis(created_at) AS created_ms, flashguard.to_millis(expires_at) AS expires_ms
FROM flashguard.reservations r WHERE sale_id = $1 AND status = 'held'
  AND NOT EXISTS (SELECT FROM flashguard.refused_transitions t WHERE t.sale_id = $1 AND t.id = r.id AND t.times > 1
                    AND t.kind IN ('confirm', 'release', 'expire', 'extend'));

-- name: waiting_to_load
-- A sale's entries, for a cursor.
SELECT id, place, customer, sku, quantity, fingerprint, state, admitted, identities,
       flashguard.to_millis(created_at) AS created_ms
FROM flashguard.waiting_list WHERE sale_id = $1 ORDER BY place;

-- name: waited_for_to_load
-- The items for which entries wait on any shard of this shard's sale. Those that wait behind a waiting room set nothing aside.
SELECT DISTINCT w.sku FROM flashguard.waiting_list w JOIN flashguard.sales s ON s.id = w.sale_id
WHERE s.public_id = split_part($1, '~', 1) AND w.state = 'waiting' AND w.admitted;

-- name: hold_history_to_load
-- What memory counts of each customer of a sale, and of each identity by the rule holds_by, for a cursor: units in live holds;
-- holds without an order that ended after $2, by memory's clock in ms; and the last of those.
SELECT holder, held, expired_holds, last_ms
FROM (SELECT holder, count(*) FILTER (WHERE without_order) AS expired_holds,
             coalesce(max(ended_ms) FILTER (WHERE without_order), 0) AS last_ms,
             coalesce(sum((SELECT sum(flashguard.line_units(lines, n))
                           FROM generate_series(0, flashguard.line_count(lines) - 1) AS n))
                      FILTER (WHERE status = 'held'), 0)::bigint AS held
      FROM (SELECT holder, status, lines, ended_ms,
                   status IN ('expired', 'released') AND ended_ms >= $2::bigint AS without_order
            FROM (SELECT h.holder, r.status, r.lines, flashguard.to_millis(r.ended_at) AS ended_ms
                  FROM flashguard.reservations r
                  CROSS JOIN (SELECT CASE jsonb_typeof(rules -> 'holds_by') WHEN 'array' THEN rules -> 'holds_by' ELSE '[]' END
                                     AS names
                              FROM flashguard.sales WHERE id = $1) AS rule
                  CROSS JOIN LATERAL (
                      SELECT r.customer AS holder
                      UNION ALL
                      SELECT E'\x1f' || by || E'\x1f' || (r.details -> 'identities' ->> by)
                      FROM jsonb_array_elements_text(rule.names) AS by WHERE r.details -> 'identities' ? by) AS h
                  WHERE r.sale_id = $1 AND r.status IN ('held', 'expired', 'released')) AS known) AS judged
      GROUP BY holder) AS holders
WHERE held > 0 OR expired_holds > 0;

-- name: reserved_to_load
-- When each customer of a sale, or of one that shares its waiting room, last made a hold or an order, by memory's clock in
-- ms, for a cursor. A ticket of a waiting room counts for a day, so older ones are left out.
SELECT customer, round(date_part('epoch', max(created_at)) * 1000)::bigint AS created_ms
FROM flashguard.reservations
WHERE sale_id IN (SELECT $1 UNION ALL SELECT id FROM flashguard.sales WHERE room_of = split_part($1, '~', 1))
  AND created_at > now() - interval '25 hours'
GROUP BY customer;
