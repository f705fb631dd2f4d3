INSERT INTO orders (sku, customer) VALUES ($1, $2) RETURNING id
