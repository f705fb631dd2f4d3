-- Written by deploy/supabase/generate.py from 0019_delete_drafts.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0019_delete_drafts') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0019$
-- Drafts are edited and deleted by functions with their owner's rights: a role that sells may delete no sale and no order.

-- remove_items: remove the items of a draft that gets others. Nothing of them is held or sold; else the insert meets the ones that
-- stay.
CREATE FUNCTION flashguard.remove_items(p_sale text) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = flashguard, pg_temp
AS $$
    DELETE FROM items WHERE sale_id = p_sale AND held + sold = 0
$$;

-- delete_drafts: delete drafts that memory deleted, with all that is kept under their ids, so that the ids can be used again.
CREATE FUNCTION flashguard.delete_drafts(p_sales text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = flashguard, pg_temp
AS $$
    WITH gone AS (
        SELECT id FROM sales s WHERE id = ANY (p_sales) AND status = 'draft'
          AND NOT EXISTS (SELECT FROM reservations r WHERE r.sale_id = s.id)
    ), attempts AS (
        DELETE FROM shadow_attempts USING gone WHERE sale_id = gone.id
    ), shadows AS (
        DELETE FROM shadow_sales USING gone WHERE sale_id = gone.id
    ), changes AS (
        DELETE FROM sale_changes USING gone WHERE sale_id = gone.id
    ), restocks AS (
        DELETE FROM restocks USING gone WHERE sale_id = gone.id
    ), refused AS (
        DELETE FROM refused_transitions USING gone WHERE sale_id = gone.id
    ), items AS (
        DELETE FROM items USING gone WHERE sale_id = gone.id
    )
    DELETE FROM sales USING gone WHERE sales.id = gone.id
$$;
;
SELECT flashguard.close_to_public()
$migration_0019$;
INSERT INTO flashguard.migrations (name) VALUES ('0019_delete_drafts');
END IF;
END $guard$;
