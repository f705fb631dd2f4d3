-- name: reservation
SELECT sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, confirmed_at, ended_at,
       restocked, cancel_reason, details, flashguard.first_prices(sale_id, lines) AS first_prices
FROM flashguard.reservations WHERE sale_id = $1 AND id = $2;

-- name: recorded
-- Those of these ids that the ledger has, with what identifies their content.
SELECT r.sale_id, r.id, r.fingerprint, r.customer, r.lines, r.status, r.details FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);

-- name: orders_page
-- Orders of a sale, or of all its shards, by the time of their confirmation, after the cursor (confirmed_at, id); of one
-- customer, id, status or time where given; where $10 says so, with their payments. Unreadable times are clamped, and the row
-- says so.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(o.sale_id, lines) AS first_prices,
       CASE WHEN $10 THEN flashguard.payment_of(o.sale_id, id) END AS payment,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason,
           details
    FROM flashguard.reservations r
    WHERE r.sale_id = shard.sale_id AND confirmed_at IS NOT NULL AND status IN ('confirmed', 'cancelled')
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) > ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at, id LIMIT $4) AS o
ORDER BY o.confirmed_at, id LIMIT $4;

-- name: newest_orders_page
-- The same, newest first.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(o.sale_id, lines) AS first_prices,
       CASE WHEN $10 THEN flashguard.payment_of(o.sale_id, id) END AS payment,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason,
           details
    FROM flashguard.reservations r
    WHERE r.sale_id = shard.sale_id AND confirmed_at IS NOT NULL AND status IN ('confirmed', 'cancelled')
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) < ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at DESC, id DESC LIMIT $4) AS o
ORDER BY o.confirmed_at DESC, id DESC LIMIT $4;

-- name: few_orders_page
-- The same of a status that few have, where $11 says so newest first: by the index of what ended. `found` is how many come after
-- the cursor; where it is $12 or more, the index was not read to the end and the page is not whole. The planner must not see that
-- the cursor is also a place in the index of orders: it would read that one, and all orders after it.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(o.sale_id, lines) AS first_prices,
       CASE WHEN $10 THEN flashguard.payment_of(o.sale_id, id) END AS payment,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable, found
FROM (SELECT few.*, count(*) OVER () AS found
      FROM unnest($1::text[]) AS shard (of_sale) CROSS JOIN LATERAL (
          SELECT r.* FROM flashguard.reservations r CROSS JOIN LATERAL (SELECT confirmed_at + interval '0') AS t (at)
          WHERE sale_id = of_sale AND status = $7 AND status <> 'held' AND confirmed_at IS NOT NULL
            AND ($2::timestamptz IS NULL OR CASE WHEN $11 THEN (at, id) < ($2, $3) ELSE (at, id) > ($2, $3) END)
            AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6)
            AND ($8::timestamptz IS NULL OR at >= $8) AND ($9::timestamptz IS NULL OR at < $9)
          ORDER BY customer LIMIT $12) AS few
      ORDER BY CASE WHEN $11 THEN confirmed_at END DESC, CASE WHEN $11 THEN id END DESC, confirmed_at, id LIMIT $4) AS o
ORDER BY CASE WHEN $11 THEN confirmed_at END DESC, CASE WHEN $11 THEN id END DESC, confirmed_at, id;

-- name: reservations_page
-- Reservations of a sale, or of all its shards, by their ids, after the id $2 of the shard $3; of one customer or status where
-- given. A hold past its end at $5 counts as expired. Unreadable times are clamped, and the row says so.
SELECT sale_id, id, customer, now_status AS status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(sale_id, lines) AS first_prices, flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (of_sale) CROSS JOIN LATERAL (
    SELECT r.*, now_status FROM flashguard.reservations r
    CROSS JOIN LATERAL (SELECT CASE WHEN status = 'held' AND expires_at <= $5 THEN 'expired' ELSE status END) AS s (now_status)
    WHERE r.sale_id = of_sale AND id >= $2 AND (id, sale_id) > ($2, $3)
      AND ($6::text IS NULL OR customer = $6) AND ($7::text IS NULL OR now_status = $7)
    ORDER BY id LIMIT $4) AS o
ORDER BY id, sale_id LIMIT $4;

-- name: next_reservations_of_status
-- Those with the status $5 among the next $6 of a sale after the id $2: a whole page, where the status is not rare.
SELECT sale_id, id, customer, now_status AS status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(sale_id, lines) AS first_prices, flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM (SELECT * FROM flashguard.reservations WHERE sale_id = $1 AND id > $2 ORDER BY id LIMIT $6) AS next
CROSS JOIN LATERAL (SELECT CASE WHEN status = 'held' AND expires_at <= $4 THEN 'expired' ELSE status END) AS s (now_status)
WHERE now_status = $5
ORDER BY id LIMIT $3;

-- name: few_reservations_page
-- The same of a customer or a status that has few: by the indexes of live holds and of what ended, status by status. `found`
-- is how many come after the cursor; where it is $8 or more, the index was not read to the end and the page is not whole.
SELECT sale_id, id, customer, now_status AS status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(sale_id, lines) AS first_prices, flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable,
       found
FROM (
    SELECT *, count(*) OVER () AS found
    FROM (SELECT ended.*, ended.status AS now_status
          FROM unnest($1::text[]) AS shard (of_sale)
          CROSS JOIN unnest(ARRAY['confirmed', 'released', 'expired', 'cancelled']) AS ending (of_status)
          CROSS JOIN LATERAL (
              SELECT * FROM flashguard.reservations
              WHERE sale_id = of_sale AND status = of_status AND status <> 'held' AND ($6::text IS NULL OR customer = $6)
                AND (id || '', sale_id) > ($2, $3) -- not by the index of ids
              ORDER BY customer LIMIT $8) AS ended
          WHERE $7::text IS NULL OR of_status = $7
          UNION ALL
          SELECT held.*, now_status
          FROM flashguard.reservations AS held
          CROSS JOIN LATERAL (SELECT CASE WHEN expires_at <= $5 THEN 'expired' ELSE 'held' END) AS s (now_status)
          WHERE sale_id = ANY ($1) AND status = 'held' AND ($6 IS NULL OR customer = $6) AND (id, sale_id) > ($2, $3)
            AND ($7 IS NULL OR now_status = $7)) AS each
    ORDER BY id, sale_id LIMIT $4) AS o
ORDER BY id, sale_id;

-- name: holds_of_customer_page
-- The same of one customer's live holds: by the index of live holds.
SELECT sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, confirmed_at, ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(sale_id, lines) AS first_prices, flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM flashguard.reservations
WHERE sale_id = ANY ($1::text[]) AND customer = $6 AND status = 'held' AND expires_at > $5 AND (id, sale_id) > ($2, $3)
ORDER BY id, sale_id LIMIT $4;

-- name: amendment
-- The request of this key, once the ledger has it.
SELECT fingerprint, id FROM flashguard.amendments WHERE sale_id = $1 AND key = $2;

-- name: cancel_items_archived
SELECT flashguard.cancel_items_archived($1::text::jsonb, $2);

-- name: orders_page_of_reference
-- The same of one reference: by its index. Without OFFSET 0 the planner, that has never seen one, would expect very many, and read
-- the whole sale in the order of the page.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(o.sale_id, lines) AS first_prices,
       CASE WHEN $10 THEN flashguard.payment_of(o.sale_id, id) END AS payment,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason,
           details
    FROM (SELECT * FROM flashguard.reservations
          WHERE sale_id = shard.sale_id AND details ->> 'reference' = $11 OFFSET 0) AS r
    WHERE confirmed_at IS NOT NULL
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) > ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at, id LIMIT $4) AS o
ORDER BY o.confirmed_at, id LIMIT $4;

-- name: newest_orders_page_of_reference
-- The same of one reference: by its index.
SELECT o.sale_id, id, customer, status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(o.sale_id, lines) AS first_prices,
       CASE WHEN $10 THEN flashguard.payment_of(o.sale_id, id) END AS payment,
       flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (sale_id) CROSS JOIN LATERAL (
    SELECT r.sale_id, id, customer, status, lines, created_at, expires_at, confirmed_at, ended_at, restocked, cancel_reason,
           details
    FROM (SELECT * FROM flashguard.reservations
          WHERE sale_id = shard.sale_id AND details ->> 'reference' = $11 OFFSET 0) AS r
    WHERE confirmed_at IS NOT NULL
      AND ($2::timestamptz IS NULL OR (confirmed_at, id) < ($2, $3))
      AND ($5::text IS NULL OR customer = $5) AND ($6::text IS NULL OR id = $6) AND ($7::text IS NULL OR status = $7)
      AND ($8::timestamptz IS NULL OR confirmed_at >= $8) AND ($9::timestamptz IS NULL OR confirmed_at < $9)
    ORDER BY confirmed_at DESC, id DESC LIMIT $4) AS o
ORDER BY o.confirmed_at DESC, id DESC LIMIT $4;

-- name: reservations_of_reference_page
-- The same of one reference: by its index.
SELECT sale_id, id, customer, now_status AS status, lines, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(expires_at) AS expires_at, flashguard.clamped(confirmed_at) AS confirmed_at,
       flashguard.clamped(ended_at) AS ended_at, restocked, cancel_reason, details,
       flashguard.first_prices(sale_id, lines) AS first_prices, flashguard.readable(created_at, expires_at, confirmed_at, ended_at) AS readable
FROM unnest($1::text[]) AS shard (of_sale) CROSS JOIN LATERAL (
    SELECT r.*, now_status
    FROM (SELECT * FROM flashguard.reservations WHERE sale_id = of_sale AND details ->> 'reference' = $8 OFFSET 0) AS r
    CROSS JOIN LATERAL (SELECT CASE WHEN status = 'held' AND expires_at <= $5 THEN 'expired' ELSE status END) AS s (now_status)
    WHERE id >= $2 AND (id, sale_id) > ($2, $3)
      AND ($6::text IS NULL OR customer = $6) AND ($7::text IS NULL OR now_status = $7)
    ORDER BY id LIMIT $4) AS o
ORDER BY id, sale_id LIMIT $4;

-- name: cancel_archived
SELECT flashguard.cancel_archived($1, $2, $3, $4, $5);
