-- Reservations and orders, and the views through which a shop's own programs read orders.

-- A reservation, in its newest state; a confirmed one is an order. It has no foreign key to sales: the check would cost a
-- query per row, and record_group already fails when an item's sale is unknown.
CREATE TABLE flashguard.reservations (
    sale_id      text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    customer     text NOT NULL,
    status       text NOT NULL CHECK (status IN ('held', 'confirmed', 'released', 'expired', 'cancelled')),
    lines        jsonb NOT NULL,            -- [sku, units, sku, units, ...]
    fingerprint  bigint NOT NULL,           -- of the request body, for idempotency
    created_at   timestamptz NOT NULL,
    hold_ms      bigint NOT NULL,           -- as first granted; 0 for a direct buy
    expires_at   timestamptz,
    confirmed_at timestamptz,
    ended_at     timestamptz,
    extensions   jsonb,                     -- [key fingerprint, expires_ms, ...]
    restocked    boolean,                   -- of a cancelled order: whether its units went back on sale; else they left the stock
    cancel_reason text,
    PRIMARY KEY (sale_id, id),
    CONSTRAINT reservations_times_in_range CHECK (flashguard.readable(created_at, expires_at, confirmed_at, ended_at))
) WITH (fillfactor = 90);
CREATE INDEX reservations_held ON flashguard.reservations (sale_id) WHERE status = 'held';
CREATE INDEX reservations_orders ON flashguard.reservations (sale_id, confirmed_at, id) WHERE confirmed_at IS NOT NULL;

-- The units of orders that only memory knew and whose content is lost: what an operator's `recover --take memory` keeps, so
-- that limits per customer still count them. Rebuilds load them; they are not orders.
CREATE TABLE flashguard.lost_units (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    customer    text NOT NULL,
    units       bigint NOT NULL CHECK (units > 0),
    PRIMARY KEY (sale_id, customer)
);

-- line_count: return how many lines a reservation has; 0 where `lines` is not a list.
CREATE FUNCTION flashguard.line_count(lines jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN jsonb_typeof(lines) = 'array' THEN jsonb_array_length(lines) / 2 ELSE 0 END $$;

-- line_units: return the units of line n, counted from 0; NULL where they are not a number below 10^15.
CREATE FUNCTION flashguard.line_units(lines jsonb, n integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN jsonb_typeof(lines -> (2 * n + 1)) = 'number'
                THEN CASE WHEN abs((lines -> (2 * n + 1))::numeric) < 1000000000000000
                          THEN (lines -> (2 * n + 1))::bigint END END
$$;

-- Confirmed orders, one row per line; no row makes a query fail.
CREATE VIEW flashguard.order_lines AS
SELECT r.sale_id, r.id AS order_id, r.customer, r.confirmed_at, r.lines ->> (2 * n) AS sku, u.units::bigint AS quantity,
       i.price_minor, i.currency
FROM flashguard.reservations r
CROSS JOIN LATERAL generate_series(0, CASE WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2 ELSE 0 END - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(r.lines -> (2 * n + 1)) = 'number'
                                THEN CASE WHEN abs((r.lines -> (2 * n + 1))::numeric) < 1000000000000000
                                          THEN (r.lines -> (2 * n + 1))::numeric END END AS units) AS u
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.status = 'confirmed';

-- Confirmed and cancelled orders, one row per line, for a shop's own programs. Its columns stay; new ones come at the end.
-- No row makes a query fail: units that are not a whole number are NULL, and so is an amount beyond 64 bits. It calls no
-- function of ours, because a reader of a view needs the right to call its functions.
CREATE VIEW flashguard.orders_for_shop AS
SELECT r.sale_id || '.' || r.id AS order_id, s.public_id AS sale_id, r.customer, r.status,
       n + 1 AS line, r.lines ->> (2 * n) AS sku, i.name, u.units::bigint AS quantity,
       i.price_minor, i.currency,
       CASE WHEN abs(u.units * i.price_minor) < 9223372036854775808 THEN (u.units * i.price_minor)::bigint END AS amount_minor,
       r.confirmed_at, CASE WHEN r.status = 'cancelled' THEN r.ended_at END AS cancelled_at,
       r.restocked, r.cancel_reason
FROM flashguard.reservations r
JOIN flashguard.sales s ON s.id = r.sale_id
CROSS JOIN LATERAL generate_series(0, CASE WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2 ELSE 0 END - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(r.lines -> (2 * n + 1)) = 'number'
                                THEN CASE WHEN abs((r.lines -> (2 * n + 1))::numeric) < 1000000000000000
                                          THEN (r.lines -> (2 * n + 1))::numeric END END AS units) AS u
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.confirmed_at IS NOT NULL;
COMMENT ON VIEW flashguard.orders_for_shop IS 'Confirmed and cancelled orders, one row per line; for programs of the shop.';
