UPDATE items SET stock = $2 WHERE sku = $1
