-- name: record_group
-- The facts and their events, in one statement and therefore one transaction.
SELECT applied, drift, CASE WHEN applied THEN flashguard.write_events($7, $8, $9) END
FROM flashguard.record_group($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: record_groups
-- The same for groups of several partitions.
SELECT applied, drift, CASE WHEN applied THEN flashguard.write_events($2, $3, $4) END
FROM flashguard.record_groups($1, $2, $3, $4);

-- name: write_rare_events
SELECT flashguard.write_rare_events($1::text::jsonb, $2::text::jsonb);

-- name: record_changes
SELECT flashguard.record_changes($1::text::jsonb, $2::text::jsonb, $3::text::jsonb);

-- name: record_sale_rules
UPDATE flashguard.sales s SET rules = c.rules::jsonb
FROM unnest($1::text[], $2::text[]) AS c (sale, rules) WHERE s.id = c.sale;

-- name: restore_sales
SELECT flashguard.restore_sales($1::text::jsonb) AS id;

-- name: describe_sales
-- Names and waiting rooms that changed; '' where unchanged. A draft gets a room with a seed, and loses it with the JSON null.
-- The shards of a spread sale share its name.
UPDATE flashguard.sales s SET name = coalesce(nullif(d.name, ''), s.name),
       waiting_room = CASE WHEN d.room = 'null' THEN NULL
                           WHEN d.room <> '' AND (s.waiting_room IS NOT NULL OR d.seed <> '') THEN d.room::jsonb
                           ELSE s.waiting_room END,
       room_seed = CASE WHEN d.room <> 'null' THEN coalesce(s.room_seed, nullif(d.seed, '')) END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS d (sale, name, room, seed) WHERE s.public_id = d.sale;

-- name: remove_items
SELECT flashguard.remove_items($1);

-- name: insert_items
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock)
SELECT $1, i.sku, place, i.name, i.price_minor, i.currency, i.stock
FROM ROWS FROM (jsonb_to_recordset($2::text::jsonb)
                AS (sku text, name text, price_minor bigint, currency text, stock bigint)) WITH ORDINALITY
     AS i (sku, name, price_minor, currency, stock, place);

-- name: change_items
SELECT flashguard.change_items($1::text::jsonb);

-- name: delete_drafts
SELECT flashguard.delete_drafts($1::text[]);

-- name: record_amends
SELECT flashguard.record_amends($1::text::jsonb);

-- name: record_cancels
SELECT flashguard.record_cancels($1::text::jsonb);

-- name: record_change_keys
-- The first outcome stays, if a memory that lost a key accepts it again.
INSERT INTO flashguard.sale_changes (sale_id, key, verb, status, at)
SELECT sale, key, verb, status, to_timestamp(at_ms::float8 / 1000)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS c (sale, key, verb, status, at_ms)
ON CONFLICT DO NOTHING;

-- name: counters_for_update
-- The items of a doubtful group, locked until its transaction ends.
SELECT sale_id, sku, stock, held, sold FROM flashguard.items
WHERE (sale_id, sku) IN (SELECT * FROM unnest($1::text[], $2::text[])) FOR UPDATE;

-- name: known_reservations
-- Those of these ids that the ledger has, in any state.
SELECT r.sale_id, r.id, r.status, flashguard.revision_of(r.details) AS revision,
       coalesce(r.details -> 'takes', r.lines) AS takes FROM unnest($1::text[], $2::text[]) AS w (sale_id, id)
JOIN flashguard.reservations r USING (sale_id, id);
