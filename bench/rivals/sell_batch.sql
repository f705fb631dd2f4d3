-- All of these clicks, or none where fewer units are left: one conditional UPDATE, and one INSERT of all orders.
WITH taken AS (
    UPDATE items SET stock = stock - cardinality($1::text[]) WHERE stock >= cardinality($1::text[]) RETURNING stock
)
INSERT INTO orders (customer) SELECT unnest($1::text[]) WHERE EXISTS (SELECT FROM taken) RETURNING id
