SELECT count(*) FROM units WHERE sku = $1 AND NOT sold
