-- What an operator's `recover --take memory` keeps of orders that only memory knew and whose content is gone: how many
-- units each customer had, so that limits count them. Rebuilds load them; no order is in here.

CREATE TABLE flashguard.lost_units (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.sales,
    customer    text NOT NULL,
    units       bigint NOT NULL CHECK (units > 0),
    PRIMARY KEY (sale_id, customer)
);
