-- Reservations: one seat for one user. The partial unique index is the one thing that makes a
-- double booking impossible, whatever else fails.

CREATE TABLE concert.reservation (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    booking_id      uuid        NOT NULL,
    concert_date_id uuid        NOT NULL,
    seat_id         uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    status          text        NOT NULL,
    price           bigint      NOT NULL,
    currency        text        NOT NULL,
    fence           bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    expires_at_max  timestamptz NOT NULL,
    resolved_at     timestamptz,
    deleted_at      timestamptz,
    concession      text,
    CONSTRAINT reservation_pkey PRIMARY KEY (id),
    CONSTRAINT reservation_seat_fkey FOREIGN KEY (seat_id, concert_date_id)
        REFERENCES concert.seat (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT reservation_status CHECK (status IN ('pending', 'confirmed', 'cancelled', 'expired')),
    CONSTRAINT reservation_live CHECK ((status IN ('pending', 'confirmed')) = (deleted_at IS NULL)),
    CONSTRAINT reservation_resolved CHECK ((status = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT reservation_price CHECK (price >= 0),
    CONSTRAINT reservation_fence CHECK (fence > 0),
    CONSTRAINT reservation_expires CHECK (expires_at <= expires_at_max),
    CONSTRAINT reservation_expires_max CHECK (expires_at_max - created_at <= interval '900 seconds')
);
CREATE UNIQUE INDEX reservation_live_seat ON concert.reservation (seat_id) WHERE deleted_at IS NULL;
CREATE INDEX reservation_seat_fence ON concert.reservation (seat_id, fence);
CREATE INDEX reservation_booking ON concert.reservation (booking_id);
CREATE INDEX reservation_user_date ON concert.reservation (user_id, concert_date_id);
CREATE INDEX reservation_pending_expiry ON concert.reservation (expires_at) WHERE status = 'pending';
COMMENT ON TABLE concert.reservation IS 'one seat for one user: pending, then confirmed, cancelled or expired; never restored, a seat is reserved anew';
SELECT pg_catalog.pg_extension_config_dump('concert.reservation', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.reservation
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.cancel(booking_id, user_id).');

CREATE TYPE concert.reserve_answer AS (
    ok boolean, reason text, booking_id uuid, expires_at timestamptz, seats jsonb);
COMMENT ON TYPE concert.reserve_answer IS 'the answer of reserve(): the booking, or every refused seat with its reason';
CREATE TYPE concert.extend_answer AS (
    ok boolean, reason text, expires_at timestamptz, remaining_ms bigint);
COMMENT ON TYPE concert.extend_answer IS 'the answer of extend(): when the booking now expires';

-- reserve(...) takes all the seats for one user as one pending booking, or none.
-- pending_seconds (NULL: the date's) is cut to 1..900; pass is needed where the date requires
-- admission; fence is the number under which Redis held the seats (NULL: the next one is given);
-- with an idempotency_key the same request gets the same answer for seven days.
-- concessions, as many as seats, names the price of each (NULL: the full price); it is frozen with it.
-- ok: seats lists {seat_id, reservation_id, price, currency, concession if any, fence, remaining_ms}. Refused: seats
-- lists every refused seat {seat_id, reason, remaining_ms if held}, and reason is the first one's;
-- limit, not_on_sale, no_pass and an unknown date refuse the call as a whole (seats is empty).
-- What a trigger of an app's own makes of a row's price, concession or fence is what is told and paid; 09000
-- when it makes another's or another seat's reservation of it.
-- The orphan rule of the date (create_concert_date()): a seat that would be part of leaving a single
-- empty seat without need has the reason orphan and an alternative, the ids of a block of as many seats
-- that leaves none, in the same run of free seats or, where that has none, in its row and section; where
-- the rule only warns, ok and "warning": "orphan" beside the seat.
-- Nobody waits for a seat: one that another open transaction is at work on is 'busy', and so are seats that
-- leave a single one only because of such a seat beside it: it counts as taken, but that may not last.
-- Writes reservation, history, the outbox (reservation.reserved, and reservation.expired for what it retires),
-- request_N with a key. Locks request key, user's limit (both waiting), seats in id order and the
-- bookings of expired pendings (neither waiting), the outbox key.
-- Errors: 22004 NULL, 22023 no seats, a bad fence, key or number of concessions, TK001 a concession that the
-- section of a free seat does not have, TK002 the key came with another request,
-- TK003 too many seats, TK004 a seat named twice, TK010 the key file for passes is unusable.
-- Example: SELECT * FROM concert.reserve(:date, ARRAY[:seat]::uuid[], :user);
CREATE FUNCTION concert.reserve(concert_date_id uuid, seat_ids uuid[], user_id uuid,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, fence bigint DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL,
    concessions text[] DEFAULT NULL)
    RETURNS concert.reserve_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_reserve';
COMMENT ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text, text[])
    IS 'takes all the seats as one pending booking, or none and says why for each';
REVOKE ALL ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text, text[]) TO concert_app;

-- extend(booking_id, user_id, seconds) lets a pending booking live until that many seconds from now,
-- never beyond 900 seconds after it was made, never shorter than it already had.
-- Writes reservation, history, the outbox (reservation.extended). Locks the booking (waiting), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved.
-- Errors: 22004 NULL, 22023 seconds out of 1..900.
-- Example: SELECT * FROM concert.extend(:booking, :user, 120);
CREATE FUNCTION concert.extend(booking_id uuid, user_id uuid, seconds integer,
    correlation_id text DEFAULT NULL) RETURNS concert.extend_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_extend';
COMMENT ON FUNCTION concert.extend(uuid, uuid, integer, text) IS 'lets a pending booking live longer, within an absolute cap';
REVOKE ALL ON FUNCTION concert.extend(uuid, uuid, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.extend(uuid, uuid, integer, text) TO concert_app;

-- cancel(booking_id, user_id) gives a pending booking back, as a whole or the seat_ids that are named,
-- all of these or none; its seats are free at once. What is left stays one booking, to be paid, extended
-- or cancelled. A paid one is refused: already_paid (refund()). With the last seat go points that a payment set aside.
-- ok: seats lists what was given back, as reserve() does. Refused for its seats: those that are not the
-- booking's (unknown) and those that were given back before (already_resolved); else seats is empty.
-- Writes reservation, history, pending_resolution, account_balance, the outbox (reservation.cancelled, with these seats), request_N with a key.
-- Locks request key, booking, accounts of such points (all waiting), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved.
-- Errors: 22004 NULL, 22023 no seats or a bad key, TK002, TK003 more than 1000 seats, TK004 a seat named
-- twice. Example: SELECT * FROM concert.cancel(:booking, :user);
-- SELECT * FROM concert.cancel(:booking, :user, seat_ids => ARRAY[:seat]::uuid[]);
CREATE FUNCTION concert.cancel(booking_id uuid, user_id uuid, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL, seat_ids uuid[] DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_cancel';
COMMENT ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) IS 'gives a pending booking back, or some of its seats';
REVOKE ALL ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) TO concert_app;

-- cancel_by_operator(booking_id, reason) does what cancel() does, whoever's the booking is. The history
-- names the operator (the session's role) and the reason; the event carries the reason as "detail".
-- Idempotency keys are common to all operators; another reason is another request.
-- Writes, locks, refusals (but not_owner) and errors: as cancel(); 22004 and 22023 also for the reason.
-- Example: SELECT * FROM concert.cancel_by_operator(:booking, 'stage extended into row 1');
CREATE FUNCTION concert.cancel_by_operator(booking_id uuid, reason text,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL,
    seat_ids uuid[] DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_cancel_by_operator';
COMMENT ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) IS 'gives anybody''s pending booking back, or some of its seats, for a reason';
REVOKE ALL ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) TO concert_admin;

-- expire(max_rows) retires pending reservations whose time is over, oldest first, whole bookings
-- together, and returns how many. Correctness never waits for it: an expired pending counts as free
-- everywhere; this makes its event timely, and lets go of points that a payment set aside beside it. It waits
-- for no booking: those that somebody is at work on, and those of a seat whose id is being changed, are left
-- for the next call, younger ones are retired in their stead, past 10000 such reservations. While the ids of
-- very many seats are being changed it does nothing.
-- Writes reservation, history, pending_resolution, account_balance, the outbox (reservation.expired). Locks bookings and their
-- rows (without waiting), accounts of such points, outbox keys.
-- Errors: 22004 NULL, 22023 max_rows out of 1..10000; fewer are taken
-- where the shared lock table is small.
-- Example: SELECT concert.expire();
CREATE FUNCTION concert.expire(max_rows integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_expire';
COMMENT ON FUNCTION concert.expire(integer) IS 'retires pending reservations whose time is over';
REVOKE ALL ON FUNCTION concert.expire(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.expire(integer) TO concert_sidecar;
