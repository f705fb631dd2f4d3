-- name: readiness
-- Whether PostgreSQL would refuse every write.
SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only;
