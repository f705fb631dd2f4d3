-- The installation's own facts, as `flashguard migrate` makes them: a secret that signs receipts (two random UUIDs,
-- 244 bits), and 16 partitions. An installation that exists keeps its own.

INSERT INTO flashguard.installation (secret, partitions)
VALUES (replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 16) ON CONFLICT DO NOTHING;

INSERT INTO flashguard.partitions (partition)
SELECT generate_series(0, partitions - 1) FROM flashguard.installation ON CONFLICT DO NOTHING;
