-- name: begin_payment
-- A new payment; none where it is there. Others of the reservation that can still be paid are to end.
WITH replaced AS (
    UPDATE flashguard.payments SET why = 'replaced', due_at = clock_timestamp(), attempts = attempts + 1
    WHERE sale_id = $2 AND reservation = $3 AND id <> $1 AND state IN ('new', 'open')
)
INSERT INTO flashguard.payments (id, sale_id, reservation, provider, amount_minor, currency, receipt, request, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9) ON CONFLICT DO NOTHING;

-- name: open_payment
-- The provider has made the session.
UPDATE flashguard.payments
SET session = $2, answer = $3::text::jsonb, error = NULL, state = CASE state WHEN 'new' THEN 'open' ELSE state END
WHERE id = $1;

-- name: payments_of_reservation
SELECT * FROM flashguard.payments WHERE sale_id = $1 AND reservation = $2 ORDER BY created_at, id;

-- name: refunds_of_payments
SELECT * FROM flashguard.payment_refunds WHERE payment = ANY ($1::text[]) ORDER BY payment, number;

-- name: payment_of_order
SELECT flashguard.payment_of($1, $2);

-- name: payment
SELECT * FROM flashguard.payments WHERE id = $1;

-- name: payments_page
-- Payments, newest first, after the cursor (created_at, id). Each filter may be NULL: sales (one, or all shards of one), states, a
-- reservation.
SELECT * FROM flashguard.payments p
WHERE ($1::text[] IS NULL OR sale_id = ANY ($1)) AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
  AND ($4::text[] IS NULL OR state = ANY ($4)) AND ($5::text IS NULL OR reservation = $5)
ORDER BY created_at DESC, id DESC LIMIT $6;

-- name: payments_page_of_refund
-- The same, of those with a refund in the state $7 that no other replaces: by the index of open refunds, where it is one of them.
SELECT * FROM flashguard.payments p
WHERE ($1::text[] IS NULL OR sale_id = ANY ($1)) AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
  AND ($4::text[] IS NULL OR state = ANY ($4)) AND ($5::text IS NULL OR reservation = $5)
  AND EXISTS (SELECT FROM flashguard.payment_refunds r WHERE r.payment = p.id AND r.state = $7 AND r.retried_as IS NULL)
ORDER BY created_at DESC, id DESC LIMIT $6;

-- name: take_payment_event
SELECT flashguard.take_payment_event($1, $2, $3, $4, $5, $6, $7, $8);

-- name: claim_payments
-- Payments that are due, leased for $2 seconds; where $3 is given this one, if it is paid.
WITH due AS (
    SELECT id FROM flashguard.payments
    WHERE due_at <= clock_timestamp() AND state IN ('new', 'open', 'paid') AND ($3::text IS NULL OR (id = $3 AND state = 'paid'))
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE flashguard.payments p SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2)
FROM due WHERE p.id = due.id
RETURNING p.*;

-- name: postpone_payment
-- A claimed payment is due again in $3 seconds, unless something happened to it since.
UPDATE flashguard.payments SET due_at = clock_timestamp() + make_interval(secs => $3), error = $4
WHERE id = $1 AND attempts = $2 AND due_at IS NOT NULL;

-- name: note_paid
SELECT flashguard.note_paid($1, $2, $3);

-- name: end_payment
-- The session ended, and no money was taken.
UPDATE flashguard.payments SET state = 'ended', due_at = NULL, error = NULL WHERE id = $1 AND state IN ('new', 'open');

-- name: decide_payment
SELECT flashguard.decide_payment($1, $2, $3, $4);

-- name: claim_refunds
-- Refunds that are due, leased for $2 seconds, with their payments.
WITH due AS (
    SELECT payment, number FROM flashguard.payment_refunds WHERE due_at <= clock_timestamp()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE flashguard.payment_refunds r SET attempts = r.attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2)
FROM due, flashguard.payments p
WHERE r.payment = due.payment AND r.number = due.number AND p.id = r.payment
RETURNING r.*, p.provider, p.session;

-- name: begin_refund
SELECT flashguard.begin_refund($1, $2);

-- name: postpone_refund
UPDATE flashguard.payment_refunds
SET due_at = clock_timestamp() + make_interval(secs => $4), error = $5, provider_id = coalesce($6, provider_id)
WHERE payment = $1 AND number = $2 AND attempts = $3 AND due_at IS NOT NULL;

-- name: end_refund
SELECT flashguard.end_refund($1, $2, $3, $4, $5, $6);

-- name: retry_refunds
SELECT flashguard.retry_refunds($1);

-- name: payments_counted
-- Payments of the last 24 hours for metrics, of the newest $1 of them.
SELECT provider, CASE state WHEN 'new' THEN 'open' ELSE state END AS status, count(*) AS payments
FROM (SELECT provider, state FROM flashguard.payments WHERE created_at > now() - interval '24 hours'
      ORDER BY created_at DESC, id DESC LIMIT $1) AS newest
GROUP BY 1, 2;

-- name: refunds_counted
-- Refunds for metrics, of at most $1: those that are not done, and those of the last 24 hours that are.
SELECT p.provider, r.status, count(*) AS refunds, date_part('epoch', now() - min(r.created_at)) AS oldest_seconds
FROM (SELECT payment, created_at, CASE WHEN state = 'failed' THEN 'failed' WHEN asked_at IS NULL THEN 'waiting'
                                       WHEN error IS NOT NULL THEN 'failing' ELSE 'pending' END AS status
      FROM (SELECT * FROM flashguard.payment_refunds WHERE state = 'pending' OR (state = 'failed' AND retried_as IS NULL)
            ORDER BY created_at LIMIT $1) AS unfinished
      UNION ALL
      (SELECT payment, created_at, 'done' FROM flashguard.payment_refunds
       WHERE state = 'done' AND created_at > now() - interval '24 hours' ORDER BY created_at DESC LIMIT $1)) AS r
JOIN flashguard.payments p ON p.id = r.payment
GROUP BY 1, 2;

-- name: oldest_undecided_payment
-- Seconds that the oldest payment whose money was taken has waited for its decision.
SELECT coalesce(date_part('epoch', now() - min(paid_at)), 0) FROM flashguard.payments WHERE due_at IS NOT NULL AND state = 'paid';
