UPDATE items SET stock = $2, version = version + 1 WHERE sku = $1 AND version = $3
