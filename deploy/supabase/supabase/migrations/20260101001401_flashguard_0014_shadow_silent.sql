-- Written by deploy/supabase/generate.py from 0014_shadow_silent.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0014_shadow_silent') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0014$
-- A shadow's orders are no orders: nobody is told of them. Whatever writes events, those of shadows are taken out
-- again before anybody sees them, once per statement.
CREATE FUNCTION flashguard.silence_shadows() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM shadow_sales) THEN
        DELETE FROM webhook_deliveries d USING written w, shadow_sales s
        WHERE w.sale_id = s.sale_id AND d.endpoint = w.endpoint AND d.id = w.id;
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER silence_shadows AFTER INSERT ON flashguard.webhook_deliveries
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION flashguard.silence_shadows();

$migration_0014$;
INSERT INTO flashguard.migrations (name) VALUES ('0014_shadow_silent');
END IF;
END $guard$;
