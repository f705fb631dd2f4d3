-- The statement that removes it.
SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', $1::text)
