SELECT id, customer FROM orders ORDER BY at, id
