UPDATE items SET stock = stock - 1 WHERE sku = $1 AND stock >= 1
