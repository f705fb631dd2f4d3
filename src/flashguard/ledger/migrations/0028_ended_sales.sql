-- Sales that ended: what every process asks again and again reads none of them, and old ones can be pruned.

-- The sales that live, which recorders and metrics ask for every second or two: of 7,300 ended ones they read no row.
CREATE INDEX sales_live ON flashguard.sales (partition) WHERE status <> 'closed';
-- When each other sale closed: memory keeps those of the last hours.
CREATE INDEX sales_closed ON flashguard.sales (closed_at) WHERE status = 'closed';
DROP INDEX flashguard.sales_by_partition;

-- The list of sales reads it backwards: before, both columns did not go the same way, and all sales were sorted.
DROP INDEX flashguard.sales_by_time;
CREATE INDEX sales_by_time ON flashguard.sales (created_at, id);

-- Orders and ended holds, of one status or of one customer in each status. Live holds are not in it: they are the most that a
-- recorder writes.
CREATE INDEX reservations_of_customer ON flashguard.reservations (sale_id, status, customer) WHERE status <> 'held';

-- What is rare among millions, and asked for: messages that were given up, calls that changed nothing, payments that are not done.
CREATE INDEX webhook_deliveries_failed ON flashguard.webhook_deliveries (endpoint, id) WHERE state = 'failed';
CREATE INDEX admin_log_not_done ON flashguard.admin_log (outcome, at, id) WHERE outcome <> 'done';
CREATE INDEX payments_not_done ON flashguard.payments (created_at, id) WHERE state <> 'order' AND state <> 'ended';

-- The events of a payment that is pruned.
CREATE INDEX payment_events_of_payment ON flashguard.payment_events (payment);

-- The sales that were pruned, and their shards. Their ids are not used again: a receipt, a key or a ticket of theirs must mean
-- nothing to another sale.
CREATE TABLE flashguard.pruned_sales (
    id          text COLLATE "C" PRIMARY KEY,
    closed_at   timestamptz NOT NULL,
    pruned_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,                        -- null: rows of it are left
    is_large    boolean NOT NULL DEFAULT false      -- its reservations are found by reading the table once, not one by one by the index
);
CREATE INDEX pruned_sales_unfinished ON flashguard.pruned_sales (pruned_at, id) WHERE finished_at IS NULL;

-- The attempts of a comparison go in batches, after it.
ALTER TABLE flashguard.shadow_attempts DROP CONSTRAINT shadow_attempts_sale_id_fkey;

-- why_kept: return why a sale must not be pruned that closed before p_before, in a few words; NULL where it may go. p_sale is the
-- id that the shop knows: a spread sale goes with all its shards, or stays.
CREATE FUNCTION flashguard.why_kept(p_sale text, p_before timestamptz) RETURNS text
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    WITH shard AS (SELECT id, status, closed_at FROM sales WHERE public_id = p_sale)
    SELECT CASE
        WHEN EXISTS (SELECT FROM shard WHERE status <> 'closed' OR closed_at IS NULL OR closed_at >= p_before)
        THEN 'a shard of it was not closed before then'
        WHEN EXISTS (SELECT FROM reservations r JOIN shard ON r.sale_id = shard.id WHERE r.status = 'held')
        THEN 'it has live holds'
        WHEN EXISTS (SELECT FROM payments p JOIN shard ON p.sale_id = shard.id WHERE p.due_at IS NOT NULL)
        THEN 'a payment is not decided'
        WHEN EXISTS (SELECT FROM payment_refunds f JOIN payments p ON p.id = f.payment JOIN shard ON p.sale_id = shard.id
                     WHERE f.state = 'pending' OR f.state = 'failed' AND f.retried_as IS NULL)
        THEN 'a refund is not done'
        WHEN EXISTS (SELECT FROM webhook_endpoints w JOIN webhook_deliveries d ON d.endpoint = w.id JOIN shard ON d.sale_id = shard.id
                     WHERE d.state = 'pending')
        THEN 'a webhook is not delivered'
        WHEN EXISTS (SELECT FROM transfers_under_way t JOIN shard ON shard.id IN (t.donor, t.receiver))
        THEN 'units of it are on their way between shards'
        WHEN EXISTS (SELECT FROM sales guest WHERE guest.room_of = p_sale AND guest.public_id <> p_sale)
        THEN 'another sale shares its waiting room'
    END
$$;

-- prune_sale: remove a sale with its shards, items and changes, so that it is gone for every reader; its many rows go later, see
-- queries/pruning.sql. Returns why it stays, or NULL. Only a role that may delete sales can call it. Who cancels an order of it at
-- this moment locks the sale, too: one of the two waits, and then sees what the other did. Whether it is large is decided here,
-- while the index has no entries of deleted rows: one by one, each would cost a page of the table, which is read, written and logged.
CREATE FUNCTION flashguard.prune_sale(p_sale text, p_before timestamptz) RETURNS text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    shards text[];
    why text;
    most bigint := (SELECT greatest(10000, relpages / 8) FROM pg_class WHERE oid = 'reservations'::regclass);
BEGIN
    PERFORM FROM sales WHERE public_id = p_sale ORDER BY id FOR UPDATE;
    why := why_kept(p_sale, p_before);
    IF why IS NOT NULL THEN
        RETURN why;
    END IF;
    SELECT array_agg(id) INTO shards FROM sales WHERE public_id = p_sale;
    INSERT INTO pruned_sales (id, closed_at, is_large)
    SELECT id, closed_at, (SELECT count(*) FROM (SELECT FROM reservations WHERE sale_id = sales.id LIMIT most) AS counted) = most
    FROM sales WHERE public_id = p_sale;
    DELETE FROM shadow_sales WHERE sale_id = ANY (shards);
    DELETE FROM sale_changes WHERE sale_id = ANY (shards);
    DELETE FROM lost_units WHERE sale_id = ANY (shards);
    DELETE FROM items WHERE sale_id = ANY (shards);
    DELETE FROM sales WHERE id = ANY (shards);
    RETURN NULL;
END
$$;
