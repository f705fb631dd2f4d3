-- name: note_admin_actions
-- A line that is there already stays as it is: what a change's own transaction wrote counts.
INSERT INTO flashguard.admin_log (id, at, actor, operation, target, outcome, code, detail, address, agent, request_id)
SELECT id, at, actor, operation, target, outcome, code, detail, address, agent, request_id
FROM jsonb_to_recordset($1::jsonb)
     AS l (id text, at timestamptz, actor text, operation text, target text, outcome text, code text, detail jsonb, address text,
           agent text, request_id text)
ON CONFLICT (id) DO NOTHING;

-- name: admin_log_page
-- Newest first. The key's name is joined when the log is read: a key is never deleted, and its name never changes.
SELECT l.id, flashguard.clamped(l.at) AS at, l.actor, k.name AS actor_name, l.operation, l.target, l.outcome, l.code,
       l.detail::text AS detail, l.address, l.agent, l.request_id
FROM flashguard.admin_log l LEFT JOIN flashguard.api_keys k ON k.id = l.actor
WHERE ($1::timestamptz IS NULL OR (l.at, l.id) < ($1, $2))
  AND ($3::text IS NULL OR l.actor = $3) AND ($4::text IS NULL OR l.operation = $4)
  AND ($5::text IS NULL OR l.target = $5) AND ($6::text IS NULL OR l.outcome = $6)
  AND ($7::timestamptz IS NULL OR l.at >= $7) AND ($8::timestamptz IS NULL OR l.at < $8)
ORDER BY l.at DESC, l.id DESC LIMIT $9;

-- name: forget_admin_log
-- The oldest lines before $1, at most $2. Only the schema's owner may: the role that sells has no right to delete here.
DELETE FROM flashguard.admin_log WHERE id IN (
    SELECT id FROM flashguard.admin_log WHERE at < $1 ORDER BY at, id LIMIT $2
);
