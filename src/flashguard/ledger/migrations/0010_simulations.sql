-- Simulations: each one's request and its result, so that a finished one keeps its address.

-- A simulation of a rush, started from the pages or the API.
CREATE TABLE flashguard.simulations (
    id          text COLLATE "C" PRIMARY KEY,
    status      text NOT NULL DEFAULT 'starting' CHECK (status IN ('starting', 'finished', 'stopped', 'failed')),
    environment text NOT NULL,
    buyers      integer NOT NULL,
    stock       integer NOT NULL,
    strategies  text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                -- null while it runs, as far as the ledger knows
    detail      text,                       -- why it failed
    report      jsonb,                      -- runs, counters, log, series
    CHECK ((status = 'starting') = (finished_at IS NULL))
);
CREATE INDEX simulations_by_time ON flashguard.simulations (created_at DESC);
