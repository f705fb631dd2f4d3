-- Written by deploy/supabase/generate.py from 0001_ledger.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0001_ledger') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0001$
-- The ledger: the final source of truth. Everything lives in one schema, times are timestamptz in UTC,
-- money is in minor units with its currency, and constraints make overselling impossible even when memory lies.

CREATE TABLE flashguard.installation (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    secret      text NOT NULL,              -- signs receipts and derives reservation ids; 64 hex digits
    partitions  integer NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Where each partition's recorder stands: the newest journal entry that is in the ledger.
CREATE TABLE flashguard.partitions (
    partition   integer PRIMARY KEY,
    epoch       bigint NOT NULL DEFAULT 0,
    seq         bigint NOT NULL DEFAULT 0,
    token       text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE flashguard.sales (
    id                 text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
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
    creation_key       text,                -- idempotency: the key and body this sale was created with
    creation_body      bigint,
    CHECK (ends_at > starts_at)
);
CREATE UNIQUE INDEX sales_by_creation_key ON flashguard.sales (creation_key);
CREATE INDEX sales_by_partition ON flashguard.sales (partition, status);
CREATE INDEX sales_by_time ON flashguard.sales (created_at DESC, id);

CREATE TABLE flashguard.items (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    sku         text COLLATE "C" NOT NULL,
    ordinal     integer NOT NULL,           -- the order the shop gave them in
    name        text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    char(3) NOT NULL,
    stock       bigint NOT NULL CHECK (stock >= 0),
    held        bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold        bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
    PRIMARY KEY (sale_id, sku),
    CONSTRAINT never_oversold CHECK (held + sold <= stock)
) WITH (fillfactor = 50);                   -- its rows change with every group: keep the updates on the page

-- A reservation in whatever state it ended; a confirmed one is an order. No foreign key to sales: that check
-- would cost each row a query, and record_group already fails when an item's sale is unknown.
CREATE TABLE flashguard.reservations (
    sale_id      text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    customer     text NOT NULL,
    status       text NOT NULL CHECK (status IN ('held', 'confirmed', 'released', 'expired')),
    lines        jsonb NOT NULL,            -- [sku, quantity, sku, quantity, ...]
    fingerprint  bigint NOT NULL,           -- of the request body, for idempotency
    created_at   timestamptz NOT NULL,
    hold_ms      bigint NOT NULL,           -- as first given; 0 for a direct buy
    expires_at   timestamptz,
    confirmed_at timestamptz,
    ended_at     timestamptz,
    extensions   jsonb,                     -- [key fingerprint, expires_ms, ...]
    PRIMARY KEY (sale_id, id)
) WITH (fillfactor = 90);
CREATE INDEX reservations_held ON flashguard.reservations (sale_id) WHERE status = 'held';
CREATE INDEX reservations_orders ON flashguard.reservations (sale_id, confirmed_at, id) WHERE confirmed_at IS NOT NULL;

CREATE TABLE flashguard.restocks (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    delta       bigint NOT NULL,
    reason      text NOT NULL,
    fingerprint bigint NOT NULL,
    stock       bigint NOT NULL,            -- the item's counters after it
    held        bigint NOT NULL,
    sold        bigint NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

-- What memory granted and the ledger refused. Possible only after memory lost data; never silent.
CREATE TABLE flashguard.refusals (
    sale_id     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    customer    text NOT NULL,
    lines       jsonb NOT NULL,
    reason      text NOT NULL,
    epoch       bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refusals_by_sale ON flashguard.refusals (sale_id, at);

-- What a shop may read: one row per order line.
CREATE VIEW flashguard.order_lines AS
SELECT r.sale_id, r.id AS order_id, r.customer, r.confirmed_at,
       r.lines ->> (2 * n) AS sku, (r.lines ->> (2 * n + 1))::bigint AS quantity,
       i.price_minor, i.currency
FROM flashguard.reservations r
CROSS JOIN LATERAL generate_series(0, jsonb_array_length(r.lines) / 2 - 1) AS n
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.status = 'confirmed';

$migration_0001$;
INSERT INTO flashguard.migrations (name) VALUES ('0001_ledger');
END IF;
END $guard$;
