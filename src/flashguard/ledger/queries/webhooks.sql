-- name: create_webhook
-- No row when there are $8 already, or when the key made one before.
INSERT INTO flashguard.webhook_endpoints (id, url, description, events, secret, creation_key, creation_body)
SELECT $1, $2, $3, $4::text[], $5, $6, $7
WHERE (SELECT count(*) FROM flashguard.webhook_endpoints) < $8
ON CONFLICT DO NOTHING RETURNING id;

-- name: webhook_created_with
SELECT id, secret, creation_body FROM flashguard.webhook_endpoints WHERE creation_key = $1;

-- name: webhooks
-- All endpoints, or one; up to 100,000 waiting messages are counted. Unreadable times are clamped: they are shown, and decide
-- nothing.
SELECT id, url, description, events, enabled, flashguard.clamped(disabled_at) AS disabled_at, disabled_why,
       flashguard.clamped(failing_since) AS failing_since, flashguard.clamped(delivered_at) AS delivered_at,
       flashguard.clamped(created_at) AS created_at,
       CASE WHEN old_secret_until > now() THEN flashguard.clamped(old_secret_until) END AS old_secret_until,
       (SELECT count(*) FROM (SELECT FROM flashguard.webhook_deliveries d
                              WHERE d.endpoint = w.id AND d.state = 'pending' LIMIT 100000) AS waiting) AS pending
FROM flashguard.webhook_endpoints w
WHERE $1::text IS NULL OR id = $1
ORDER BY w.created_at, id;

-- name: change_webhook
UPDATE flashguard.webhook_endpoints
SET url = coalesce($2, url), description = coalesce($3, description), events = coalesce($4::text[], events)
WHERE id = $1 RETURNING id;

-- name: enable_webhook
-- Waiting messages are due now, and have their full time before they are given up.
WITH enabled AS (
    UPDATE flashguard.webhook_endpoints
    SET enabled = true, disabled_at = NULL, disabled_why = NULL, failing_since = NULL
    WHERE id = $1 AND NOT enabled RETURNING id
)
UPDATE flashguard.webhook_deliveries d SET due_at = now(), first_at = NULL
FROM enabled WHERE d.endpoint = enabled.id AND d.state = 'pending';

-- name: disable_webhook
UPDATE flashguard.webhook_endpoints SET enabled = false, disabled_at = now(), disabled_why = $2
WHERE id = $1 AND enabled;

-- name: delete_webhook
DELETE FROM flashguard.webhook_endpoints WHERE id = $1 RETURNING id;

-- name: rotate_webhook
-- A key rotates once: a retry must not drop the secret that the receiver still knows.
UPDATE flashguard.webhook_endpoints
SET old_secret = secret, old_secret_until = now() + make_interval(secs => $3), secret = $2, rotation_key = $4
WHERE id = $1 AND ($4::text IS NULL OR rotation_key IS DISTINCT FROM $4) RETURNING id;

-- name: webhook_secret
SELECT secret FROM flashguard.webhook_endpoints WHERE id = $1;

-- name: webhook_deliveries_page
-- The delivery log, newest first. Times that can't be read are clamped.
SELECT id, type, sale_id, reservation, flashguard.clamped(at) AS at, flashguard.clamped(written_at) AS written_at, state, attempts,
       flashguard.clamped(due_at) AS due_at, flashguard.clamped(last_at) AS last_at, status, error, took_ms, details
FROM flashguard.webhook_deliveries
WHERE endpoint = $1 AND ($2::bigint IS NULL OR id < $2) AND ($3::text IS NULL OR state = $3)
ORDER BY id DESC LIMIT $4;

-- name: lock_webhook
-- An endpoint, locked while it is decided whether it gets a test event.
SELECT enabled FROM flashguard.webhook_endpoints WHERE id = $1 FOR UPDATE;

-- name: test_event_of_key
-- The test event that an idempotency key asked for. Only the newest $4 lines of the log are read, because it may be long.
SELECT id, type, sale_id, reservation, at, written_at, state, attempts, due_at, last_at, status, error, took_ms,
       details
FROM (SELECT * FROM flashguard.webhook_deliveries WHERE endpoint = $1 ORDER BY id DESC LIMIT $4) AS newest
WHERE type = $2 AND detail = $3 LIMIT 1;

-- name: test_event
-- The test event that waits already, now of this key, and due now if its newest attempt failed; else a new one. Its detail is
-- the idempotency key.
WITH waiting AS (
    UPDATE flashguard.webhook_deliveries
    SET due_at = CASE WHEN error IS NULL THEN due_at ELSE now() END, detail = $3
    WHERE endpoint = $1 AND type = $2 AND sale_id = '' AND reservation = '' AND state = 'pending' RETURNING *
), written AS (
    INSERT INTO flashguard.webhook_deliveries (endpoint, type, sale_id, at, detail)
    SELECT $1, $2, '', clock_timestamp(), $3 WHERE NOT EXISTS (SELECT FROM waiting) RETURNING *
)
SELECT id, type, sale_id, reservation, at, written_at, state, attempts, due_at, last_at, status, error, took_ms,
       details
FROM (SELECT * FROM waiting UNION ALL SELECT * FROM written) AS either;

-- name: replay_deliveries
-- Messages that were delivered or given up, by id or time: due again, the oldest first.
UPDATE flashguard.webhook_deliveries SET state = 'pending', due_at = now(), first_at = NULL, error = NULL
WHERE endpoint = $1 AND id IN (
    SELECT id FROM flashguard.webhook_deliveries
    WHERE endpoint = $1 AND state <> 'pending' AND ($2::bigint[] IS NULL OR id = ANY ($2))
      AND ($3::timestamptz IS NULL OR written_at >= $3) AND ($4::timestamptz IS NULL OR written_at < $4)
      AND ($5::text IS NULL OR state = $5)
    ORDER BY id LIMIT $6);

-- name: webhooks_to_serve
-- The enabled endpoints, with the secrets that are valid now.
SELECT id, url, secret, CASE WHEN old_secret_until > now() THEN old_secret END AS old_secret
FROM flashguard.webhook_endpoints WHERE enabled ORDER BY id;

-- name: claim_deliveries
-- The next messages of an endpoint, leased for $3 seconds, one at a time and in order per reservation or sale. Messages with
-- unreadable times are skipped: `doctor` shows them.
WITH due AS (
    SELECT endpoint, id FROM flashguard.webhook_deliveries d
    WHERE endpoint = $1 AND state = 'pending' AND due_at <= clock_timestamp()
      AND flashguard.readable(at, created_at, expires_at, confirmed_at, first_at)
      AND NOT EXISTS (SELECT FROM flashguard.webhook_deliveries earlier
                      WHERE earlier.endpoint = d.endpoint AND earlier.sale_id = d.sale_id
                        AND earlier.reservation = d.reservation AND earlier.state = 'pending' AND earlier.id < d.id
                        AND flashguard.readable(earlier.at, earlier.created_at, earlier.expires_at,
                                                earlier.confirmed_at, earlier.first_at))
    ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE flashguard.webhook_deliveries d
SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3), first_at = coalesce(first_at, now())
FROM due WHERE d.endpoint = due.endpoint AND d.id = due.id
RETURNING d.endpoint, d.id, type, sale_id, reservation, at, customer, lines, created_at, expires_at, confirmed_at, restocked, detail,
          details, (SELECT r.details FROM flashguard.reservations r WHERE r.sale_id = d.sale_id AND r.id = d.reservation) AS attached,
          flashguard.first_prices(d.sale_id, d.lines, true) AS first_prices, attempts, date_part('epoch', now() - first_at) AS trying_seconds;

-- name: settle_deliveries
-- The outcome of claimed messages. When another deliverer has claimed a message since, its row stays unchanged.
UPDATE flashguard.webhook_deliveries d
SET state = r.state, due_at = now() + make_interval(secs => r.wait_seconds), status = r.status, error = r.error,
    took_ms = r.took_ms, last_at = now()
FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::float8[], $6::integer[], $7::text[], $8::integer[])
     AS r (id, attempts, state, wait_seconds, status, error, took_ms)
WHERE d.endpoint = $1 AND d.id = r.id AND d.attempts = r.attempts AND d.state = 'pending';

-- name: note_webhook_works
UPDATE flashguard.webhook_endpoints SET failing_since = NULL, delivered_at = now()
WHERE id = $1 AND (failing_since IS NOT NULL OR delivered_at IS NULL OR delivered_at < now() - interval '10 seconds');

-- name: note_webhook_fails
-- Disables after $2 seconds without a success, or at once; a returned row that is not enabled was disabled now.
UPDATE flashguard.webhook_endpoints w
SET failing_since = coalesce(failing_since, now()), enabled = NOT over,
    disabled_at = CASE WHEN over THEN now() END, disabled_why = CASE WHEN over THEN $3 END
FROM (SELECT id AS judged, $4 OR coalesce(failing_since < now() - make_interval(secs => $2), false) AS over
      FROM flashguard.webhook_endpoints WHERE id = $1) AS judgement
WHERE id = judged AND enabled AND (failing_since IS NULL OR over)
RETURNING id, url, enabled;

-- name: forget_deliveries
-- The log's oldest lines: what is done, and what waited for an endpoint that stayed disabled.
DELETE FROM flashguard.webhook_deliveries WHERE (endpoint, id) IN (
    SELECT d.endpoint, d.id FROM flashguard.webhook_deliveries d
    WHERE d.written_at < now() - make_interval(secs => $1)
      AND (d.state <> 'pending'
           OR NOT EXISTS (SELECT FROM flashguard.webhook_endpoints w WHERE w.id = d.endpoint AND w.enabled))
    LIMIT $2);

-- name: forget_deliveries_beyond
-- What is more than $1 messages behind the newest, at most $2 rows; also what waits, for a receiver may be slower than the sales.
-- Ids are compared, because counting takes long: an id that was never committed counts as a message.
WITH newest AS (
    SELECT max(l.id) AS id FROM flashguard.webhook_endpoints w
    CROSS JOIN LATERAL (SELECT d.id FROM flashguard.webhook_deliveries d WHERE d.endpoint = w.id ORDER BY d.id DESC LIMIT 1) AS l
), gone AS (
    DELETE FROM flashguard.webhook_deliveries WHERE (endpoint, id) IN (
        SELECT l.endpoint, l.id FROM newest, flashguard.webhook_endpoints w
        CROSS JOIN LATERAL (SELECT d.endpoint, d.id FROM flashguard.webhook_deliveries d
                            WHERE d.endpoint = w.id AND d.id <= newest.id - $1 ORDER BY d.id LIMIT $2) AS l
        LIMIT $2)
    RETURNING state
)
SELECT count(*) AS gone, count(*) FILTER (WHERE state = 'pending') AS waiting FROM gone;

-- name: forget_orphans
-- Messages of endpoints that were deleted. The log is asked for its endpoints, one after the other, and not read.
WITH RECURSIVE logged AS (
    SELECT min(endpoint) AS endpoint FROM flashguard.webhook_deliveries
    UNION ALL
    SELECT (SELECT min(d.endpoint) FROM flashguard.webhook_deliveries d WHERE d.endpoint > logged.endpoint)
    FROM logged WHERE logged.endpoint IS NOT NULL
)
DELETE FROM flashguard.webhook_deliveries WHERE (endpoint, id) IN (
    SELECT d.endpoint, d.id FROM logged
    CROSS JOIN LATERAL (SELECT endpoint, id FROM flashguard.webhook_deliveries
                        WHERE webhook_deliveries.endpoint = logged.endpoint ORDER BY id LIMIT $1) AS d
    WHERE NOT EXISTS (SELECT FROM flashguard.webhook_endpoints w WHERE w.id = logged.endpoint)
    LIMIT $1);
