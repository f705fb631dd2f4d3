-- name: reservation
SELECT sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, confirmed_at, ended_at
FROM flashguard.reservations WHERE sale_id = $1 AND id = $2;

-- name: recorded_orders
-- Which of these are confirmed orders.
SELECT r.sale_id, r.id, r.fingerprint, r.customer, r.lines FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id) WHERE r.confirmed_at IS NOT NULL;

-- name: known_reservations
-- Which of these the ledger has, in any state.
SELECT r.sale_id, r.id, r.status FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);

-- name: refused_order
SELECT reason FROM flashguard.refusals WHERE sale_id = $1 AND id = $2 LIMIT 1;

-- name: orders_page
-- Orders in the order of their confirmation, after the cursor (confirmed_at, id); all, one customer's, or one.
SELECT sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at
FROM flashguard.reservations
WHERE sale_id = $1 AND confirmed_at IS NOT NULL AND ($2::timestamptz IS NULL OR (confirmed_at, id) > ($2, $3))
  AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6)
ORDER BY confirmed_at, id LIMIT $4;

-- name: newest_orders_page
-- The same, newest first.
SELECT sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at
FROM flashguard.reservations
WHERE sale_id = $1 AND confirmed_at IS NOT NULL AND ($2::timestamptz IS NULL OR (confirmed_at, id) < ($2, $3))
  AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6)
ORDER BY confirmed_at DESC, id DESC LIMIT $4;

-- name: reservations_to_load
-- Every reservation of a sale, as memory needs it: streamed in the order of the primary key.
SELECT id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, ended_at, extensions
FROM flashguard.reservations WHERE sale_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: restocks_to_load
SELECT key, fingerprint, stock, held, sold FROM flashguard.restocks WHERE sale_id = $1 ORDER BY key;
