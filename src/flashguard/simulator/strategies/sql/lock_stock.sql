SELECT stock FROM items WHERE sku = $1 FOR UPDATE
