-- name: start_feed
SELECT flashguard.start_feed();

-- name: feed_state
-- This run of the feed, no row while it has none; per partition the newest forgotten fact; and when the fact at $2 in
-- partition $1 was written, in microseconds since 1970.
SELECT flashguard.clamped(since) AS since, read_at < now() - interval '10 minutes' AS note_read,
       ARRAY(SELECT coalesce(g.id, 0) FROM flashguard.partitions p LEFT JOIN flashguard.facts_forgotten g USING (partition)
             ORDER BY p.partition) AS forgotten,
       (SELECT (date_part('epoch', flashguard.clamped(written_at)) * 1000000)::bigint FROM flashguard.facts
        WHERE partition = $1 AND id = $2) AS written_us
FROM flashguard.facts_feed;

-- name: note_feed_read
UPDATE flashguard.facts_feed SET read_at = now() WHERE read_at < now() - interval '10 minutes';

-- name: facts_after
-- The next facts after these positions of the partitions 0, 1, ..., at most $2: of each partition from its position on without
-- a gap. Times that can't be read are clamped, and the row says so.
SELECT f.partition, f.id, f.type, f.sale_id, f.reservation, flashguard.clamped(f.at) AS at, f.customer, f.lines,
       flashguard.clamped(f.created_at) AS created_at, flashguard.clamped(f.expires_at) AS expires_at,
       flashguard.clamped(f.confirmed_at) AS confirmed_at, f.restocked, f.detail, f.details,
       (SELECT r.details FROM flashguard.reservations r WHERE r.sale_id = f.sale_id AND r.id = f.reservation) AS attached,
       flashguard.first_prices(f.sale_id, f.lines, true) AS first_prices,
       (date_part('epoch', flashguard.clamped(f.written_at)) * 1000000)::bigint AS written_us,
       flashguard.readable(f.at, f.created_at, f.expires_at, f.confirmed_at, f.written_at) AS readable
FROM unnest($1::bigint[]) WITH ORDINALITY AS seen (id, ordinal)
CROSS JOIN LATERAL (SELECT * FROM flashguard.facts
                    WHERE facts.partition = seen.ordinal - 1 AND facts.id > seen.id ORDER BY facts.id LIMIT $2) AS f
ORDER BY f.id LIMIT $2;

-- name: newest_facts
-- The newest fact of each partition; a forgotten one where there is none since.
SELECT greatest((SELECT max(f.id) FROM flashguard.facts f WHERE f.partition = p.partition), g.id, 0) AS id
FROM flashguard.partitions p LEFT JOIN flashguard.facts_forgotten g USING (partition) ORDER BY p.partition;

-- name: forget_facts
-- Facts older than $1 seconds, at most $2; and a note of how far they are gone.
WITH gone AS (
    DELETE FROM flashguard.facts WHERE (partition, id) IN (
        SELECT partition, id FROM flashguard.facts WHERE written_at < now() - make_interval(secs => $1) LIMIT $2)
    RETURNING partition, id
), noted AS (
    INSERT INTO flashguard.facts_forgotten AS g (partition, id) SELECT partition, max(id) FROM gone GROUP BY partition
    ON CONFLICT (partition) DO UPDATE SET id = greatest(g.id, excluded.id)
)
SELECT count(*) FROM gone;

-- name: forget_facts_beyond
-- Facts more than $1 behind the newest of all partitions, at most $2; and a note of how far they are gone. Ids are compared,
-- because counting takes long: an id that was never committed counts as a fact.
WITH newest AS (
    SELECT max(l.id) AS id FROM flashguard.partitions p
    CROSS JOIN LATERAL (SELECT f.id FROM flashguard.facts f WHERE f.partition = p.partition ORDER BY f.id DESC LIMIT 1) AS l
), gone AS (
    DELETE FROM flashguard.facts WHERE (partition, id) IN (
        SELECT l.partition, l.id FROM newest, flashguard.partitions p
        CROSS JOIN LATERAL (SELECT f.partition, f.id FROM flashguard.facts f
                            WHERE f.partition = p.partition AND f.id <= newest.id - $1 ORDER BY f.id LIMIT $2) AS l
        LIMIT $2)
    RETURNING partition, id
), noted AS (
    INSERT INTO flashguard.facts_forgotten AS g (partition, id) SELECT partition, max(id) FROM gone GROUP BY partition
    ON CONFLICT (partition) DO UPDATE SET id = greatest(g.id, excluded.id)
)
SELECT count(*) FROM gone;

-- name: end_unread_feed
-- A feed that was not read for $1 seconds: nothing more is written for it.
DELETE FROM flashguard.facts_feed WHERE read_at < now() - make_interval(secs => $1);
