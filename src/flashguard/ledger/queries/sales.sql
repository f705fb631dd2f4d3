-- name: create_sale
-- One sale with its items; no row when the id is in use.
WITH sale AS (
    INSERT INTO flashguard.sales (id, name, partition, starts_at, ends_at, hold_seconds, max_hold_seconds,
                                  limit_per_customer, creation_key, creation_body, hold_durability,
                                  waiting_room, room_seed, rules)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $16, $17, $18, $19::text::jsonb)
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock, kind, uses)
SELECT sale.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock, i.kind, i.uses::jsonb
FROM sale, unnest($11::text[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $20::text[], $21::text[])
     WITH ORDINALITY AS i (sku, name, price_minor, currency, stock, kind, uses, ordinal);

-- name: sale_by_id
SELECT id, name, status, partition, starts_at, ends_at, hold_seconds, max_hold_seconds, limit_per_customer, created_at,
       hold_durability, waiting_room, room_seed, room_opened_at, rules, creation_key, creation_body
FROM flashguard.sales WHERE id = $1;

-- name: sale_by_creation_key
SELECT id, creation_body FROM flashguard.sales WHERE creation_key = $1;

-- name: sales_page
-- Newest first, after the cursor (created_at, id), drafts only with $4, without the further shards of spread sales.
-- Unreadable times are clamped, and the row says so.
SELECT id, name, status, partition, flashguard.clamped(starts_at) AS starts_at, flashguard.clamped(ends_at) AS ends_at,
       hold_seconds, max_hold_seconds, limit_per_customer, flashguard.clamped(created_at) AS created_at,
       hold_durability, waiting_room, room_seed, rules, flashguard.readable(starts_at, ends_at, created_at) AS readable
FROM flashguard.sales
WHERE id = public_id AND ($1::timestamptz IS NULL OR (created_at, id) < ($1, $2)) AND ($4 OR status <> 'draft')
ORDER BY sales.created_at DESC, id DESC LIMIT $3;

-- name: items_of
-- The items and pools of these sales.
SELECT sale_id, sku, name, price_minor, price_now_minor, currency, stock, held, sold, kind, uses, on_sale
FROM flashguard.items WHERE sale_id = ANY($1::text[]) ORDER BY sale_id, ordinal;

-- name: unknown_sales
-- Those of these ids that the ledger does not have.
SELECT id FROM unnest($1::text[]) AS named (id) WHERE NOT EXISTS (SELECT FROM flashguard.sales s WHERE s.id = named.id)
ORDER BY id;

-- name: note_room_opened
-- The lottery takes no more tickets: its seed may be published from now on.
UPDATE flashguard.sales SET room_opened_at = coalesce(room_opened_at, now())
WHERE public_id = $1 AND waiting_room IS NOT NULL;

-- name: restock_recorded
SELECT 1 FROM flashguard.restocks WHERE sale_id = $1 AND key = $2;

-- name: sale_change
SELECT verb, status FROM flashguard.sale_changes WHERE sale_id = $1 AND key = $2;

-- name: item_history
-- Whether a reservation ever had this item, and the position of the sale's partition at which that holds.
SELECT p.epoch, p.seq,
       EXISTS (SELECT FROM flashguard.reservations r WHERE r.sale_id = s.id AND r.lines ? $2)
       OR EXISTS (SELECT FROM flashguard.items i WHERE i.sale_id = s.id AND i.sku = $2 AND i.was_held) AS used
FROM flashguard.sales s JOIN flashguard.partitions p USING (partition) WHERE s.id = $1;
