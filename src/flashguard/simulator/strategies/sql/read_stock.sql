SELECT stock FROM items WHERE sku = $1
