-- Written by deploy/supabase/generate.py from 0015_facts.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0015_facts') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0015$
-- The feed of facts: everything that webhooks tell, for programs that fetch it. A fact is written once, in the transaction that
-- records it, and only while the feed has readers. See docs/decisions/0026.

-- One row while the feed has readers: from the first read on, until there was none for as long as facts are kept. `since`
-- names this run of the feed: it has every fact from then on.
CREATE TABLE flashguard.facts_feed (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at     timestamptz NOT NULL DEFAULT clock_timestamp() -- of the newest read, approximately
);

-- A fact, as it was when it was recorded. The facts of one partition commit in the order of their ids, because a transaction
-- that writes one has locked the partition's row. No such order holds between partitions.
CREATE TABLE flashguard.facts (
    partition    integer NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    type         text NOT NULL,
    sale_id      text COLLATE "C" NOT NULL,
    reservation  text COLLATE "C" NOT NULL DEFAULT '',  -- '' for a fact of a sale
    at           timestamptz NOT NULL,      -- when it happened
    customer     text,
    lines        jsonb,
    created_at   timestamptz,               -- of the reservation, like the next three
    expires_at   timestamptz,
    confirmed_at timestamptz,
    restocked    boolean,
    detail       text,                      -- a reason, or a sale's status
    written_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, id)
);
CREATE INDEX facts_by_age ON flashguard.facts USING brin (written_at);

-- Up to which id the facts of a partition are gone, or belong to an earlier run of the feed: a reader who has not read as far
-- has missed some.
CREATE TABLE flashguard.facts_forgotten (
    partition   integer PRIMARY KEY,
    id          bigint NOT NULL
);

-- start_feed: begin a run of the feed. It waits for the groups that are being recorded now, and the next ones wait for it: no
-- fact that commits later is missing. Facts of earlier runs count as forgotten.
CREATE FUNCTION flashguard.start_feed() RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
SET lock_timeout = '2s'
AS $$
BEGIN
    LOCK TABLE partitions IN EXCLUSIVE MODE;
    INSERT INTO facts_feed DEFAULT VALUES ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO facts_forgotten AS f (partition, id) SELECT partition, max(id) FROM facts GROUP BY partition
        ON CONFLICT (partition) DO UPDATE SET id = greatest(f.id, excluded.id);
    END IF;
END
$$;

-- silence_shadow_facts: delete the facts of shadow sales, in the statement that writes them.
CREATE FUNCTION flashguard.silence_shadow_facts() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM shadow_sales) THEN
        DELETE FROM facts f USING written w, shadow_sales s
        WHERE w.sale_id = s.sale_id AND f.partition = w.partition AND f.id = w.id;
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER silence_shadows AFTER INSERT ON flashguard.facts
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION flashguard.silence_shadow_facts();

-- write_fact: write one fact for those who are told of it: the feed, if it has readers, and the enabled endpoints that asked for
-- its type. For rare facts; write_events writes those of a group at once. The caller holds the lock of the partition's row.
CREATE FUNCTION flashguard.write_fact(
    p_partition integer, p_type text, p_sale text, p_reservation text, p_at timestamptz, p_customer text DEFAULT NULL,
    p_lines jsonb DEFAULT NULL, p_created_at timestamptz DEFAULT NULL, p_expires_at timestamptz DEFAULT NULL,
    p_confirmed_at timestamptz DEFAULT NULL, p_restocked boolean DEFAULT NULL, p_detail text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    INSERT INTO facts (partition, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at,
                       restocked, detail)
    SELECT p_partition, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail
    FROM facts_feed;
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at, expires_at,
                                    confirmed_at, restocked, detail)
    SELECT w.id, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail
    FROM webhook_endpoints w WHERE w.enabled AND p_type = ANY (w.events);
END
$$;

-- write_events: write the facts of the groups that record_group or record_groups has just applied, for the feed and for webhooks.
-- It is called in the same statement, with the same JSON, and has LIMIT for the same reason. A hold that ended in the group that
-- made it has both facts; without a reader and an enabled endpoint nothing is written.
CREATE OR REPLACE FUNCTION flashguard.write_events(p_new jsonb, p_changed jsonb, p_items jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    is_read boolean;
    ended text[];
    ended_in integer[];
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled UNION ALL SELECT FROM facts_feed) THEN
        RETURN;
    END IF;
    is_read := EXISTS (SELECT FROM facts_feed);

    WITH e AS (
        SELECT 1 AS step, 'reservation.held' AS type, sale, id, created_ms AS at_ms, customer, lines,
               to_timestamp(created_ms::float8 / 1000) AS created_at,
               to_timestamp((created_ms + hold_ms)::float8 / 1000) AS expires_at
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, lines jsonb, created_ms bigint, hold_ms bigint)
        WHERE hold_ms > 0
        UNION ALL
        SELECT 2, event_of(status), sale, id, ended_ms, customer, lines,
               to_timestamp(created_ms::float8 / 1000),
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, status text, lines jsonb, created_ms bigint, expires_ms bigint,
                   ended_ms bigint)
        WHERE status <> 'held'
        UNION ALL
        SELECT 2, event_of(c.status), c.sale, c.id, c.ended_ms, r.customer, r.lines, r.created_at, r.expires_at
        FROM (SELECT * FROM jsonb_to_recordset(p_changed) AS x (sale text, id text, status text, ended_ms bigint)
              LIMIT jsonb_array_length(p_changed)) AS c
        JOIN reservations r ON r.sale_id = c.sale AND r.id = c.id
        WHERE c.status <> 'held'
    ), fed AS (
        INSERT INTO facts (partition, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at)
        SELECT (SELECT partition FROM sales WHERE sales.id = e.sale), e.type, e.sale, e.id,
               to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at, e.expires_at,
               CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
        FROM e WHERE is_read ORDER BY e.step
    )
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, e.type, e.sale, e.id, to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at,
           e.expires_at, CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
    FROM e JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    ORDER BY e.step;

    -- Sold out: the group took the last unit of an item, and no item of the sale has one left to sell.
    PERFORM write_fact(e.partition, 'sale.sold_out', e.sale, '', clock_timestamp())
    FROM (SELECT DISTINCT i.sale, sales.partition
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND NOT sales.rules ? 'spread'
          WHERE items.sold = items.stock AND items.stock > 0 AND items.sold - i.sold < items.stock - i.stock
            AND NOT EXISTS (SELECT FROM items left_over
                            WHERE left_over.sale_id = i.sale AND left_over.sold < left_over.stock)) AS e;

    -- A spread sale is sold out when all its shards are and no units are under way between them. Two shards may sell their
    -- last units at once: the lock lets the later of the two recorders see what the earlier one wrote. A group in which units
    -- left the shard writes no such event: another shard sells them, or they remain unsold.
    SELECT array_agg(e.sale ORDER BY e.sale), array_agg(e.partition ORDER BY e.sale) INTO ended, ended_in
    FROM (SELECT sales.public_id AS sale, min(sales.partition) AS partition  -- any that this transaction has locked
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND sales.rules ? 'spread'
          WHERE items.sold = items.stock AND i.sold > 0 AND i.stock >= 0
          GROUP BY sales.public_id) AS e;
    IF ended IS NOT NULL
       AND (is_read OR EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND 'sale.sold_out' = ANY (events))) THEN
        PERFORM pg_advisory_xact_lock(hashtext('flashguard sold out ' || sale)) FROM unnest(ended) AS e (sale);
        PERFORM write_fact(e.partition, 'sale.sold_out', e.sale, '', clock_timestamp())
        FROM unnest(ended, ended_in) AS e (sale, partition)
        WHERE NOT EXISTS (SELECT FROM sales s JOIN items i ON i.sale_id = s.id
                          WHERE s.public_id = e.sale AND i.sold < i.stock)
          AND NOT EXISTS (SELECT FROM transfers t WHERE t.sale_id = e.sale AND t.arrived_at IS NULL);
    END IF;
END
$$;

-- write_rare_events: write the facts of late confirms, and of sales that opened or closed. It is called before record_changes,
-- which moves the sales' statuses. sale_changes has every change of the group, in order.
CREATE OR REPLACE FUNCTION flashguard.write_rare_events(late_confirms jsonb, sale_changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    PERFORM write_fact(sales.partition, 'order.confirmed', c.sale, c.id, to_timestamp(c.at_ms::float8 / 1000), c.customer,
                       c.lines, to_timestamp(c.created_ms::float8 / 1000), to_timestamp((c.created_ms + c.hold_ms)::float8 / 1000),
                       to_timestamp(c.at_ms::float8 / 1000))
    FROM jsonb_to_recordset(late_confirms)
         AS c (sale text, id text, customer text, lines jsonb, created_ms bigint, hold_ms bigint, at_ms bigint)
    JOIN sales ON sales.id = c.sale;

    PERFORM write_fact(e.partition, e.type, e.sale, '', to_timestamp(e.at_ms::float8 / 1000), p_detail => e.status)
    FROM (SELECT c.ordinal, c.sale, c.status, c.at_ms, sales.partition,
                 CASE c.status WHEN 'open' THEN 'sale.opened' WHEN 'closed' THEN 'sale.closed' END AS type,
                 lag(c.status, 1, sales.status) OVER (PARTITION BY c.sale ORDER BY c.ordinal) AS before
          FROM ROWS FROM (jsonb_to_recordset(sale_changes) AS (sale text, status text, at_ms bigint))
               WITH ORDINALITY AS c (sale, status, at_ms, ordinal)
          JOIN sales ON sales.id = c.sale
          ORDER BY c.ordinal) AS e
    WHERE e.type IS NOT NULL AND e.status <> e.before AND position('~' IN e.sale) = 0; -- the other shards follow the home shard
END
$$;

-- record_cancels: cancel orders and write their facts, in record_group's transaction, after it: record_group has moved the
-- counters.
CREATE OR REPLACE FUNCTION flashguard.record_cancels(cancels jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    cancelled record;
    changed bigint := 0;
BEGIN
    -- The recorder has this lock; cancel_archived has not.
    PERFORM FROM partitions WHERE partition IN (SELECT s.partition FROM jsonb_to_recordset(cancels) AS c (sale text)
                                                JOIN sales s ON s.id = c.sale) FOR NO KEY UPDATE;
    FOR cancelled IN
        UPDATE reservations r
        SET status = 'cancelled', ended_at = to_timestamp(c.at_ms::float8 / 1000), restocked = c.restock,
            cancel_reason = c.reason
        FROM jsonb_to_recordset(cancels) AS c (sale text, id text, at_ms bigint, restock boolean, reason text)
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'confirmed'
        RETURNING r.*, (SELECT s.partition FROM sales s WHERE s.id = r.sale_id) AS partition
    LOOP
        changed := changed + 1;
        PERFORM write_fact(cancelled.partition, 'order.cancelled', cancelled.sale_id, cancelled.id, cancelled.ended_at,
                           cancelled.customer, cancelled.lines, cancelled.created_at, cancelled.expires_at,
                           cancelled.confirmed_at, cancelled.restocked, cancelled.cancel_reason);
    END LOOP;
    IF changed <> jsonb_array_length(cancels) THEN
        RAISE EXCEPTION 'the group cancels % orders, the ledger has % of them', jsonb_array_length(cancels), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- let_in: let a role sell, and do no more: it can't define anything, nor read other schemas.
CREATE OR REPLACE FUNCTION flashguard.let_in(p_role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('REVOKE ALL ON FUNCTION flashguard.let_in(text), flashguard.close_to_public() FROM %I', p_role);
    FOR t IN
        SELECT c.oid, c.relname, EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = p_role) AS known
        FROM pg_class c WHERE c.relnamespace = 'flashguard'::regnamespace AND c.relkind IN ('r', 'p')
        ORDER BY c.relname
    LOOP
        IF NOT t.known THEN
            EXECUTE format('CREATE POLICY %I ON flashguard.%I TO %I USING (true) WITH CHECK (true)',
                           p_role, t.relname, p_role);
        END IF;
        IF t.relname = 'admin_log' THEN
            EXECUTE format('GRANT INSERT ON flashguard.%I TO %I', t.relname, p_role);
        ELSIF t.relname NOT IN ('migrations', 'installation') THEN
            EXECUTE format('GRANT INSERT, UPDATE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
        IF t.relname IN ('webhook_endpoints', 'webhook_deliveries', 'simulations', 'signing_keys',
                         'revoked_tokens', 'recoveries', 'transfers_under_way', 'facts', 'facts_feed') THEN
            EXECUTE format('GRANT DELETE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
    END LOOP;
END $$;
;
SELECT flashguard.close_to_public()
$migration_0015$;
INSERT INTO flashguard.migrations (name) VALUES ('0015_facts');
END IF;
END $guard$;
