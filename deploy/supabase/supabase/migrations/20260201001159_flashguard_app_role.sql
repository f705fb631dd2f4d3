-- The role that api, recorder and deliverer use: it sells, and owns and defines nothing. It can't log in yet; give
-- it a password by hand, where no file keeps it:  ALTER ROLE flashguard_app LOGIN PASSWORD '…';
-- Run it as the role that migrates. Again is harmless.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'flashguard_app') THEN
        CREATE ROLE flashguard_app NOLOGIN NOINHERIT;
    END IF;
END $$;

-- Set with the role, not with the session: a pooler in transaction mode keeps no session's settings.
ALTER ROLE flashguard_app SET statement_timeout = '15s';
ALTER ROLE flashguard_app SET idle_in_transaction_session_timeout = '60s';

SELECT flashguard.let_in('flashguard_app');
