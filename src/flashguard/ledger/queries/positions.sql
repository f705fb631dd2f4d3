-- name: position
SELECT epoch, seq, token FROM flashguard.partitions WHERE partition = $1;

-- name: positions
SELECT partition, epoch, seq, token FROM flashguard.partitions ORDER BY partition;

-- name: doubted
SELECT doubted FROM flashguard.partitions WHERE partition = $1;

-- name: doubted_partitions
SELECT partition FROM flashguard.partitions WHERE doubted;

-- name: recoveries
-- The number of rebuilds, the seconds of all together, and the newest one.
SELECT count(*) AS count, coalesce(sum(seconds), 0) AS seconds, max(seconds) AS longest,
       (SELECT why FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS why,
       (SELECT seconds FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS newest_seconds,
       (SELECT partition FROM flashguard.recoveries ORDER BY at DESC LIMIT 1) AS partition,
       max(at) AS at
FROM flashguard.recoveries;

-- name: lock_position
-- No recorder moves the position while an operator's choice is written.
SELECT epoch, seq, token FROM flashguard.partitions WHERE partition = $1 FOR UPDATE;

-- name: raise_epoch
-- Compare-and-set: only one recorder gets the next epoch.
UPDATE flashguard.partitions SET epoch = epoch + 1, seq = 0, token = $5, recorded_at = now(), doubted = false
WHERE partition = $1 AND epoch = $2 AND seq = $3 AND token = $4 RETURNING epoch;

-- name: adopt_epoch
-- An operator decided: the ledger's epoch passes memory's, so that the next one is newer for every process and no entry of
-- memory's epoch follows the position.
UPDATE flashguard.partitions SET epoch = $2 + 1, seq = 0, token = '', recorded_at = now()
WHERE partition = $1 AND epoch <= $2;

-- name: doubt
UPDATE flashguard.partitions SET doubted = true WHERE partition = $1;

-- name: note_recovery
-- One more rebuild; only the newest 10,000 are kept.
WITH old AS (
    DELETE FROM flashguard.recoveries WHERE (partition, epoch) IN (
        SELECT partition, epoch FROM flashguard.recoveries ORDER BY at DESC OFFSET 10000)
)
INSERT INTO flashguard.recoveries (partition, epoch, why, seconds, entries, sales, reservations)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING;
