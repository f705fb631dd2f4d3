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
               AND NOT (want <> 'SELECT' AND relname IN ('migrations', 'installation'))
               AND NOT (want = 'UPDATE' AND relname = 'admin_log') ORDER BY 1) AS missing,
       ARRAY(SELECT 'a policy on ' || relname FROM t WHERE row_security_active(oid) AND NOT EXISTS (
             SELECT FROM pg_policy p CROSS JOIN unnest(p.polroles) r
             WHERE p.polrelid = t.oid AND (r = 0 OR pg_has_role(r, 'member'))) ORDER BY 1) AS hidden,
       ARRAY(SELECT relname FROM t WHERE NOT relrowsecurity ORDER BY 1) AS unlocked,
       ARRAY(SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
             AND has_schema_privilege(oid, 'flashguard'::regnamespace::oid, 'USAGE') ORDER BY 1) AS public_roles;

-- name: missing_ranges
-- The constraints on times, prices and stock that this ledger lacks: an operator dropped them.
SELECT name FROM unnest(ARRAY['sales_times_in_range', 'items_price_in_range', 'items_stock_in_range',
                              'reservations_times_in_range', 'waiting_list_times_in_range']) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_constraint c
                  WHERE c.conname = wanted.name AND c.connamespace = 'flashguard'::regnamespace)
ORDER BY name;

-- name: unreadable_sales
-- Sales with unreadable times or rules: lists and rebuilds leave them out.
SELECT id, concat_ws(', ', 'starts ' || starts_at, 'ends ' || ends_at, 'created ' || created_at,
                     'room opened ' || room_opened_at, 'rules ' || left(rules::text, 100)) AS what
FROM flashguard.sales
WHERE NOT flashguard.readable(starts_at, ends_at, created_at, room_opened_at) OR jsonb_typeof(rules) <> 'object'
   OR EXISTS (SELECT FROM jsonb_each(CASE jsonb_typeof(rules) WHEN 'object' THEN rules ELSE '{}' END) AS rule (name, value)
              WHERE name IN ('max_held', 'cool_down_after', 'cool_down_ms', 'waiting_most', 'waiting_hold_ms', 'spread')
                AND CASE jsonb_typeof(value)
                    WHEN 'number' THEN value::numeric < 0 OR value::numeric <> trunc(value::numeric)
                                       OR value::numeric > CASE name WHEN 'spread' THEN 256 ELSE 9007199254740992 END
                    ELSE jsonb_typeof(value) NOT IN ('boolean', 'null') END)
   OR jsonb_typeof(rules -> 'limits') <> 'array' OR jsonb_typeof(rules -> 'holds_by') <> 'array' OR jsonb_typeof(rules -> 'item_limits') <> 'object'
ORDER BY id LIMIT $1;

-- name: unreadable_reservations
-- Reservations with unreadable times or lines: lists leave them out. Lines are sku, units, sku, units, ... with whole
-- numbers.
SELECT sale_id || '.' || id AS id,
       concat_ws(', ', 'created ' || created_at, 'expires ' || expires_at, 'confirmed ' || confirmed_at, 'ended ' || ended_at,
                 'lines ' || left(lines::text, 100)) AS what
FROM flashguard.reservations
WHERE NOT flashguard.readable(created_at, expires_at, confirmed_at, ended_at)
   OR flashguard.line_count(lines) = 0 OR jsonb_array_length(lines) % 2 = 1
   OR EXISTS (SELECT FROM generate_series(0, flashguard.line_count(lines) - 1) AS n
              WHERE flashguard.line_units(lines, n) IS DISTINCT FROM CASE WHEN jsonb_typeof(lines -> (2 * n + 1)) = 'number'
                                                                           THEN (lines -> (2 * n + 1))::numeric END
                 OR flashguard.line_units(lines, n) IS NULL OR jsonb_typeof(lines -> (2 * n)) <> 'string')
LIMIT $1;

-- name: unreadable_deliveries
-- Webhook messages with unreadable times: they are not sent.
SELECT 'webhook message ' || id AS id,
       concat_ws(', ', 'at ' || at, 'created ' || created_at, 'expires ' || expires_at, 'confirmed ' || confirmed_at,
                 'due ' || due_at, 'first tried ' || first_at) AS what
FROM flashguard.webhook_deliveries
WHERE state = 'pending' AND NOT (flashguard.readable(at, created_at, expires_at, confirmed_at, first_at)
                                 AND flashguard.readable(due_at))
LIMIT $1;

-- name: unreadable_facts
-- Facts with unreadable times: the feed leaves them out.
SELECT 'fact ' || id AS id,
       concat_ws(', ', 'at ' || at, 'created ' || created_at, 'expires ' || expires_at, 'confirmed ' || confirmed_at) AS what
FROM flashguard.facts
WHERE NOT flashguard.readable(at, created_at, expires_at, confirmed_at, written_at)
LIMIT $1;
