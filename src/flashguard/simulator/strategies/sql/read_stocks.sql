SELECT sku, stock FROM items
