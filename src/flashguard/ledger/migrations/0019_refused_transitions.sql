-- What the ledger refused of memory's journal, and how often. From the second time on a transition is parked: whatever
-- made it does not make it again, and an operator is told. See docs/decisions/0026.
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

-- An entry that can't be offered its units ends. All rows obey the wider rule already: nothing has to be checked again.
ALTER TABLE flashguard.waiting_list DROP CONSTRAINT waiting_list_state_check;
ALTER TABLE flashguard.waiting_list ADD CONSTRAINT waiting_list_state_check
    CHECK (state IN ('waiting', 'offered', 'left', 'limit-reached', 'ended')) NOT VALID;
