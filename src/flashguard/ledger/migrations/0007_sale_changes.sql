-- The idempotency keys under which sales were opened, paused and closed, and what came of each.

CREATE TABLE flashguard.sale_changes (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    key         text COLLATE "C" NOT NULL,
    verb        text NOT NULL,
    status      text NOT NULL,              -- the sale's, after it
    at          timestamptz NOT NULL,
    PRIMARY KEY (sale_id, key)
);
