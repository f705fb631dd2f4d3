-- A shadow's orders are no orders: nobody is told of them. Whatever writes events, those of shadows are taken out
-- again before anybody sees them, once per statement.
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
