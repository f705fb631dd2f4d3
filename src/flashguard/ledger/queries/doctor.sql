-- name: doctor_settings
-- The settings that decide whether a commit outlives a crash.
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
       current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes, current_setting('max_connections')::int AS max_connections,
       current_setting('synchronous_standby_names') AS synchronous_standbys,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
       date_part('epoch', clock_timestamp()) * 1000 AS now_ms;

-- name: doctor_durabilities
-- The hold durabilities that the sales that are not closed promise.
SELECT hold_durability, count(*) AS sales FROM flashguard.sales
WHERE id = public_id AND status <> 'closed' GROUP BY hold_durability;

-- name: doctor_backend
-- The server process that answers: behind a transaction-mode pooler it changes.
SELECT pg_backend_pid();

-- name: doctor_standbys
SELECT count(*) AS count, count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
       coalesce(bool_or(sync_state IS NULL), false) AS hidden, max(date_part('epoch', replay_lag)) AS lag_seconds
FROM pg_stat_replication;

-- name: doctor_access
-- Our role and its rights; the public's rights; the connection's encryption.
WITH t AS (
    SELECT oid, relname, relowner, relrowsecurity FROM pg_class
    WHERE relnamespace = 'flashguard'::regnamespace AND relkind IN ('r', 'p'))
SELECT current_user AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       coalesce((SELECT bool_and(pg_has_role(relowner, 'member')) FROM t), false) AS owner,
       (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
       coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1', true) AS nearby,
       ARRAY(SELECT lower(want) || ' on ' || relname FROM t CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) want
             WHERE NOT has_table_privilege(oid, want)
               AND NOT (want <> 'SELECT' AND relname IN ('migrations', 'installation')) ORDER BY 1) AS missing,
       ARRAY(SELECT 'a policy on ' || relname FROM t WHERE row_security_active(oid) AND NOT EXISTS (
             SELECT FROM pg_policy p CROSS JOIN unnest(p.polroles) r
             WHERE p.polrelid = t.oid AND (r = 0 OR pg_has_role(r, 'member'))) ORDER BY 1) AS hidden,
       ARRAY(SELECT relname FROM t WHERE NOT relrowsecurity ORDER BY 1) AS unlocked,
       ARRAY(SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
             AND has_schema_privilege(oid, 'flashguard'::regnamespace::oid, 'USAGE') ORDER BY 1) AS public_roles;
