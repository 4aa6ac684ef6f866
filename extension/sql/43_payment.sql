-- Payments by a provider, and money that goes back. What a provider tells are messages, in any order,
-- twice or late; each is good once. docs/ledger.md tells the whole story.

CREATE TABLE concert.refund (
    id                  uuid        NOT NULL DEFAULT concert.uuid7(),
    payment_id          uuid        NOT NULL,
    booking_id          uuid        NOT NULL,
    kind                text        NOT NULL,
    status              text        NOT NULL,
    amount              bigint      NOT NULL,
    currency            text        NOT NULL,
    cause               text        NOT NULL,
    transfer_id         uuid        NOT NULL,
    settled_transfer_id uuid,
    provider_ref        text,
    attempts            integer     NOT NULL DEFAULT 0,
    next_attempt_at     timestamptz,
    created_at          timestamptz NOT NULL,
    settled_at          timestamptz,
    CONSTRAINT refund_pkey PRIMARY KEY (id),
    CONSTRAINT refund_payment_fkey FOREIGN KEY (payment_id)
        REFERENCES concert.payment (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT refund_transfer_fkey FOREIGN KEY (transfer_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT refund_settled_transfer_fkey FOREIGN KEY (settled_transfer_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT refund_kind CHECK (kind IN ('late', 'excess', 'seats', 'goodwill')),
    CONSTRAINT refund_status CHECK (status IN ('due', 'settled')),
    CONSTRAINT refund_amount CHECK (amount > 0),
    CONSTRAINT refund_settled CHECK ((status = 'settled') = (settled_at IS NOT NULL)
        AND (status = 'due') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX refund_payment ON concert.refund (payment_id);
CREATE INDEX refund_due ON concert.refund (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON TABLE concert.refund IS 'money of a payment that goes back: late or wrong when it came, for seats that were given back, or as goodwill; due until it is there';

CREATE TABLE concert.payment_act (
    payment_id     uuid        NOT NULL,
    n              integer     NOT NULL,
    act            text        NOT NULL,
    message_id     text,
    from_status    text,
    to_status      text        NOT NULL,
    amount         bigint,
    currency       text,
    refund_id      uuid,
    cause          text,
    correlation_id text,
    at             timestamptz NOT NULL,
    provider_ref   text,
    CONSTRAINT payment_act_pkey PRIMARY KEY (payment_id, n)
);
CREATE UNIQUE INDEX payment_act_message ON concert.payment_act (payment_id, message_id, act, coalesce(refund_id, payment_id))
    WHERE message_id IS NOT NULL;
COMMENT ON TABLE concert.payment_act IS 'what was done to a payment and what its provider told of it, numbered from 1; append-only';

SELECT pg_catalog.pg_extension_config_dump('concert.refund', '');
SELECT pg_catalog.pg_extension_config_dump('concert.payment_act', '');

CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.refund
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('It changes by what its provider tells.');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.refund
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('It changes by what its provider tells.');
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.payment_act
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();

CREATE TYPE concert.payment_begin_answer AS (
    ok boolean, reason text, payment_id uuid, amount bigint, currency text, points bigint,
    expires_at timestamptz);
COMMENT ON TYPE concert.payment_begin_answer IS 'the answer of payment_begin(): what the provider is asked for, and what is set aside beside it';
CREATE TYPE concert.payment_change_answer AS (
    ok boolean, reason text, payment_id uuid, status text, booking_status text, refund_id uuid);
COMMENT ON TYPE concert.payment_change_answer IS 'the answer to a provider''s message: how payment and booking stand after it, and the newest refund, if there is one';
CREATE TYPE concert.refund_answer AS (
    ok boolean, reason text, amount bigint, fee bigint, currency text, refunds jsonb);
COMMENT ON TYPE concert.refund_answer IS 'the answer of refund() and refund_payment(): what goes back, what is kept as a fee, and of which payments';

-- booking_status(booking_id) is pending, confirmed, expired or cancelled, of the booking as a whole: what was
-- cancelled does not count beside what was not. NULL for a booking that is unknown. Reads only.
CREATE FUNCTION concert.booking_status(booking_id uuid) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN bool_or(r.status = 'confirmed') THEN 'confirmed'
                WHEN bool_and(r.status = 'cancelled' OR (r.status = 'expired' AND EXISTS (
                    SELECT FROM concert.reservation AS again
                    WHERE again.booking_id = r.booking_id AND again.seat_id = r.seat_id AND again.id <> r.id)))
                    THEN 'cancelled'
                WHEN bool_or(r.status = 'expired' OR (r.status = 'pending' AND r.expires_at <= statement_timestamp()))
                    THEN 'expired'
                ELSE 'pending' END
    FROM concert.reservation AS r
    WHERE r.booking_id = booking_status.booking_id
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION concert.booking_status(uuid) IS 'internal: pending, confirmed, expired or cancelled';
REVOKE ALL ON FUNCTION concert.booking_status(uuid) FROM PUBLIC;

-- payment_begin(booking_id, user_id, provider, points, ...) begins a payment of a pending booking by a provider:
-- of what the booking costs, less the points that it sets aside in the user's wallet (in the booking's
-- currency) until the booking's last possible moment, 900 seconds after it was made. Nothing is paid by it: payment_work() says what the provider is
-- to be asked, the provider's messages say what came of it. One payment of a booking is open at a time. pay() may
-- still pay the booking; what the provider captures then is refunded.
-- Writes payment, payment_act, pending_transfer, account_balance, the outbox (payment.begun), request_N with a
-- key. Locks request key, booking, wallet and revenue (with points), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved (cancelled, or a payment of it is
-- open), and of points insufficient_funds, wrong_currency, frozen.
-- Errors: 22004 NULL, 22023 a bad provider, key or number of points (they cost less than the booking does; what
-- costs nothing is confirmed by pay()), TK001 with points as pay(), TK002.
-- Example: SELECT * FROM concert.payment_begin(:booking, :user, 'acquirer', 500);
CREATE FUNCTION concert.payment_begin(booking_id uuid, user_id uuid, provider text, points bigint DEFAULT 0,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.payment_begin_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_begin';
COMMENT ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text)
    IS 'begins a payment by a provider, perhaps with points beside it';
REVOKE ALL ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text) TO concert_sidecar;

-- payment_authorized(payment_id, provider_ref, message_id, ...) takes a provider's message that a payment is
-- authorized. A message_id is good once for a payment and a kind of message: the same again changes nothing, and
-- is answered with how the payment stands now; so is one that comes too late to change anything. With another
-- provider_ref (amount, currency, cause) than it had, it is refused as misuse.
-- provider, where it is given, is who sent it: another's payment is unknown to him.
-- Writes payment, payment_act, the outbox (payment.authorized). Locks the booking, the outbox key.
-- Refusals: unknown. Errors: 22004 NULL payment or message, 22023 a bad text, TK002.
-- Example: SELECT * FROM concert.payment_authorized(:payment, 'auth-17', 'message-1');
CREATE FUNCTION concert.payment_authorized(payment_id uuid, provider_ref text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_authorized';
COMMENT ON FUNCTION concert.payment_authorized(uuid, text, text, text, text)
    IS 'takes a provider''s message: authorized';
REVOKE ALL ON FUNCTION concert.payment_authorized(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_authorized(uuid, text, text, text, text) TO concert_sidecar;

-- payment_captured(payment_id, amount, currency, provider_ref, message_id, ...) takes a provider's message that it
-- has the money. A pending booking is confirmed by it, and the points are moved. Of a booking whose time is over
-- all seats are taken again, in the same transaction, if every one is free, the date has not begun and the user does not exceed the
-- limit of seats with them; sale window, admission and orphan rule do not count. If that cannot be, or
-- the booking was cancelled or is paid already, or the points are not there any more, or it is another
-- amount or currency than was asked for, then all of it is refunded by itself; and of a booking that
-- costs less by now, because seats of it were given back, the difference. Whichever it is, the answer is ok. Of a
-- payment that has captured already, a capture under a provider_ref that none before had (where none had any: of another
-- amount or currency) is refunded as well, all of it; under the same, or none, it was told before, and nothing more comes.
-- Writes payment, payment_act, refund, transfer, account, account_balance, pending_resolution, reservation, history, the outbox
-- (payment.captured with reservation.confirmed, payment.refund_due). Locks the booking, user's limit, seats in id order (waiting), bookings of
-- other users' expired pendings on them (trying), accounts in id order, the outbox keys.
-- Refusals, after which the same message may come again: unknown, busy (somebody is at work on an
-- expired booking of one of the seats), frozen (the provider's own accounts).
-- Errors: 22004 NULL but for provider_ref, 22023 a bad amount, currency or text, TK002.
-- Example: SELECT * FROM concert.payment_captured(:payment, 11000, 'KRW', 'cap-17', 'message-2');
CREATE FUNCTION concert.payment_captured(payment_id uuid, amount bigint, currency text, provider_ref text,
    message_id text, correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_captured';
COMMENT ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text)
    IS 'takes a provider''s message: captured; confirms the booking, or refunds by itself';
REVOKE ALL ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text) TO concert_sidecar;

-- payment_failed(payment_id, cause, message_id, ...) takes a provider's message that it will not pay. The points of
-- a split are let go at once; the booking stays pending for another payment. A capture that comes after all is taken as late money.
-- Writes payment, payment_act, pending_resolution, account_balance, the outbox (payment.failed). Locks the
-- booking, wallet and revenue (with points), the outbox key. Refusals: unknown.
-- Errors: 22004 NULL, 22023 a bad text, TK002.
-- Example: SELECT * FROM concert.payment_failed(:payment, 'card declined', 'message-3');
CREATE FUNCTION concert.payment_failed(payment_id uuid, cause text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_failed';
COMMENT ON FUNCTION concert.payment_failed(uuid, text, text, text, text)
    IS 'takes a provider''s message: failed';
REVOKE ALL ON FUNCTION concert.payment_failed(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_failed(uuid, text, text, text, text) TO concert_sidecar;

-- refund(booking_id, user_id, seat_ids, fee, cause, ...) cancels a paid booking, or the seats of it that are named,
-- all of these or none: the seats are free at once, their tickets void, and what they cost goes back, less the fee,
-- newest payment first (so points before the provider's money). It is never more than is left of what was paid. user_id NULL: an
-- operator, whoever's the booking is; history then names the session's role. Points are back at once; a
-- provider's money is due until refund_settled(). A booking that cost nothing is cancelled too.
-- refunds lists {refund_id, payment_id, method, provider, amount, currency, status}.
-- Writes reservation, ticket, history, refund, payment, payment_act, transfer, account, account_balance, the outbox
-- (reservation.cancelled, payment.refunded for points, payment.refund_due), request_N with a key. Locks request key, booking,
-- the row of the date (KEY SHARE, with a fee), accounts in id order, the outbox keys.
-- Refusals: unknown (booking or seat), not_owner, held (it is not paid: cancel()), expired, already_resolved,
-- insufficient_funds (the fee is more than goes back), frozen, too_late (the date has begun, and it is no operator).
-- Errors: 22004 NULL booking or fee, 22023 a bad fee, text or key, no seats, TK002, TK003, TK004.
-- Example: SELECT * FROM concert.refund(:booking, :user, fee => 1000);
CREATE FUNCTION concert.refund(booking_id uuid, user_id uuid, seat_ids uuid[] DEFAULT NULL, fee bigint DEFAULT 0,
    cause text DEFAULT NULL, idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.refund_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund';
COMMENT ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text)
    IS 'cancels a paid booking or some of its seats, and gives the money back less a fee';
REVOKE ALL ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text) TO concert_sidecar;

-- refund_payment(payment_id, amount, cause, ...) gives money of a payment back as goodwill; its seats stay as they are.
-- Writes and locks as refund(), but for seats. Refusals: unknown, insufficient_funds (more than is left of the payment), frozen.
-- Errors: 22004 NULL, 22023 a bad amount, text or key, TK002.
-- Example: SELECT * FROM concert.refund_payment(:payment, 500, 'the lift was out of order');
CREATE FUNCTION concert.refund_payment(payment_id uuid, amount bigint, cause text,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.refund_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_payment';
COMMENT ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text)
    IS 'gives money of a payment back, the seats stay';
REVOKE ALL ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text) TO concert_sidecar;

-- refund_settled(refund_id, provider_ref, message_id, ...) takes a provider's message that a refund is done. Messages as
-- in payment_authorized(). A payment of which nothing is left is refunded then.
-- Writes refund, payment, payment_act, transfer, the outbox (payment.refunded). Locks the booking, the provider's accounts in id order, the outbox key.
-- Refusals: unknown, frozen (the provider's own accounts; the message may come again). Errors: 22004 NULL but for provider_ref, 22023 a bad text, TK002.
-- Example: SELECT * FROM concert.refund_settled(:refund, 'ref-17', 'message-4');
CREATE FUNCTION concert.refund_settled(refund_id uuid, provider_ref text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_settled';
COMMENT ON FUNCTION concert.refund_settled(uuid, text, text, text, text)
    IS 'takes a provider''s message: the refund is done';
REVOKE ALL ON FUNCTION concert.refund_settled(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_settled(uuid, text, text, text, text) TO concert_sidecar;

-- refund_failed(refund_id, cause, message_id, ...) takes a provider's message that a refund could not be done: it stays
-- due, and payment_work() asks for it again, after a time that grows with every attempt, up to an hour.
-- Writes refund, payment_act. Locks the booking. Refusals: unknown. Errors: 22004 NULL, 22023 a bad text, TK002.
-- Example: SELECT * FROM concert.refund_failed(:refund, 'try again later', 'message-5');
CREATE FUNCTION concert.refund_failed(refund_id uuid, cause text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_failed';
COMMENT ON FUNCTION concert.refund_failed(uuid, text, text, text, text)
    IS 'takes a provider''s message: the refund failed, and will be asked for again';
REVOKE ALL ON FUNCTION concert.refund_failed(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_failed(uuid, text, text, text, text) TO concert_sidecar;

-- payment_work(max_rows, lease_seconds, only_provider) claims what providers (NULL: whichever) are to be asked now, and says it: 'refund' a refund that is due
-- (the idempotency key is its id), 'payment' a payment that has begun (the key is its id), 'ask' how a payment stands that is authorized,
-- or of which nothing was heard for five attempts or whose booking can no longer be paid. amount is the payment's or the refund's,
-- correlation_id that of the call or message by which it began. What
-- was claimed comes again if no message came, after lease_seconds times two to the attempts so far, up to an hour. Payments that have begun and
-- of which nothing was heard for a day, though their booking can no longer be paid, end as failed here; at once if no provider was ever asked;
-- authorized ones after thirty days.
-- Writes payment, refund, payment_act, the outbox (payment.failed). Locks the rows, and the bookings of payments that end here, neither
-- waiting; the outbox keys. Errors: 22004 NULL, 22023 max_rows out of 1..1000 or lease_seconds out of 1..3600.
-- Example: SELECT * FROM concert.payment_work(100, 30);
CREATE FUNCTION concert.payment_work(max_rows integer, lease_seconds integer, only_provider text DEFAULT NULL)
    RETURNS TABLE (kind text, payment_id uuid, refund_id uuid, provider text, provider_ref text, amount bigint,
                   currency text, booking_id uuid, attempt integer, correlation_id text)
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_work';
COMMENT ON FUNCTION concert.payment_work(integer, integer, text)
    IS 'claims what payment providers are to be asked now';
REVOKE ALL ON FUNCTION concert.payment_work(integer, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_work(integer, integer, text) TO concert_sidecar;

-- payment_state(payment_id, user_id) is how a payment stands: no row for one that is unknown or another user's.
-- refund_status is due while anything of it is on its way back, then settled; NULL without a refund.
-- user_id NULL: an operator, who may see anybody's. Reads only, also on a standby. Raises nothing.
-- Example: SELECT * FROM concert.payment_state(:payment, :user);
CREATE FUNCTION concert.payment_state(payment_id uuid, user_id uuid)
    RETURNS TABLE (status text, amount bigint, currency text, booking_status text, refunded bigint, refund_status text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.status, p.amount, p.currency, concert.booking_status(p.booking_id), p.refunded,
           (SELECT min(r.status) FROM concert.refund AS r WHERE r.payment_id = p.id)
    FROM concert.payment AS p
    WHERE p.id = payment_state.payment_id AND (payment_state.user_id IS NULL OR p.user_id = payment_state.user_id);
END;
COMMENT ON FUNCTION concert.payment_state(uuid, uuid) IS 'how a payment stands';
REVOKE ALL ON FUNCTION concert.payment_state(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_state(uuid, uuid) TO concert_sidecar;

-- payment_transitions() lists what each message makes of a payment in each status: the one table by which messages are
-- judged. gave_up is not a provider's: payment_work() says it; nor captured_again: a capture beside those before. Reads nothing. Example: SELECT * FROM concert.payment_transitions();
CREATE FUNCTION concert.payment_transitions()
    RETURNS TABLE (status text, message text, becomes text, action text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_transitions';
COMMENT ON FUNCTION concert.payment_transitions() IS 'what each message makes of a payment in each status';
REVOKE ALL ON FUNCTION concert.payment_transitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_transitions() TO concert_sidecar;
