-- name: reservation
SELECT sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, confirmed_at, ended_at,
       restocked, cancel_reason
FROM flashguard.reservations WHERE sale_id = $1 AND id = $2;

-- name: recorded
-- Those of these ids that the ledger has, with what identifies their content.
SELECT r.sale_id, r.id, r.fingerprint, r.customer, r.lines, r.status FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);

-- name: orders_page
-- Orders of a sale, or of all its shards, by the time of their confirmation, after the cursor (confirmed_at, id); of one
-- customer, id, status or time where given. Unreadable times are clamped, and the row says so.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason
    FROM flashguard.reservations r
    WHERE r.sale_id = shard.sale_id AND confirmed_at IS NOT NULL
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
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason
    FROM flashguard.reservations r
    WHERE r.sale_id = shard.sale_id AND confirmed_at IS NOT NULL
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) < ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at DESC, id DESC LIMIT $4) AS o
ORDER BY o.confirmed_at DESC, id DESC LIMIT $4;

-- name: cancel_archived
SELECT flashguard.cancel_archived($1, $2, $3, $4, $5);
