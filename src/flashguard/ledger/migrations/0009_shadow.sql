-- Shadow mode: a shop's own stock decides, FlashGuard decides beside it, and the ledger keeps where the two differ.

-- A sale that is only compared. Attempts that both refuse are a number, not rows.
CREATE TABLE flashguard.shadow_sales (
    sale_id      text COLLATE "C" PRIMARY KEY REFERENCES flashguard.sales,
    since        timestamptz NOT NULL DEFAULT now(),
    both_refused bigint NOT NULL DEFAULT 0
);

-- An attempt that at least one of the two granted: there are never many more of them than units.
CREATE TABLE flashguard.shadow_attempts (
    sale_id     text COLLATE "C" NOT NULL REFERENCES flashguard.shadow_sales,
    key         text COLLATE "C" NOT NULL,  -- the shop's name for the attempt
    customer    text NOT NULL,
    lines       jsonb NOT NULL,             -- [sku, units, sku, units, ...]
    shop        text NOT NULL CHECK (shop IN ('sold', 'refused')),
    ours        text NOT NULL,              -- confirmed, or the code of the refusal
    reference   text,                       -- the shop's own order, to find it by
    at          timestamptz NOT NULL DEFAULT now(),
    returned_at timestamptz,                -- when the shop cancelled its sale
    PRIMARY KEY (sale_id, key)
);
CREATE INDEX shadow_differences ON flashguard.shadow_attempts (sale_id, at)
    WHERE (shop = 'sold') <> (ours = 'confirmed');

-- silence_shadows: delete the webhook messages of shadow sales, in the statement that writes them: a shadow's orders are not
-- orders, and no endpoint hears of them.
CREATE FUNCTION flashguard.silence_shadows() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM shadow_sales) THEN
        DELETE FROM webhook_deliveries d USING written w, shadow_sales s
        WHERE w.sale_id = s.sale_id AND d.endpoint = w.endpoint AND d.id = w.id;
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER silence_shadows AFTER INSERT ON flashguard.webhook_deliveries
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION flashguard.silence_shadows();
