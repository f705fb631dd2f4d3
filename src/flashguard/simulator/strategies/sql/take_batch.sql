-- As many of the clicks as there are units, in their order, in one statement.
WITH item AS (
    SELECT stock FROM items WHERE sku = $1 FOR UPDATE
), granted AS (
    SELECT gen_random_uuid() AS id, customer, place
    FROM unnest($2::text[]) WITH ORDINALITY AS click (customer, place)
    WHERE place <= (SELECT stock FROM item)
), taken AS (
    UPDATE items SET stock = stock - (SELECT count(*) FROM granted)
    WHERE sku = $1 AND EXISTS (SELECT FROM granted)
), ordered AS (
    INSERT INTO orders (id, sku, customer) SELECT id, $1, customer FROM granted
)
SELECT id, place FROM granted
