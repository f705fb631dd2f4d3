-- Written by deploy/supabase/generate.py from 0025_admin_log.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0025_admin_log') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0025$
-- The admin log: what operators did. See docs/decisions/0036.

-- A line is written once and never changed. The trigger refuses it to every role, also to the schema's owner; a role that let_in
-- lets in may not even ask for it.
CREATE TABLE flashguard.admin_log (
    id          text COLLATE "C" PRIMARY KEY,       -- made before the change, so that a line that is written twice is there once
    at          timestamptz NOT NULL,               -- when the call came
    actor       text COLLATE "C" NOT NULL,          -- an API key's id; `bootstrap`: FLASHGUARD_ADMIN_KEY; `cli:` and who ran a command
    operation   text COLLATE "C" NOT NULL,          -- the call, such as `POST /v1/sales/{sale}/open`, or the command
    target      text COLLATE "C" NOT NULL,          -- the id of what it is about; '' where it has none
    outcome     text NOT NULL CHECK (outcome IN ('done', 'replayed', 'refused', 'failed')),
    code        text,                               -- of the problem that was answered
    detail      jsonb NOT NULL,                     -- what the call names besides; never a secret
    address     text,                               -- the client's
    agent       text,                               -- what the client says it is
    request_id  text
);
CREATE INDEX admin_log_by_time ON flashguard.admin_log (at, id);
CREATE INDEX admin_log_by_actor ON flashguard.admin_log (actor, at, id);
CREATE INDEX admin_log_by_operation ON flashguard.admin_log (operation, at, id);
CREATE INDEX admin_log_by_target ON flashguard.admin_log (target, at, id);

-- keep_admin_log: refuse to change a line, and to delete one that is younger than 90 days.
CREATE FUNCTION flashguard.keep_admin_log() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '90 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the admin log only grows: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Lines older than 90 days may be deleted.';
END
$$;
CREATE TRIGGER admin_log_is_kept BEFORE UPDATE OR DELETE ON flashguard.admin_log
FOR EACH ROW EXECUTE FUNCTION flashguard.keep_admin_log();
CREATE TRIGGER admin_log_is_not_emptied BEFORE TRUNCATE ON flashguard.admin_log
FOR EACH STATEMENT EXECUTE FUNCTION flashguard.keep_admin_log();
;
SELECT flashguard.close_to_public()
$migration_0025$;
INSERT INTO flashguard.migrations (name) VALUES ('0025_admin_log');
END IF;
END $guard$;
