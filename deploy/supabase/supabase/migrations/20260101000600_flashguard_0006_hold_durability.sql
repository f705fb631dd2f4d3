-- Written by deploy/supabase/generate.py from 0006_hold_durability.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0006_hold_durability') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0006$
-- What a sale's holds must have reached before they are answered; and record_changes, which keeps it.

ALTER TABLE flashguard.sales ADD COLUMN hold_durability text NOT NULL DEFAULT 'disk'
    CHECK (hold_durability IN ('memory', 'disk', 'replicated', 'ledger'));

CREATE OR REPLACE FUNCTION flashguard.record_changes(restocks jsonb, sale_changes jsonb, honours jsonb) RETURNS void
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
    FROM jsonb_to_recordset(honours)
         AS h (sale text, id text, customer text, lines jsonb, fingerprint bigint, created_ms bigint,
               hold_ms bigint, at_ms bigint)
    ON CONFLICT (sale_id, id) DO UPDATE
    SET status = 'confirmed', confirmed_at = excluded.confirmed_at, ended_at = excluded.ended_at
    WHERE r.status = 'expired' AND r.fingerprint = excluded.fingerprint;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> jsonb_array_length(honours) THEN
        RAISE EXCEPTION 'of % honoured receipts, % are of holds that may be honoured', jsonb_array_length(honours), changed
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

$migration_0006$;
INSERT INTO flashguard.migrations (name) VALUES ('0006_hold_durability');
END IF;
END $guard$;
