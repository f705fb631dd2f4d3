-- An order names the stocks that it takes a unit of, with a plus sign between them.
SELECT stock, count(*) AS units FROM orders CROSS JOIN LATERAL unnest(string_to_array(sku, '+')) AS stock GROUP BY stock
