-- What the bare rival sells from: one item, and orders numbered in their order.
CREATE TABLE items (stock bigint NOT NULL);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, at timestamptz NOT NULL DEFAULT now());
