-- The ledger's schema as it stands after all migrations: first the tables, each with its indexes and
-- triggers, then the views, then the functions, each kind in the order of its names.
--
-- This file is documentation. No program runs it: `flashguard migrate` applies migrations/. `make docs`
-- writes it from a migrated ledger, and a test keeps it equal.
--
-- All names are in the schema `flashguard`. The ledger is the source of truth. Times are timestamptz; money
-- is a count of minor units with its currency. Row-level security is on for every table, and the public has
-- no rights: see let_in and close_to_public.

-- An API key. The ledger has only its hash.
CREATE TABLE api_keys (
    id            text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    hint          text NOT NULL,                      -- the key's last characters, to tell one from another
    hash          bytea NOT NULL,                     -- SHA-256; a key has 256 random bits
    scopes        text[] NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    last_used_at  timestamptz,                        -- written from time to time, not at each call
    revoked_at    timestamptz,
    rotated_to    text,
    creation_key  text,                               -- idempotency: the key and the body of the creation or rotation that made it
    creation_body bigint,
    PRIMARY KEY (id),
    UNIQUE (hash),
    FOREIGN KEY (rotated_to) REFERENCES api_keys(id),
    CONSTRAINT api_keys_hash_check CHECK (length(hash) = 32),
    CONSTRAINT api_keys_scopes_check CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['admin', 'shop', 'read'])
);
CREATE UNIQUE INDEX api_keys_by_creation_key ON api_keys (creation_key);
CREATE INDEX api_keys_by_time ON api_keys (created_at DESC, id);

-- The facts that every process of the installation shares: one row, written by the first migration and never changed.
CREATE TABLE installation (
    only_one   boolean NOT NULL DEFAULT true,
    secret     text NOT NULL,                         -- signs receipts and derives reservation ids; 64 hex digits
    partitions integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (only_one),
    CONSTRAINT installation_only_one_check CHECK (only_one),
    CONSTRAINT installation_partitions_check CHECK (partitions >= 1 AND partitions <= 256)
);

-- An item of a sale, with its counters: available = stock - held - sold.
CREATE TABLE items (
    sale_id     text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    ordinal     integer NOT NULL,                     -- the order in which the shop listed the items
    name        text NOT NULL,
    price_minor bigint NOT NULL,
    currency    character(3) NOT NULL,
    stock       bigint NOT NULL,
    held        bigint NOT NULL DEFAULT 0,
    sold        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (sale_id, sku),
    FOREIGN KEY (sale_id) REFERENCES sales(id),
    CONSTRAINT items_held_check CHECK (held >= 0),
    -- MAX_PRICE_MINOR and MAX_STOCK of flashguard.model. The largest price times a basket's most lines and units stays below
    -- 2^63; 2^50 units are beyond any sum of allowed restocks.
    CONSTRAINT items_price_in_range CHECK (price_minor <= '100000000000'::bigint),
    CONSTRAINT items_price_minor_check CHECK (price_minor >= 0),
    CONSTRAINT items_sold_check CHECK (sold >= 0),
    CONSTRAINT items_stock_check CHECK (stock >= 0),
    CONSTRAINT items_stock_in_range CHECK (stock <= '1125899906842624'::bigint),
    CONSTRAINT never_oversold CHECK ((held + sold) <= stock)
) WITH (fillfactor=50);

-- The units of orders that only memory knew and whose content is lost: what an operator's `recover --take memory` keeps, so
-- that limits per customer still count them. Rebuilds load them; they are not orders.
CREATE TABLE lost_units (
    sale_id  text COLLATE "C" NOT NULL,
    customer text NOT NULL,
    units    bigint NOT NULL,
    PRIMARY KEY (sale_id, customer),
    FOREIGN KEY (sale_id) REFERENCES sales(id),
    CONSTRAINT lost_units_units_check CHECK (units > 0)
);

-- The migrations that were applied.
CREATE TABLE migrations (
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name)
);

-- The position of each partition's recorder: the newest journal entry that is in the ledger. It moves in the transaction
-- that records the entry, by compare-and-set, so that two recorders can't both write.
CREATE TABLE partitions (
    partition   integer NOT NULL,
    epoch       bigint NOT NULL DEFAULT 0,            -- counts the rebuilds of the partition's memory
    seq         bigint NOT NULL DEFAULT 0,            -- of the newest recorded entry in this epoch
    token       text NOT NULL DEFAULT '',             -- of the same entry; the next entry names it
    recorded_at timestamptz NOT NULL DEFAULT now(),
    doubted     boolean NOT NULL DEFAULT false,       -- memory of this epoch granted what the ledger refused: it must be rebuilt
    PRIMARY KEY (partition)
);

-- Every rebuild of a partition's memory from the ledger, its reason, and how long the partition sold nothing.
CREATE TABLE recoveries (
    partition    integer NOT NULL,
    epoch        bigint NOT NULL,                     -- the one that began with this rebuild
    why          text NOT NULL,
    seconds      double precision NOT NULL,           -- from noticing the loss to serving again
    entries      bigint NOT NULL,                     -- of the old journal, recorded before the rebuild
    sales        integer NOT NULL,                    -- loaded into memory, like the reservations
    reservations bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch)
);
CREATE INDEX recoveries_by_time ON recoveries (at DESC);

-- What memory granted and the ledger refused, with its content. Possible only after memory lost data; never silent.
CREATE TABLE refusals (
    sale_id  text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    customer text NOT NULL,
    lines    jsonb NOT NULL,
    reason   text NOT NULL,
    epoch    bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refusals_by_sale ON refusals (sale_id, at);

-- How often the ledger refused each transition of the journal. From the second time on a transition is parked: its maker does
-- not make it again, and an operator is told. See docs/decisions/0016.
CREATE TABLE refused_transitions (
    sale_id   text COLLATE "C" NOT NULL,
    kind      text NOT NULL,                          -- as the journal names it: hold, buy, confirm, restock, sale, join, ...
    id        text COLLATE "C" NOT NULL,              -- of the reservation or entry, the key, or the verb of a change without one
    partition integer NOT NULL,
    reason    text NOT NULL,
    times     bigint NOT NULL DEFAULT 1,
    first_at  timestamptz NOT NULL DEFAULT now(),
    last_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, kind, id)
);

-- A reservation, in its newest state; a confirmed one is an order. It has no foreign key to sales: the check would cost a
-- query per row, and record_group already fails when an item's sale is unknown.
CREATE TABLE reservations (
    sale_id       text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    customer      text NOT NULL,
    status        text NOT NULL,
    lines         jsonb NOT NULL,                     -- [sku, units, sku, units, ...]
    fingerprint   bigint NOT NULL,                    -- of the request body, for idempotency
    created_at    timestamptz NOT NULL,
    hold_ms       bigint NOT NULL,                    -- as first granted; 0 for a direct buy
    expires_at    timestamptz,
    confirmed_at  timestamptz,
    ended_at      timestamptz,
    extensions    jsonb,                              -- [key fingerprint, expires_ms, ...]
    restocked     boolean,                            -- of a cancelled order: whether its units went back on sale; else they left the stock
    cancel_reason text,
    PRIMARY KEY (sale_id, id),
    CONSTRAINT reservations_status_check CHECK (status = ANY (ARRAY['held', 'confirmed', 'released', 'expired', 'cancelled'])),
    CONSTRAINT reservations_times_in_range CHECK (readable(created_at, expires_at, confirmed_at, ended_at))
) WITH (fillfactor=90);
CREATE INDEX reservations_held ON reservations (sale_id) WHERE status = 'held';
CREATE INDEX reservations_orders ON reservations (sale_id, confirmed_at, id) WHERE confirmed_at IS NOT NULL;

-- Every change of an item's stock, under the idempotency key that made it. A transfer between two shards is two of them.
CREATE TABLE restocks (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    delta       bigint NOT NULL,
    reason      text NOT NULL,                        -- of a transfer: the other shard
    fingerprint bigint NOT NULL,                      -- of the request body, for idempotency
    stock       bigint NOT NULL,                      -- the item's counters after the change
    held        bigint NOT NULL,
    sold        bigint NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);
-- Departures, to find those whose units did not arrive: see queries/spread.sql.
CREATE INDEX restocks_that_transfer ON restocks (sale_id, key) WHERE key ~~ 'transfer:%:out';
CREATE TRIGGER note_transfer AFTER INSERT ON restocks FOR EACH ROW WHEN (new.key ~~ 'transfer:%') EXECUTE FUNCTION note_transfer();

-- A buyer's token that was revoked before its end.
CREATE TABLE revoked_tokens (
    id      text COLLATE "C" NOT NULL,                -- a token's `jti`
    ends_at timestamptz NOT NULL,                     -- the token's own end: from then on this row may be deleted
    PRIMARY KEY (id)
);
CREATE INDEX revoked_tokens_by_end ON revoked_tokens (ends_at);

-- The idempotency keys that opened, paused and closed sales, and the status that each led to.
CREATE TABLE sale_changes (
    sale_id text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    verb    text NOT NULL,
    status  text NOT NULL,                            -- the sale's, after the change
    at      timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key),
    FOREIGN KEY (sale_id) REFERENCES sales(id)
);

-- A sale. One that is spread over several partitions has a row per shard: `s` is the home shard, `s~1`, `s~2`, ... the others,
-- each with stock of its own; `public_id` is the id that the shop knows.
CREATE TABLE sales (
    id                 text COLLATE "C" NOT NULL,
    name               text NOT NULL,
    status             text NOT NULL DEFAULT 'draft',
    partition          integer NOT NULL,
    starts_at          timestamptz,
    ends_at            timestamptz,
    hold_seconds       integer NOT NULL,
    max_hold_seconds   integer NOT NULL,
    limit_per_customer bigint,
    created_at         timestamptz NOT NULL DEFAULT now(),
    closed_at          timestamptz,
    creation_key       text,                          -- idempotency: the key and the body that created this sale
    creation_body      bigint,
    hold_durability    text NOT NULL DEFAULT 'disk',  -- what a hold must have reached before its answer is sent
    waiting_room       jsonb,                         -- model.WaitingRoom, without the commitment, which follows from the seed
    room_seed          text,                          -- of the lottery; secret until the lottery is closed
    room_opened_at     timestamptz,                   -- the lottery is closed: the seed may be published
    rules              jsonb NOT NULL DEFAULT '{}'::jsonb,  -- the optional rules, as the map that the kernel reads; see model/rules.py
    public_id          text COLLATE "C" GENERATED ALWAYS AS (split_part(id, '~', 1)) STORED,
    PRIMARY KEY (id),
    FOREIGN KEY (partition) REFERENCES partitions(partition),
    CONSTRAINT sales_check CHECK (max_hold_seconds >= hold_seconds),
    CONSTRAINT sales_check1 CHECK (ends_at > starts_at),
    CONSTRAINT sales_check2 CHECK ((waiting_room IS NULL) = (room_seed IS NULL)),
    CONSTRAINT sales_hold_durability_check CHECK (hold_durability = ANY (ARRAY['memory', 'disk', 'replicated', 'ledger'])),
    CONSTRAINT sales_hold_seconds_check CHECK (hold_seconds > 0),
    CONSTRAINT sales_id_check CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,63}(~[1-9][0-9]{0,2})?$'),
    CONSTRAINT sales_limit_per_customer_check CHECK (limit_per_customer > 0),
    CONSTRAINT sales_room_seed_check CHECK (room_seed ~ '^[0-9a-f]{64}$'),
    CONSTRAINT sales_status_check CHECK (status = ANY (ARRAY['draft', 'scheduled', 'open', 'paused', 'closed'])),
    -- The bounds are those of flashguard.model: EARLIEST_TIME_MS to LATEST_TIME_MS. A time of the journal comes as a double,
    -- some microseconds off: the last moment of 9998 has room for that.
    CONSTRAINT sales_times_in_range CHECK ((starts_at IS NULL OR starts_at >= '2000-01-01 00:00:00+00'::timestamptz AND starts_at < '9999-01-01 00:00:00+00'::timestamptz) AND (ends_at IS NULL OR ends_at >= '2000-01-01 00:00:00+00'::timestamptz AND ends_at < '9999-01-01 00:00:00+00'::timestamptz) AND readable(created_at, closed_at, room_opened_at))
);
CREATE UNIQUE INDEX sales_by_creation_key ON sales (creation_key);
CREATE INDEX sales_by_partition ON sales (partition, status);
CREATE INDEX sales_by_public_id ON sales (public_id);
CREATE INDEX sales_by_time ON sales (created_at DESC, id);
-- The shards of sales that still sell, which the recorders read every second.
CREATE INDEX sales_parts ON sales (public_id) WHERE id <> public_id AND status <> 'closed';

-- An attempt that at least one of the two granted: there are never many more of them than units.
CREATE TABLE shadow_attempts (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,            -- the shop's name for the attempt
    customer    text NOT NULL,
    lines       jsonb NOT NULL,                       -- [sku, units, sku, units, ...]
    shop        text NOT NULL,
    ours        text NOT NULL,                        -- confirmed, or the code of the refusal
    reference   text,                                 -- the shop's own order, to find it by
    at          timestamptz NOT NULL DEFAULT now(),
    returned_at timestamptz,                          -- when the shop cancelled its sale
    PRIMARY KEY (sale_id, key),
    FOREIGN KEY (sale_id) REFERENCES shadow_sales(sale_id),
    CONSTRAINT shadow_attempts_shop_check CHECK (shop = ANY (ARRAY['sold', 'refused']))
);
CREATE INDEX shadow_differences ON shadow_attempts (sale_id, at) WHERE (shop = 'sold') <> (ours = 'confirmed');

-- A sale that is only compared. Attempts that both refuse are a number, not rows.
CREATE TABLE shadow_sales (
    sale_id      text COLLATE "C" NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    both_refused bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (sale_id),
    FOREIGN KEY (sale_id) REFERENCES sales(id)
);

-- A secret that signs buyers' tokens.
CREATE TABLE signing_keys (
    id         text COLLATE "C" NOT NULL,             -- a token's `kid`
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_from timestamptz NOT NULL DEFAULT now(),    -- some time after its creation, so that every process knows it by then
    ends_at    timestamptz,                           -- its tokens are invalid from then on; null: not rotated
    PRIMARY KEY (id),
    CONSTRAINT signing_keys_secret_check CHECK (length(secret) = 32)
);

-- A simulation of a rush, started from the pages or the API.
CREATE TABLE simulations (
    id          text COLLATE "C" NOT NULL,
    status      text NOT NULL DEFAULT 'starting',
    environment text NOT NULL,
    buyers      integer NOT NULL,
    stock       integer NOT NULL,
    strategies  text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                          -- null while it runs, as far as the ledger knows
    detail      text,                                 -- why it failed
    report      jsonb,                                -- runs, counters, log, series
    PRIMARY KEY (id),
    CONSTRAINT simulations_check CHECK ((status = 'starting') = (finished_at IS NULL)),
    CONSTRAINT simulations_status_check CHECK (status = ANY (ARRAY['starting', 'finished', 'stopped', 'failed']))
);
CREATE INDEX simulations_by_time ON simulations (created_at DESC);

-- The transfers whose units left a shard and have not arrived. The recorders read it every second; without it they would
-- read every transfer that ever was.
CREATE TABLE transfers_under_way (
    id       text COLLATE "C" NOT NULL,
    donor    text COLLATE "C" NOT NULL,               -- the shard that the units left
    key      text COLLATE "C" NOT NULL,               -- of the restock that took them
    receiver text COLLATE "C" NOT NULL,               -- the shard they go to; its memory is kept even if it was closed long ago
    PRIMARY KEY (id)
);

-- An entry. The lowest place is served first; an entry that was offered its units has a reservation under its own id.
CREATE TABLE waiting_list (
    sale_id     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    place       bigint NOT NULL,
    customer    text NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    quantity    bigint NOT NULL,
    fingerprint bigint NOT NULL,                      -- of the request body, for idempotency
    state       text NOT NULL DEFAULT 'waiting',      -- ended: it could not be offered its units
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    admitted    boolean NOT NULL DEFAULT false,       -- may be served before the sale's waiting room is empty, or there is no room
    PRIMARY KEY (sale_id, id),
    CONSTRAINT waiting_list_check CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CONSTRAINT waiting_list_quantity_check CHECK (quantity > 0),
    CONSTRAINT waiting_list_state_check CHECK (state = ANY (ARRAY['waiting', 'offered', 'left', 'limit-reached', 'ended'])),
    CONSTRAINT waiting_list_times_in_range CHECK (readable(created_at))
);
CREATE INDEX waiting_list_by_place ON waiting_list (sale_id, place);

-- One message for one endpoint: to be delivered, delivered, or failed for good. A claim is a lease: when the deliverer that
-- claimed the row does not report back, the row is due again.
CREATE TABLE webhook_deliveries (
    endpoint     text COLLATE "C" NOT NULL,
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type         text NOT NULL,
    sale_id      text COLLATE "C" NOT NULL,
    reservation  text COLLATE "C" NOT NULL DEFAULT '',  -- '' for an event of a sale
    at           timestamptz NOT NULL,                -- when it happened
    customer     text,
    lines        jsonb,
    created_at   timestamptz,                         -- of the reservation, like the next three
    expires_at   timestamptz,
    confirmed_at timestamptz,
    restocked    boolean,
    detail       text,                                -- a reason, or a sale's status
    written_at   timestamptz NOT NULL DEFAULT now(),
    state        text NOT NULL DEFAULT 'pending',
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    first_at     timestamptz,                         -- of the attempts
    last_at      timestamptz,
    status       integer,                             -- HTTP status of the newest answer
    error        text,
    took_ms      integer,
    PRIMARY KEY (endpoint, id),
    CONSTRAINT webhook_deliveries_state_check CHECK (state = ANY (ARRAY['pending', 'delivered', 'failed']))
);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries USING brin (written_at);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint, sale_id, reservation, id) WHERE state = 'pending';
CREATE TRIGGER silence_shadows AFTER INSERT ON webhook_deliveries REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION silence_shadows();

-- An address that receives messages.
CREATE TABLE webhook_endpoints (
    id               text COLLATE "C" NOT NULL,
    url              text NOT NULL,
    description      text NOT NULL DEFAULT '',
    events           text[] NOT NULL,
    secret           text NOT NULL,                   -- signs every message, so a hash of it would not do
    old_secret       text,                            -- signs too, until the receiver had time to learn the new one
    old_secret_until timestamptz,
    enabled          boolean NOT NULL DEFAULT true,
    disabled_at      timestamptz,
    disabled_why     text,
    failing_since    timestamptz,                     -- the first failure after the newest success
    delivered_at     timestamptz,                     -- of the newest success, approximately
    created_at       timestamptz NOT NULL DEFAULT now(),
    creation_key     text,                            -- idempotency, of the creation and of the newest rotation
    creation_body    bigint,
    rotation_key     text,
    PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_check CHECK (enabled = (disabled_at IS NULL)),
    CONSTRAINT webhook_endpoints_events_check CHECK (cardinality(events) > 0)
);
CREATE UNIQUE INDEX webhook_endpoints_by_creation_key ON webhook_endpoints (creation_key);

-- Confirmed orders, one row per line; no row makes a query fail.
CREATE VIEW order_lines AS
 SELECT r.sale_id,
    r.id AS order_id,
    r.customer,
    r.confirmed_at,
    r.lines ->> (2 * n.n) AS sku,
    u.units::bigint AS quantity,
    i.price_minor,
    i.currency
   FROM reservations r
     CROSS JOIN LATERAL generate_series(0,
        CASE
            WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2
            ELSE 0
        END - 1) n(n)
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN jsonb_typeof(r.lines -> (2 * n.n + 1)) = 'number' THEN
                    CASE
                        WHEN abs((r.lines -> (2 * n.n + 1))::numeric) < '1000000000000000'::bigint::numeric THEN (r.lines -> (2 * n.n + 1))::numeric
                        ELSE NULL::numeric
                    END
                    ELSE NULL::numeric
                END AS units) u
     LEFT JOIN items i ON i.sale_id = r.sale_id AND i.sku = (r.lines ->> (2 * n.n))
  WHERE r.status = 'confirmed';

-- Confirmed and cancelled orders, one row per line, for a shop's own programs. Its columns stay; new ones come at the end.
-- No row makes a query fail: units that are not a whole number are NULL, and so is an amount beyond 64 bits. It calls no
-- function of ours, because a reader of a view needs the right to call its functions.
CREATE VIEW orders_for_shop AS
 SELECT (r.sale_id || '.') || r.id AS order_id,
    s.public_id AS sale_id,
    r.customer,
    r.status,
    n.n + 1 AS line,
    r.lines ->> (2 * n.n) AS sku,
    i.name,
    u.units::bigint AS quantity,
    i.price_minor,
    i.currency,
        CASE
            WHEN abs(u.units * i.price_minor::numeric) < '9223372036854775808'::numeric THEN (u.units * i.price_minor::numeric)::bigint
            ELSE NULL::bigint
        END AS amount_minor,
    r.confirmed_at,
        CASE
            WHEN r.status = 'cancelled' THEN r.ended_at
            ELSE NULL::timestamptz
        END AS cancelled_at,
    r.restocked,
    r.cancel_reason
   FROM reservations r
     JOIN sales s ON s.id = r.sale_id
     CROSS JOIN LATERAL generate_series(0,
        CASE
            WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2
            ELSE 0
        END - 1) n(n)
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN jsonb_typeof(r.lines -> (2 * n.n + 1)) = 'number' THEN
                    CASE
                        WHEN abs((r.lines -> (2 * n.n + 1))::numeric) < '1000000000000000'::bigint::numeric THEN (r.lines -> (2 * n.n + 1))::numeric
                        ELSE NULL::numeric
                    END
                    ELSE NULL::numeric
                END AS units) u
     LEFT JOIN items i ON i.sale_id = r.sale_id AND i.sku = (r.lines ->> (2 * n.n))
  WHERE r.confirmed_at IS NOT NULL;

-- Every transfer: which shard gave how many units to which, and when they arrived.
CREATE VIEW transfers AS
 SELECT s.public_id AS sale_id,
    o.sale_id AS donor,
    o.reason AS receiver,
    o.sku,
    - o.delta AS units,
    i.delta AS arrived,
    split_part(o.key, ':', 2) AS id,
    o.fingerprint,
    o.at AS left_at,
    i.at AS arrived_at
   FROM restocks o
     JOIN sales s ON s.id = o.sale_id
     LEFT JOIN restocks i ON i.sale_id = o.reason AND i.key = (('transfer:' || split_part(o.key, ':', 2)) || ':in')
  WHERE o.key ~~ 'transfer:%:out';

-- cancel_archived: cancel an order of a sale that was closed more than p_seconds ago, which memory has let go of. The ledger
-- decides alone; a closed sale never opens again. Returns false when there is no such order, or no such sale.
CREATE FUNCTION cancel_archived(p_sale text, p_id text, p_restock boolean, p_reason text, p_seconds double precision) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    ordered jsonb;
BEGIN
    SELECT r.lines INTO ordered FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = p_sale AND r.id = p_id AND r.status = 'confirmed'
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE items SET sold = sold - units, stock = stock - CASE WHEN p_restock THEN 0 ELSE units END
    FROM (SELECT ordered ->> (2 * n) AS sku, sum((ordered ->> (2 * n + 1))::bigint)::bigint AS units
          FROM generate_series(0, jsonb_array_length(ordered) / 2 - 1) AS n GROUP BY 1) AS line
    WHERE items.sale_id = p_sale AND items.sku = line.sku;
    PERFORM record_cancels(jsonb_build_array(jsonb_build_object(
        'sale', p_sale, 'id', p_id, 'at_ms', round(date_part('epoch', clock_timestamp()) * 1000)::bigint,
        'restock', p_restock, 'reason', p_reason)));
    RETURN true;
END
$$;

-- clamped: return the time, or the nearest readable one.
CREATE FUNCTION clamped(t timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN t IS NOT NULL
                THEN least(greatest(t, '1970-01-01 00:00:00+00'), '9998-12-31 23:59:59.999+00') END
$$;

-- close_to_public: close the tables and functions that a migration has just made, and let in the roles that were in before.
-- It changes nothing where nothing is open; it runs after every later migration.
CREATE FUNCTION close_to_public() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who text;
BEGIN
    FOR who IN
        SELECT 'PUBLIC' UNION ALL SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON TABLES FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON SEQUENCES FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON FUNCTIONS FROM %s', who);
    END LOOP;
    FOR who IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'flashguard'::regnamespace AND relkind IN ('r', 'p') AND NOT relrowsecurity
        ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE flashguard.%I ENABLE ROW LEVEL SECURITY', who);
    END LOOP;
    FOR who IN
        SELECT p.polname FROM pg_policy p JOIN pg_roles r ON r.rolname = p.polname
        WHERE p.polrelid = 'flashguard.partitions'::regclass
    LOOP
        PERFORM flashguard.let_in(who);
    END LOOP;
END $$;

-- event_of: return the type of event that a reservation's new status makes.
CREATE FUNCTION event_of(status text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE status WHEN 'confirmed' THEN 'order.confirmed' ELSE 'reservation.' || status END $$;

-- let_in: let a role sell, and do no more: it can't define anything, nor read other schemas.
CREATE FUNCTION let_in(p_role text) RETURNS void
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
        IF t.relname NOT IN ('migrations', 'installation') THEN
            EXECUTE format('GRANT INSERT, UPDATE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
        IF t.relname IN ('webhook_endpoints', 'webhook_deliveries', 'simulations', 'signing_keys',
                         'revoked_tokens', 'recoveries', 'transfers_under_way') THEN
            EXECUTE format('GRANT DELETE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
    END LOOP;
END $$;

-- line_count: return how many lines a reservation has; 0 where `lines` is not a list.
CREATE FUNCTION line_count(lines jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN jsonb_typeof(lines) = 'array' THEN jsonb_array_length(lines) / 2 ELSE 0 END $$;

-- line_units: return the units of line n, counted from 0; NULL where they are not a number below 10^15.
CREATE FUNCTION line_units(lines jsonb, n integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN jsonb_typeof(lines -> (2 * n + 1)) = 'number'
                THEN CASE WHEN abs((lines -> (2 * n + 1))::numeric) < 1000000000000000
                          THEN (lines -> (2 * n + 1))::bigint END END
$$;

-- note_transfer: keep transfers_under_way, in the transaction that records a departure or an arrival. A ledger that fell back
-- replays its partitions in any order: an arrival may be recorded before its departure.
CREATE FUNCTION note_transfer() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF NEW.delta > 0 THEN
        DELETE FROM transfers_under_way WHERE id = split_part(NEW.key, ':', 2);
    ELSIF NOT EXISTS (SELECT FROM restocks i
                      WHERE i.sale_id = NEW.reason AND i.key = 'transfer:' || split_part(NEW.key, ':', 2) || ':in') THEN
        INSERT INTO transfers_under_way VALUES (split_part(NEW.key, ':', 2), NEW.sale_id, NEW.key, NEW.reason)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

-- readable: return whether all these times lie in the years 1970 to 9998, which programs and memory can represent.
CREATE FUNCTION readable(
    a timestamptz, b timestamptz DEFAULT NULL::timestamptz, c timestamptz DEFAULT NULL::timestamptz,
    d timestamptz DEFAULT NULL::timestamptz, e timestamptz DEFAULT NULL::timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (a IS NULL OR a >= '1970-01-01 00:00:00+00' AND a < '9999-01-01 00:00:00+00')
       AND (b IS NULL OR b >= '1970-01-01 00:00:00+00' AND b < '9999-01-01 00:00:00+00')
       AND (c IS NULL OR c >= '1970-01-01 00:00:00+00' AND c < '9999-01-01 00:00:00+00')
       AND (d IS NULL OR d >= '1970-01-01 00:00:00+00' AND d < '9999-01-01 00:00:00+00')
       AND (e IS NULL OR e >= '1970-01-01 00:00:00+00' AND e < '9999-01-01 00:00:00+00')
$$;

-- record_cancels: cancel orders and write their events, in record_group's transaction, after it: record_group has moved the
-- counters.
CREATE FUNCTION record_cancels(cancels jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    WITH cancelled AS (
        UPDATE reservations r
        SET status = 'cancelled', ended_at = to_timestamp(c.at_ms::float8 / 1000), restocked = c.restock,
            cancel_reason = c.reason
        FROM jsonb_to_recordset(cancels) AS c (sale text, id text, at_ms bigint, restock boolean, reason text)
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'confirmed'
        RETURNING r.sale_id, r.id, r.customer, r.lines, r.created_at, r.expires_at, r.confirmed_at, r.ended_at,
                  r.restocked, r.cancel_reason
    ), events AS (
        INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at,
                                        expires_at, confirmed_at, restocked, detail)
        SELECT w.id, 'order.cancelled', c.sale_id, c.id, c.ended_at, c.customer, c.lines, c.created_at,
               c.expires_at, c.confirmed_at, c.restocked, c.cancel_reason
        FROM cancelled c JOIN webhook_endpoints w ON w.enabled AND 'order.cancelled' = ANY (w.events)
    )
    SELECT count(*) INTO changed FROM cancelled;
    IF changed <> jsonb_array_length(cancels) THEN
        RAISE EXCEPTION 'the group cancels % orders, the ledger has % of them', jsonb_array_length(cancels), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- record_changes: apply the rare transitions of a group, as JSON, in record_group's transaction: restocks, changes of sales,
-- and late confirms: orders from holds that had ended or were forgotten, granted because the buyer had the receipt. Such
-- a hold is in the ledger as expired, or not at all; in any other state the whole group is refused.
CREATE FUNCTION record_changes(restocks jsonb, sale_changes jsonb, late_confirms jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO reservations AS r (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                   expires_at, confirmed_at, ended_at)
    SELECT sale, id, customer, 'confirmed', lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
           to_timestamp((created_ms + hold_ms)::float8 / 1000), to_timestamp(at_ms::float8 / 1000),
           to_timestamp(at_ms::float8 / 1000)
    FROM jsonb_to_recordset(late_confirms)
         AS c (sale text, id text, customer text, lines jsonb, fingerprint bigint, created_ms bigint,
               hold_ms bigint, at_ms bigint)
    ON CONFLICT (sale_id, id) DO UPDATE
    SET status = 'confirmed', confirmed_at = excluded.confirmed_at, ended_at = excluded.ended_at
    WHERE r.status = 'expired' AND r.fingerprint = excluded.fingerprint;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> jsonb_array_length(late_confirms) THEN
        RAISE EXCEPTION 'the group confirms % holds late, the ledger allows % of them', jsonb_array_length(late_confirms), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    INSERT INTO restocks (sale_id, key, sku, delta, reason, fingerprint, stock, held, sold, at)
    SELECT sale, key, sku, delta, reason, fingerprint, stock, held, sold, to_timestamp(at_ms::float8 / 1000)
    FROM jsonb_to_recordset(record_changes.restocks)
         AS r (sale text, key text, sku text, delta bigint, reason text, fingerprint bigint,
               stock bigint, held bigint, sold bigint, at_ms bigint);

    UPDATE sales
    SET status = c.status,
        starts_at = CASE WHEN c.starts_ms > 0 THEN to_timestamp(c.starts_ms::float8 / 1000) END,
        ends_at = CASE WHEN c.ends_ms > 0 THEN to_timestamp(c.ends_ms::float8 / 1000) END,
        hold_seconds = c.hold_ms / 1000,
        max_hold_seconds = c.max_hold_ms / 1000,
        limit_per_customer = nullif(c."limit", 0),
        hold_durability = coalesce(nullif(c.durability, ''), 'disk'),
        closed_at = CASE WHEN c.status = 'closed' THEN coalesce(closed_at, to_timestamp(c.at_ms::float8 / 1000)) END
    FROM jsonb_to_recordset(sale_changes)
         AS c (sale text, status text, starts_ms bigint, ends_ms bigint, hold_ms bigint, max_hold_ms bigint,
               "limit" bigint, durability text, at_ms bigint)
    WHERE sales.id = c.sale;
END
$$;

-- record_group: apply one group of journal entries and move the partition's position, all or nothing.
--
-- The position moves only from where the recorder read it (compare-and-set): a second recorder that read the same entries
-- finds it moved and changes nothing. Counters move by the group's sums; each touched item's counters are then compared with
-- memory's counters after the group, and differences are returned.
--
-- p_new: reservations that the ledger does not have, in the state that the group leaves them.
-- p_changed: holds that the ledger has, in the state that the group leaves them; a field that is left out is unchanged.
-- p_items: per item the sums of the group, and memory's counters after it.
-- Their fields are those of New, Changed and Moved in recorder/fold.py.
--
-- LIMIT tells the planner how many rows come. It expects 100 of any recordset, and would read thousands of reservations one
-- after the other for a group that changes one.
--
-- Returns {applied, drift}: applied is false when the position was not the one given; drift lists the items ("sale/sku")
-- whose counters differ from memory's.
CREATE FUNCTION record_group(
    p_partition integer, p_epoch bigint, p_from_seq bigint, p_from_token text, p_to_seq bigint, p_to_token text,
    p_new jsonb, p_changed jsonb, p_items jsonb, OUT applied boolean, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    given bigint;
    changed bigint;
BEGIN
    UPDATE partitions SET seq = p_to_seq, token = p_to_token, recorded_at = clock_timestamp()
    WHERE partition = p_partition AND epoch = p_epoch AND seq = p_from_seq AND token = p_from_token;
    applied := FOUND;
    drift := '{}';
    IF NOT applied THEN
        RETURN;
    END IF;

    IF jsonb_array_length(p_new) > 0 THEN
        INSERT INTO reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                  expires_at, confirmed_at, ended_at, extensions)
        SELECT sale, id, customer, status, lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END,
               CASE WHEN status = 'confirmed' THEN to_timestamp(ended_ms::float8 / 1000) END,
               CASE WHEN ended_ms > 0 THEN to_timestamp(ended_ms::float8 / 1000) END,
               extensions
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, status text, lines jsonb, fingerprint bigint, created_ms bigint,
                   hold_ms bigint, expires_ms bigint, ended_ms bigint, extensions jsonb);
    END IF;

    given := jsonb_array_length(p_changed);
    IF given > 0 THEN
        UPDATE reservations r
        SET status = c.status,
            expires_at = CASE WHEN c.expires_ms > 0 THEN to_timestamp(c.expires_ms::float8 / 1000) ELSE r.expires_at END,
            confirmed_at = CASE WHEN c.status = 'confirmed' THEN to_timestamp(c.ended_ms::float8 / 1000) END,
            ended_at = CASE WHEN c.ended_ms > 0 THEN to_timestamp(c.ended_ms::float8 / 1000) END,
            extensions = CASE WHEN c.extensions IS NULL THEN r.extensions
                              ELSE coalesce(r.extensions, '[]') || c.extensions END
        FROM (SELECT * FROM jsonb_to_recordset(p_changed)
                  AS x (sale text, id text, status text, expires_ms bigint, ended_ms bigint, extensions jsonb)
              LIMIT given) AS c
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'held';
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> given THEN
            RAISE EXCEPTION 'the group ends % holds, the ledger has % of them live', given, changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;

    given := jsonb_array_length(p_items);
    IF given > 0 THEN
        WITH moved AS (
            UPDATE items SET stock = items.stock + i.stock, held = items.held + i.held, sold = items.sold + i.sold
            FROM (SELECT * FROM jsonb_to_recordset(p_items)
                      AS x (sale text, sku text, stock bigint, held bigint, sold bigint,
                            memory_stock bigint, memory_held bigint, memory_sold bigint)
                  LIMIT given) AS i
            WHERE items.sale_id = i.sale AND items.sku = i.sku
            RETURNING i.sale || '/' || i.sku AS item,
                      (items.stock, items.held, items.sold) IS DISTINCT FROM (i.memory_stock, i.memory_held, i.memory_sold) AS differs
        )
        SELECT count(*), coalesce(array_agg(item) FILTER (WHERE differs), '{}') INTO changed, drift FROM moved;
        IF changed <> given THEN
            RAISE EXCEPTION 'the group touches % items, the ledger has % of them', given, changed
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
END
$$;

-- restore_sales: create the sales that the journal names and this ledger lacks, because it was restored or failed over to
-- an older state. A sale that exists stays as it is, so that replaying an entry again changes nothing.
--
-- definitions: an array of results of the query `sale_definition`.
-- Returns the ids that belong to another sale here: created at another time, or kept out by a creation key in use.
CREATE FUNCTION restore_sales(definitions jsonb) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    definition jsonb;
    s sales;
BEGIN
    FOR definition IN SELECT jsonb_array_elements(definitions) LOOP
        s := jsonb_populate_record(NULL::sales, definition -> 'sale');
        INSERT INTO sales (id, name, status, partition, starts_at, ends_at, hold_seconds, max_hold_seconds,
                           limit_per_customer, created_at, closed_at, creation_key, creation_body, hold_durability,
                           waiting_room, room_seed, room_opened_at, rules)
        VALUES (s.id, s.name, s.status, s.partition, s.starts_at, s.ends_at, s.hold_seconds, s.max_hold_seconds,
                s.limit_per_customer, s.created_at, s.closed_at, s.creation_key, s.creation_body, s.hold_durability,
                s.waiting_room, s.room_seed, s.room_opened_at, s.rules)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, currency, stock)
            SELECT s.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock
            FROM jsonb_populate_recordset(NULL::items, definition -> 'items') AS i;
        ELSIF NOT EXISTS (SELECT FROM sales WHERE id = s.id AND created_at = s.created_at) THEN
            RETURN NEXT s.id;
        END IF;
    END LOOP;
END
$$;

-- silence_shadows: delete the webhook messages of shadow sales, in the statement that writes them: a shadow's orders are not
-- orders, and no endpoint hears of them.
CREATE FUNCTION silence_shadows() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM shadow_sales) THEN
        DELETE FROM webhook_deliveries d USING written w, shadow_sales s
        WHERE w.sale_id = s.sale_id AND d.endpoint = w.endpoint AND d.id = w.id;
    END IF;
    RETURN NULL;
END;
$$;

-- to_millis: return the time in milliseconds since 1970, as memory counts it, clamped to the readable times. It is STABLE as
-- date_part is: PostgreSQL inlines it only then, and a rebuild calls it for every reservation.
CREATE FUNCTION to_millis(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT round(date_part('epoch', flashguard.clamped(t)) * 1000)::bigint $$;

-- write_events: write the events of a group that record_group has just applied. It is called in the same statement, with the
-- same JSON, and has LIMIT for the same reason. A hold that ended in the group that made it has both events; without an enabled
-- endpoint nothing is written.
CREATE FUNCTION write_events(p_new jsonb, p_changed jsonb, p_items jsonb) RETURNS void
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
CREATE FUNCTION write_rare_events(late_confirms jsonb, sale_changes jsonb) RETURNS void
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
