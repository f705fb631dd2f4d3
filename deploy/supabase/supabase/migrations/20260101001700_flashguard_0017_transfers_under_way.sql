-- Written by deploy/supabase/generate.py from 0017_transfers_under_way.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0017_transfers_under_way') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0017$
-- What recorders look for every second, kept small: units that left a part of a spread sale and arrived nowhere yet, and
-- parts of sales that still sell. Without it every look would read all transfers that ever were.

CREATE TABLE flashguard.transfers_under_way (
    id       text COLLATE "C" PRIMARY KEY,
    donor    text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    receiver text COLLATE "C" NOT NULL          -- memory keeps it, also where it was closed long ago
);

-- note_transfer: keeps it, in the transaction that records a departure or an arrival. A ledger that fell back replays its
-- partitions in any order: an arrival may be there before its departure.
CREATE FUNCTION flashguard.note_transfer() RETURNS trigger
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
CREATE TRIGGER note_transfer AFTER INSERT ON flashguard.restocks
    FOR EACH ROW WHEN (NEW.key LIKE 'transfer:%') EXECUTE FUNCTION flashguard.note_transfer();

INSERT INTO flashguard.transfers_under_way
SELECT id, donor, 'transfer:' || id || ':out', receiver FROM flashguard.transfers WHERE arrived_at IS NULL;

CREATE INDEX sales_parts ON flashguard.sales (public_id) WHERE id <> public_id AND status <> 'closed';

$migration_0017$;
INSERT INTO flashguard.migrations (name) VALUES ('0017_transfers_under_way');
END IF;
END $guard$;
