-- Transfers: units that move between the shards of a spread sale. A transfer is two restocks: one takes units from a shard and,
-- once that is committed, another gives them to a second shard. never_oversold binds each shard on its own.

-- Departures, to find those whose units did not arrive: see queries/spread.sql.
CREATE INDEX restocks_that_transfer ON flashguard.restocks (sale_id, key) WHERE key LIKE 'transfer:%:out';

-- Every transfer: which shard gave how many units to which, and when they arrived.
CREATE VIEW flashguard.transfers AS
SELECT s.public_id AS sale_id, o.sale_id AS donor, o.reason AS receiver, o.sku, -o.delta AS units, i.delta AS arrived,
       split_part(o.key, ':', 2) AS id, o.fingerprint, o.at AS left_at, i.at AS arrived_at
FROM flashguard.restocks o
JOIN flashguard.sales s ON s.id = o.sale_id
LEFT JOIN flashguard.restocks i
       ON i.sale_id = o.reason AND i.key = 'transfer:' || split_part(o.key, ':', 2) || ':in'
WHERE o.key LIKE 'transfer:%:out';

-- The transfers whose units left a shard and have not arrived. The recorders read it every second; without it they would
-- read every transfer that ever was.
CREATE TABLE flashguard.transfers_under_way (
    id       text COLLATE "C" PRIMARY KEY,
    donor    text COLLATE "C" NOT NULL,     -- the shard that the units left
    key      text COLLATE "C" NOT NULL,     -- of the restock that took them
    receiver text COLLATE "C" NOT NULL      -- the shard they go to; its memory is kept even if it was closed long ago
);

-- note_transfer: keep transfers_under_way, in the transaction that records a departure or an arrival. A ledger that fell back
-- replays its partitions in any order: an arrival may be recorded before its departure.
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
