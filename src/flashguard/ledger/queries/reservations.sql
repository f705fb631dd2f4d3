-- name: reservation
SELECT sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, confirmed_at, ended_at,
       restocked, cancel_reason
FROM flashguard.reservations WHERE sale_id = $1 AND id = $2;

-- name: recorded
-- Those of these ids that the ledger has, with what identifies their content.
SELECT r.sale_id, r.id, r.fingerprint, r.customer, r.lines, r.status FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);

-- name: known_reservations
-- Those of these ids that the ledger has, in any state.
SELECT r.sale_id, r.id, r.status FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);

-- name: refused_order
SELECT reason FROM flashguard.refusals WHERE sale_id = $1 AND id = $2 LIMIT 1;

-- name: orders_page
-- Orders of a sale, or of all its shards, by the time of their confirmation, after the cursor (confirmed_at, id); of one
-- customer, id, status or time where given. Unreadable times are
-- clamped, and the row says so.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS part (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason
    FROM flashguard.reservations r
    WHERE r.sale_id = part.sale_id AND confirmed_at IS NOT NULL
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) > ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at, id LIMIT $4) AS o
ORDER BY o.confirmed_at, id LIMIT $4;

-- name: newest_orders_page
-- The same, newest first.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS part (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason
    FROM flashguard.reservations r
    WHERE r.sale_id = part.sale_id AND confirmed_at IS NOT NULL
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) < ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at DESC, id DESC LIMIT $4) AS o
ORDER BY o.confirmed_at DESC, id DESC LIMIT $4;

-- name: ended_to_load
-- A sale's orders and ended holds as memory keeps them (2 confirmed, 3 released, 4 expired, 5 cancelled), for a cursor: in
-- the order that costs least: a million of them must take seconds. Unreadable times are clamped, so that their idempotency
-- keys stay known.
SELECT id, CASE status WHEN 'confirmed' THEN 2 WHEN 'released' THEN 3 WHEN 'expired' THEN 4 ELSE 5 END,
       fingerprint, flashguard.to_millis(created_at), hold_ms,
       flashguard.to_millis(ended_at) - flashguard.to_millis(created_at)
FROM flashguard.reservations WHERE sale_id = $1 AND status <> 'held';

-- name: holds_to_load
-- A sale's live holds, for a cursor; not those whose end is parked, see parked_to_load.
SELECT id, customer, lines, fingerprint, hold_ms, extensions,
       flashguard.to_millis(created_at) AS created_ms, flashguard.to_millis(expires_at) AS expires_ms
FROM flashguard.reservations r WHERE sale_id = $1 AND status = 'held'
  AND NOT EXISTS (SELECT FROM flashguard.refused_transitions t WHERE t.sale_id = $1 AND t.id = r.id AND t.times > 1
                    AND t.kind IN ('confirm', 'release', 'expire', 'extend'));

-- name: used_to_load
-- The units that each customer of a sale holds or bought, for a cursor, including those of orders that the ledger lost.
SELECT customer, coalesce(sum(units), 0)::bigint
FROM (SELECT customer, CASE flashguard.line_count(lines) WHEN 1 THEN flashguard.line_units(lines, 0)
                       ELSE (SELECT sum(flashguard.line_units(lines, n))
                             FROM generate_series(0, flashguard.line_count(lines) - 1) AS n) END AS units
      FROM flashguard.reservations WHERE sale_id = $1 AND status IN ('held', 'confirmed')
      UNION ALL
      SELECT customer, units FROM flashguard.lost_units WHERE sale_id = $1) AS taken
GROUP BY customer;

-- name: reserved_to_load
-- When each customer of a sale last made a hold or an order, by memory's clock in ms, for a cursor. A ticket of a waiting
-- room counts for a day, so older ones are left out.
SELECT customer, round(date_part('epoch', max(created_at)) * 1000)::bigint AS created_ms
FROM flashguard.reservations WHERE sale_id = $1 AND created_at > now() - interval '25 hours'
GROUP BY customer;

-- name: habits_to_load
-- What memory counts of each customer of a sale, for a cursor: units in live holds; holds without an order that ended after
-- $2, by memory's clock in ms; and the last of those.
SELECT customer, held, lapses, last_ms
FROM (SELECT customer, count(*) FILTER (WHERE lapsed) AS lapses,
             coalesce(max(ended_ms) FILTER (WHERE lapsed), 0) AS last_ms,
             coalesce(sum((SELECT sum(flashguard.line_units(lines, n))
                           FROM generate_series(0, flashguard.line_count(lines) - 1) AS n))
                      FILTER (WHERE status = 'held'), 0)::bigint AS held
      FROM (SELECT customer, status, lines, ended_ms,
                   status IN ('expired', 'released') AND ended_ms >= $2::bigint AS lapsed
            FROM (SELECT customer, status, lines, flashguard.to_millis(ended_at) AS ended_ms
                  FROM flashguard.reservations
                  WHERE sale_id = $1 AND status IN ('held', 'expired', 'released')) AS known) AS judged
      GROUP BY customer) AS customers
WHERE held > 0 OR lapses > 0;

-- name: restock_recorded
SELECT 1 FROM flashguard.restocks WHERE sale_id = $1 AND key = $2;

-- name: restocks_to_load
SELECT key, fingerprint, stock, held, sold FROM flashguard.restocks WHERE sale_id = $1 ORDER BY key;

-- name: sale_change
SELECT verb, status FROM flashguard.sale_changes WHERE sale_id = $1 AND key = $2;

-- name: sale_changes_to_load
SELECT key, verb, status FROM flashguard.sale_changes WHERE sale_id = $1 ORDER BY key;
