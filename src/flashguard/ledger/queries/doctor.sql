-- name: doctor_settings
-- What decides whether a commit outlives a crash.
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
       current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes, current_setting('max_connections')::int AS max_connections,
       current_setting('synchronous_standby_names') AS synchronous_standbys,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
       date_part('epoch', clock_timestamp()) * 1000 AS now_ms;

-- name: doctor_backend
-- Which server process answers: behind a transaction-mode pooler it changes.
SELECT pg_backend_pid();

-- name: doctor_standbys
SELECT count(*) AS count, count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
       coalesce(bool_or(sync_state IS NULL), false) AS hidden, max(date_part('epoch', replay_lag)) AS lag_seconds
FROM pg_stat_replication;
