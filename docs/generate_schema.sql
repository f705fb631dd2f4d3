-- What docs/generate_schema.py asks of a migrated ledger's catalogue. Statements by name, as in flashguard/ledger/queries.

-- name: tables
SELECT c.oid, c.relname AS name, array_to_string(c.reloptions, ', ') AS options, c.relrowsecurity AS row_security
FROM pg_class c WHERE c.relnamespace = 'flashguard'::regnamespace AND c.relkind = 'r' ORDER BY c.relname COLLATE "C";

-- name: columns
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation AND l.collname <> 'default') AS collation,
       a.attidentity <> '' AS identity, a.attgenerated <> '' AS generated, pg_get_expr(d.adbin, d.adrelid) AS value
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- name: constraints
SELECT conname AS name, contype::text AS kind, pg_get_constraintdef(oid, true) AS definition
FROM pg_constraint WHERE conrelid = $1 AND contype IN ('p', 'u', 'f', 'c')
ORDER BY position(contype::text IN 'pufc'), conname COLLATE "C";

-- name: indexes
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid, 0, true) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
ORDER BY c.relname COLLATE "C";

-- name: triggers
SELECT tgname AS name, pg_get_triggerdef(oid, true) AS definition
FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY tgname COLLATE "C";

-- name: views
SELECT relname AS name, pg_get_viewdef(oid, true) AS definition
FROM pg_class WHERE relnamespace = 'flashguard'::regnamespace AND relkind = 'v' ORDER BY relname COLLATE "C";

-- name: functions
SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       l.lanname AS language, p.provolatile::text AS volatility, p.proparallel = 's' AS parallel_safe, p.proconfig AS settings,
       p.prosrc AS body
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'flashguard'::regnamespace ORDER BY p.proname COLLATE "C";
