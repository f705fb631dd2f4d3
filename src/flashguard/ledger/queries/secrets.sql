-- name: kept_secrets
-- Every secret that may be encrypted, as it is kept, and whether something stops without it.
SELECT 'webhook' AS kind, id, convert_to(secret, 'UTF8') AS kept, true AS is_needed FROM flashguard.webhook_endpoints
UNION ALL
SELECT 'old webhook', id, convert_to(old_secret, 'UTF8'), false FROM flashguard.webhook_endpoints
WHERE old_secret IS NOT NULL
UNION ALL
SELECT 'signing key', id, secret, ends_at IS NULL OR ends_at > now() FROM flashguard.signing_keys
ORDER BY 1, 2;

-- name: replace_secret
-- Only where it still is $3.
WITH signing AS (
    UPDATE flashguard.signing_keys SET secret = $4 WHERE $1 = 'signing key' AND id = $2 AND secret = $3
)
UPDATE flashguard.webhook_endpoints
SET secret = CASE $1 WHEN 'webhook' THEN convert_from($4, 'UTF8') ELSE secret END,
    old_secret = CASE $1 WHEN 'old webhook' THEN convert_from($4, 'UTF8') ELSE old_secret END
WHERE id = $2 AND ($1 = 'webhook' AND secret = convert_from($3, 'UTF8')
                   OR $1 = 'old webhook' AND old_secret = convert_from($3, 'UTF8'));
