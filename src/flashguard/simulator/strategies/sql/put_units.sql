INSERT INTO units (sku) SELECT $1 FROM generate_series(1, $2::bigint)
