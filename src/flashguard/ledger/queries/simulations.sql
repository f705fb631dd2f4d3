-- name: create_simulation
-- One more simulation; only the newest ones are kept.
WITH old AS (
    DELETE FROM flashguard.simulations WHERE id IN (
        SELECT id FROM flashguard.simulations ORDER BY created_at DESC OFFSET $6)
)
INSERT INTO flashguard.simulations (id, environment, buyers, stock, strategies) VALUES ($1, $2, $3, $4, $5)
RETURNING created_at;

-- name: finish_simulation
-- Only the first report of its end counts.
UPDATE flashguard.simulations SET status = $2, detail = $3, report = $4::text::jsonb, finished_at = now()
WHERE id = $1 AND finished_at IS NULL RETURNING finished_at;

-- name: simulation
SELECT id, status, environment, buyers, stock, strategies,
       flashguard.clamped(created_at) AS created_at, flashguard.clamped(finished_at) AS finished_at, detail, report::text
FROM flashguard.simulations WHERE id = $1;

-- name: newest_simulations
-- Without the long parts of their reports.
SELECT id, status, environment, buyers, stock, strategies,
       flashguard.clamped(created_at) AS created_at, flashguard.clamped(finished_at) AS finished_at, detail,
       (report - 'log' - 'series')::text AS report
FROM flashguard.simulations ORDER BY simulations.created_at DESC, id LIMIT $1;
