-- The waiting list: customers who wait for units of an item that is sold out.

-- An entry. The lowest place is served first; an entry that was offered its units has a reservation under its own id.
CREATE TABLE flashguard.waiting_list (
    sale_id     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    place       bigint NOT NULL,
    customer    text NOT NULL,
    sku         text COLLATE "C" NOT NULL,
    quantity    bigint NOT NULL CHECK (quantity > 0),
    fingerprint bigint NOT NULL,            -- of the request body, for idempotency
    state       text NOT NULL DEFAULT 'waiting'  -- ended: it could not be offered its units
                CHECK (state IN ('waiting', 'offered', 'left', 'limit-reached', 'ended')),
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    admitted    boolean NOT NULL DEFAULT false,  -- may be served before the sale's waiting room is empty, or there is no room
    PRIMARY KEY (sale_id, id),
    CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CONSTRAINT waiting_list_times_in_range CHECK (flashguard.readable(created_at))
);
CREATE INDEX waiting_list_by_place ON flashguard.waiting_list (sale_id, place);
