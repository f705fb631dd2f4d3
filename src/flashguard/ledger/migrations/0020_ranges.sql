-- The ledger stores no time that a program can't read and no price whose order does not fit into 64 bits. Rows that break a
-- rule and are there already stay: queries leave them out, and `flashguard doctor` shows them.

-- readable: whether all these times lie in the years 1970 to 9998, which our programs and memory can represent.
CREATE FUNCTION flashguard.readable(a timestamptz, b timestamptz DEFAULT NULL, c timestamptz DEFAULT NULL,
                                    d timestamptz DEFAULT NULL, e timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (a IS NULL OR a >= '1970-01-01 00:00:00+00' AND a < '9999-01-01 00:00:00+00')
       AND (b IS NULL OR b >= '1970-01-01 00:00:00+00' AND b < '9999-01-01 00:00:00+00')
       AND (c IS NULL OR c >= '1970-01-01 00:00:00+00' AND c < '9999-01-01 00:00:00+00')
       AND (d IS NULL OR d >= '1970-01-01 00:00:00+00' AND d < '9999-01-01 00:00:00+00')
       AND (e IS NULL OR e >= '1970-01-01 00:00:00+00' AND e < '9999-01-01 00:00:00+00')
$$;

-- clamped: the time itself, or the nearest one that can be read.
CREATE FUNCTION flashguard.clamped(t timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN t IS NOT NULL
                THEN least(greatest(t, '1970-01-01 00:00:00+00'), '9998-12-31 23:59:59.999+00') END
$$;

-- to_millis: milliseconds since 1970, as memory counts time; of a time that can't be read, those of the nearest one. STABLE, as
-- date_part is: PostgreSQL inlines it only so, and a rebuild calls it for every reservation.
CREATE FUNCTION flashguard.to_millis(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT round(date_part('epoch', flashguard.clamped(t)) * 1000)::bigint $$;

-- line_count: the lines of a reservation, [sku, units, sku, units, ...]; 0 where it is no such list.
CREATE FUNCTION flashguard.line_count(lines jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN jsonb_typeof(lines) = 'array' THEN jsonb_array_length(lines) / 2 ELSE 0 END $$;

-- line_units: the units of line n, from 0; NULL where they are no number below 10^15.
CREATE FUNCTION flashguard.line_units(lines jsonb, n integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN jsonb_typeof(lines -> (2 * n + 1)) = 'number'
                THEN CASE WHEN abs((lines -> (2 * n + 1))::numeric) < 1000000000000000
                          THEN (lines -> (2 * n + 1))::bigint END END
$$;

-- order_lines, as before, but no row of it fails.
CREATE OR REPLACE VIEW flashguard.order_lines AS
SELECT r.sale_id, r.id AS order_id, r.customer, r.confirmed_at, r.lines ->> (2 * n) AS sku, u.units::bigint AS quantity,
       i.price_minor, i.currency
FROM flashguard.reservations r
CROSS JOIN LATERAL generate_series(0, CASE WHEN jsonb_typeof(r.lines) = 'array' THEN jsonb_array_length(r.lines) / 2 ELSE 0 END - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(r.lines -> (2 * n + 1)) = 'number'
                                THEN CASE WHEN abs((r.lines -> (2 * n + 1))::numeric) < 1000000000000000
                                          THEN (r.lines -> (2 * n + 1))::numeric END END AS units) AS u
LEFT JOIN flashguard.items i ON i.sale_id = r.sale_id AND i.sku = r.lines ->> (2 * n)
WHERE r.status = 'confirmed';

-- orders_for_shop, as before, but no row of it fails: what is no whole number of units is NULL, and so is an amount beyond 64
-- bits (of a price from before the bound below). Written out, for who reads a view must also be let call its functions.
CREATE OR REPLACE VIEW flashguard.orders_for_shop AS
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

-- The bounds are those of `flashguard.model`: EARLIEST_TIME_MS to LATEST_TIME_MS, MAX_PRICE_MINOR, MAX_STOCK. The largest
-- price times a basket's most lines and units stays below 2^63; 2^50 units are beyond any sum of allowed restocks.
-- A time of the journal comes as a double, some microseconds off: the last moment of 9998 has room for that.
-- NOT VALID would make the ledger refuse every later change of a row that breaks the rule, and with it orders that memory took:
-- such a constraint is left out.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('sales', 'sales_times_in_range', $c$
                (starts_at IS NULL OR starts_at >= '2000-01-01 00:00:00+00' AND starts_at < '9999-01-01 00:00:00+00')
                AND (ends_at IS NULL OR ends_at >= '2000-01-01 00:00:00+00' AND ends_at < '9999-01-01 00:00:00+00')
                AND flashguard.readable(created_at, closed_at, room_opened_at)$c$),
            ('items', 'items_price_in_range', 'price_minor <= 100000000000'),
            ('items', 'items_stock_in_range', 'stock <= 1125899906842624')
        ) AS w (of_table, name, rule)
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE flashguard.%I ADD CONSTRAINT %I CHECK (%s)', wanted.of_table, wanted.name, wanted.rule);
        EXCEPTION WHEN check_violation THEN
            RAISE WARNING 'rows of flashguard.% break %: they stay, and `flashguard doctor` shows them',
                wanted.of_table, wanted.name;
        END;
    END LOOP;
END $$;

-- Long tables, whose times are memory's clock: new rows are checked, and those that are there are not read now.
ALTER TABLE flashguard.reservations ADD CONSTRAINT reservations_times_in_range
    CHECK (flashguard.readable(created_at, expires_at, confirmed_at, ended_at)) NOT VALID;
ALTER TABLE flashguard.waiting_list ADD CONSTRAINT waiting_list_times_in_range
    CHECK (flashguard.readable(created_at)) NOT VALID;
