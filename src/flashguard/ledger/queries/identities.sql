-- name: signing_keys
-- Keys whose tokens may still be valid, the newest first. Here and below an unreadable time becomes the nearest readable one:
-- 'infinity' in one row must not lock every caller out.
SELECT id, secret, flashguard.clamped(created_at) AS created_at,
       flashguard.clamped(signs_from) AS signs_from, flashguard.clamped(ends_at) AS ends_at FROM flashguard.signing_keys
WHERE ends_at IS NULL OR ends_at > now() ORDER BY signing_keys.signs_from DESC, id;

-- name: first_signing_key
INSERT INTO flashguard.signing_keys (id, secret)
SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM flashguard.signing_keys WHERE ends_at IS NULL);

-- name: rotate_signing_keys
-- A new key signs after $3 seconds; the old ones end $4 seconds from now. Keys that ended long ago are deleted. No row when
-- the key is there: a retry does not rotate again.
WITH over AS (
    DELETE FROM flashguard.signing_keys WHERE ends_at < now() - interval '1 day'
), old AS (
    UPDATE flashguard.signing_keys SET ends_at = least(ends_at, now() + make_interval(secs => $4))
    WHERE (ends_at IS NULL OR ends_at > now()) AND NOT EXISTS (SELECT FROM flashguard.signing_keys WHERE id = $1)
)
INSERT INTO flashguard.signing_keys (id, secret, signs_from) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (id) DO NOTHING RETURNING id;

-- name: has_signing_key
SELECT EXISTS (SELECT FROM flashguard.signing_keys WHERE id = $1);

-- name: live_api_keys
SELECT id, hash, scopes, flashguard.clamped(expires_at) AS expires_at FROM flashguard.api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at LIMIT $1;

-- name: create_api_key
-- No row when the most are live already, or when the idempotency key made one before.
INSERT INTO flashguard.api_keys (id, name, hint, hash, scopes, expires_at, creation_key, creation_body)
SELECT $1, $2, $3, $4, $5, $6, $8, $9
WHERE (SELECT count(*) FROM flashguard.api_keys
       WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())) < $7
ON CONFLICT (creation_key) DO NOTHING
RETURNING id, name, hint, scopes, created_at, expires_at, last_used_at, revoked_at, rotated_to;

-- name: api_key_created_with
SELECT id, name, hint, scopes, flashguard.clamped(created_at) AS created_at, flashguard.clamped(expires_at) AS expires_at,
       flashguard.clamped(last_used_at) AS last_used_at, flashguard.clamped(revoked_at) AS revoked_at, rotated_to, creation_body
FROM flashguard.api_keys WHERE creation_key = $1;

-- name: api_keys_page
SELECT id, name, hint, scopes, flashguard.clamped(created_at) AS created_at, flashguard.clamped(expires_at) AS expires_at,
       flashguard.clamped(last_used_at) AS last_used_at, flashguard.clamped(revoked_at) AS revoked_at, rotated_to
FROM flashguard.api_keys
WHERE $1::timestamptz IS NULL OR (created_at, id) < ($1, $2) ORDER BY api_keys.created_at DESC, id DESC LIMIT $3;

-- name: revoke_api_key
UPDATE flashguard.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1
RETURNING id, name, hint, scopes, flashguard.clamped(created_at) AS created_at, flashguard.clamped(expires_at) AS expires_at,
       flashguard.clamped(last_used_at) AS last_used_at, flashguard.clamped(revoked_at) AS revoked_at, rotated_to;

-- name: live_api_key
-- Locked, so that two rotations at once make only one successor.
SELECT id, name, scopes, flashguard.clamped(expires_at) AS expires_at FROM flashguard.api_keys
WHERE id = $1 AND revoked_at IS NULL AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > now())
FOR UPDATE;

-- name: end_rotated_api_key
UPDATE flashguard.api_keys
SET rotated_to = $2, expires_at = least(expires_at, now() + make_interval(secs => $3)) WHERE id = $1;

-- name: note_api_keys_used
UPDATE flashguard.api_keys AS k SET last_used_at = u.at
FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at)
WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at);

-- name: revoked_tokens
SELECT id, flashguard.clamped(ends_at) AS ends_at FROM flashguard.revoked_tokens
WHERE ends_at > now() ORDER BY revoked_tokens.ends_at DESC LIMIT $1;

-- name: revoke_token
-- Tokens that have ended are deleted too.
WITH over AS (
    DELETE FROM flashguard.revoked_tokens WHERE ends_at < now()
)
INSERT INTO flashguard.revoked_tokens (id, ends_at)
SELECT $1, now() + make_interval(secs => $2)
WHERE (SELECT count(*) FROM flashguard.revoked_tokens WHERE ends_at > now()) < $3
ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at RETURNING id;
