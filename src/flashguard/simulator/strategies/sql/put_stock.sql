INSERT INTO items (sku, stock) VALUES ($1, $2)
