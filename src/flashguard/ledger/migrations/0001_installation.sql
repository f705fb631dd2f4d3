-- The installation, and how far each partition's journal is recorded.
--
-- The ledger is the source of truth. All of it lives in the schema `flashguard`. Times are timestamptz, money is a count of
-- minor units with its currency, and constraints refuse an oversale even when memory is wrong.

-- The facts that every process of the installation shares: one row, written by the first migration and never changed.
CREATE TABLE flashguard.installation (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    secret      text NOT NULL,              -- signs receipts and derives reservation ids; 64 hex digits
    partitions  integer NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The position of each partition's recorder: the newest journal entry that is in the ledger. It moves in the transaction
-- that records the entry, by compare-and-set, so that two recorders can't both write.
CREATE TABLE flashguard.partitions (
    partition   integer PRIMARY KEY,
    epoch       bigint NOT NULL DEFAULT 0,  -- counts the rebuilds of the partition's memory
    seq         bigint NOT NULL DEFAULT 0,  -- of the newest recorded entry in this epoch
    token       text NOT NULL DEFAULT '',   -- of the same entry; the next entry names it
    recorded_at timestamptz NOT NULL DEFAULT now(),
    doubted     boolean NOT NULL DEFAULT false -- memory of this epoch granted what the ledger refused: it must be rebuilt
);

-- Every rebuild of a partition's memory from the ledger, its reason, and how long the partition sold nothing.
CREATE TABLE flashguard.recoveries (
    partition    integer NOT NULL,
    epoch        bigint NOT NULL,           -- the one that began with this rebuild
    why          text NOT NULL,
    seconds      double precision NOT NULL, -- from noticing the loss to serving again
    entries      bigint NOT NULL,           -- of the old journal, recorded before the rebuild
    sales        integer NOT NULL,          -- loaded into memory, like the reservations
    reservations bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch)
);
CREATE INDEX recoveries_by_time ON flashguard.recoveries (at DESC);

-- readable: return whether all these times lie in the years 1970 to 9998, which programs and memory can represent.
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

-- clamped: return the time, or the nearest readable one.
CREATE FUNCTION flashguard.clamped(t timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN t IS NOT NULL
                THEN least(greatest(t, '1970-01-01 00:00:00+00'), '9998-12-31 23:59:59.999+00') END
$$;

-- to_millis: return the time in milliseconds since 1970, as memory counts it, clamped to the readable times. It is STABLE as
-- date_part is: PostgreSQL inlines it only then, and a rebuild calls it for every reservation.
CREATE FUNCTION flashguard.to_millis(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT round(date_part('epoch', flashguard.clamped(t)) * 1000)::bigint $$;
