-- name: sale_from_memory
-- A sale that only memory has. What memory does not keep is made up: the name is the id.
INSERT INTO flashguard.sales (id, name, partition, hold_seconds, max_hold_seconds)
VALUES ($1, $1, $2, 1, 1) ON CONFLICT DO NOTHING;

-- name: items_from_memory
-- Items and pools that only memory has: their names are their SKUs, their prices are gone (XXX: no currency).
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock, kind, uses)
SELECT $1, sku, 1000000 + place, sku, 0, 'XXX', 0, kind, uses::jsonb
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS i (sku, kind, uses, place)
ON CONFLICT DO NOTHING;

-- name: rules_as_in_memory
UPDATE flashguard.sales
SET status = $2, starts_at = CASE WHEN $3::bigint > 0 THEN to_timestamp($3::float8 / 1000) END,
    ends_at = CASE WHEN $4::bigint > 0 THEN to_timestamp($4::float8 / 1000) END,
    hold_seconds = $5::bigint / 1000, max_hold_seconds = $6::bigint / 1000, limit_per_customer = nullif($7::bigint, 0),
    hold_durability = coalesce(nullif($8, ''), 'disk'), rules = $9::text::jsonb,
    closed_at = CASE WHEN $2 = 'closed' THEN coalesce(closed_at, now()) END
WHERE id = $1;

-- name: any_stock
-- While the journal's tail is written, no order is refused for units that came with what is missing before the tail. 2^49,
-- because the ledger takes no stock above 2^50; counters_as_in_memory subtracts the same number. An item without a stock of its
-- own has more than that.
UPDATE flashguard.items SET stock = stock + (2::bigint ^ 49)::bigint
WHERE sale_id = ANY ($1::text[]) AND stock <= (2::bigint ^ 49)::bigint;

-- name: ended_as_in_memory
-- Orders and ended holds that the ledger has in an older state. Memory does not keep how an order was cancelled.
UPDATE flashguard.reservations r
SET status = m.status, ended_at = to_timestamp(m.ended_ms::float8 / 1000),
    confirmed_at = CASE m.status WHEN 'confirmed' THEN to_timestamp(m.ended_ms::float8 / 1000)
                                 WHEN 'cancelled' THEN coalesce(r.confirmed_at, to_timestamp(m.ended_ms::float8 / 1000)) END,
    restocked = CASE m.status WHEN 'cancelled' THEN true END,
    cancel_reason = CASE m.status WHEN 'cancelled' THEN 'recovered from memory' END
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS m (id, status, ended_ms)
WHERE r.sale_id = $1 AND r.id = m.id AND r.status <> m.status;

-- name: offers_as_in_memory
-- Holds that the waiting list offered and that ended since: the list entry has their content.
INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at,
                                     confirmed_at, ended_at, restocked, cancel_reason, details)
SELECT $1, m.id, w.customer, m.status, jsonb_build_array(w.sku, w.quantity), m.fingerprint,
       to_timestamp(m.created_ms::float8 / 1000), m.hold_ms, to_timestamp((m.created_ms + m.hold_ms)::float8 / 1000),
       CASE WHEN m.status IN ('confirmed', 'cancelled') THEN to_timestamp(m.ended_ms::float8 / 1000) END,
       to_timestamp(m.ended_ms::float8 / 1000), CASE m.status WHEN 'cancelled' THEN true END,
       CASE m.status WHEN 'cancelled' THEN 'recovered from memory' END,
       (SELECT jsonb_build_object('takes', jsonb_build_array(w.sku, w.quantity) || jsonb_agg(
                   CASE n % 2 WHEN 0 THEN i.uses -> n ELSE to_jsonb((i.uses -> n)::bigint * w.quantity) END ORDER BY n))
        FROM flashguard.items i CROSS JOIN LATERAL generate_series(0, jsonb_array_length(i.uses) - 1) AS n
        WHERE i.sale_id = $1 AND i.sku = w.sku HAVING count(*) > 0)
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS m (id, status, ended_ms, fingerprint, created_ms, hold_ms)
JOIN flashguard.waiting_list w ON w.sale_id = $1 AND w.id = m.id AND w.state = 'offered'
ON CONFLICT DO NOTHING;

-- name: held_as_in_memory
INSERT INTO flashguard.reservations AS r (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                          expires_at, extensions, details)
SELECT $1, id, customer, 'held', lines::jsonb, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
       to_timestamp(expires_ms::float8 / 1000), extensions::jsonb, nullif(details::jsonb - 'more', '{}')
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
            $10::text[])
     AS m (id, customer, lines, fingerprint, created_ms, hold_ms, expires_ms, extensions, details)
ON CONFLICT (sale_id, id) DO UPDATE
SET expires_at = excluded.expires_at, extensions = excluded.extensions, customer = excluded.customer, lines = excluded.lines,
    details = nullif((coalesce(r.details, '{}') - 'takes') || coalesce(excluded.details, '{}'), '{}')
WHERE r.status = 'held';

-- name: waiting_as_in_memory
INSERT INTO flashguard.waiting_list AS w (sale_id, id, place, customer, sku, quantity, fingerprint, state, created_at,
                                          admitted, identities, ended_at)
SELECT $1, id, place, customer, sku, quantity, fingerprint, state, to_timestamp(created_ms::float8 / 1000),
       admitted, identities::jsonb, CASE WHEN state <> 'waiting' THEN now() END
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
            $10::boolean[], $11::text[])
     AS m (id, place, customer, sku, quantity, fingerprint, state, created_ms, admitted, identities)
ON CONFLICT (sale_id, id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at
WHERE w.state = 'waiting';

-- name: restocks_as_in_memory
-- The outcome of each key, so that a retry changes nothing; its units are in the counters.
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, key, '', 0, 'recovered from memory', fingerprint, stock, held, sold, now()
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS m (key, fingerprint, stock, held, sold)
ON CONFLICT DO NOTHING;

-- name: amendments_as_in_memory
-- The amends that memory has and the ledger lacks. Memory keeps what each made of its reservation, so that also an order that
-- was amended is written as it is.
WITH amendment AS (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])
             AS m (key, fingerprint, id, revision, customer, lines, details)
), newest AS (
    SELECT DISTINCT ON (id) * FROM amendment ORDER BY id, revision DESC, details NULLS LAST
), amended AS (
    UPDATE flashguard.reservations r
    SET customer = n.customer, lines = n.lines::jsonb,
        details = (coalesce(r.details, '{}') - 'takes') || coalesce(n.details::jsonb, '{}')
                  || jsonb_build_object('revision', n.revision)
    FROM newest n
    WHERE r.sale_id = $1 AND r.id = n.id AND flashguard.revision_of(r.details) < n.revision
)
INSERT INTO flashguard.amendments (sale_id, key, id, revision, fingerprint, customer, lines, details, restocked, reason, at)
SELECT $1, key, id, revision, fingerprint, customer, lines::jsonb, details::jsonb, true, 'recovered from memory', now()
FROM amendment a WHERE EXISTS (SELECT FROM flashguard.reservations r WHERE r.sale_id = $1 AND r.id = a.id)
ON CONFLICT DO NOTHING;

-- name: changes_as_in_memory
INSERT INTO flashguard.sale_changes (sale_id, key, verb, status, at)
SELECT $1, key, verb, status, now() FROM unnest($2::text[], $3::text[], $4::text[]) AS m (key, verb, status)
ON CONFLICT DO NOTHING;

-- name: used_as_in_memory
-- Units that customers, and what else limits count, have by memory and by no reservation of the ledger.
INSERT INTO flashguard.lost_units (sale_id, customer, units)
SELECT $1, m.customer, m.units - coalesce(r.units, 0)
FROM unnest($2::text[], $3::bigint[]) AS m (customer, units)
LEFT JOIN (SELECT customer, sum((SELECT sum(flashguard.line_units(lines, n))
                                 FROM generate_series(0, flashguard.line_count(lines) - 1) AS n))::bigint AS units
           FROM flashguard.reservations
           WHERE sale_id = $1 AND status IN ('held', 'confirmed') AND customer = ANY ($2::text[])
           GROUP BY customer
           UNION ALL
           SELECT field, units FROM flashguard.limits_used($1)) AS r USING (customer)
WHERE m.units > coalesce(r.units, 0)
ON CONFLICT (sale_id, customer) DO UPDATE SET units = excluded.units;

-- name: counters_as_in_memory
-- held and sold become what the rows add up to. Units beyond them belong to orders whose content is lost: they leave the
-- stock, so that they are not sold again. A restock ($6 names it) says by how much the stock changed.
WITH by_rows AS (
    SELECT takes ->> (2 * n) AS sku,
           sum(flashguard.line_units(takes, n)) FILTER (WHERE r.status = 'confirmed') AS sold,
           sum(flashguard.line_units(takes, n)) FILTER (WHERE r.status = 'held') AS held
    FROM flashguard.reservations r
    CROSS JOIN LATERAL (SELECT coalesce(r.details -> 'takes', r.lines)) AS t (takes)
    CROSS JOIN LATERAL generate_series(0, flashguard.line_count(takes) - 1) AS n
    WHERE r.sale_id = $1 AND r.status IN ('confirmed', 'held') GROUP BY 1
), item AS (
    SELECT m.sku, m.stock > (2::bigint ^ 49)::bigint AS uncapped, coalesce(r.held, 0)::bigint AS held, coalesce(r.sold, 0)::bigint AS sold, i.stock AS before,
           m.stock - greatest(0, m.sold - coalesce(r.sold, 0)) - greatest(0, m.held - coalesce(r.held, 0)) AS stock
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS m (sku, stock, held, sold)
    JOIN flashguard.items i ON i.sale_id = $1 AND i.sku = m.sku LEFT JOIN by_rows r ON r.sku = m.sku
), changed AS (
    UPDATE flashguard.items i SET held = item.held, sold = item.sold, stock = greatest(item.held + item.sold, item.stock)::bigint
    FROM item WHERE i.sale_id = $1 AND i.sku = item.sku
    RETURNING i.sku, i.stock, i.held, i.sold,
              CASE WHEN uncapped THEN 0 ELSE i.stock - item.before + (2::bigint ^ 49)::bigint END AS delta
)
INSERT INTO flashguard.restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
SELECT $1, 'recover:' || $6::bigint || ':' || sku, sku, delta, 'as memory had it, less orders that the ledger lost',
       0, stock, held, sold, now()
FROM changed WHERE delta <> 0 ON CONFLICT DO NOTHING;

-- name: terms_as_in_memory
UPDATE flashguard.items i SET price_now_minor = m.price, on_sale = m.on_sale
FROM unnest($2::text[], $3::bigint[], $4::boolean[]) AS m (sku, price, on_sale) WHERE i.sale_id = $1 AND i.sku = m.sku;

-- name: items_not_in_memory
-- Items that memory removed: nothing of them was ever held.
SELECT flashguard.remove_item($1, sku) FROM flashguard.items i
WHERE sale_id = $1 AND sku <> ALL ($2::text[])
  AND NOT EXISTS (SELECT FROM flashguard.reservations r WHERE r.sale_id = $1 AND r.lines ? i.sku);
