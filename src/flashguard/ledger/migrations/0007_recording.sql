-- Recording: the functions through which the recorder writes a group of journal entries, and what the ledger refused of them.

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
CREATE FUNCTION flashguard.record_group(
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

-- record_changes: apply the rare transitions of a group, as JSON, in record_group's transaction: restocks, changes of sales,
-- and late confirms: orders from holds that had ended or were forgotten, granted because the buyer had the receipt. Such
-- a hold is in the ledger as expired, or not at all; in any other state the whole group is refused.
CREATE FUNCTION flashguard.record_changes(restocks jsonb, sale_changes jsonb, late_confirms jsonb) RETURNS void
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

-- record_cancels: cancel orders and write their events, in record_group's transaction, after it: record_group has moved the
-- counters.
CREATE FUNCTION flashguard.record_cancels(cancels jsonb) RETURNS void
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

-- cancel_archived: cancel an order of a sale that was closed more than p_seconds ago, which memory has let go of. The ledger
-- decides alone; a closed sale never opens again. Returns false when there is no such order, or no such sale.
CREATE FUNCTION flashguard.cancel_archived(p_sale text, p_id text, p_restock boolean, p_reason text, p_seconds float8)
RETURNS boolean
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

-- restore_sales: create the sales that the journal names and this ledger lacks, because it was restored or failed over to
-- an older state. A sale that exists stays as it is, so that replaying an entry again changes nothing.
--
-- definitions: an array of results of the query `sale_definition`.
-- Returns the ids that belong to another sale here: created at another time, or kept out by a creation key in use.
CREATE FUNCTION flashguard.restore_sales(definitions jsonb) RETURNS SETOF text
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

-- What memory granted and the ledger refused, with its content. Possible only after memory lost data; never silent.
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

-- How often the ledger refused each transition of the journal. From the second time on a transition is parked: its maker does
-- not make it again, and an operator is told. See docs/decisions/0016.
CREATE TABLE flashguard.refused_transitions (
    sale_id   text COLLATE "C" NOT NULL,
    kind      text NOT NULL,                -- as the journal names it: hold, buy, confirm, restock, sale, join, ...
    id        text COLLATE "C" NOT NULL,    -- of the reservation or entry, the key, or the verb of a change without one
    partition integer NOT NULL,
    reason    text NOT NULL,
    times     bigint NOT NULL DEFAULT 1,
    first_at  timestamptz NOT NULL DEFAULT now(),
    last_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, kind, id)
);
