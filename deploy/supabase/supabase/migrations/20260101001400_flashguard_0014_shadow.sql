-- Written by deploy/supabase/generate.py from 0014_shadow.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0014_shadow') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0014$
-- Shadow mode: a shop's own stock decides, FlashGuard decides beside it, and this keeps where they differ.

-- Sales of which only a comparison is wanted. A crowd that both refuse is a number, not rows.
CREATE TABLE flashguard.shadow_sales (
    sale_id      text COLLATE "C" PRIMARY KEY REFERENCES flashguard.sales,
    since        timestamptz NOT NULL DEFAULT now(),
    both_refused bigint NOT NULL DEFAULT 0
);

-- Attempts that at least one of the two granted: so there are never many more than there are units.
CREATE TABLE flashguard.shadow_attempts (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.shadow_sales,
    key         text COLLATE "C" NOT NULL,     -- the shop's name for the attempt
    customer    text NOT NULL,
    lines       jsonb NOT NULL,                -- [sku, quantity, sku, quantity, ...]
    shop        text NOT NULL CHECK (shop IN ('sold', 'refused')),
    ours        text NOT NULL,                 -- confirmed, or the code of the refusal
    reference   text,                          -- the shop's own order, to find it by
    at          timestamptz NOT NULL DEFAULT now(),
    returned_at timestamptz,                   -- when the shop took its sale back
    PRIMARY KEY (sale_id, key)
);
CREATE INDEX shadow_differences ON flashguard.shadow_attempts (sale_id, at)
    WHERE (shop = 'sold') <> (ours = 'confirmed');

$migration_0014$;
INSERT INTO flashguard.migrations (name) VALUES ('0014_shadow');
END IF;
END $guard$;
