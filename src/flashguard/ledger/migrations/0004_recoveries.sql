-- Every time memory was built again from the ledger, why, and how long nobody could buy.

CREATE TABLE flashguard.recoveries (
    partition    integer NOT NULL,
    epoch        bigint NOT NULL,           -- the one that began
    why          text NOT NULL,
    seconds      double precision NOT NULL, -- from noticing to serving again
    entries      bigint NOT NULL,           -- of the old journal, recorded before the rebuild
    sales        integer NOT NULL,
    reservations bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch)
);
CREATE INDEX recoveries_by_time ON flashguard.recoveries (at DESC);
