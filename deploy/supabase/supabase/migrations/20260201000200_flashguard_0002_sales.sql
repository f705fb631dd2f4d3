-- Written by deploy/supabase/generate.py from 0002_sales.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0002_sales') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0002$
-- Sales and their items, and the changes that an operator makes to them.

-- A sale. One that is spread over several partitions has a row per shard: `s` is the home shard, `s~1`, `s~2`, ... the others,
-- each with stock of its own; `public_id` is the id that the shop knows.
CREATE TABLE flashguard.sales (
    id                 text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,63}(~[1-9][0-9]{0,2})?$'),
    name               text NOT NULL,
    status             text NOT NULL DEFAULT 'draft'
                       CHECK (status IN ('draft', 'scheduled', 'open', 'paused', 'closed')),
    partition          integer NOT NULL REFERENCES flashguard.partitions,
    starts_at          timestamptz,
    ends_at            timestamptz,
    hold_seconds       integer NOT NULL CHECK (hold_seconds > 0),
    max_hold_seconds   integer NOT NULL CHECK (max_hold_seconds >= hold_seconds),
    limit_per_customer bigint CHECK (limit_per_customer > 0),
    created_at         timestamptz NOT NULL DEFAULT now(),
    closed_at          timestamptz,
    creation_key       text,                -- idempotency: the key and the body that created this sale
    creation_body      bigint,
    hold_durability    text NOT NULL DEFAULT 'disk'  -- what a hold must have reached before its answer is sent
                       CHECK (hold_durability IN ('memory', 'disk', 'replicated', 'ledger')),
    waiting_room       jsonb,               -- model.WaitingRoom, without the commitment, which follows from the seed
    room_seed          text CHECK (room_seed ~ '^[0-9a-f]{64}$'),  -- of the lottery; secret until the lottery is closed
    room_opened_at     timestamptz,         -- the lottery is closed: the seed may be published
    rules              jsonb NOT NULL DEFAULT '{}',  -- the optional rules, as the map that the kernel reads; see model/rules.py
    public_id          text COLLATE "C" GENERATED ALWAYS AS (split_part(id, '~', 1)) STORED,
    CHECK (ends_at > starts_at),
    CHECK ((waiting_room IS NULL) = (room_seed IS NULL)),
    -- The bounds are those of flashguard.model: EARLIEST_TIME_MS to LATEST_TIME_MS. A time of the journal comes as a double,
    -- some microseconds off: the last moment of 9998 has room for that.
    CONSTRAINT sales_times_in_range CHECK (
        (starts_at IS NULL OR starts_at >= '2000-01-01 00:00:00+00' AND starts_at < '9999-01-01 00:00:00+00')
        AND (ends_at IS NULL OR ends_at >= '2000-01-01 00:00:00+00' AND ends_at < '9999-01-01 00:00:00+00')
        AND flashguard.readable(created_at, closed_at, room_opened_at))
);
CREATE UNIQUE INDEX sales_by_creation_key ON flashguard.sales (creation_key);
CREATE INDEX sales_by_partition ON flashguard.sales (partition, status);
CREATE INDEX sales_by_time ON flashguard.sales (created_at DESC, id);
CREATE INDEX sales_by_public_id ON flashguard.sales (public_id);
-- The shards of sales that still sell, which the recorders read every second.
CREATE INDEX sales_parts ON flashguard.sales (public_id) WHERE id <> public_id AND status <> 'closed';

-- An item of a sale, with its counters: available = stock - held - sold.
CREATE TABLE flashguard.items (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    sku         text COLLATE "C" NOT NULL,
    ordinal     integer NOT NULL,           -- the order in which the shop listed the items
    name        text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    char(3) NOT NULL,
    stock       bigint NOT NULL CHECK (stock >= 0),
    held        bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold        bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
    PRIMARY KEY (sale_id, sku),
    CONSTRAINT never_oversold CHECK (held + sold <= stock),
    -- MAX_PRICE_MINOR and MAX_STOCK of flashguard.model. The largest price times a basket's most lines and units stays below
    -- 2^63; 2^50 units are beyond any sum of allowed restocks.
    CONSTRAINT items_price_in_range CHECK (price_minor <= 100000000000),
    CONSTRAINT items_stock_in_range CHECK (stock <= 1125899906842624)
) WITH (fillfactor = 50);                   -- every recorded group changes its rows: keep the updates on the page

-- Every change of an item's stock, under the idempotency key that made it. A transfer between two shards is two of them.
CREATE TABLE flashguard.restocks (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    delta       bigint NOT NULL,
    reason      text NOT NULL,              -- of a transfer: the other shard
    fingerprint bigint NOT NULL,            -- of the request body, for idempotency
    stock       bigint NOT NULL,            -- the item's counters after the change
    held        bigint NOT NULL,
    sold        bigint NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

-- The idempotency keys that opened, paused and closed sales, and the status that each led to.
CREATE TABLE flashguard.sale_changes (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    key         text COLLATE "C" NOT NULL,
    verb        text NOT NULL,
    status      text NOT NULL,              -- the sale's, after the change
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

$migration_0002$;
INSERT INTO flashguard.migrations (name) VALUES ('0002_sales');
END IF;
END $guard$;
