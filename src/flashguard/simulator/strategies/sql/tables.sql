-- What every strategy sells from. No CHECK: the strategies must be right by themselves.
CREATE TABLE items (sku text PRIMARY KEY, stock bigint NOT NULL, version bigint NOT NULL DEFAULT 0);
CREATE TABLE orders (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), sku text NOT NULL, customer text NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
CREATE TABLE units (id bigserial PRIMARY KEY, sku text NOT NULL, sold boolean NOT NULL DEFAULT false);
CREATE INDEX units_free ON units (sku, id) WHERE NOT sold;
