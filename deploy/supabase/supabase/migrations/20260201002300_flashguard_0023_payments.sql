-- Written by deploy/supabase/generate.py from 0023_payments.sql; change that one.

CREATE SCHEMA IF NOT EXISTS flashguard;

-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS flashguard.migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

DO $guard$
BEGIN
IF NOT EXISTS (SELECT FROM flashguard.migrations WHERE name = '0023_payments') THEN
SET LOCAL lock_timeout = '250ms';
EXECUTE $migration_0023$
-- Payments: each that took money ends as one order or goes back. See docs/explanation/payments.md.

-- A payment for a hold at a provider. Its states: new (the provider may not have it yet), open (the buyer can pay), paid (money
-- was taken, nothing is decided), order (it paid for an order), refused (the money goes back), ended (no money was taken).
CREATE TABLE flashguard.payments (
    id              text COLLATE "C" PRIMARY KEY,   -- also the key under which the provider makes its session once
    sale_id         text COLLATE "C" NOT NULL,
    reservation     text COLLATE "C" NOT NULL,
    provider        text NOT NULL,
    state           text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'open', 'paid', 'order', 'refused', 'ended')),
    amount_minor    bigint NOT NULL CHECK (amount_minor > 0),
    currency        char(3) NOT NULL,
    receipt         text NOT NULL,                  -- of the hold, as it is paid for
    request         jsonb NOT NULL,                 -- what the provider is asked, each time the same
    session         text,                           -- the provider's id of it
    answer          jsonb,                          -- what the buyer needs to pay: an address or a secret
    paid_minor      bigint NOT NULL DEFAULT 0,
    paid_currency   text,
    refunded_minor  bigint NOT NULL DEFAULT 0,      -- of all refunds that are decided, done or not
    why             text,                           -- why it was refused, or that another replaces it
    error           text,                           -- of the newest attempt to go on with it
    created_at      timestamptz NOT NULL DEFAULT now(),
    paid_at         timestamptz,
    decided_at      timestamptz,
    due_at          timestamptz,                    -- when it is to be looked at; NULL: never again
    attempts        integer NOT NULL DEFAULT 0,
    CONSTRAINT never_refunded_more CHECK (refunded_minor BETWEEN 0 AND paid_minor)
);
CREATE INDEX payments_of_reservation ON flashguard.payments (sale_id, reservation);
CREATE INDEX payments_of_sale ON flashguard.payments (sale_id, created_at, id);
CREATE INDEX payments_newest ON flashguard.payments (created_at, id);
CREATE UNIQUE INDEX one_payment_per_order ON flashguard.payments (sale_id, reservation) WHERE state = 'order';
CREATE INDEX payments_due ON flashguard.payments (due_at) WHERE due_at IS NOT NULL;

-- Money that goes back. A row is written in the transaction that decides it, and carried out until the provider has done it.
CREATE TABLE flashguard.payment_refunds (
    payment         text COLLATE "C" NOT NULL REFERENCES flashguard.payments (id),
    number          integer NOT NULL,
    amount_minor    bigint NOT NULL CHECK (amount_minor > 0),
    currency        text NOT NULL,
    reason          text NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'void')),
    provider_id     text,                           -- the provider's id of it
    error           text,                           -- of the newest attempt
    created_at      timestamptz NOT NULL DEFAULT now(),
    asked_at        timestamptz,                    -- from then on the provider may have it
    ended_at        timestamptz,
    due_at          timestamptz,                    -- when the provider is to be asked; NULL: no longer
    attempts        integer NOT NULL DEFAULT 0,
    retried_as      integer,                        -- of a failed one: the number of the refund that takes its place
    PRIMARY KEY (payment, number)
);
CREATE INDEX payment_refunds_due ON flashguard.payment_refunds (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payment_refunds_open ON flashguard.payment_refunds (created_at)
WHERE state = 'pending' OR (state = 'failed' AND retried_as IS NULL);
CREATE INDEX payment_refunds_newest ON flashguard.payment_refunds (created_at);

-- The events of providers that were taken, so that each counts once.
CREATE TABLE flashguard.payment_events (
    provider        text COLLATE "C" NOT NULL,
    id              text COLLATE "C" NOT NULL,
    payment         text COLLATE "C" NOT NULL,
    kind            text NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, id)
);

-- price_of: return what these lines cost, in minor units, at the prices that their reservation keeps in its details, else at the
-- items' first; NULL where an item is unknown or the lines can't be read.
CREATE FUNCTION flashguard.price_of(p_sale text, p_lines jsonb, p_details jsonb) RETURNS numeric
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT CASE WHEN count(*) = count(i.sku) AND count(*) = count(u.units) THEN coalesce(sum(u.units::numeric * u.price), 0) END
    FROM generate_series(0, line_count(p_lines) - 1) AS n
    LEFT JOIN items i ON i.sale_id = p_sale AND i.sku = p_lines ->> (2 * n)
    CROSS JOIN LATERAL (SELECT line_units(p_lines, n) AS units,
                               coalesce((p_details -> 'prices' ->> (p_lines ->> (2 * n)))::numeric, i.price_minor) AS price) AS u
$$;

-- payment_of: return the payment to show with an order: the one that pays for it, else the newest whose money was taken, else the
-- newest; null without one.
CREATE FUNCTION flashguard.payment_of(p_sale text, p_reservation text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = flashguard, pg_temp
AS $$
    SELECT jsonb_build_object('id', id, 'provider', provider, 'status', CASE state WHEN 'new' THEN 'open' ELSE state END,
                              'amount_minor', amount_minor, 'currency', currency, 'refunded_minor', refunded_minor)
    FROM payments WHERE sale_id = p_sale AND reservation = p_reservation
    ORDER BY state = 'order' DESC, paid_at IS NOT NULL DESC, created_at DESC, id DESC LIMIT 1
$$;

-- ask_refund: write a refund of a payment, whose row the caller has locked.
CREATE FUNCTION flashguard.ask_refund(p_payment text, p_minor bigint, p_reason text, p_seconds float8) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF p_minor > 0 THEN
        UPDATE payments SET refunded_minor = refunded_minor + p_minor WHERE id = p_payment;
        INSERT INTO payment_refunds (payment, number, amount_minor, currency, reason, due_at)
        SELECT id, (SELECT count(*) + 1 FROM payment_refunds WHERE payment = p_payment), p_minor, paid_currency, p_reason,
               clock_timestamp() + make_interval(secs => p_seconds)
        FROM payments WHERE id = p_payment;
    END IF;
END
$$;

-- note_paid: note that the provider took money. Only the first time counts; a session that had ended may have been paid before.
CREATE FUNCTION flashguard.note_paid(p_payment text, p_minor bigint, p_currency text) RETURNS void
LANGUAGE sql
SET search_path = flashguard, pg_temp
AS $$
    UPDATE payments SET state = 'paid', paid_minor = p_minor, paid_currency = p_currency, paid_at = clock_timestamp(),
                        due_at = clock_timestamp(), attempts = attempts + 1
    WHERE id = p_payment AND state IN ('new', 'open', 'ended')
$$;

-- take_payment_event: take an event of a provider once, in any order. Returns the payment's state; NULL where this provider has
-- no such payment here. An event that says that a session ended without money is a hint only: the provider is asked, because a
-- payment that it took would be kept without an order.
CREATE FUNCTION flashguard.take_payment_event(p_provider text, p_event text, p_kind text, p_payment text, p_session text,
                                              p_minor bigint, p_currency text, p_refund integer) RETURNS text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payments WHERE id = p_payment AND provider = p_provider) THEN
        RETURN NULL;
    END IF;
    INSERT INTO payment_events (provider, id, payment, kind) VALUES (p_provider, p_event, p_payment, p_kind) ON CONFLICT DO NOTHING;
    IF FOUND AND p_kind = 'paid' THEN
        PERFORM note_paid(p_payment, p_minor, p_currency);
        UPDATE payments SET session = p_session WHERE id = p_payment AND session IS NULL AND p_session <> '';
    ELSIF FOUND AND p_kind = 'ended' THEN
        UPDATE payments SET why = 'said-ended', due_at = clock_timestamp(), attempts = attempts + 1
        WHERE id = p_payment AND state IN ('new', 'open');
    ELSIF FOUND AND p_kind = 'refund' THEN -- the provider is asked how it stands: one that was done can still fail
        UPDATE payment_refunds SET due_at = clock_timestamp(), attempts = attempts + 1
        WHERE payment = p_payment AND number = p_refund AND asked_at IS NOT NULL AND state IN ('pending', 'done');
    END IF;
    RETURN (SELECT state FROM payments WHERE id = p_payment);
END
$$;

-- decide_payment: decide a payment once: it pays for the order, or it is refused and a refund of all of it is written here.
-- Locks are taken in the order in which the recorder takes them: the reservation, then the payment.
--
-- p_attempts: as claimed; when another process has claimed the payment since, nothing changes.
-- p_why: why it can't become an order; NULL: its confirm was granted.
--
-- Returns the payment's state afterwards; or `short`: the order costs more than was paid, and must be cancelled; or `again`: an
-- order is there after all; or `undo`: the payment was refused before, and the order that was just confirmed must be cancelled.
CREATE FUNCTION flashguard.decide_payment(p_id text, p_attempts integer, p_why text, p_seconds float8) RETURNS text
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
    price numeric;
    is_paid boolean;
    is_order boolean;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_id;
    SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation FOR NO KEY UPDATE;
    SELECT * INTO p FROM payments WHERE id = p_id FOR UPDATE;
    is_order := coalesce(r.status = 'confirmed', false);
    is_paid := EXISTS (SELECT FROM payments other WHERE other.sale_id = p.sale_id AND other.reservation = p.reservation
                       AND other.state = 'order');
    IF p.state = 'refused' AND p_why IS NULL AND is_order AND NOT is_paid AND r.confirmed_at > p.decided_at THEN
        RETURN 'undo';
    ELSIF p.state <> 'paid' OR p.attempts <> p_attempts THEN
        RETURN p.state;
    END IF;
    price := price_of(r.sale_id, r.lines, r.details);

    IF is_order AND p_why IS DISTINCT FROM 'too-little' AND p_why IS DISTINCT FROM 'wrong-currency' THEN
        IF is_paid THEN
            p_why := 'paid-twice';
        ELSIF p_why IS NOT NULL THEN
            RETURN 'again';
        ELSIF price > p.paid_minor AND r.confirmed_at > p.paid_at THEN
            RETURN 'short';
        ELSIF price > p.paid_minor THEN
            p_why := 'amended';
        END IF;
    ELSIF p_why IS NULL THEN
        p_why := 'reservation-' || coalesce(r.status, 'unknown');
    END IF;

    IF p_why IS NULL THEN
        UPDATE payments SET state = 'order', why = NULL, due_at = NULL, error = NULL, decided_at = clock_timestamp() WHERE id = p_id;
        UPDATE payments SET why = 'replaced', due_at = clock_timestamp(), attempts = attempts + 1 -- their sessions are to end
        WHERE sale_id = p.sale_id AND reservation = p.reservation AND state IN ('new', 'open');
        PERFORM ask_refund(p_id, (p.paid_minor - price)::bigint, 'paid-too-much', 0);
        RETURN 'order';
    END IF;
    UPDATE payments SET state = 'refused', why = p_why, due_at = NULL, error = NULL, decided_at = clock_timestamp() WHERE id = p_id;
    PERFORM ask_refund(p_id, p.paid_minor - p.refunded_minor, p_why, p_seconds);
    RETURN 'refused';
END
$$;

-- begin_refund: called before a refund is asked of the provider. Where the payment was refused because its hold could not be
-- confirmed, an order is there after all, and the provider was not asked before, nothing is paid back: the payment is decided
-- again. Returns whether the refund is to be asked.
CREATE FUNCTION flashguard.begin_refund(p_payment text, p_number integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_payment;
    SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation FOR NO KEY UPDATE;
    SELECT * INTO p FROM payments WHERE id = p_payment FOR UPDATE;
    IF p.state = 'refused' AND r.status = 'confirmed' AND p.why NOT IN ('too-little', 'wrong-currency', 'paid-twice', 'amended')
       AND NOT EXISTS (SELECT FROM payments other WHERE other.sale_id = p.sale_id AND other.reservation = p.reservation
                       AND other.state = 'order') THEN
        UPDATE payment_refunds SET state = 'void', ended_at = clock_timestamp(), due_at = NULL
        WHERE payment = p_payment AND number = p_number AND state = 'pending' AND asked_at IS NULL;
        IF FOUND THEN
            UPDATE payments SET state = 'paid', why = NULL, due_at = clock_timestamp(), attempts = attempts + 1,
                   refunded_minor = refunded_minor - (SELECT amount_minor FROM payment_refunds
                                                      WHERE payment = p_payment AND number = p_number)
            WHERE id = p_payment;
            RETURN false;
        END IF;
    END IF;
    UPDATE payment_refunds SET asked_at = clock_timestamp() WHERE payment = p_payment AND number = p_number AND asked_at IS NULL;
    RETURN true;
END
$$;

-- end_refund: note that the provider has done a refund, or that it never will, and write the fact of it. One that was done can
-- fail later. An event that came after the provider was asked (p_attempts) keeps the refund due: it is asked once more.
CREATE FUNCTION flashguard.end_refund(p_payment text, p_number integer, p_attempts integer, p_state text, p_provider_id text,
                                      p_error text) RETURNS void
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
    r reservations;
    refund payment_refunds;
    home integer;
BEGIN
    SELECT * INTO p FROM payments WHERE id = p_payment;
    SELECT partition INTO home FROM sales WHERE id = p.sale_id;
    PERFORM FROM partitions WHERE partition = home FOR NO KEY UPDATE; -- as every writer of a fact
    UPDATE payment_refunds SET due_at = NULL WHERE payment = p_payment AND number = p_number AND attempts = p_attempts;
    UPDATE payment_refunds SET state = p_state, ended_at = clock_timestamp(), error = p_error,
                               provider_id = coalesce(p_provider_id, provider_id)
    WHERE payment = p_payment AND number = p_number AND (state = 'pending' OR (state = 'done' AND p_state = 'failed'))
    RETURNING * INTO refund;
    IF FOUND THEN
        SELECT * INTO r FROM reservations WHERE sale_id = p.sale_id AND id = p.reservation;
        PERFORM write_fact(home, CASE p_state WHEN 'done' THEN 'payment.refunded' ELSE 'payment.refund_failed' END, p.sale_id,
                           p.reservation, refund.ended_at, r.customer, p_detail => refund.reason,
                           p_details => jsonb_build_object('payment', jsonb_build_object(
                               'id', p.id, 'provider', p.provider, 'refund', p.id || '-' || refund.number,
                               'amount_minor', refund.amount_minor, 'currency', refund.currency)));
    END IF;
END
$$;

-- retry_refunds: ask for the refunds of a payment now that are not done. One that failed gets a new one in its place, with an id
-- of its own, because a provider answers the old id as before. Returns whether there is such a payment.
CREATE FUNCTION flashguard.retry_refunds(p_payment text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    failed payment_refunds;
    next integer;
BEGIN
    PERFORM FROM payments WHERE id = p_payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE payment_refunds SET due_at = clock_timestamp()
    WHERE payment = p_payment AND state = 'pending' AND asked_at IS NOT NULL;
    FOR failed IN SELECT * FROM payment_refunds WHERE payment = p_payment AND state = 'failed' AND retried_as IS NULL ORDER BY number
    LOOP
        SELECT count(*) + 1 INTO next FROM payment_refunds WHERE payment = p_payment;
        INSERT INTO payment_refunds (payment, number, amount_minor, currency, reason, due_at)
        VALUES (p_payment, next, failed.amount_minor, failed.currency, failed.reason, clock_timestamp());
        UPDATE payment_refunds SET retried_as = next WHERE payment = p_payment AND number = failed.number;
    END LOOP;
    RETURN true;
END
$$;

-- refund_order: refund what an order no longer costs, in the transaction that records its cancel or amend.
CREATE FUNCTION flashguard.refund_order() RETURNS trigger
LANGUAGE plpgsql
SET search_path = flashguard, pg_temp
AS $$
DECLARE
    p payments;
BEGIN
    SELECT * INTO p FROM payments WHERE sale_id = new.sale_id AND reservation = new.id AND state = 'order' FOR UPDATE;
    IF FOUND THEN
        PERFORM ask_refund(p.id, (p.paid_minor - p.refunded_minor
                                  - CASE new.status WHEN 'cancelled' THEN 0 ELSE price_of(new.sale_id, new.lines, new.details) END)::bigint,
                           CASE new.status WHEN 'cancelled' THEN new.cancel_reason ELSE 'amended' END, 0);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER refund_order AFTER UPDATE ON flashguard.reservations FOR EACH ROW
WHEN (old.status = 'confirmed' AND (new.status = 'cancelled' OR new.lines IS DISTINCT FROM old.lines))
EXECUTE FUNCTION flashguard.refund_order();
;
SELECT flashguard.close_to_public()
$migration_0023$;
INSERT INTO flashguard.migrations (name) VALUES ('0023_payments');
END IF;
END $guard$;
