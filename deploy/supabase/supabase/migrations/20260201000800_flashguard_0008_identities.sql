-- Written by deploy/supabase/generate.py from 0008_identities.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0008_identities') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0008$
-- Identities: the keys that call the API, and the secrets that sign buyers' tokens.

-- An API key. The ledger has only its hash.
CREATE TABLE flashguard.api_keys (
    id           text COLLATE "C" PRIMARY KEY,
    name         text NOT NULL,
    hint         text NOT NULL,             -- the key's last characters, to tell one from another
    hash         bytea NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256; a key has 256 random bits
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['admin', 'shop', 'read']),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,               -- written from time to time, not at each call
    revoked_at   timestamptz,
    rotated_to   text REFERENCES flashguard.api_keys (id),
    creation_key text,                      -- idempotency: the key and the body of the creation or rotation that made it
    creation_body bigint
);
CREATE INDEX api_keys_by_time ON flashguard.api_keys (created_at DESC, id);
CREATE UNIQUE INDEX api_keys_by_creation_key ON flashguard.api_keys (creation_key);

-- A secret that signs buyers' tokens.
CREATE TABLE flashguard.signing_keys (
    id         text COLLATE "C" PRIMARY KEY,       -- a token's `kid`
    secret     bytea NOT NULL CHECK (length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_from timestamptz NOT NULL DEFAULT now(), -- some time after its creation, so that every process knows it by then
    ends_at    timestamptz                         -- its tokens are invalid from then on; null: not rotated
);

-- A buyer's token that was revoked before its end.
CREATE TABLE flashguard.revoked_tokens (
    id      text COLLATE "C" PRIMARY KEY,          -- a token's `jti`
    ends_at timestamptz NOT NULL                   -- the token's own end: from then on this row may be deleted
);
CREATE INDEX revoked_tokens_by_end ON flashguard.revoked_tokens (ends_at);

$migration_0008$;
INSERT INTO flashguard.migrations (name) VALUES ('0008_identities');
END IF;
END $guard$;
