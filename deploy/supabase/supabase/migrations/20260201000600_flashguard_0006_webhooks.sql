-- Written by deploy/supabase/generate.py from 0006_webhooks.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0006_webhooks') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0006$
-- Webhooks: endpoints, and an outbox of the messages for them. The transaction that records a fact writes its messages, for
-- the enabled endpoints that asked for that type of event.

-- An address that receives messages.
CREATE TABLE flashguard.webhook_endpoints (
    id               text COLLATE "C" PRIMARY KEY,
    url              text NOT NULL,
    description      text NOT NULL DEFAULT '',
    events           text[] NOT NULL CHECK (cardinality(events) > 0),
    secret           text NOT NULL,         -- signs every message, so a hash of it would not do
    old_secret       text,                  -- signs too, until the receiver had time to learn the new one
    old_secret_until timestamptz,
    enabled          boolean NOT NULL DEFAULT true,
    disabled_at      timestamptz,
    disabled_why     text,
    failing_since    timestamptz,           -- the first failure after the newest success
    delivered_at     timestamptz,           -- of the newest success, approximately
    created_at       timestamptz NOT NULL DEFAULT now(),
    creation_key     text,                  -- idempotency, of the creation and of the newest rotation
    creation_body    bigint,
    rotation_key     text,
    CHECK (enabled = (disabled_at IS NULL))
);
CREATE UNIQUE INDEX webhook_endpoints_by_creation_key ON flashguard.webhook_endpoints (creation_key);

-- One message for one endpoint: to be delivered, delivered, or failed for good. A claim is a lease: when the deliverer that
-- claimed the row does not report back, the row is due again.
CREATE TABLE flashguard.webhook_deliveries (
    endpoint     text COLLATE "C" NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    type         text NOT NULL,
    sale_id      text COLLATE "C" NOT NULL,
    reservation  text COLLATE "C" NOT NULL DEFAULT '',  -- '' for an event of a sale
    at           timestamptz NOT NULL,      -- when it happened
    customer     text,
    lines        jsonb,
    created_at   timestamptz,               -- of the reservation, like the next three
    expires_at   timestamptz,
    confirmed_at timestamptz,
    restocked    boolean,
    detail       text,                      -- a reason, or a sale's status
    written_at   timestamptz NOT NULL DEFAULT now(),
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    first_at     timestamptz,               -- of the attempts
    last_at      timestamptz,
    status       integer,                   -- HTTP status of the newest answer
    error        text,
    took_ms      integer,
    PRIMARY KEY (endpoint, id)
);
CREATE INDEX webhook_deliveries_due ON flashguard.webhook_deliveries (endpoint, due_at, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_in_order ON flashguard.webhook_deliveries (endpoint, sale_id, reservation, id)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_age ON flashguard.webhook_deliveries USING brin (written_at);

-- event_of: return the type of event that a reservation's new status makes.
CREATE FUNCTION flashguard.event_of(status text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE status WHEN 'confirmed' THEN 'order.confirmed' ELSE 'reservation.' || status END $$;

-- write_events: write the events of a group that record_group has just applied. It is called in the same statement, with the
-- same JSON, and has LIMIT for the same reason. A hold that ended in the group that made it has both events; without an enabled
-- endpoint nothing is written.
CREATE FUNCTION flashguard.write_events(p_new jsonb, p_changed jsonb, p_items jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    ended text[];
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled) THEN
        RETURN;
    END IF;

    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, e.type, e.sale, e.id, to_timestamp(e.at_ms::float8 / 1000), e.customer, e.lines, e.created_at,
           e.expires_at, CASE WHEN e.type = 'order.confirmed' THEN to_timestamp(e.at_ms::float8 / 1000) END
    FROM (
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
    ) AS e
    JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    ORDER BY e.step;

    -- Sold out: the group took the last unit of an item, and no item of the sale has one left to sell.
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, at)
    SELECT w.id, 'sale.sold_out', e.sale, clock_timestamp()
    FROM (SELECT DISTINCT sale
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND NOT sales.rules ? 'spread'
          WHERE items.sold = items.stock AND items.stock > 0 AND items.sold - i.sold < items.stock - i.stock
            AND NOT EXISTS (SELECT FROM items left_over
                            WHERE left_over.sale_id = i.sale AND left_over.sold < left_over.stock)) AS e
    JOIN webhook_endpoints w ON w.enabled AND 'sale.sold_out' = ANY (w.events);

    -- A spread sale is sold out when all its shards are and no units are under way between them. Two shards may sell their
    -- last units at once: the lock lets the later of the two recorders see what the earlier one wrote. A group in which units
    -- left the shard writes no such event: another shard sells them, or they remain unsold.
    SELECT array_agg(DISTINCT sales.public_id ORDER BY sales.public_id) INTO ended
    FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
          LIMIT jsonb_array_length(p_items)) AS i
    JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
    JOIN sales ON sales.id = i.sale AND sales.rules ? 'spread'
    WHERE items.sold = items.stock AND i.sold > 0 AND i.stock >= 0;
    IF ended IS NOT NULL AND EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND 'sale.sold_out' = ANY (events)) THEN
        PERFORM pg_advisory_xact_lock(hashtext('flashguard sold out ' || sale)) FROM unnest(ended) AS e (sale);
        INSERT INTO webhook_deliveries (endpoint, type, sale_id, at)
        SELECT w.id, 'sale.sold_out', e.sale, clock_timestamp()
        FROM unnest(ended) AS e (sale)
        JOIN webhook_endpoints w ON w.enabled AND 'sale.sold_out' = ANY (w.events)
        WHERE NOT EXISTS (SELECT FROM sales s JOIN items i ON i.sale_id = s.id
                          WHERE s.public_id = e.sale AND i.sold < i.stock)
          AND NOT EXISTS (SELECT FROM transfers t WHERE t.sale_id = e.sale AND t.arrived_at IS NULL);
    END IF;
END
$$;

-- write_rare_events: write the events of late confirms, and of sales that opened or closed. It is called before record_changes,
-- which moves the sales' statuses. sale_changes has every change of the group, in order.
CREATE FUNCTION flashguard.write_rare_events(late_confirms jsonb, sale_changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                    expires_at, confirmed_at)
    SELECT w.id, 'order.confirmed', c.sale, c.id, to_timestamp(c.at_ms::float8 / 1000), c.customer, c.lines,
           to_timestamp(c.created_ms::float8 / 1000), to_timestamp((c.created_ms + c.hold_ms)::float8 / 1000),
           to_timestamp(c.at_ms::float8 / 1000)
    FROM jsonb_to_recordset(late_confirms)
         AS c (sale text, id text, customer text, lines jsonb, created_ms bigint, hold_ms bigint, at_ms bigint)
    JOIN webhook_endpoints w ON w.enabled AND 'order.confirmed' = ANY (w.events);

    INSERT INTO webhook_deliveries (endpoint, type, sale_id, at, detail)
    SELECT w.id, e.type, e.sale, to_timestamp(e.at_ms::float8 / 1000), e.status
    FROM (SELECT c.ordinal, c.sale, c.status, c.at_ms,
                 CASE c.status WHEN 'open' THEN 'sale.opened' WHEN 'closed' THEN 'sale.closed' END AS type,
                 lag(c.status, 1, sales.status) OVER (PARTITION BY c.sale ORDER BY c.ordinal) AS before
          FROM ROWS FROM (jsonb_to_recordset(sale_changes) AS (sale text, status text, at_ms bigint))
               WITH ORDINALITY AS c (sale, status, at_ms, ordinal)
          JOIN sales ON sales.id = c.sale) AS e
    JOIN webhook_endpoints w ON w.enabled AND e.type = ANY (w.events)
    WHERE e.status <> e.before AND position('~' IN e.sale) = 0  -- the other shards follow the home shard
    ORDER BY e.ordinal;
END
$$;

$migration_0006$;
INSERT INTO flashguard.migrations (name) VALUES ('0006_webhooks');
END IF;
END $guard$;
