-- name: create_sale
-- One sale with its items; no row when the id is in use, or was until its sale was pruned.
WITH sale AS (
    INSERT INTO flashguard.sales (id, name, partition, starts_at, ends_at, hold_seconds, max_hold_seconds,
                                  limit_per_customer, creation_key, creation_body, hold_durability,
                                  waiting_room, room_seed, rules)
    SELECT $1::text, $2::text, $3::integer, $4::timestamptz, $5::timestamptz, $6::integer, $7::integer, $8::bigint, $9::text,
           $10::bigint, $16::text, $17::jsonb, $18::text, $19::text::jsonb
    WHERE NOT EXISTS (SELECT FROM flashguard.pruned_sales WHERE id = $1)
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock, kind, uses)
SELECT sale.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock, i.kind, i.uses::jsonb
FROM sale, unnest($11::text[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $20::text[], $21::text[])
     WITH ORDINALITY AS i (sku, name, price_minor, currency, stock, kind, uses, ordinal);

-- name: sale_by_id
-- A sale, and the waiting room that it shares, if it does.
SELECT s.id, s.name, s.status, s.partition, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds, s.limit_per_customer,
       s.created_at, s.hold_durability, s.waiting_room, s.room_seed, s.room_opened_at, s.rules, s.creation_key,
       s.creation_body, h.waiting_room AS host_room, h.room_seed AS host_seed
FROM flashguard.sales s LEFT JOIN flashguard.sales h ON h.id = s.room_of WHERE s.id = $1;

-- name: sale_by_creation_key
SELECT id, creation_body FROM flashguard.sales WHERE creation_key = $1;

-- name: sales_page
-- Newest first, after the cursor (created_at, id), drafts only with $4, without the further shards of spread sales.
-- Unreadable times are clamped, and the row says so. `public_id >= id` is `=`: of equal columns the planner expects no row to speak
-- of, and would sort all sales.
SELECT s.id, s.name, s.status, s.partition, flashguard.clamped(s.starts_at) AS starts_at,
       flashguard.clamped(s.ends_at) AS ends_at, s.hold_seconds, s.max_hold_seconds, s.limit_per_customer,
       flashguard.clamped(s.created_at) AS created_at, s.hold_durability, s.waiting_room, s.room_seed, s.rules,
       h.waiting_room AS host_room, h.room_seed AS host_seed,
       flashguard.readable(s.starts_at, s.ends_at, s.created_at) AS readable
FROM flashguard.sales s LEFT JOIN flashguard.sales h ON h.id = s.room_of
WHERE s.public_id >= s.id AND ($1::timestamptz IS NULL OR (s.created_at, s.id) < ($1, $2)) AND ($4 OR s.status <> 'draft')
ORDER BY s.created_at DESC, s.id DESC LIMIT $3;

-- name: sales_in_rooms
-- The sales that share a waiting room, and their shards, each with the sale that has the room.
SELECT id, room_of FROM flashguard.sales
WHERE room_of IS NOT NULL AND status IN ('scheduled', 'open', 'paused') ORDER BY id;

-- name: sharing_room_of
-- The sales that share this sale's waiting room and are not closed, with their ends.
SELECT id, ends_at FROM flashguard.sales WHERE room_of = $1 AND id = public_id AND status <> 'closed' ORDER BY id;

-- name: doors_to_open
-- Sales and shards whose doors are closed although their waiting room, of this sale or of any, admits no more: its own doors
-- are open, or its sale has ended.
SELECT s.id, s.partition, s.room_of FROM flashguard.sales s JOIN flashguard.sales h ON h.id = s.room_of
WHERE s.rules ? 'room' AND s.status <> 'closed' AND ($1::text IS NULL OR h.id = $1)
  AND (h.status = 'closed' OR h.waiting_room ->> 'open_to_all' = 'true')
ORDER BY s.id LIMIT $2;

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
