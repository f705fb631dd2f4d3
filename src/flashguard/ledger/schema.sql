-- The ledger's schema as it stands after all migrations: first the tables, each with its indexes and
-- triggers, then the views, then the functions, each kind in the order of its names.
--
-- This file is documentation. No program runs it: `flashguard migrate` applies migrations/. `make docs`
-- writes it from a migrated ledger, and a test keeps it equal.
--
-- All names are in the schema `flashguard`. The ledger is the source of truth. Times are timestamptz; money
-- is a count of minor units with its currency. Row-level security is on for every table, and the public has
-- no rights: see let_in and close_to_public.

-- A line is written once and never changed. The trigger refuses it to every role, also to the schema's owner; a role that let_in
-- lets in may not even ask for it.
CREATE TABLE admin_log (
    id         text COLLATE "C" NOT NULL,             -- made before the change, so that a line that is written twice is there once
    at         timestamptz NOT NULL,                  -- when the call came
    actor      text COLLATE "C" NOT NULL,             -- an API key's id; `bootstrap`: FLASHGUARD_ADMIN_KEY; `cli:` and who ran a command
    operation  text COLLATE "C" NOT NULL,             -- the call, such as `POST /v1/sales/{sale}/open`, or the command
    target     text COLLATE "C" NOT NULL,             -- the id of what it is about; '' where it has none
    outcome    text NOT NULL,
    code       text,                                  -- of the problem that was answered
    detail     jsonb NOT NULL,                        -- what the call names besides; never a secret
    address    text,                                  -- the client's
    agent      text,                                  -- what the client says it is
    request_id text,
    PRIMARY KEY (id),
    CONSTRAINT admin_log_outcome_check CHECK (outcome = ANY (ARRAY['done', 'replayed', 'refused', 'failed']))
);
CREATE INDEX admin_log_by_actor ON admin_log (actor, at, id);
CREATE INDEX admin_log_by_operation ON admin_log (operation, at, id);
CREATE INDEX admin_log_by_target ON admin_log (target, at, id);
CREATE INDEX admin_log_by_time ON admin_log (at, id);
CREATE INDEX admin_log_not_done ON admin_log (outcome, at, id) WHERE outcome <> 'done';
CREATE TRIGGER admin_log_is_kept BEFORE DELETE OR UPDATE ON admin_log FOR EACH ROW EXECUTE FUNCTION keep_admin_log();
CREATE TRIGGER admin_log_is_not_emptied BEFORE TRUNCATE ON admin_log FOR EACH STATEMENT EXECUTE FUNCTION keep_admin_log();

-- The amends, one row for each key, also of requests to cancel items; each with what it made of the reservation.
CREATE TABLE amendments (
    sale_id     text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,            -- of the reservation
    revision    bigint NOT NULL,
    fingerprint bigint NOT NULL,                      -- of the request, for idempotency
    customer    text NOT NULL,
    lines       jsonb NOT NULL,
    details     jsonb,
    restocked   boolean NOT NULL,
    reason      text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);

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

-- A fact, as it was when it was recorded. The facts of one partition commit in the order of their ids, because a transaction
-- that writes one has locked the partition's row. No such order holds between partitions.
CREATE TABLE facts (
    partition    integer NOT NULL,
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type         text NOT NULL,
    sale_id      text COLLATE "C" NOT NULL,
    reservation  text COLLATE "C" NOT NULL DEFAULT '',  -- '' for a fact of a sale
    at           timestamptz NOT NULL,                -- when it happened
    customer     text,
    lines        jsonb,
    created_at   timestamptz,                         -- of the reservation, like the next three
    expires_at   timestamptz,
    confirmed_at timestamptz,
    restocked    boolean,
    detail       text,                                -- a reason, or a sale's status
    written_at   timestamptz NOT NULL DEFAULT now(),
    details      jsonb,                               -- as in webhook_deliveries
    PRIMARY KEY (partition, id)
);
CREATE INDEX facts_by_age ON facts USING brin (written_at);
CREATE TRIGGER silence_shadows AFTER INSERT ON facts REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION silence_shadow_facts();

-- One row while the feed has readers: from the first read on, until there was none for as long as facts are kept. `since`
-- names this run of the feed: it has every fact from then on.
CREATE TABLE facts_feed (
    only_one boolean NOT NULL DEFAULT true,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at  timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of the newest read, approximately
    PRIMARY KEY (only_one),
    CONSTRAINT facts_feed_only_one_check CHECK (only_one)
);

-- Up to which id the facts of a partition are gone, or belong to an earlier run of the feed: a reader who has not read as far
-- has missed some.
CREATE TABLE facts_forgotten (
    partition integer NOT NULL,
    id        bigint NOT NULL,
    PRIMARY KEY (partition)
);

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
    sale_id         text COLLATE "C" NOT NULL,
    sku             text COLLATE "C" NOT NULL,
    ordinal         integer NOT NULL,                 -- the order in which the shop listed the items
    name            text NOT NULL,
    price_minor     bigint NOT NULL,
    currency        character(3) NOT NULL,
    stock           bigint NOT NULL,
    held            bigint NOT NULL DEFAULT 0,
    sold            bigint NOT NULL DEFAULT 0,
    kind            text NOT NULL DEFAULT 'item',
    uses            jsonb,                            -- what a unit draws: [pool, units, ...]; such an item has a stock of 2^50, or one of its own
    price_now_minor bigint,                           -- null: price_minor never changed. A line has price_minor, the first price, unless its reservation has one of its own
    on_sale         boolean NOT NULL DEFAULT true,    -- false: no new holds
    was_held        boolean NOT NULL DEFAULT false,   -- units of it were held, or sold, that no reservation names any more: an amend took them out
    PRIMARY KEY (sale_id, sku),
    FOREIGN KEY (sale_id) REFERENCES sales(id),
    CONSTRAINT items_held_check CHECK (held >= 0),
    CONSTRAINT items_kind_check CHECK (kind = ANY (ARRAY['item', 'pool', 'location'])),
    -- MAX_PRICE_MINOR and MAX_STOCK of flashguard.model. The largest price times a basket's most lines and units stays below
    -- 2^63; 2^50 units are beyond any sum of allowed restocks.
    CONSTRAINT items_price_in_range CHECK (price_minor <= '100000000000'::bigint),
    CONSTRAINT items_price_minor_check CHECK (price_minor >= 0),
    CONSTRAINT items_price_now_minor_check CHECK (price_now_minor >= 0 AND price_now_minor <= '100000000000'::bigint),
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

-- The events of providers that were taken, so that each counts once.
CREATE TABLE payment_events (
    provider text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    payment  text COLLATE "C" NOT NULL,
    kind     text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, id)
);
-- The events of a payment that is pruned.
CREATE INDEX payment_events_of_payment ON payment_events (payment);

-- Money that goes back. A row is written in the transaction that decides it, and carried out until the provider has done it.
CREATE TABLE payment_refunds (
    payment      text COLLATE "C" NOT NULL,
    number       integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    reason       text NOT NULL,
    state        text NOT NULL DEFAULT 'pending',
    provider_id  text,                                -- the provider's id of it
    error        text,                                -- of the newest attempt
    created_at   timestamptz NOT NULL DEFAULT now(),
    asked_at     timestamptz,                         -- from then on the provider may have it
    ended_at     timestamptz,
    due_at       timestamptz,                         -- when the provider is to be asked; NULL: no longer
    attempts     integer NOT NULL DEFAULT 0,
    retried_as   integer,                             -- of a failed one: the number of the refund that takes its place
    PRIMARY KEY (payment, number),
    FOREIGN KEY (payment) REFERENCES payments(id),
    CONSTRAINT payment_refunds_amount_minor_check CHECK (amount_minor > 0),
    CONSTRAINT payment_refunds_state_check CHECK (state = ANY (ARRAY['pending', 'done', 'failed', 'void']))
);
CREATE INDEX payment_refunds_due ON payment_refunds (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payment_refunds_newest ON payment_refunds (created_at);
CREATE INDEX payment_refunds_open ON payment_refunds (created_at) WHERE state = 'pending' OR state = 'failed' AND retried_as IS NULL;

-- A payment for a hold at a provider. Its states: new (the provider may not have it yet), open (the buyer can pay), paid (money
-- was taken, nothing is decided), order (it paid for an order), refused (the money goes back), ended (no money was taken).
CREATE TABLE payments (
    id             text COLLATE "C" NOT NULL,         -- also the key under which the provider makes its session once
    sale_id        text COLLATE "C" NOT NULL,
    reservation    text COLLATE "C" NOT NULL,
    provider       text NOT NULL,
    state          text NOT NULL DEFAULT 'new',
    amount_minor   bigint NOT NULL,
    currency       character(3) NOT NULL,
    receipt        text NOT NULL,                     -- of the hold, as it is paid for
    request        jsonb NOT NULL,                    -- what the provider is asked, each time the same
    session        text,                              -- the provider's id of it
    answer         jsonb,                             -- what the buyer needs to pay: an address or a secret
    paid_minor     bigint NOT NULL DEFAULT 0,
    paid_currency  text,
    refunded_minor bigint NOT NULL DEFAULT 0,         -- of all refunds that are decided, done or not
    why            text,                              -- why it was refused, or that another replaces it
    error          text,                              -- of the newest attempt to go on with it
    created_at     timestamptz NOT NULL DEFAULT now(),
    paid_at        timestamptz,
    decided_at     timestamptz,
    due_at         timestamptz,                       -- when it is to be looked at; NULL: never again
    attempts       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    CONSTRAINT never_refunded_more CHECK (refunded_minor >= 0 AND refunded_minor <= paid_minor),
    CONSTRAINT payments_amount_minor_check CHECK (amount_minor > 0),
    CONSTRAINT payments_state_check CHECK (state = ANY (ARRAY['new', 'open', 'paid', 'order', 'refused', 'ended']))
);
CREATE UNIQUE INDEX one_payment_per_order ON payments (sale_id, reservation) WHERE state = 'order';
CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_newest ON payments (created_at, id);
CREATE INDEX payments_not_done ON payments (created_at, id) WHERE state <> 'order' AND state <> 'ended';
CREATE INDEX payments_of_reservation ON payments (sale_id, reservation);
CREATE INDEX payments_of_sale ON payments (sale_id, created_at, id);

-- The sales that were pruned, and their shards. Their ids are not used again: a receipt, a key or a ticket of theirs must mean
-- nothing to another sale.
CREATE TABLE pruned_sales (
    id          text COLLATE "C" NOT NULL,
    closed_at   timestamptz NOT NULL,
    pruned_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,                          -- null: rows of it are left
    is_large    boolean NOT NULL DEFAULT false,       -- its reservations are found by reading the table once, not one by one by the index
    PRIMARY KEY (id)
);
CREATE INDEX pruned_sales_unfinished ON pruned_sales (pruned_at, id) WHERE finished_at IS NULL;

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

-- The times of a reservation: the CHECK says what `readable` says, spelled out. PostgreSQL parses an SQL function of a CHECK again
-- in every statement that writes, which was a fifth of its CPU for a small group.
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
    details       jsonb,                              -- by name, absent names absent: takes, [counter, units, ...], which it moves in place of its lines
    PRIMARY KEY (sale_id, id),
    CONSTRAINT reservations_status_check CHECK (status = ANY (ARRAY['held', 'confirmed', 'released', 'expired', 'cancelled'])),
    CONSTRAINT reservations_times_in_range CHECK (created_at >= '1970-01-01 00:00:00+00'::timestamptz AND created_at < '9999-01-01 00:00:00+00'::timestamptz AND (expires_at IS NULL OR expires_at >= '1970-01-01 00:00:00+00'::timestamptz AND expires_at < '9999-01-01 00:00:00+00'::timestamptz) AND (confirmed_at IS NULL OR confirmed_at >= '1970-01-01 00:00:00+00'::timestamptz AND confirmed_at < '9999-01-01 00:00:00+00'::timestamptz) AND (ended_at IS NULL OR ended_at >= '1970-01-01 00:00:00+00'::timestamptz AND ended_at < '9999-01-01 00:00:00+00'::timestamptz))
) WITH (fillfactor=90);
-- Only the reservations that have a reference are in it.
CREATE INDEX reservations_by_reference ON reservations (sale_id, (details ->> 'reference')) WHERE (details ->> 'reference') IS NOT NULL;
CREATE INDEX reservations_held ON reservations (sale_id) WHERE status = 'held';
-- Orders and ended holds, of one status or of one customer in each status. Live holds are not in it: they are the most that a
-- recorder writes.
CREATE INDEX reservations_of_customer ON reservations (sale_id, status, customer) WHERE status <> 'held';
CREATE INDEX reservations_orders ON reservations (sale_id, confirmed_at, id) WHERE confirmed_at IS NOT NULL;
CREATE TRIGGER refund_order AFTER UPDATE ON reservations FOR EACH ROW WHEN (old.status = 'confirmed' AND (new.status = 'cancelled' OR new.lines IS DISTINCT FROM old.lines)) EXECUTE FUNCTION refund_order();

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
    room_of            text COLLATE "C" GENERATED ALWAYS AS (COALESCE(((rules -> 'room') ->> 'of'), ((rules -> 'doors') ->> 'of'))) STORED,  -- the sale whose waiting room this one shares, also once its own doors are open
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
CREATE INDEX sales_by_public_id ON sales (public_id);
-- The sales that share a room, which the recorders read every second.
CREATE INDEX sales_by_room ON sales (room_of) WHERE room_of IS NOT NULL;
CREATE INDEX sales_by_time ON sales (created_at, id);
-- When each other sale closed: memory keeps those of the last hours.
CREATE INDEX sales_closed ON sales (closed_at) WHERE status = 'closed';
-- The sales that live, which recorders and metrics ask for every second or two: of 7,300 ended ones they read no row.
CREATE INDEX sales_live ON sales (partition) WHERE status <> 'closed';
-- The shards of sales that still sell, which the recorders read every second.
CREATE INDEX sales_parts ON sales (public_id) WHERE id <> public_id AND status <> 'closed';

-- The attempts of a comparison go in batches, after it.
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
    CONSTRAINT signing_keys_secret_check CHECK (length(secret) = 32 OR substr(secret, 1, 5) = '\x666773312e'::bytea)
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

-- By name, what limits by identity count the entry by: a keyed hash, never what the shop sent.
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
    identities  jsonb,
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
    details      jsonb,                               -- of an amended reservation: its revision, and the items cancelled so far
    PRIMARY KEY (endpoint, id),
    CONSTRAINT webhook_deliveries_state_check CHECK (state = ANY (ARRAY['pending', 'delivered', 'failed']))
);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries USING brin (written_at);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, id) WHERE state = 'pending';
-- What is rare among millions, and asked for: messages that were given up, calls that changed nothing, payments that are not done.
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (endpoint, id) WHERE state = 'failed';
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
    p.price_minor::bigint AS price_minor,
    i.currency,
        CASE
            WHEN abs(u.units * p.price_minor) < '9223372036854775808'::numeric THEN (u.units * p.price_minor)::bigint
            ELSE NULL::bigint
        END AS amount_minor,
    r.confirmed_at,
        CASE
            WHEN r.status = 'cancelled' THEN r.ended_at
            ELSE NULL::timestamptz
        END AS cancelled_at,
    r.restocked,
    r.cancel_reason,
    r.details ->> 'reference' AS reference,
    r.details -> 'metadata' AS metadata,
    ( SELECT jsonb_agg(jsonb_build_object('location', split_part(t.takes ->> (2 * m.m), '', 2), 'quantity', t.takes -> (2 * m.m + 1)) ORDER BY m.m) AS jsonb_agg
           FROM ( SELECT r.details -> 'takes' AS takes) t
             CROSS JOIN LATERAL generate_series(0,
                CASE
                    WHEN jsonb_typeof(t.takes) = 'array' THEN jsonb_array_length(t.takes) / 2
                    ELSE 0
                END - 1) m(m)
          WHERE starts_with(t.takes ->> (2 * m.m), (r.lines ->> (2 * n.n)) || '')) AS allocations
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
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN jsonb_typeof((r.details -> 'prices') -> (r.lines ->> (2 * n.n))) = 'number' THEN
                    CASE
                        WHEN abs(((r.details -> 'prices') -> (r.lines ->> (2 * n.n)))::numeric) < '1000000000000000'::bigint::numeric THEN ((r.details -> 'prices') -> (r.lines ->> (2 * n.n)))::numeric
                        ELSE NULL::numeric
                    END
                    ELSE i.price_minor::numeric
                END AS price_minor) p
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

-- apply_rows: apply reservations and counters of one group, or of several partitions' groups, whose positions have moved in the
-- same transaction. Counters move by the groups' sums; each touched item's counters are then compared with memory's counters
-- after the group.
--
-- p_new: reservations that the ledger does not have, in the state that the group leaves them.
-- p_changed: holds that the ledger has, in the state that the group leaves them; a field that is left out is unchanged.
-- p_items: per item the sums of the group, and memory's counters after it.
-- Their fields are those of New, Changed and Moved in recorder/fold.py.
--
-- LIMIT tells the planner how many rows come. It expects 100 of any recordset, and would read thousands of reservations one
-- after the other for a group that changes one. A hold is found by the primary key: with `status = 'held'` as it stands, the planner
-- also knows the index of live holds, prefers it before the table is first analyzed, and reads all of the sale's for each hold.
--
-- Returns drift: the items ("sale/sku") whose counters differ from memory's.
CREATE FUNCTION apply_rows(p_new jsonb, p_changed jsonb, p_items jsonb, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    given bigint;
    changed bigint;
BEGIN
    drift := '{}';
    IF jsonb_array_length(p_new) > 0 THEN
        INSERT INTO reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                  expires_at, confirmed_at, ended_at, extensions, details)
        SELECT sale, id, customer, status, lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
               CASE WHEN expires_ms > 0 THEN to_timestamp(expires_ms::float8 / 1000) END,
               CASE WHEN status = 'confirmed' THEN to_timestamp(ended_ms::float8 / 1000) END,
               CASE WHEN ended_ms > 0 THEN to_timestamp(ended_ms::float8 / 1000) END,
               extensions, details
        FROM jsonb_to_recordset(p_new)
             AS n (sale text, id text, customer text, status text, lines jsonb, fingerprint bigint, created_ms bigint,
                   hold_ms bigint, expires_ms bigint, ended_ms bigint, extensions jsonb, details jsonb);
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
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status || '' = 'held';
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

-- ask_refund: write a refund of a payment, whose row the caller has locked.
CREATE FUNCTION ask_refund(p_payment text, p_minor bigint, p_reason text, p_seconds double precision) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF p_minor > 0 THEN
        UPDATE payments SET refunded_minor = refunded_minor + p_minor WHERE id = p_payment;
        INSERT INTO payment_refunds (payment, number, amount_minor, currency, reason, due_at)
        SELECT id, (SELECT count(*) + 1 FROM payment_refunds WHERE payment = p_payment), p_minor, paid_currency, p_reason,
               clock_timestamp() + make_interval(secs => p_seconds)
        FROM payments WHERE id = p_payment;
    END IF;
END
$$;

-- begin_refund: called before a refund is asked of the provider. Where the payment was refused because its hold could not be
-- confirmed, an order is there after all, and the provider was not asked before, nothing is paid back: the payment is decided
-- again. Returns whether the refund is to be asked.
CREATE FUNCTION begin_refund(p_payment text, p_number integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_payment;
    SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation FOR NO KEY UPDATE;
    SELECT * INTO p FROM payments WHERE id = p_payment FOR UPDATE;
    IF p.state = 'refused' AND r.status = 'confirmed' AND p.why NOT IN ('too-little', 'wrong-currency', 'paid-twice', 'amended')
       AND NOT EXISTS (SELECT FROM payments other WHERE other.sale_id = p.sale_id AND other.reservation = p.reservation
                       AND other.state = 'order') THEN
        UPDATE payment_refunds SET state = 'void', ended_at = clock_timestamp(), due_at = NULL
        WHERE payment = p_payment AND number = p_number AND state = 'pending' AND asked_at IS NULL;
        IF FOUND THEN
            UPDATE payments SET state = 'paid', why = NULL, due_at = clock_timestamp(), attempts = attempts + 1,
                   refunded_minor = refunded_minor - (SELECT amount_minor FROM payment_refunds
                                                      WHERE payment = p_payment AND number = p_number)
            WHERE id = p_payment;
            RETURN false;
        END IF;
    END IF;
    UPDATE payment_refunds SET asked_at = clock_timestamp() WHERE payment = p_payment AND number = p_number AND asked_at IS NULL;
    RETURN true;
END
$$;

-- cancel_archived: cancel an order of a sale that was closed more than p_seconds ago, which memory has let go of. The ledger
-- decides alone; a closed sale never opens again. Returns false when there is no such order, or no such sale.
CREATE FUNCTION cancel_archived(p_sale text, p_id text, p_restock boolean, p_reason text, p_seconds double precision) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    ordered jsonb;
BEGIN
    SELECT coalesce(r.details -> 'takes', r.lines) INTO ordered FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = p_sale AND r.id = p_id AND r.status = 'confirmed'
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r FOR KEY SHARE OF s;
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

-- cancel_items_archived: cancel items of an order of a sale that was closed more than p_seconds ago, as cancel_archived does
-- with a whole order. p_amend is what record_amends takes; without lines nothing is left, and the order is cancelled. Returns
-- false when there is no such order at the revision before, or no such sale.
CREATE FUNCTION cancel_items_archived(p_amend jsonb, p_seconds double precision) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    amend jsonb := p_amend || jsonb_build_object('at_ms', round(date_part('epoch', clock_timestamp()) * 1000)::bigint);
BEGIN
    PERFORM FROM reservations r JOIN sales s ON s.id = r.sale_id
    WHERE r.sale_id = amend ->> 'sale' AND r.id = amend ->> 'id' AND r.status = 'confirmed'
      AND revision_of(r.details) = (amend ->> 'revision')::bigint - 1
      AND s.status = 'closed' AND s.closed_at <= now() - make_interval(secs => p_seconds)
    FOR UPDATE OF r FOR KEY SHARE OF s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE items SET sold = sold + units, stock = stock + CASE WHEN (amend ->> 'restock')::boolean THEN 0 ELSE units END
    FROM (SELECT amend -> 'moves' ->> (2 * n) AS sku, sum((amend -> 'moves' ->> (2 * n + 1))::bigint)::bigint AS units
          FROM generate_series(0, jsonb_array_length(amend -> 'moves') / 2 - 1) AS n GROUP BY 1) AS line
    WHERE items.sale_id = amend ->> 'sale' AND items.sku = line.sku;
    IF jsonb_array_length(amend -> 'lines') > 0 THEN
        PERFORM record_amends(jsonb_build_array(amend));
    ELSE
        PERFORM record_cancels(jsonb_build_array(amend || jsonb_build_object('body', amend -> 'fingerprint')));
    END IF;
    RETURN true;
END
$$;

-- change_items: add, change and remove items, in order, in record_group's transaction, before it: a group may move counters of a
-- new item. A row that recover made up, because only memory had the item, gets its name and price from the journal.
CREATE FUNCTION change_items(changes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    c record;
    rows bigint;
BEGIN
    FOR c IN SELECT * FROM ROWS FROM (jsonb_to_recordset(changes) AS (sale text, sku text, what text, row jsonb, opened boolean))
             WITH ORDINALITY AS x (sale, sku, what, row, opened, place) ORDER BY place LOOP
        IF c.what = 'add' THEN
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, price_now_minor, currency, stock, kind, uses)
            SELECT c.sale, i.sku, i.place + (SELECT coalesce(max(ordinal), 0) FROM items WHERE sale_id = c.sale), i.name,
                   i.price_minor, CASE WHEN c.opened AND i.kind = 'item' THEN i.price_minor END, i.currency, i.stock, i.kind, i.uses
            FROM ROWS FROM (jsonb_to_recordset(c.row) AS (sku text, name text, price_minor bigint, currency text, stock bigint,
                                                          kind text, uses jsonb))
                 WITH ORDINALITY AS i (sku, name, price_minor, currency, stock, kind, uses, place)
            ON CONFLICT (sale_id, sku) DO UPDATE
            SET name = excluded.name, price_minor = excluded.price_minor, price_now_minor = excluded.price_now_minor,
                currency = excluded.currency
            WHERE items.ordinal > 1000000;
            GET DIAGNOSTICS rows = ROW_COUNT;
            rows := rows - jsonb_array_length(c.row) + 1;
        ELSIF c.what = 'set' THEN
            UPDATE items
            SET name = coalesce(c.row ->> 'name', name), on_sale = coalesce((c.row ->> 'on_sale')::boolean, on_sale),
                price_minor = CASE WHEN c.opened THEN price_minor ELSE coalesce((c.row ->> 'price_minor')::bigint, price_minor) END,
                price_now_minor = CASE WHEN c.opened THEN coalesce((c.row ->> 'price_minor')::bigint, price_now_minor) END
            WHERE sale_id = c.sale AND sku = c.sku AND kind = 'item';
            GET DIAGNOSTICS rows = ROW_COUNT;
        ELSE
            rows := remove_item(c.sale, c.sku)::integer;
        END IF;
        IF rows <> 1 THEN
            RAISE EXCEPTION 'the ledger can''t % item % of sale %', c.what, c.sku, c.sale
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
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

-- decide_payment: decide a payment once: it pays for the order, or it is refused and a refund of all of it is written here.
-- Locks are taken in the order in which the recorder takes them: the reservation, then the payment.
--
-- p_attempts: as claimed; when another process has claimed the payment since, nothing changes.
-- p_why: why it can't become an order; NULL: its confirm was granted.
--
-- Returns the payment's state afterwards; or `short`: the order costs more than was paid, and must be cancelled; or `again`: an
-- order is there after all; or `undo`: the payment was refused before, and the order that was just confirmed must be cancelled.
CREATE FUNCTION decide_payment(p_id text, p_attempts integer, p_why text, p_seconds double precision) RETURNS text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
    price numeric;
    is_paid boolean;
    is_order boolean;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_id;
    SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation FOR NO KEY UPDATE;
    SELECT * INTO p FROM payments WHERE id = p_id FOR UPDATE;
    is_order := coalesce(r.status = 'confirmed', false);
    is_paid := EXISTS (SELECT FROM payments other WHERE other.sale_id = p.sale_id AND other.reservation = p.reservation
                       AND other.state = 'order');
    IF p.state = 'refused' AND p_why IS NULL AND is_order AND NOT is_paid AND r.confirmed_at > p.decided_at THEN
        RETURN 'undo';
    ELSIF p.state <> 'paid' OR p.attempts <> p_attempts THEN
        RETURN p.state;
    END IF;
    price := price_of(r.sale_id, r.lines, r.details);

    IF is_order AND p_why IS DISTINCT FROM 'too-little' AND p_why IS DISTINCT FROM 'wrong-currency' THEN
        IF is_paid THEN
            p_why := 'paid-twice';
        ELSIF p_why IS NOT NULL THEN
            RETURN 'again';
        ELSIF price > p.paid_minor AND r.confirmed_at > p.paid_at THEN
            RETURN 'short';
        ELSIF price > p.paid_minor THEN
            p_why := 'amended';
        END IF;
    ELSIF p_why IS NULL THEN
        p_why := 'reservation-' || coalesce(r.status, 'unknown');
    END IF;

    IF p_why IS NULL THEN
        UPDATE payments SET state = 'order', why = NULL, due_at = NULL, error = NULL, decided_at = clock_timestamp() WHERE id = p_id;
        UPDATE payments SET why = 'replaced', due_at = clock_timestamp(), attempts = attempts + 1 -- their sessions are to end
        WHERE sale_id = p.sale_id AND reservation = p.reservation AND state IN ('new', 'open');
        PERFORM ask_refund(p_id, (p.paid_minor - price)::bigint, 'paid-too-much', 0);
        RETURN 'order';
    END IF;
    UPDATE payments SET state = 'refused', why = p_why, due_at = NULL, error = NULL, decided_at = clock_timestamp() WHERE id = p_id;
    PERFORM ask_refund(p_id, p.paid_minor - p.refunded_minor, p_why, p_seconds);
    RETURN 'refused';
END
$$;

-- delete_drafts: delete drafts that memory deleted, with all that is kept under their ids, so that the ids can be used again.
CREATE FUNCTION delete_drafts(p_sales text[]) RETURNS void
LANGUAGE sql
SET search_path = flashguard, pg_temp
AS $$
    WITH gone AS (
        SELECT id FROM sales s WHERE id = ANY (p_sales) AND status = 'draft'
          AND NOT EXISTS (SELECT FROM reservations r WHERE r.sale_id = s.id)
    ), attempts AS (
        DELETE FROM shadow_attempts USING gone WHERE sale_id = gone.id
    ), shadows AS (
        DELETE FROM shadow_sales USING gone WHERE sale_id = gone.id
    ), changes AS (
        DELETE FROM sale_changes USING gone WHERE sale_id = gone.id
    ), restocks AS (
        DELETE FROM restocks USING gone WHERE sale_id = gone.id
    ), refused AS (
        DELETE FROM refused_transitions USING gone WHERE sale_id = gone.id
    ), items AS (
        DELETE FROM items USING gone WHERE sale_id = gone.id
    )
    DELETE FROM sales USING gone WHERE sales.id = gone.id
$$;

-- end_refund: note that the provider has done a refund, or that it never will, and write the fact of it. One that was done can
-- fail later. An event that came after the provider was asked (p_attempts) keeps the refund due: it is asked once more.
CREATE FUNCTION end_refund(p_payment text, p_number integer, p_attempts integer, p_state text, p_provider_id text, p_error text) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
    refund payment_refunds;
    home integer;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_payment;
    SELECT partition INTO home FROM sales WHERE id = p.sale_id;
    PERFORM FROM partitions WHERE partition = home FOR NO KEY UPDATE; -- as every writer of a fact
    UPDATE payment_refunds SET due_at = NULL WHERE payment = p_payment AND number = p_number AND attempts = p_attempts;
    UPDATE payment_refunds SET state = p_state, ended_at = clock_timestamp(), error = p_error,
                               provider_id = coalesce(p_provider_id, provider_id)
    WHERE payment = p_payment AND number = p_number AND (state = 'pending' OR (state = 'done' AND p_state = 'failed'))
    RETURNING * INTO refund;
    IF FOUND THEN
        SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation;
        PERFORM write_fact(home, CASE p_state WHEN 'done' THEN 'payment.refunded' ELSE 'payment.refund_failed' END, p.sale_id,
                           p.reservation, refund.ended_at, r.customer, p_detail => refund.reason,
                           p_details => jsonb_build_object('payment', jsonb_build_object(
                               'id', p.id, 'provider', p.provider, 'refund', p.id || '-' || refund.number,
                               'amount_minor', refund.amount_minor, 'currency', refund.currency)));
    END IF;
END
$$;

-- event_of: return the type of event that a reservation's new status makes.
CREATE FUNCTION event_of(status text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE status WHEN 'confirmed' THEN 'order.confirmed' ELSE 'reservation.' || status END $$;

-- first_prices: return the first prices of these lines' items, by sku: of all, or of those whose prices have changed; null where
-- that is none. A reservation without a price of its own was made at the first price.
CREATE FUNCTION first_prices(p_sale text, p_lines jsonb, p_all boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT jsonb_object_agg(i.sku, i.price_minor) FROM generate_series(0, line_count(p_lines) - 1) AS n
    JOIN items i ON i.sale_id = p_sale AND i.sku = p_lines ->> (2 * n)
    WHERE p_all OR i.price_now_minor IS NOT NULL
$$;

-- keep_admin_log: refuse to change a line, and to delete one that is younger than 90 days.
CREATE FUNCTION keep_admin_log() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '90 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the admin log only grows: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Lines older than 90 days may be deleted.';
END
$$;

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

-- limits_used: return what limits by item and by identity count of a sale, by the fields of kernel/scripts/lib/limits.lua.
CREATE FUNCTION limits_used(p_sale text) RETURNS TABLE(field text, units bigint)
LANGUAGE sql STABLE
AS $$
    WITH line AS (
        SELECT r.customer, r.details -> 'identities' AS identities, r.lines ->> (2 * n) AS sku,
               flashguard.line_units(r.lines, n) AS units
        FROM flashguard.reservations r
        CROSS JOIN LATERAL generate_series(0, flashguard.line_count(r.lines) - 1) AS n
        WHERE r.sale_id = p_sale AND r.status IN ('held', 'confirmed')
    ), rule AS (
        SELECT rules -> 'item_limits' AS item_limits,
               CASE jsonb_typeof(rules -> 'limits') WHEN 'array' THEN rules -> 'limits' ELSE '[]' END AS limits
        FROM flashguard.sales WHERE id = p_sale
    )
    SELECT customer || E'\x1f' || sku, sum(units)::bigint FROM line CROSS JOIN rule WHERE item_limits ? sku GROUP BY 1
    UNION ALL
    SELECT E'\x1f' || by || E'\x1f' || (identities ->> by), sum(units)::bigint
    FROM rule CROSS JOIN LATERAL (SELECT l ->> 0 AS by, l -> 2 AS skus FROM jsonb_array_elements(limits) AS l) AS l CROSS JOIN line
    WHERE identities ? by AND (skus IS NULL OR skus ? sku) GROUP BY 1
$$;

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

-- note_paid: note that the provider took money. Only the first time counts; a session that had ended may have been paid before.
CREATE FUNCTION note_paid(p_payment text, p_minor bigint, p_currency text) RETURNS void
LANGUAGE sql
SET search_path = flashguard, pg_temp
AS $$
    UPDATE payments SET state = 'paid', paid_minor = p_minor, paid_currency = p_currency, paid_at = clock_timestamp(),
                        due_at = clock_timestamp(), attempts = attempts + 1
    WHERE id = p_payment AND state IN ('new', 'open', 'ended')
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

-- nothing_left: return whether no item of a sale has a unit left that is not sold, over all shards: of itself, of every pool
-- that it draws from, and at any location if it has its stock at locations.
CREATE FUNCTION nothing_left(p_sale text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    WITH counter AS (
        SELECT i.sku, min(i.kind) AS kind, (array_agg(i.uses))[1] AS uses, sum(i.stock - i.sold) AS units
        FROM sales s JOIN items i ON i.sale_id = s.id WHERE s.public_id = p_sale GROUP BY i.sku
    ), located AS (
        SELECT split_part(sku, E'\x1f', 1) AS sku, sum(units) AS units FROM counter WHERE kind = 'location' GROUP BY 1
    )
    SELECT NOT EXISTS (
        SELECT FROM counter item LEFT JOIN located USING (sku)
        WHERE item.kind = 'item' AND item.units > 0 AND coalesce(located.units, 1) > 0 AND NOT EXISTS (
            SELECT FROM generate_series(0, line_count(item.uses) - 1) AS n
            JOIN counter pool ON pool.sku = item.uses ->> (2 * n)
            WHERE pool.units < line_units(item.uses, n)))
$$;

-- payment_of: return the payment to show with an order: the one that pays for it, else the newest whose money was taken, else the
-- newest; null without one.
CREATE FUNCTION payment_of(p_sale text, p_reservation text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT jsonb_build_object('id', id, 'provider', provider, 'status', CASE state WHEN 'new' THEN 'open' ELSE state END,
                              'amount_minor', amount_minor, 'currency', currency, 'refunded_minor', refunded_minor)
    FROM payments WHERE sale_id = p_sale AND reservation = p_reservation
    ORDER BY state = 'order' DESC, paid_at IS NOT NULL DESC, created_at DESC, id DESC LIMIT 1
$$;

-- price_of: return what these lines cost, in minor units, at the prices that their reservation keeps in its details, else at the
-- items' first; NULL where an item is unknown or the lines can't be read.
CREATE FUNCTION price_of(p_sale text, p_lines jsonb, p_details jsonb) RETURNS numeric
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT CASE WHEN count(*) = count(i.sku) AND count(*) = count(u.units) THEN coalesce(sum(u.units::numeric * u.price), 0) END
    FROM generate_series(0, line_count(p_lines) - 1) AS n
    LEFT JOIN items i ON i.sale_id = p_sale AND i.sku = p_lines ->> (2 * n)
    CROSS JOIN LATERAL (SELECT line_units(p_lines, n) AS units,
                               coalesce((p_details -> 'prices' ->> (p_lines ->> (2 * n)))::numeric, i.price_minor) AS price) AS u
$$;

-- prune_sale: remove a sale with its shards, items and changes, so that it is gone for every reader; its many rows go later, see
-- queries/pruning.sql. Returns why it stays, or NULL. Only a role that may delete sales can call it. Who cancels an order of it at
-- this moment locks the sale, too: one of the two waits, and then sees what the other did. Whether it is large is decided here,
-- while the index has no entries of deleted rows: one by one, each would cost a page of the table, which is read, written and logged.
CREATE FUNCTION prune_sale(p_sale text, p_before timestamptz) RETURNS text
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

-- record_amends is as in 0020_locations, but notes the items that an amend takes out of a basket.
CREATE FUNCTION record_amends(amends jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    amended record;
    changed bigint := 0;
BEGIN
    -- The recorder has this lock; cancel_items_archived has not.
    PERFORM FROM partitions WHERE partition IN (SELECT s.partition FROM jsonb_to_recordset(amends) AS a (sale text)
                                                JOIN sales s ON s.id = a.sale) FOR NO KEY UPDATE;
    UPDATE items i SET was_held = true
    FROM jsonb_to_recordset(amends) AS a (sale text, moves jsonb), generate_series(0, line_count(a.moves) - 1) AS n
    WHERE i.sale_id = a.sale AND i.sku = a.moves ->> (2 * n) AND line_units(a.moves, n) < 0 AND NOT i.was_held;

    FOR amended IN
        UPDATE reservations r
        SET lines = a.lines, customer = a.customer,
            details = (coalesce(r.details, '{}') - 'takes' - 'pick_up') || coalesce(a.details, '{}')
                      || jsonb_build_object('revision', a.revision)
        FROM jsonb_to_recordset(amends)
             AS a (sale text, id text, lines jsonb, at_ms bigint, key text, fingerprint bigint, customer text, revision bigint,
                   is_order boolean, restock boolean, reason text, details jsonb)
        WHERE r.sale_id = a.sale AND r.id = a.id AND r.status = CASE WHEN a.is_order THEN 'confirmed' ELSE 'held' END
          AND revision_of(r.details) = a.revision - 1
        RETURNING a.*, to_timestamp(a.at_ms::float8 / 1000) AS at, r.created_at, r.expires_at, r.confirmed_at,
                  r.details -> 'cancelled' AS cancelled, (SELECT s.partition FROM sales s WHERE s.id = r.sale_id) AS partition
    LOOP
        changed := changed + 1;
        INSERT INTO amendments (sale_id, key, id, revision, fingerprint, customer, lines, details, restocked, reason, at)
        VALUES (amended.sale, amended.key, amended.id, amended.revision, amended.fingerprint, amended.customer, amended.lines,
                amended.details, amended.restock, amended.reason, amended.at);
        PERFORM write_fact(amended.partition, CASE WHEN amended.is_order THEN 'order.amended' ELSE 'reservation.amended' END,
                           amended.sale, amended.id, amended.at, amended.customer, amended.lines, amended.created_at,
                           amended.expires_at, amended.confirmed_at, amended.restock, amended.reason,
                           jsonb_strip_nulls(jsonb_build_object('revision', amended.revision, 'cancelled', amended.cancelled)));
    END LOOP;
    IF changed <> jsonb_array_length(amends) THEN
        RAISE EXCEPTION 'the group amends % reservations, the ledger has % of them so', jsonb_array_length(amends), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- record_cancels: cancel orders and write their facts, in record_group's transaction, after it: record_group has moved the
-- counters. A request to cancel items, where they were all that was left, has a key.
CREATE FUNCTION record_cancels(cancels jsonb) RETURNS void
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
        FROM jsonb_to_recordset(cancels)
             AS c (sale text, id text, at_ms bigint, restock boolean, reason text, key text, body bigint)
        WHERE r.sale_id = c.sale AND r.id = c.id AND r.status = 'confirmed'
        RETURNING r.*, c.key, c.body, (SELECT s.partition FROM sales s WHERE s.id = r.sale_id) AS partition
    LOOP
        changed := changed + 1;
        IF cancelled.key IS NOT NULL THEN
            INSERT INTO amendments (sale_id, key, id, revision, fingerprint, customer, lines, restocked, reason, at)
            VALUES (cancelled.sale_id, cancelled.key, cancelled.id, revision_of(cancelled.details), cancelled.body,
                    cancelled.customer, cancelled.lines, cancelled.restocked, cancelled.cancel_reason, cancelled.ended_at);
        END IF;
        PERFORM write_fact(cancelled.partition, 'order.cancelled', cancelled.sale_id, cancelled.id, cancelled.ended_at,
                           cancelled.customer, cancelled.lines, cancelled.created_at, cancelled.expires_at,
                           cancelled.confirmed_at, cancelled.restocked, cancelled.cancel_reason,
                           nullif(jsonb_strip_nulls(jsonb_build_object('cancelled', cancelled.details -> 'cancelled')), '{}'));
    END LOOP;
    IF changed <> jsonb_array_length(cancels) THEN
        RAISE EXCEPTION 'the group cancels % orders, the ledger has % of them', jsonb_array_length(cancels), changed
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

-- record_changes: apply the rare transitions of a group, as JSON, in record_group's transaction: restocks, changes of sales,
-- and late confirms: orders from holds that had ended or were forgotten, granted because the buyer had the receipt. Such
-- a hold is in the ledger as expired, with the receipt's basket, customer and revision, or not at all; otherwise the whole
-- group is refused. What the order takes from pools and locations is what the late confirm took.
CREATE FUNCTION record_changes(restocks jsonb, sale_changes jsonb, late_confirms jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO reservations AS r (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                   expires_at, confirmed_at, ended_at, details)
    SELECT sale, id, customer, 'confirmed', lines, fingerprint, to_timestamp(created_ms::float8 / 1000), hold_ms,
           to_timestamp((created_ms + hold_ms)::float8 / 1000), to_timestamp(at_ms::float8 / 1000),
           to_timestamp(at_ms::float8 / 1000), details
    FROM jsonb_to_recordset(late_confirms)
         AS c (sale text, id text, customer text, lines jsonb, fingerprint bigint, created_ms bigint,
               hold_ms bigint, at_ms bigint, details jsonb)
    ON CONFLICT (sale_id, id) DO UPDATE
    SET status = 'confirmed', confirmed_at = excluded.confirmed_at, ended_at = excluded.ended_at,
        details = nullif((coalesce(r.details, '{}') - 'takes') || coalesce(excluded.details, '{}'), '{}')
    WHERE r.status = 'expired' AND r.fingerprint = excluded.fingerprint AND r.customer = excluded.customer
      AND r.lines = excluded.lines AND revision_of(r.details) = revision_of(excluded.details);
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
-- finds it moved and changes nothing. p_new, p_changed and p_items: see apply_rows.
--
-- Returns {applied, drift}: applied is false when the position was not the one given; drift as in apply_rows.
CREATE FUNCTION record_group(
    p_partition integer, p_epoch bigint, p_from_seq bigint, p_from_token text, p_to_seq bigint, p_to_token text,
    p_new jsonb, p_changed jsonb, p_items jsonb, OUT applied boolean, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    UPDATE partitions SET seq = p_to_seq, token = p_to_token, recorded_at = clock_timestamp()
    WHERE partition = p_partition AND epoch = p_epoch AND seq = p_from_seq AND token = p_from_token;
    applied := FOUND;
    drift := '{}';
    IF applied THEN
        drift := apply_rows(p_new, p_changed, p_items);
    END IF;
END
$$;

-- record_groups: apply the groups of several partitions and move all their positions, all or nothing.
--
-- Nothing is applied unless each position is the one given. A position that another transaction has locked counts as moved: a
-- partition that waits must not make the others wait, and two recorders whose shares overlap can't wait for each other.
--
-- p_moves: per partition where it must stand, and where it stands afterwards. p_new, p_changed and p_items: see apply_rows.
--
-- Returns {applied, drift}, as record_group does.
CREATE FUNCTION record_groups(p_moves jsonb, p_new jsonb, p_changed jsonb, p_items jsonb, OUT applied boolean, OUT drift text[])
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    given bigint := jsonb_array_length(p_moves);
    free bigint;
BEGIN
    PERFORM FROM (SELECT * FROM jsonb_to_recordset(p_moves) AS x (partition integer, epoch bigint, seq bigint, token text)
                  LIMIT given) AS m
    JOIN partitions p ON p.partition = m.partition AND p.epoch = m.epoch AND p.seq = m.seq AND p.token = m.token
    FOR UPDATE OF p SKIP LOCKED;
    GET DIAGNOSTICS free = ROW_COUNT;
    applied := free = given;
    drift := '{}';
    IF applied THEN
        UPDATE partitions p SET seq = m.to_seq, token = m.to_token, recorded_at = clock_timestamp()
        FROM (SELECT * FROM jsonb_to_recordset(p_moves) AS x (partition integer, to_seq bigint, to_token text)
              LIMIT given) AS m
        WHERE p.partition = m.partition;
        drift := apply_rows(p_new, p_changed, p_items);
    END IF;
END
$$;

-- refund_order: refund what an order no longer costs, in the transaction that records its cancel or amend.
CREATE FUNCTION refund_order() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
BEGIN
    SELECT * INTO p FROM payments WHERE sale_id = new.sale_id AND reservation = new.id AND state = 'order' FOR UPDATE;
    IF FOUND THEN
        PERFORM ask_refund(p.id, (p.paid_minor - p.refunded_minor
                                  - CASE new.status WHEN 'cancelled' THEN 0 ELSE price_of(new.sale_id, new.lines, new.details) END)::bigint,
                           CASE new.status WHEN 'cancelled' THEN new.cancel_reason ELSE 'amended' END, 0);
    END IF;
    RETURN NULL;
END
$$;

-- remove_item: remove an item of which nothing is held or sold, also at locations, with its owner's rights: a role that sells may
-- delete no row.
CREATE FUNCTION remove_item(p_sale text, p_sku text) RETURNS boolean
LANGUAGE sql
SET search_path = flashguard, pg_temp
AS $$
    WITH gone AS (DELETE FROM items WHERE sale_id = p_sale AND split_part(sku, E'\x1f', 1) = p_sku AND held + sold = 0 RETURNING 1)
    SELECT EXISTS (SELECT FROM gone)
$$;

-- remove_items: remove the items of a draft that gets others. Nothing of them is held or sold; else the insert meets the ones that
-- stay.
CREATE FUNCTION remove_items(p_sale text) RETURNS void
LANGUAGE sql
SET search_path = flashguard, pg_temp
AS $$
    DELETE FROM items WHERE sale_id = p_sale AND held + sold = 0
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
            INSERT INTO items (sale_id, sku, ordinal, name, price_minor, currency, stock, kind, uses)
            SELECT s.id, i.sku, i.ordinal, i.name, i.price_minor, i.currency, i.stock, coalesce(i.kind, 'item'), i.uses
            FROM jsonb_populate_recordset(NULL::items, definition -> 'items') AS i;
        ELSIF NOT EXISTS (SELECT FROM sales WHERE id = s.id AND created_at = s.created_at) THEN
            RETURN NEXT s.id;
        END IF;
    END LOOP;
END
$$;

-- retry_refunds: ask for the refunds of a payment now that are not done. One that failed gets a new one in its place, with an id
-- of its own, because a provider answers the old id as before. Returns whether there is such a payment.
CREATE FUNCTION retry_refunds(p_payment text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    failed payment_refunds;
    next integer;
BEGIN
    PERFORM FROM payments WHERE id = p_payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE payment_refunds SET due_at = clock_timestamp()
    WHERE payment = p_payment AND state = 'pending' AND asked_at IS NOT NULL;
    FOR failed IN SELECT * FROM payment_refunds WHERE payment = p_payment AND state = 'failed' AND retried_as IS NULL ORDER BY number
    LOOP
        SELECT count(*) + 1 INTO next FROM payment_refunds WHERE payment = p_payment;
        INSERT INTO payment_refunds (payment, number, amount_minor, currency, reason, due_at)
        VALUES (p_payment, next, failed.amount_minor, failed.currency, failed.reason, clock_timestamp());
        UPDATE payment_refunds SET retried_as = next WHERE payment = p_payment AND number = failed.number;
    END LOOP;
    RETURN true;
END
$$;

-- revision_of: return how often a reservation with these details was amended.
CREATE FUNCTION revision_of(details jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN jsonb_typeof(details -> 'revision') = 'number'
                THEN CASE WHEN abs((details -> 'revision')::numeric) < 1000000000000000
                          THEN (details -> 'revision')::bigint ELSE 0 END ELSE 0 END
$$;

-- silence_shadow_facts: delete the facts of shadow sales, in the statement that writes them.
CREATE FUNCTION silence_shadow_facts() RETURNS trigger
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

-- start_feed: begin a run of the feed. It waits for the groups that are being recorded now, and the next ones wait for it: no
-- fact that commits later is missing. Facts of earlier runs count as forgotten.
CREATE FUNCTION start_feed() RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
SET lock_timeout = 2s
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

-- take_payment_event: take an event of a provider once, in any order. Returns the payment's state; NULL where this provider has
-- no such payment here. An event that says that a session ended without money is a hint only: the provider is asked, because a
-- payment that it took would be kept without an order.
CREATE FUNCTION take_payment_event(
    p_provider text, p_event text, p_kind text, p_payment text, p_session text, p_minor bigint, p_currency text,
    p_refund integer) RETURNS text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payments WHERE id = p_payment AND provider = p_provider) THEN
        RETURN NULL;
    END IF;
    INSERT INTO payment_events (provider, id, payment, kind) VALUES (p_provider, p_event, p_payment, p_kind) ON CONFLICT DO NOTHING;
    IF FOUND AND p_kind = 'paid' THEN
        PERFORM note_paid(p_payment, p_minor, p_currency);
        UPDATE payments SET session = p_session WHERE id = p_payment AND session IS NULL AND p_session <> '';
    ELSIF FOUND AND p_kind = 'ended' THEN
        UPDATE payments SET why = 'said-ended', due_at = clock_timestamp(), attempts = attempts + 1
        WHERE id = p_payment AND state IN ('new', 'open');
    ELSIF FOUND AND p_kind = 'refund' THEN -- the provider is asked how it stands: one that was done can still fail
        UPDATE payment_refunds SET due_at = clock_timestamp(), attempts = attempts + 1
        WHERE payment = p_payment AND number = p_refund AND asked_at IS NOT NULL AND state IN ('pending', 'done');
    END IF;
    RETURN (SELECT state FROM payments WHERE id = p_payment);
END
$$;

-- to_millis: return the time in milliseconds since 1970, as memory counts it, clamped to the readable times. It is STABLE as
-- date_part is: PostgreSQL inlines it only then, and a rebuild calls it for every reservation.
CREATE FUNCTION to_millis(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT round(date_part('epoch', flashguard.clamped(t)) * 1000)::bigint $$;

-- why_kept: return why a sale must not be pruned that closed before p_before, in a few words; NULL where it may go. p_sale is the
-- id that the shop knows: a spread sale goes with all its shards, or stays.
CREATE FUNCTION why_kept(p_sale text, p_before timestamptz) RETURNS text
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

-- write_events: its statements were planned in every call, because a LIMIT of unknown size makes a plan for any value look dearer
-- than one for this value. That took half of the time of telling a group to the feed or to webhooks. A later CREATE OR REPLACE
-- of the function must repeat the setting.
CREATE FUNCTION write_events(p_new jsonb, p_changed jsonb, p_items jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
SET plan_cache_mode = force_generic_plan
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
          JOIN sales ON sales.id = i.sale AND NOT sales.rules ?| ARRAY['spread', 'pools']
          WHERE items.sold = items.stock AND items.stock > 0 AND items.sold - i.sold < items.stock - i.stock
            AND NOT EXISTS (SELECT FROM items left_over
                            WHERE left_over.sale_id = i.sale AND left_over.sold < left_over.stock)) AS e;

    -- A spread sale is sold out when all its shards are and no units are under way between them. Two shards may sell their
    -- last units at once: the lock lets the later of the two recorders see what the earlier one wrote. A group in which units
    -- left the shard writes no such event: another shard sells them, or they remain unsold. A sale with pools is sold out when
    -- none of its items can be had, of itself and of its pools; a pool may have a remainder that no item can use.
    SELECT array_agg(e.sale ORDER BY e.sale), array_agg(e.partition ORDER BY e.sale) INTO ended, ended_in
    FROM (SELECT sales.public_id AS sale, min(sales.partition) AS partition  -- any that this transaction has locked
          FROM (SELECT * FROM jsonb_to_recordset(p_items) AS x (sale text, sku text, stock bigint, sold bigint)
                LIMIT jsonb_array_length(p_items)) AS i
          JOIN items ON items.sale_id = i.sale AND items.sku = i.sku
          JOIN sales ON sales.id = i.sale AND sales.rules ?| ARRAY['spread', 'pools']
          WHERE (items.sold = items.stock OR sales.rules ? 'pools') AND i.sold > 0 AND i.stock >= 0
          GROUP BY sales.public_id) AS e;
    IF ended IS NOT NULL
       AND (is_read OR EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND 'sale.sold_out' = ANY (events))) THEN
        PERFORM pg_advisory_xact_lock(hashtext('flashguard sold out ' || sale)) FROM unnest(ended) AS e (sale);
        PERFORM write_fact(e.partition, 'sale.sold_out', e.sale, '', clock_timestamp())
        FROM unnest(ended, ended_in) AS e (sale, partition)
        WHERE nothing_left(e.sale)
          AND NOT EXISTS (SELECT FROM transfers t WHERE t.sale_id = e.sale AND t.arrived_at IS NULL);
    END IF;
END
$$;

-- write_fact: write one fact for those who are told of it: the feed, if it has readers, and the enabled endpoints that asked for
-- its type. For rare facts; write_events writes those of a group at once. The caller holds the lock of the partition's row.
CREATE FUNCTION write_fact(
    p_partition integer, p_type text, p_sale text, p_reservation text, p_at timestamptz,
    p_customer text DEFAULT NULL::text, p_lines jsonb DEFAULT NULL::jsonb,
    p_created_at timestamptz DEFAULT NULL::timestamptz, p_expires_at timestamptz DEFAULT NULL::timestamptz,
    p_confirmed_at timestamptz DEFAULT NULL::timestamptz, p_restocked boolean DEFAULT NULL::boolean,
    p_detail text DEFAULT NULL::text, p_details jsonb DEFAULT NULL::jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    INSERT INTO facts (partition, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at,
                       restocked, detail, details)
    SELECT p_partition, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail, p_details
    FROM facts_feed;
    INSERT INTO webhook_deliveries (endpoint, type, sale_id, reservation, at, customer, lines, created_at, expires_at,
                                    confirmed_at, restocked, detail, details)
    SELECT w.id, p_type, p_sale, p_reservation, p_at, p_customer, p_lines, p_created_at, p_expires_at, p_confirmed_at,
           p_restocked, p_detail, p_details
    FROM webhook_endpoints w WHERE w.enabled AND p_type = ANY (w.events);
END
$$;

-- write_rare_events: write the facts of late confirms, and of sales that opened or closed. It is called before record_changes,
-- which moves the sales' statuses. sale_changes has every change of the group, in order.
CREATE FUNCTION write_rare_events(late_confirms jsonb, sale_changes jsonb) RETURNS void
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
