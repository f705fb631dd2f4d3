-- name: record_joins
-- The first outcome stays, if a memory that lost a key accepts it again.
INSERT INTO flashguard.waiting_list (sale_id, id, place, customer, sku, quantity, fingerprint, created_at, admitted,
                                     identities)
SELECT sale, id, place, customer, sku, quantity, fingerprint, to_timestamp(at_ms::float8 / 1000), admitted, identities::jsonb
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::boolean[], $10::text[])
     AS j (sale, id, place, customer, sku, quantity, fingerprint, at_ms, admitted, identities)
ON CONFLICT DO NOTHING;

-- name: record_leaves
UPDATE flashguard.waiting_list w SET state = l.state, ended_at = to_timestamp(l.at_ms::float8 / 1000)
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS l (sale, id, state, at_ms)
WHERE w.sale_id = l.sale AND w.id = l.id AND w.state = 'waiting';

-- name: waiting_entry
SELECT id, customer, sku, quantity, created_at, state FROM flashguard.waiting_list WHERE sale_id = $1 AND id = $2;
