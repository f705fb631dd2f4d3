"""The operator's side: sales, stock, orders, imports, audits."""
