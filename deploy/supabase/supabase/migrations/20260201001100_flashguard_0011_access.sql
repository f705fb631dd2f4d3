-- Written by deploy/supabase/generate.py from 0011_access.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0011_access') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0011$
-- Access: only the owner of the schema, and roles that it lets in. Accidental grants give nothing away: Supabase's public API
-- runs as `anon` and `authenticated`, and PostgreSQL lets every role call a new function, so all rights of the public are
-- revoked; and row-level security is on for every table, so that a grant alone shows no row.

-- let_in: let a role sell, and do no more: it can't define anything, nor read other schemas.
CREATE FUNCTION flashguard.let_in(p_role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA flashguard TO %I', p_role);
    EXECUTE format('REVOKE ALL ON FUNCTION flashguard.let_in(text), flashguard.close_to_public() FROM %I', p_role);
    FOR t IN
        SELECT c.oid, c.relname, EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = p_role) AS known
        FROM pg_class c WHERE c.relnamespace = 'flashguard'::regnamespace AND c.relkind IN ('r', 'p')
        ORDER BY c.relname
    LOOP
        IF NOT t.known THEN
            EXECUTE format('CREATE POLICY %I ON flashguard.%I TO %I USING (true) WITH CHECK (true)',
                           p_role, t.relname, p_role);
        END IF;
        IF t.relname NOT IN ('migrations', 'installation') THEN
            EXECUTE format('GRANT INSERT, UPDATE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
        IF t.relname IN ('webhook_endpoints', 'webhook_deliveries', 'simulations', 'signing_keys',
                         'revoked_tokens', 'recoveries', 'transfers_under_way') THEN
            EXECUTE format('GRANT DELETE ON flashguard.%I TO %I', t.relname, p_role);
        END IF;
    END LOOP;
END $$;

-- close_to_public: close the tables and functions that a migration has just made, and let in the roles that were in before.
-- It changes nothing where nothing is open; it runs after every later migration.
CREATE FUNCTION flashguard.close_to_public() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who text;
BEGIN
    FOR who IN
        SELECT 'PUBLIC' UNION ALL SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA flashguard FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON TABLES FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON SEQUENCES FROM %s', who);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA flashguard REVOKE ALL ON FUNCTIONS FROM %s', who);
    END LOOP;
    FOR who IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'flashguard'::regnamespace AND relkind IN ('r', 'p') AND NOT relrowsecurity
        ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE flashguard.%I ENABLE ROW LEVEL SECURITY', who);
    END LOOP;
    FOR who IN
        SELECT p.polname FROM pg_policy p JOIN pg_roles r ON r.rolname = p.polname
        WHERE p.polrelid = 'flashguard.partitions'::regclass
    LOOP
        PERFORM flashguard.let_in(who);
    END LOOP;
END $$;

-- A role to which the database's default privileges gave a table may read its rows too.
DO $$
DECLARE
    had record;
BEGIN
    FOR had IN
        SELECT DISTINCT c.relname, r.rolname
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.relnamespace = 'flashguard'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee <> c.relowner AND r.rolname NOT IN ('anon', 'authenticated')
    LOOP
        EXECUTE format('CREATE POLICY %I ON flashguard.%I TO %I USING (true) WITH CHECK (true)',
                       'as before: ' || had.rolname, had.relname, had.rolname);
    END LOOP;
END $$;

SELECT flashguard.close_to_public();

$migration_0011$;
INSERT INTO flashguard.migrations (name) VALUES ('0011_access');
END IF;
END $guard$;
