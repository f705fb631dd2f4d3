SELECT stock, version FROM items WHERE sku = $1
