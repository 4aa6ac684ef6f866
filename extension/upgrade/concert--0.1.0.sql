-- SPDX-License-Identifier: PostgreSQL
-- concert: the install script is made of extension/sql/NN_noun.sql, joined in order by make.
\echo Use "CREATE EXTENSION concert" to load this file. \quit

-- Roles are the cluster's, not the database's: they stay when the extension goes. Each is a
-- member of the one before it: a reader reads, an app also sells, the sidecar also relays and
-- admits, an admin also sets up and takes down.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$$;
GRANT concert_reader TO concert_app;
GRANT concert_app TO concert_sidecar;
GRANT concert_sidecar TO concert_admin;
GRANT USAGE ON SCHEMA concert TO concert_reader;

-- uuid7() makes a version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, then randomness, so
-- that ids made one after another lie side by side in an index.
-- Writes nothing, locks nothing.
-- Example: SELECT concert.uuid7();
CREATE FUNCTION concert.uuid7() RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_uuid7';
COMMENT ON FUNCTION concert.uuid7() IS 'a new time-ordered UUID (version 7)';

-- Triggers that keep what must never go: refuse_delete() stands on tables whose rows are only
-- ever soft-deleted (TK005), refuse_change() on history (TK006); the latter lets through exactly
-- the cascade of a changed account id.
CREATE FUNCTION concert.refuse_delete() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_refuse_delete';
COMMENT ON FUNCTION concert.refuse_delete() IS 'trigger: DELETE and TRUNCATE raise TK005, use soft_delete()';
REVOKE ALL ON FUNCTION concert.refuse_delete() FROM PUBLIC;

CREATE FUNCTION concert.refuse_change() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_refuse_change';
COMMENT ON FUNCTION concert.refuse_change() IS 'trigger: UPDATE, DELETE and TRUNCATE of history raise TK006';
REVOKE ALL ON FUNCTION concert.refuse_change() FROM PUBLIC;
-- The programme: concerts, their dates, the sections and the seats that are sold.

CREATE TABLE concert.concert (
    id          uuid        NOT NULL DEFAULT concert.uuid7(),
    name        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz,
    CONSTRAINT concert_pkey PRIMARY KEY (id),
    CONSTRAINT concert_name CHECK (char_length(name) BETWEEN 1 AND 200)
);
COMMENT ON TABLE concert.concert IS 'a production; what is sold are its dates';

CREATE TABLE concert.concert_date (
    id                 uuid        NOT NULL DEFAULT concert.uuid7(),
    concert_id         uuid        NOT NULL,
    starts_at          timestamptz NOT NULL,
    time_zone          text        NOT NULL,
    sale_opens_at      timestamptz NOT NULL,
    sale_closes_at     timestamptz NOT NULL,
    pending_seconds    integer     NOT NULL,
    seats_per_user_max integer     NOT NULL,
    admission          text        NOT NULL,
    admission_cap      integer     NOT NULL,
    admission_rate     integer     NOT NULL,
    claim_seconds      integer     NOT NULL,
    pass_seconds       integer     NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at         timestamptz,
    CONSTRAINT concert_date_pkey PRIMARY KEY (id),
    CONSTRAINT concert_date_concert_fkey FOREIGN KEY (concert_id)
        REFERENCES concert.concert (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT concert_date_sale_window CHECK (sale_opens_at < sale_closes_at),
    CONSTRAINT concert_date_pending_seconds CHECK (pending_seconds BETWEEN 1 AND 900),
    CONSTRAINT concert_date_seats_per_user_max CHECK (seats_per_user_max BETWEEN 1 AND 1000),
    CONSTRAINT concert_date_admission CHECK (admission IN ('open', 'required')),
    CONSTRAINT concert_date_admission_cap CHECK (admission_cap BETWEEN 1 AND 1000000),
    CONSTRAINT concert_date_admission_rate CHECK (admission_rate BETWEEN 1 AND 100000),
    CONSTRAINT concert_date_claim_seconds CHECK (claim_seconds BETWEEN 1 AND 3600),
    CONSTRAINT concert_date_pass_seconds CHECK (pass_seconds BETWEEN 1 AND 86400)
);
CREATE INDEX concert_date_concert ON concert.concert_date (concert_id);
COMMENT ON TABLE concert.concert_date IS 'one performance of a concert, with the rules of its sale';

CREATE TABLE concert.section (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    concert_date_id uuid        NOT NULL,
    name            text        NOT NULL,
    kind            text        NOT NULL,
    price           bigint      NOT NULL,
    currency        text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT section_pkey PRIMARY KEY (id),
    CONSTRAINT section_of_date UNIQUE (id, concert_date_id),
    CONSTRAINT section_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT section_name CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT section_kind CHECK (kind IN ('seated', 'standing')),
    CONSTRAINT section_price CHECK (price BETWEEN 0 AND 1000000000000000),
    CONSTRAINT section_currency CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE UNIQUE INDEX section_name_price ON concert.section (concert_date_id, name, price, currency)
    WHERE deleted_at IS NULL;
COMMENT ON TABLE concert.section IS 'a named part of a date''s seats with one price, in minor units of its currency';

CREATE TABLE concert.seat (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    concert_date_id uuid        NOT NULL,
    section_id      uuid        NOT NULL,
    "row"           integer     NOT NULL,
    col             integer     NOT NULL,
    label           text        NOT NULL,
    blocked_reason  text,
    blocked_until   timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT seat_pkey PRIMARY KEY (id),
    CONSTRAINT seat_of_date UNIQUE (id, concert_date_id),
    CONSTRAINT seat_position UNIQUE (concert_date_id, "row", col),
    CONSTRAINT seat_section_fkey FOREIGN KEY (section_id, concert_date_id)
        REFERENCES concert.section (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT seat_row CHECK ("row" BETWEEN 1 AND 1000000),
    CONSTRAINT seat_col CHECK (col BETWEEN 1 AND 1000000),
    CONSTRAINT seat_label CHECK (char_length(label) BETWEEN 1 AND 200),
    CONSTRAINT seat_block CHECK (blocked_until IS NULL OR blocked_reason IS NOT NULL)
);
CREATE INDEX seat_section ON concert.seat (section_id);
COMMENT ON TABLE concert.seat IS 'one sellable spot of a date; (row, col) is its place in the physical grid, label what is printed';

SELECT pg_catalog.pg_extension_config_dump('concert.concert', '');
SELECT pg_catalog.pg_extension_config_dump('concert.concert_date', '');
SELECT pg_catalog.pg_extension_config_dump('concert.section', '');
SELECT pg_catalog.pg_extension_config_dump('concert.seat', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concert
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concert_date
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.section
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.seat
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

CREATE TYPE concert.seats_answer AS (ok boolean, reason text, seats jsonb);
COMMENT ON TYPE concert.seats_answer IS 'an answer that lists seats: all that it is about, or every one refused with its reason';

-- create_concert(name) makes a concert and returns its id.
-- Writes concert. Locks nothing. Errors: 22004 NULL, 22023 an empty or over-long name.
-- Example: SELECT concert.create_concert('Winter Gala');
CREATE FUNCTION concert.create_concert(name text) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_create_concert';
COMMENT ON FUNCTION concert.create_concert(text) IS 'makes a concert, returns its id';
REVOKE ALL ON FUNCTION concert.create_concert(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_concert(text) TO concert_admin;

-- create_concert_date(...) makes a date of a concert with the rules of its sale, returns its id.
-- pending_seconds is how long an unpaid reservation lives (1..900), seats_per_user_max counts over
-- all bookings of a user; admission 'required' asks for a pass, and then admission_cap people hold
-- one at a time, admission_rate are let in a second, an admitted person has claim_seconds to fetch
-- the pass, which lives for pass_seconds. The sale is open from sale_opens_at until just before
-- sale_closes_at (NULL: now and starts_at), by the database's clock.
-- Writes concert_date. Locks the concert's row (KEY SHARE).
-- Errors: TK001 unknown concert, 22004 NULL, 22023 an unknown time zone or a value out of bounds.
-- Example: SELECT concert.create_concert_date(:concert, '2027-12-24 20:00+01', 'Europe/Oslo');
CREATE FUNCTION concert.create_concert_date(
    concert_id uuid, starts_at timestamptz, time_zone text DEFAULT 'UTC',
    sale_opens_at timestamptz DEFAULT NULL, sale_closes_at timestamptz DEFAULT NULL,
    pending_seconds integer DEFAULT 300, seats_per_user_max integer DEFAULT 4,
    admission text DEFAULT 'open', admission_cap integer DEFAULT 500,
    admission_rate integer DEFAULT 100, claim_seconds integer DEFAULT 30,
    pass_seconds integer DEFAULT 600) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_create_concert_date';
COMMENT ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer)
    IS 'makes a date of a concert with the rules of its sale, returns its id';
REVOKE ALL ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer) TO concert_admin;

-- create_section(concert_date_id, name, price, currency, kind) makes a section, returns its id.
-- price is in minor units of currency (points are PTS), kind 'seated' or 'standing'. The revenue
-- account of the concert in that currency is opened with it if there is none.
-- Writes section, account. Locks the date's row (KEY SHARE).
-- Errors: TK001 unknown date, 22004 NULL, 22023 a bad name, price, currency or kind,
-- 23505 a live section of the same name and price.
-- Example: SELECT concert.create_section(:date, 'Stalls', 5000);
CREATE FUNCTION concert.create_section(concert_date_id uuid, name text, price bigint,
    currency text DEFAULT 'PTS', kind text DEFAULT 'seated') RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_create_section';
COMMENT ON FUNCTION concert.create_section(uuid, text, bigint, text, text) IS 'makes a priced section of a date, returns its id';
REVOKE ALL ON FUNCTION concert.create_section(uuid, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_section(uuid, text, bigint, text, text) TO concert_admin;

-- add_seats(concert_date_id, section_id, row, cols, labels) adds one seat for each of cols in one
-- row of the grid; labels (as many as cols) are what is printed, by default 'row-col'. Returns how
-- many were added.
-- Writes seat. Locks the section's row (KEY SHARE).
-- Errors: TK001 unknown section of that date, TK004 a spot that is taken or named twice,
-- 22004 NULL, 22023 a bad row, col or label, or arrays of different length.
-- Example: SELECT concert.add_seats(:date, :section, 1, ARRAY[1,2,3], ARRAY['A1','A2','A3']);
CREATE FUNCTION concert.add_seats(concert_date_id uuid, section_id uuid, "row" integer,
    cols integer[], labels text[] DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_add_seats';
COMMENT ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[]) IS 'adds the seats of one grid row to a section';
REVOKE ALL ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[]) TO concert_admin;

-- block_seats(seat_ids, reason, until) takes seats of one date out of the sale, all or none, until
-- a time (NULL: until unblock_seats). A sold, held or busy seat is refused with its reason; one
-- already blocked gets the new reason and time.
-- Writes seat, the outbox (seat.blocked). Locks the seats and the bookings of expired pendings, without
-- waiting. Errors: 22004 NULL, 22023 an empty list or reason, an infinite time, TK003 too many, TK004 a seat named twice.
-- Example: SELECT * FROM concert.block_seats(ARRAY[:seat]::uuid[], 'camera');
CREATE FUNCTION concert.block_seats(seat_ids uuid[], reason text, until timestamptz DEFAULT NULL,
    correlation_id text DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_block_seats';
COMMENT ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) IS 'takes seats out of the sale, all or none';
REVOKE ALL ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) TO concert_admin;

-- unblock_seats(seat_ids) puts blocked seats back into the sale; one that is not blocked stays as
-- it is. Writes seat, the outbox (seat.unblocked). Locks and errors as block_seats().
-- Example: SELECT * FROM concert.unblock_seats(ARRAY[:seat]::uuid[]);
CREATE FUNCTION concert.unblock_seats(seat_ids uuid[], correlation_id text DEFAULT NULL)
    RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_unblock_seats';
COMMENT ON FUNCTION concert.unblock_seats(uuid[], text) IS 'puts blocked seats back into the sale';
REVOKE ALL ON FUNCTION concert.unblock_seats(uuid[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.unblock_seats(uuid[], text) TO concert_admin;

-- soft_delete(kind, id) marks a 'concert', 'concert_date', 'section' or 'seat' as deleted. It is
-- refused (TK007, the detail counts them) while live rows depend on it: dates of a concert,
-- sections of a date, seats of a section, a live reservation of a seat.
-- Writes the row. Locks it (FOR UPDATE), and a seat as reserve() does.
-- Errors: TK001 unknown or already deleted, TK007, 22004 NULL, 22023 an unknown kind.
-- Example: SELECT concert.soft_delete('seat', :seat);
CREATE FUNCTION concert.soft_delete(kind text, id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_soft_delete';
COMMENT ON FUNCTION concert.soft_delete(text, uuid) IS 'marks a concert, date, section or seat as deleted';
REVOKE ALL ON FUNCTION concert.soft_delete(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.soft_delete(text, uuid) TO concert_admin;
-- Idempotency: what was answered to a request that carried a key.
--
-- Four tables, each for a period of 3.5 days, used in turn: the current period's and the two
-- before it hold at least seven days; the fourth is emptied meanwhile. No unique index can span
-- them, so request.c takes the key's lock, looks in every table and then acts.

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.request_%1$s (
                user_id    uuid        NOT NULL,
                operation  text        NOT NULL,
                key        text        NOT NULL,
                digest     bytea       NOT NULL,
                result     jsonb       NOT NULL,
                created_at timestamptz NOT NULL
            )$f$, i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX request_%1$s_key ON concert.request_%1$s (user_id, operation, key)', i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.request_%1$s IS 'answers given under an idempotency key, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.request_%s', i), '');
    END LOOP;
END
$$;

-- request_rotate() empties those tables of the ring whose answers are all older than seven days.
-- Returns how many it emptied; a table that is in use is left for the next call.
-- Writes request_N. Locks request_N (ACCESS EXCLUSIVE, without waiting).
-- Errors: none of its own. Example: SELECT concert.request_rotate();
CREATE FUNCTION concert.request_rotate() RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_request_rotate';
COMMENT ON FUNCTION concert.request_rotate() IS 'empties the tables of the request ring that are past seven days';
REVOKE ALL ON FUNCTION concert.request_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.request_rotate() TO concert_sidecar;
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
    CONSTRAINT reservation_pkey PRIMARY KEY (id),
    CONSTRAINT reservation_seat_fkey FOREIGN KEY (seat_id, concert_date_id)
        REFERENCES concert.seat (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT reservation_status CHECK (status IN ('pending', 'confirmed', 'cancelled', 'expired')),
    CONSTRAINT reservation_live CHECK ((status IN ('pending', 'confirmed')) = (deleted_at IS NULL)),
    CONSTRAINT reservation_resolved CHECK ((status = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT reservation_price CHECK (price >= 0),
    CONSTRAINT reservation_fence CHECK (fence > 0),
    CONSTRAINT reservation_expires CHECK (expires_at <= expires_at_max)
);
CREATE UNIQUE INDEX reservation_live_seat ON concert.reservation (seat_id) WHERE deleted_at IS NULL;
CREATE INDEX reservation_seat_fence ON concert.reservation (seat_id, fence);
CREATE INDEX reservation_booking ON concert.reservation (booking_id);
CREATE INDEX reservation_user_date ON concert.reservation (user_id, concert_date_id) WHERE deleted_at IS NULL;
CREATE INDEX reservation_pending_expiry ON concert.reservation (expires_at) WHERE status = 'pending';
COMMENT ON TABLE concert.reservation IS 'one seat for one user: pending, then confirmed, cancelled or expired; never restored, a seat is reserved anew';
SELECT pg_catalog.pg_extension_config_dump('concert.reservation', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.reservation
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

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
-- ok: seats lists {seat_id, reservation_id, price, currency, fence, remaining_ms}. Refused: seats
-- lists every refused seat {seat_id, reason, remaining_ms if held}, and reason is the first one's;
-- limit, not_on_sale, no_pass and an unknown date refuse the call as a whole (seats is empty).
-- Nobody waits for a seat: one that another open transaction is at work on is 'busy'.
-- Writes reservation, the outbox (reservation.reserved, and reservation.expired for what it retires),
-- request_N with a key. Locks request key, user's limit (both waiting), seats in id order and the
-- bookings of expired pendings (neither waiting), the outbox key.
-- Errors: 22004 NULL, 22023 no seats, a bad fence or key, TK002 the key came with another request,
-- TK003 too many seats, TK004 a seat named twice, TK010 the key file for passes is unusable.
-- Example: SELECT * FROM concert.reserve(:date, ARRAY[:seat]::uuid[], :user);
CREATE FUNCTION concert.reserve(concert_date_id uuid, seat_ids uuid[], user_id uuid,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, fence bigint DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.reserve_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_reserve';
COMMENT ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text)
    IS 'takes all the seats as one pending booking, or none and says why for each';
REVOKE ALL ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text) TO concert_app;

-- extend(booking_id, user_id, seconds) lets a pending booking live until that many seconds from now,
-- never beyond 900 seconds after it was made, never shorter than it already had.
-- Writes reservation, the outbox (reservation.extended). Locks the booking (waiting), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved.
-- Errors: 22004 NULL, 22023 seconds out of 1..900.
-- Example: SELECT * FROM concert.extend(:booking, :user, 120);
CREATE FUNCTION concert.extend(booking_id uuid, user_id uuid, seconds integer,
    correlation_id text DEFAULT NULL) RETURNS concert.extend_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_extend';
COMMENT ON FUNCTION concert.extend(uuid, uuid, integer, text) IS 'lets a pending booking live longer, within an absolute cap';
REVOKE ALL ON FUNCTION concert.extend(uuid, uuid, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.extend(uuid, uuid, integer, text) TO concert_app;

-- cancel(booking_id, user_id) gives a pending booking back; its seats are free at once. A paid one
-- is refused: already_paid.
-- Writes reservation, the outbox (reservation.cancelled), request_N with a key.
-- Locks request key, booking (both waiting), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved.
-- Errors: 22004 NULL, 22023 a bad key, TK002. Example: SELECT * FROM concert.cancel(:booking, :user);
CREATE FUNCTION concert.cancel(booking_id uuid, user_id uuid, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_cancel';
COMMENT ON FUNCTION concert.cancel(uuid, uuid, text, text) IS 'gives a pending booking back';
REVOKE ALL ON FUNCTION concert.cancel(uuid, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.cancel(uuid, uuid, text, text) TO concert_app;

-- expire(max_rows) retires pending reservations whose time is over, oldest first, whole bookings
-- together, and returns how many. Correctness never waits for it: an expired pending counts as free
-- everywhere; this makes its event timely. Bookings that somebody is at work on are left for the next call.
-- Writes reservation, the outbox (reservation.expired). Locks bookings (without waiting), outbox keys.
-- Errors: 22004 NULL, 22023 max_rows out of 1..10000; fewer are taken
-- where the shared lock table is small.
-- Example: SELECT concert.expire();
CREATE FUNCTION concert.expire(max_rows integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_expire';
COMMENT ON FUNCTION concert.expire(integer) IS 'retires pending reservations whose time is over';
REVOKE ALL ON FUNCTION concert.expire(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.expire(integer) TO concert_sidecar;
-- The points ledger and payments. A transfer has one debit and one credit account, so the books
-- balance by construction. An account with a floor has exactly one balance row, judged under the
-- account's lock; one without is credited append-only and summed, so that a revenue account which
-- every sale credits is never a row that every sale waits for.

CREATE TABLE concert.account (
    id         uuid        NOT NULL DEFAULT concert.uuid7(),
    kind       text        NOT NULL,
    owner_id   uuid,
    name       text,
    currency   text        NOT NULL,
    floor      bigint,
    frozen_at  timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_kind CHECK (kind IN ('wallet', 'revenue', 'funding')),
    CONSTRAINT account_owner CHECK ((kind = 'funding') = (owner_id IS NULL)),
    CONSTRAINT account_name CHECK ((kind = 'funding') = (name IS NOT NULL)),
    CONSTRAINT account_floor CHECK ((kind = 'wallet') = (floor IS NOT NULL)),
    CONSTRAINT account_currency CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE UNIQUE INDEX account_of_owner ON concert.account (owner_id, kind, currency)
    WHERE owner_id IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX account_of_name ON concert.account (name, currency)
    WHERE name IS NOT NULL AND deleted_at IS NULL;
COMMENT ON TABLE concert.account IS 'a balance in one currency: a user''s wallet, a concert''s revenue, or a named source of funds';

CREATE TABLE concert.account_balance (
    account_id uuid   NOT NULL,
    debits     bigint NOT NULL,
    credits    bigint NOT NULL,
    CONSTRAINT account_balance_pkey PRIMARY KEY (account_id),
    CONSTRAINT account_balance_account_fkey FOREIGN KEY (account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT account_balance_signs CHECK (debits >= 0 AND credits >= 0)
) WITH (fillfactor = 70);
COMMENT ON TABLE concert.account_balance IS 'the balance of an account with a floor: credits minus debits, in minor units';

CREATE TABLE concert.payment (
    id         uuid        NOT NULL DEFAULT concert.uuid7(),
    booking_id uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    method     text        NOT NULL,
    status     text        NOT NULL,
    amount     bigint      NOT NULL,
    currency   text        NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT payment_pkey PRIMARY KEY (id),
    CONSTRAINT payment_method CHECK (method IN ('points')),
    CONSTRAINT payment_status CHECK (status IN ('captured')),
    CONSTRAINT payment_amount CHECK (amount >= 0)
);
CREATE INDEX payment_booking ON concert.payment (booking_id);
COMMENT ON TABLE concert.payment IS 'money for one booking';

CREATE TABLE concert.transfer (
    id                uuid        NOT NULL DEFAULT concert.uuid7(),
    debit_account_id  uuid        NOT NULL,
    credit_account_id uuid        NOT NULL,
    amount            bigint      NOT NULL,
    currency          text        NOT NULL,
    kind              text        NOT NULL,
    payment_id        uuid,
    external_ref      text,
    created_at        timestamptz NOT NULL,
    CONSTRAINT transfer_pkey PRIMARY KEY (id),
    CONSTRAINT transfer_debit_fkey FOREIGN KEY (debit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_credit_fkey FOREIGN KEY (credit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_two_accounts CHECK (debit_account_id <> credit_account_id),
    CONSTRAINT transfer_amount CHECK (amount > 0),
    CONSTRAINT transfer_kind CHECK (kind IN ('charge', 'payment')),
    CONSTRAINT transfer_cause CHECK ((kind = 'payment') = (payment_id IS NOT NULL)
                                     AND (kind = 'charge') = (external_ref IS NOT NULL))
);
CREATE INDEX transfer_debit ON concert.transfer (debit_account_id);
CREATE INDEX transfer_credit ON concert.transfer (credit_account_id);
CREATE UNIQUE INDEX transfer_external_ref ON concert.transfer (debit_account_id, external_ref)
    WHERE external_ref IS NOT NULL;
COMMENT ON TABLE concert.transfer IS 'an amount moved from the debited to the credited account; append-only';

SELECT pg_catalog.pg_extension_config_dump('concert.account', '');
SELECT pg_catalog.pg_extension_config_dump('concert.account_balance', '');
SELECT pg_catalog.pg_extension_config_dump('concert.payment', '');
SELECT pg_catalog.pg_extension_config_dump('concert.transfer', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account_balance
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.payment
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.payment
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.transfer
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change();

CREATE TYPE concert.charge_answer AS (
    ok boolean, reason text, transfer_id uuid, account_id uuid, balance bigint);
COMMENT ON TYPE concert.charge_answer IS 'the answer of charge_points(): the transfer and the wallet after it';
CREATE TYPE concert.pay_answer AS (
    ok boolean, reason text, payment_id uuid, amount bigint, currency text);
COMMENT ON TYPE concert.pay_answer IS 'the answer of pay(): the payment, or what it would have cost';

-- charge_points(...) credits a user's wallet from a named source; the first charge opens the wallet.
-- amount is in minor units; external_ref is the source's own reference and is good once in a source
-- and currency: a second charge with it is refused as already_resolved.
-- Writes account, account_balance, transfer, the outbox (point.charged), request_N with a key.
-- Locks request key, external reference, wallet (all waiting), the outbox key.
-- Refusals: already_resolved, frozen. Errors: 22004 NULL, 22023 a bad amount, currency, source or
-- reference, 22003 a balance past bigint, TK002.
-- Example: SELECT * FROM concert.charge_points(:user, 10000, 'PTS', 'box office', 'receipt 17');
CREATE FUNCTION concert.charge_points(user_id uuid, amount bigint, currency text, source text,
    external_ref text, idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.charge_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_charge_points';
COMMENT ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text)
    IS 'credits a user''s wallet from a named source';
REVOKE ALL ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text) TO concert_sidecar;

-- balance(user_id, currency) is what the user's wallet holds, in minor units; 0 without a wallet,
-- NULL for a NULL argument. Reads only, also on a standby. Raises nothing.
-- Example: SELECT concert.balance(:user);
CREATE FUNCTION concert.balance(user_id uuid, currency text DEFAULT 'PTS') RETURNS bigint
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT b.credits - b.debits
        FROM concert.account AS a
        JOIN concert.account_balance AS b ON b.account_id = a.id
        WHERE a.owner_id = balance.user_id AND a.kind = 'wallet'
          AND a.currency = balance.currency AND a.deleted_at IS NULL), 0);
END;
COMMENT ON FUNCTION concert.balance(uuid, text) IS 'what a user''s wallet holds';
REVOKE ALL ON FUNCTION concert.balance(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.balance(uuid, text) TO concert_reader;

-- pay(booking_id, user_id) pays a pending booking from the user's wallet and confirms every
-- reservation of it: debit the wallet, credit the concert's revenue, one commit.
-- Writes payment, transfer, account_balance, reservation, the outbox (reservation.confirmed,
-- payment.captured), request_N with a key. Locks request key, booking, wallet (all waiting), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved (cancelled),
-- insufficient_funds (amount and currency say what it costs), wrong_currency (a wallet, but of another
-- currency), frozen.
-- Errors: 22004 NULL, 22023 a bad key, TK002. Example: SELECT * FROM concert.pay(:booking, :user);
CREATE FUNCTION concert.pay(booking_id uuid, user_id uuid, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL) RETURNS concert.pay_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_pay';
COMMENT ON FUNCTION concert.pay(uuid, uuid, text, text) IS 'pays a booking from the user''s wallet and confirms it';
REVOKE ALL ON FUNCTION concert.pay(uuid, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.pay(uuid, uuid, text, text) TO concert_app;
-- The transactional outbox. An event is appended in the transaction whose fact it tells; lanes share
-- the keys out among relays; a relay reads the difference of two snapshots in order of seq, publishes
-- it and appends a cursor. No row is ever updated or deleted: what every lane has acked leaves by
-- TRUNCATE, table by table.
--
-- The four event tables are used in turn, and so are the two cursor tables; readers always merge all
-- of them, so whoever still writes into the last one does no harm.

CREATE SEQUENCE concert.outbox_seq CACHE 1;
COMMENT ON SEQUENCE concert.outbox_seq IS 'the order of events; drawn under the lock of the event''s key';

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.outbox_event_%1$s (
                seq        bigint      NOT NULL,
                xid        xid8        NOT NULL,
                created_at timestamptz NOT NULL,
                id         uuid        NOT NULL,
                lane       integer     NOT NULL,
                topic      text        NOT NULL,
                key        text        NOT NULL,
                type       text        NOT NULL,
                headers    jsonb       NOT NULL,
                payload    jsonb       NOT NULL
            )$f$, i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_xid ON concert.outbox_event_%1$s (lane, xid, seq)', i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_seq ON concert.outbox_event_%1$s (lane, seq)', i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.outbox_event_%1$s IS 'events, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.outbox_event_%s', i), '');
    END LOOP;
    FOR i IN 0..1 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.outbox_cursor_%1$s (
                lane       integer     NOT NULL,
                n          bigint      NOT NULL,
                epoch      bigint      NOT NULL,
                s1         pg_snapshot NOT NULL,
                s2         pg_snapshot NOT NULL,
                seq        bigint      NOT NULL,
                lsn        pg_lsn      NOT NULL,
                timeline   integer     NOT NULL,
                created_at timestamptz NOT NULL,
                CONSTRAINT outbox_cursor_%1$s_pkey PRIMARY KEY (lane, epoch, n)
            )$f$, i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.outbox_cursor_%1$s IS 'how far each lane is delivered, one part of a ring of two'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.outbox_cursor_%s', i), '');
    END LOOP;
END
$$;

-- Which tables are current, and how many lanes there are. stamp tells this outbox from every other
-- (system identifier, database, event table): the install script's row is ours; a restore puts the
-- dumped one beside it, an upgrade by pg_upgrade leaves only the old one. Then transaction ids mean
-- nothing here until outbox_reset().
CREATE TABLE concert.outbox_state (
    stamp        text        NOT NULL,
    event_table  integer     NOT NULL,
    cursor_table integer     NOT NULL,
    lanes        integer     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT outbox_state_pkey PRIMARY KEY (stamp),
    CONSTRAINT outbox_state_event_table CHECK (event_table BETWEEN 0 AND 3),
    CONSTRAINT outbox_state_cursor_table CHECK (cursor_table BETWEEN 0 AND 1),
    CONSTRAINT outbox_state_lanes CHECK (lanes BETWEEN 1 AND 64)
);
COMMENT ON TABLE concert.outbox_state IS 'the outbox''s current tables and its lanes, under the stamp of its database';

CREATE TABLE concert.outbox_skipped (
    event_id   uuid        NOT NULL,
    lane       integer     NOT NULL,
    seq        bigint      NOT NULL,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    type       text        NOT NULL,
    skipped_by text        NOT NULL,
    skipped_at timestamptz NOT NULL,
    CONSTRAINT outbox_skipped_pkey PRIMARY KEY (event_id)
);
COMMENT ON TABLE concert.outbox_skipped IS 'events that an operator had passed over, never to be published';

SELECT pg_catalog.pg_extension_config_dump('concert.outbox_seq', '');
SELECT pg_catalog.pg_extension_config_dump('concert.outbox_state', '');
SELECT pg_catalog.pg_extension_config_dump('concert.outbox_skipped', '');

-- refuse_truncate() is the trigger that keeps TRUNCATE (TK006) to outbox_rotate() and outbox_reset().
CREATE FUNCTION concert.refuse_truncate() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_outbox_refuse_truncate';
COMMENT ON FUNCTION concert.refuse_truncate() IS 'trigger: TRUNCATE raises TK006 outside outbox_rotate() and outbox_reset()';
REVOKE ALL ON FUNCTION concert.refuse_truncate() FROM PUBLIC;

DO $$
DECLARE
    ring_table text;
BEGIN
    FOREACH ring_table IN ARRAY ARRAY['outbox_event_0', 'outbox_event_1', 'outbox_event_2', 'outbox_event_3',
                                      'outbox_cursor_0', 'outbox_cursor_1']
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON concert.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change()', ring_table);
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON concert.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_truncate()', ring_table);
    END LOOP;
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.outbox_skipped
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();

-- Internal: the stamp of this database's outbox, and the lane of a key.
CREATE FUNCTION concert.outbox_stamp() RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'concert_outbox_stamp';
COMMENT ON FUNCTION concert.outbox_stamp() IS 'internal: what tells this outbox from a copy of it';
REVOKE ALL ON FUNCTION concert.outbox_stamp() FROM PUBLIC;

CREATE FUNCTION concert.outbox_lane(topic text, key text, lanes integer) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_outbox_lane';
COMMENT ON FUNCTION concert.outbox_lane(text, text, integer) IS 'internal: the lane of a key';
REVOKE ALL ON FUNCTION concert.outbox_lane(text, text, integer) FROM PUBLIC;

INSERT INTO concert.outbox_state (stamp, event_table, cursor_table, lanes)
VALUES (concert.outbox_stamp(), 0, 0, 4);

-- Internal: whether all that is visible in a is visible in b too.
CREATE FUNCTION concert.snapshot_within(a pg_snapshot, b pg_snapshot) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_snapshot_xmax(a) <= pg_snapshot_xmax(b)
    AND NOT EXISTS (SELECT FROM pg_snapshot_xip(b) AS running (xid)
                    WHERE pg_visible_in_snapshot(running.xid, a));
COMMENT ON FUNCTION concert.snapshot_within(pg_snapshot, pg_snapshot) IS 'internal: whether one snapshot sees all that the other sees';
REVOKE ALL ON FUNCTION concert.snapshot_within(pg_snapshot, pg_snapshot) FROM PUBLIC;

-- Internal: whether a position comes after another one: further in the same difference, or in a
-- difference that begins where that one ends, or later.
CREATE FUNCTION concert.outbox_is_forward(from_s1 pg_snapshot, from_s2 pg_snapshot, from_seq bigint,
    to_s1 pg_snapshot, to_s2 pg_snapshot, to_seq bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN to_s1::text = from_s1::text AND to_s2::text = from_s2::text THEN to_seq > from_seq
            ELSE concert.snapshot_within(from_s2, to_s1) AND concert.snapshot_within(to_s1, to_s2) END;
COMMENT ON FUNCTION concert.outbox_is_forward(pg_snapshot, pg_snapshot, bigint, pg_snapshot, pg_snapshot, bigint)
    IS 'internal: whether a position comes after another';
REVOKE ALL ON FUNCTION concert.outbox_is_forward(pg_snapshot, pg_snapshot, bigint, pg_snapshot, pg_snapshot, bigint) FROM PUBLIC;

-- Internal: all events; each lane's newest cursor (the position before everything where there is
-- none); the events that no cursor has passed: what its s2 does not see, and the rest of its
-- difference. A lane below zero holds what was emitted while outbox_reset() was due. The ORDER BY in
-- outbox_unacked has events looked up lane by lane, by xid and by seq: joined in another order, all that
-- was acked would be read to find the few that were not.
CREATE VIEW concert.outbox_event AS
    SELECT 0 AS event_table, * FROM concert.outbox_event_0
    UNION ALL SELECT 1, * FROM concert.outbox_event_1
    UNION ALL SELECT 2, * FROM concert.outbox_event_2
    UNION ALL SELECT 3, * FROM concert.outbox_event_3;
COMMENT ON VIEW concert.outbox_event IS 'internal: the events of all four tables';

CREATE VIEW concert.outbox_position AS
    SELECT lanes.lane, coalesce(c.epoch, 0) AS epoch, coalesce(c.n, 0) AS n,
           coalesce(c.s1, '1:1:') AS s1, coalesce(c.s2, '1:1:') AS s2, coalesce(c.seq, 0) AS seq
    FROM (SELECT generate_series(0, max(s.lanes) - 1) AS lane
          FROM (SELECT lanes FROM concert.outbox_state ORDER BY stamp) AS s) AS lanes
    LEFT JOIN LATERAL (
        SELECT * FROM (
            (SELECT * FROM concert.outbox_cursor_0 WHERE lane = lanes.lane
             ORDER BY epoch DESC, n DESC LIMIT 1)
            UNION ALL
            (SELECT * FROM concert.outbox_cursor_1 WHERE lane = lanes.lane
             ORDER BY epoch DESC, n DESC LIMIT 1)) AS newest_of_each
        ORDER BY epoch DESC, n DESC LIMIT 1) AS c ON true;
COMMENT ON VIEW concert.outbox_position IS 'internal: each lane''s newest cursor';

CREATE VIEW concert.outbox_unacked AS
    SELECT e.lane, e.seq, e.id, e.topic, e.key, e.type, e.headers, e.payload, e.created_at
    FROM concert.outbox_position AS p
    CROSS JOIN LATERAL (
        SELECT * FROM concert.outbox_event
        WHERE lane = p.lane AND (xid, seq) > (pg_snapshot_xmin(p.s2), 0)
          AND NOT pg_visible_in_snapshot(xid, p.s2) ORDER BY xid, seq) AS e
    UNION ALL
    SELECT e.lane, e.seq, e.id, e.topic, e.key, e.type, e.headers, e.payload, e.created_at
    FROM concert.outbox_position AS p
    CROSS JOIN LATERAL (
        SELECT * FROM concert.outbox_event
        WHERE lane = p.lane AND seq > p.seq
          AND pg_visible_in_snapshot(xid, p.s2) AND NOT pg_visible_in_snapshot(xid, p.s1)
        ORDER BY seq) AS e
    UNION ALL
    SELECT lane, seq, id, topic, key, type, headers, payload, created_at
    FROM concert.outbox_event WHERE lane < 0;
COMMENT ON VIEW concert.outbox_unacked IS 'internal: the events that no cursor has passed';

CREATE TYPE concert.answer AS (ok boolean, reason text);
COMMENT ON TYPE concert.answer IS 'yes, or no and why';
CREATE TYPE concert.outbox_open_answer AS (
    ok boolean, reason text, epoch bigint, s1 pg_snapshot, s2 pg_snapshot, seq bigint);
COMMENT ON TYPE concert.outbox_open_answer IS 'the answer of outbox_open(): the epoch, and the position to read on from';

-- emit(topic, key, type, payload, headers) appends an event in this transaction and returns its id.
-- Events of one (topic, key) are delivered in the order in which their transactions commit: emit
-- waits for an open transaction that has emitted for the same key.
-- topic and type are names such as order.paid, key has 1 to 200 characters, payload is a JSON object,
-- headers a JSON object of strings; payload and headers together are at most concert.max_event_bytes.
-- Writes outbox_event_N. Locks (topic, key), waiting: the last in the lock order.
-- Errors: 22004 NULL, TK009 an event that could not be published.
-- Example: SELECT concert.emit('concert.notification', 'user 17', 'mail.wanted', '{"to": "a@b.c"}');
CREATE FUNCTION concert.emit(topic text, key text, type text, payload jsonb, headers jsonb DEFAULT '{}')
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_emit';
COMMENT ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) IS 'appends an event in this transaction, returns its id';
REVOKE ALL ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) TO concert_app;

-- outbox_lanes() is the number of lanes; they are counted from 0. Reads only.
-- Example: SELECT concert.outbox_lanes();
CREATE FUNCTION concert.outbox_lanes() RETURNS integer
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_outbox_lanes';
COMMENT ON FUNCTION concert.outbox_lanes() IS 'the number of lanes';
REVOKE ALL ON FUNCTION concert.outbox_lanes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_lanes() TO concert_sidecar;

-- outbox_open(lane) takes a lane for this session and begins a new epoch, which fences every earlier
-- one; returns the position to read on from. The lane is free again when the session ends: use a
-- connection of its own, none of a pooler's. Refusals: busy (another session has the lane).
-- Writes outbox_cursor_N. Locks the lane (of the session, without waiting).
-- Errors: 22004 NULL, 22023 no such lane, 25006 on a standby, TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_open(0);
CREATE FUNCTION concert.outbox_open(lane integer) RETURNS concert.outbox_open_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_open';
COMMENT ON FUNCTION concert.outbox_open(integer) IS 'takes a lane for this session, returns epoch and position';
REVOKE ALL ON FUNCTION concert.outbox_open(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_open(integer) TO concert_sidecar;

-- outbox_read(lane, s1, s2, seq, max_rows) returns the slice that follows a position, in order: at
-- most max_rows (1..10000), fewer when payloads are large. The slice's s1 and s2 with a row's seq are
-- the position after that row. When the difference of s2 and s1 is used up, s1 becomes the old s2 and s2
-- a fresh snapshot, and the local WAL is flushed first: what is returned is durable. No row means that
-- nothing is new: keep the position. Reading changes nothing and takes no lane.
-- Locks no row; waits only for a rotation.
-- Errors: 22004 NULL, 22023 no such lane, bad max_rows, an s2 from the future, 25006 on a standby,
-- TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_read(0, '1:1:', '1:1:', 0);
-- The settings keep the plan a walk of the indexes, made when the tables may have been empty.
CREATE FUNCTION concert.outbox_read(lane integer, s1 pg_snapshot, s2 pg_snapshot, seq bigint,
    max_rows integer DEFAULT 500)
    RETURNS TABLE (s1 pg_snapshot, s2 pg_snapshot, seq bigint, id uuid, topic text, key text,
                   type text, headers jsonb, payload jsonb, created_at timestamptz)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_read';
COMMENT ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer)
    IS 'the events that follow a position of a lane, in order';
REVOKE ALL ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer) TO concert_sidecar;

-- outbox_ack(lane, epoch, s1, s2, seq) appends the cursor that says: all up to the event of that number
-- is delivered. s1, s2 and seq are those of a row of outbox_read(), the last one delivered.
-- Refusals: stale_fence (this session does not have the lane, or a newer epoch has begun).
-- Writes outbox_cursor_N. Locks the lane's newest cursor for a moment.
-- Errors: 22004 NULL, 22023 no such lane or no such event in that difference, 25006 on a standby,
-- TK008 outbox_reset() is due, TK012 the position is the newest cursor's or before it.
-- Example: SELECT * FROM concert.outbox_ack(0, 1, '1:1:', '750:750:', 17);
CREATE FUNCTION concert.outbox_ack(lane integer, epoch bigint, s1 pg_snapshot, s2 pg_snapshot, seq bigint)
    RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_ack';
COMMENT ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint)
    IS 'appends a lane''s cursor: all up to that event is delivered';
REVOKE ALL ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint) TO concert_sidecar;

-- outbox_skip(lane, event_id) passes over the next event of a lane, which then is never published: for
-- one that Kafka refuses for ever. It is recorded; the new epoch fences a relay that stands before it,
-- which must open the lane again. Refusals: unknown (it is not the next event of the lane).
-- Writes outbox_skipped, outbox_cursor_N. Locks the lane's newest cursor.
-- Errors: 22004 NULL, 22023 no such lane, 25006 on a standby, TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_skip(0, :event);
CREATE FUNCTION concert.outbox_skip(lane integer, event_id uuid) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_skip';
COMMENT ON FUNCTION concert.outbox_skip(integer, uuid) IS 'passes over the next event of a lane for ever';
REVOKE ALL ON FUNCTION concert.outbox_skip(integer, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_skip(integer, uuid) TO concert_admin;

-- outbox_rotate() empties the event table and the cursor table that are next in their rings and makes
-- them current; nothing is done while the current event table is empty. How often it is called decides
-- how long acked events are kept: three rotations.
-- Refusals: busy (the next table holds an event that is not acked, or somebody uses it).
-- Writes outbox_event_N, outbox_cursor_N, outbox_state. Locks outbox_state (SHARE ROW EXCLUSIVE), the next
-- event table and the cursor tables (ACCESS EXCLUSIVE), each within 50 ms.
-- Errors: 25006 on a standby, TK008 outbox_reset() is due, TK013 at REPEATABLE READ and above.
-- Example: SELECT * FROM concert.outbox_rotate();
-- The settings: see outbox_read().
CREATE FUNCTION concert.outbox_rotate() RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off SET jit = off SET lock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'concert_outbox_rotate';
COMMENT ON FUNCTION concert.outbox_rotate() IS 'empties the next event table if all of it is acked, and uses it from now on';
REVOKE ALL ON FUNCTION concert.outbox_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_rotate() TO concert_sidecar;

-- outbox_reset() makes a restored outbox this database's own: after a restore from a dump, a copy made
-- by CREATE DATABASE or pg_upgrade. Events that were acked there are dropped; the others, and those
-- emitted here since, become one transaction with new numbers, their ids and their order kept. Returns how
-- many were kept; 0 and nothing done when no reset is due.
-- Writes and locks (ACCESS EXCLUSIVE, waiting) outbox_event_N, outbox_cursor_N, outbox_state.
-- Errors: 25006 on a standby, TK013 at REPEATABLE READ and above.
-- Example: SELECT concert.outbox_reset();
CREATE FUNCTION concert.outbox_reset() RETURNS bigint
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_outbox_reset';
COMMENT ON FUNCTION concert.outbox_reset() IS 'makes a restored outbox this database''s own, returns how many events wait';
REVOKE ALL ON FUNCTION concert.outbox_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_reset() TO concert_admin;

-- outbox_stats() says for each lane where its newest cursor is and how many events wait behind it,
-- the oldest since when. Reads only, also on a standby and while outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_stats();
CREATE FUNCTION concert.outbox_stats()
    RETURNS TABLE (lane integer, epoch bigint, n bigint, seq bigint, unacked bigint,
                   oldest_unacked_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
BEGIN ATOMIC
    SELECT p.lane, p.epoch, p.n, p.seq, coalesce(u.events, 0),
           greatest(extract(epoch FROM clock_timestamp() - u.oldest_at), 0)::double precision
    FROM concert.outbox_position AS p
    LEFT JOIN (SELECT greatest(lane, -1 - lane) AS lane, count(*) AS events, min(created_at) AS oldest_at
               FROM concert.outbox_unacked GROUP BY 1) AS u ON u.lane = p.lane
    ORDER BY p.lane;
END;
COMMENT ON FUNCTION concert.outbox_stats() IS 'each lane''s newest cursor and what waits behind it';
REVOKE ALL ON FUNCTION concert.outbox_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_stats() TO concert_sidecar;

-- outbox_violations() is the outbox's part of check_integrity(): cursors of a lane only move forward
-- (P8), every event is in a lane that somebody reads and in this database's own time (P2), no id
-- occurs twice (P3). Reads everything.
CREATE FUNCTION concert.outbox_violations() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH cursors AS (
        SELECT * FROM concert.outbox_cursor_0 UNION ALL SELECT * FROM concert.outbox_cursor_1),
    steps AS (
        SELECT c.*, lag(epoch) OVER w AS old_epoch, lag(n) OVER w AS old_n, lag(s1) OVER w AS old_s1,
               lag(s2) OVER w AS old_s2, lag(seq) OVER w AS old_seq
        FROM cursors AS c WINDOW w AS (PARTITION BY lane ORDER BY epoch, n))
    SELECT 'P8'::text, 'cursor ' || n || ' of lane ' || lane, 'its number is not above that of the cursor before it'
    FROM steps WHERE n <= old_n
    UNION ALL
    SELECT 'P8', 'cursor ' || n || ' of lane ' || lane, 'it stands before the cursor before it'
    FROM steps
    WHERE NOT concert.outbox_is_forward(old_s1, old_s2, old_seq, s1, s2, seq)
      AND NOT (epoch > old_epoch AND (s1::text, s2::text, seq) = (old_s1::text, old_s2::text, old_seq))
    UNION ALL
    SELECT 'P2', 'event ' || id, 'it is in lane ' || lane || ', which nobody reads'
    FROM concert.outbox_event WHERE lane >= (SELECT max(lanes) FROM concert.outbox_state)
    UNION ALL
    SELECT 'P2', 'event ' || id, 'its transaction id lies in the future'
    FROM concert.outbox_event
    WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
      AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
      AND NOT EXISTS (SELECT FROM concert.outbox_state WHERE stamp <> concert.outbox_stamp())
    UNION ALL
    SELECT 'P3', 'event ' || id, 'its id occurs ' || count(*) || ' times'
    FROM concert.outbox_event GROUP BY id HAVING count(*) > 1;
END;
COMMENT ON FUNCTION concert.outbox_violations() IS 'internal: what is broken in the outbox, for check_integrity()';
REVOKE ALL ON FUNCTION concert.outbox_violations() FROM PUBLIC;
-- The consumers' inbox and their effects. An event is accepted once by each consumer, in the same
-- transaction as its effect.
--
-- Four tables, used in turn, each for the events of a period of seven days by the time inside their own
-- version 7 ids, so that a duplicate always meets its first in the same table. The key begins with the
-- event: ids are dense in time for all consumers together, all rows of an event lie side by side, and
-- whether a table holds anything that is not past is one probe.

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.inbox_%1$s (
                consumer    text        NOT NULL,
                event_id    uuid        NOT NULL,
                accepted_at timestamptz NOT NULL,
                CONSTRAINT inbox_%1$s_pkey PRIMARY KEY (event_id, consumer)
            )$f$, i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.inbox_%1$s IS 'events that a consumer has had, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.inbox_%s', i), '');
    END LOOP;
END
$$;

-- What admits to the concert, one for each confirmed reservation.
CREATE TABLE concert.ticket (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    reservation_id  uuid        NOT NULL,
    concert_date_id uuid        NOT NULL,
    seat_id         uuid        NOT NULL,
    booking_id      uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    event_id        uuid        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT ticket_pkey PRIMARY KEY (id),
    CONSTRAINT ticket_of_reservation UNIQUE (reservation_id),
    CONSTRAINT ticket_reservation_fkey FOREIGN KEY (reservation_id)
        REFERENCES concert.reservation (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
COMMENT ON TABLE concert.ticket IS 'what admits to the concert: one for each confirmed reservation';

-- What consumers wrote down of each charge; reconciled with the transfers themselves.
CREATE TABLE concert.point_charge_record (
    id           uuid        NOT NULL DEFAULT concert.uuid7(),
    transfer_id  uuid        NOT NULL,
    account_id   uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    amount       bigint      NOT NULL,
    currency     text        NOT NULL,
    source       text        NOT NULL,
    external_ref text        NOT NULL,
    event_id     uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT point_charge_record_pkey PRIMARY KEY (id),
    CONSTRAINT point_charge_record_of_transfer UNIQUE (transfer_id),
    CONSTRAINT point_charge_record_transfer_fkey FOREIGN KEY (transfer_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
COMMENT ON TABLE concert.point_charge_record IS 'a charge of points as its event told it; append-only';

SELECT pg_catalog.pg_extension_config_dump('concert.ticket', '');
SELECT pg_catalog.pg_extension_config_dump('concert.point_charge_record', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.ticket
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.point_charge_record
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.point_charge_record
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change();

-- inbox_accept(consumer, event_id) records that a consumer has an event; ok: for the first time.
-- Refusals: already_resolved (it came before), too_late (older than the oldest period that is kept,
-- 14 days or more: for the dead-letter topic).
-- Writes inbox_N. Waits for an open transaction that accepts the same event for the same consumer.
-- Errors: 22004 NULL, 22023 a consumer's name of no or too many characters, TK011 an id that is no
-- version 7 UUID or more than a period ahead of this database's clock.
-- Example: SELECT * FROM concert.inbox_accept('mailer', :event);
CREATE FUNCTION concert.inbox_accept(consumer text, event_id uuid) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_inbox_accept';
COMMENT ON FUNCTION concert.inbox_accept(text, uuid) IS 'records that a consumer has an event: yes for the first time';
REVOKE ALL ON FUNCTION concert.inbox_accept(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.inbox_accept(text, uuid) TO concert_sidecar;

-- inbox_rotate() empties the table that the next period will need, once all in it is past. Returns how many
-- it emptied; a table that is in use is left for the next call.
-- Writes inbox_N. Locks inbox_N (ACCESS EXCLUSIVE, without waiting).
-- Errors: none of its own. Example: SELECT concert.inbox_rotate();
CREATE FUNCTION concert.inbox_rotate() RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_inbox_rotate';
COMMENT ON FUNCTION concert.inbox_rotate() IS 'empties the table of the inbox ring that is past';
REVOKE ALL ON FUNCTION concert.inbox_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.inbox_rotate() TO concert_sidecar;

-- issue_tickets(event_id, type, payload) is the consumer 'ticket': inbox_accept(), and for a
-- reservation.confirmed one ticket for each of its reservations that is confirmed in this database and
-- has none. Other types get the inbox row alone.
-- Writes inbox_N, ticket. Locks the reservations' rows (KEY SHARE). Refusals: as inbox_accept().
-- Errors: those of inbox_accept(), 22023 a malformed payload, TK001 a reservation that does not exist as
-- the payload says; then nothing is kept.
-- Example: SELECT * FROM concert.issue_tickets(:event, 'reservation.confirmed', :payload);
CREATE FUNCTION concert.issue_tickets(event_id uuid, type text, payload jsonb) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_issue_tickets';
COMMENT ON FUNCTION concert.issue_tickets(uuid, text, jsonb) IS 'applies an event for the consumer ''ticket''';
REVOKE ALL ON FUNCTION concert.issue_tickets(uuid, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.issue_tickets(uuid, text, jsonb) TO concert_sidecar;

-- record_point_charge(event_id, type, payload) is the consumer 'point-charge': inbox_accept(), and for a
-- point.charged the record of that charge. Other types get the inbox row alone.
-- Writes inbox_N, point_charge_record. Locks the transfer's row (KEY SHARE). Refusals: as inbox_accept().
-- Errors: those of inbox_accept(), 22023 a malformed payload, TK001 a charge that does not exist as the
-- payload says; then nothing is kept.
-- Example: SELECT * FROM concert.record_point_charge(:event, 'point.charged', :payload);
CREATE FUNCTION concert.record_point_charge(event_id uuid, type text, payload jsonb) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_record_point_charge';
COMMENT ON FUNCTION concert.record_point_charge(uuid, text, jsonb) IS 'applies an event for the consumer ''point-charge''';
REVOKE ALL ON FUNCTION concert.record_point_charge(uuid, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.record_point_charge(uuid, text, jsonb) TO concert_sidecar;

-- Internal: all that consumers have had.
CREATE VIEW concert.inbox AS
    SELECT * FROM concert.inbox_0 UNION ALL SELECT * FROM concert.inbox_1
    UNION ALL SELECT * FROM concert.inbox_2 UNION ALL SELECT * FROM concert.inbox_3;
COMMENT ON VIEW concert.inbox IS 'internal: the inbox rows of all four tables';

-- inbox_violations() is the inbox's part of check_integrity(), all of it P3: a ticket or a record that
-- does not agree with its cause, an effect without its inbox row (of the last 14 days), an inbox row
-- whose event is still in the outbox without its effect. Reads everything.
CREATE FUNCTION concert.inbox_violations() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'P3'::text, 'ticket ' || t.id, 'its reservation is not confirmed as the ticket says'
    FROM concert.ticket AS t JOIN concert.reservation AS r ON r.id = t.reservation_id
    WHERE t.deleted_at IS NULL
      AND (r.status, r.concert_date_id, r.seat_id, r.booking_id, r.user_id)
          <> ('confirmed', t.concert_date_id, t.seat_id, t.booking_id, t.user_id)
    UNION ALL
    SELECT 'P3', 'point charge record ' || c.id, 'its transfer is not the charge that the record says'
    FROM concert.point_charge_record AS c JOIN concert.transfer AS t ON t.id = c.transfer_id
    WHERE (t.kind, t.credit_account_id, t.amount, t.currency, t.external_ref)
          IS DISTINCT FROM ('charge', c.account_id, c.amount, c.currency, c.external_ref)
    UNION ALL
    SELECT 'P3', 'ticket ' || t.id, 'its event is not in the inbox'
    FROM concert.ticket AS t
    WHERE t.created_at > statement_timestamp() - interval '14 days'
      AND NOT EXISTS (SELECT FROM concert.inbox AS i WHERE i.event_id = t.event_id AND i.consumer = 'ticket')
    UNION ALL
    SELECT 'P3', 'point charge record ' || c.id, 'its event is not in the inbox'
    FROM concert.point_charge_record AS c
    WHERE c.created_at > statement_timestamp() - interval '14 days'
      AND NOT EXISTS (SELECT FROM concert.inbox AS i
                      WHERE i.event_id = c.event_id AND i.consumer = 'point-charge')
    UNION ALL
    SELECT 'P3', 'event ' || e.id, 'was applied without a ticket for reservation ' || r.id
    FROM concert.outbox_event AS e
    JOIN concert.inbox AS i ON i.event_id = e.id AND i.consumer = 'ticket'
    CROSS JOIN LATERAL jsonb_array_elements(e.payload -> 'seats') AS told (seat)
    JOIN concert.reservation AS r ON r.id = (told.seat ->> 'reservation_id')::uuid
    WHERE e.topic = 'concert.reservation' AND e.type = 'reservation.confirmed' AND r.status = 'confirmed'
      AND NOT EXISTS (SELECT FROM concert.ticket AS t WHERE t.reservation_id = r.id)
    UNION ALL
    SELECT 'P3', 'event ' || e.id, 'was applied without its point charge record'
    FROM concert.outbox_event AS e
    JOIN concert.inbox AS i ON i.event_id = e.id AND i.consumer = 'point-charge'
    WHERE e.topic = 'concert.point' AND e.type = 'point.charged'
      AND NOT EXISTS (SELECT FROM concert.point_charge_record AS c
                      WHERE c.transfer_id = (e.payload ->> 'transfer_id')::uuid);
END;
COMMENT ON FUNCTION concert.inbox_violations() IS 'internal: what is broken in the inbox and its effects, for check_integrity()';
REVOKE ALL ON FUNCTION concert.inbox_violations() FROM PUBLIC;
-- Admission: what PostgreSQL remembers of the waiting room in Redis, so that one that comes back
-- empty goes on where it was, and never admits a place twice.

CREATE TABLE concert.place_lease (
    concert_date_id uuid        NOT NULL,
    from_number     bigint      NOT NULL,
    to_number       bigint      NOT NULL,
    leased_at       timestamptz NOT NULL,
    CONSTRAINT place_lease_pkey PRIMARY KEY (concert_date_id, to_number),
    CONSTRAINT place_lease_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT place_lease_range CHECK (from_number > 0 AND to_number >= from_number)
);
COMMENT ON TABLE concert.place_lease IS 'ranges of places that a waiting room may give out';

CREATE TABLE concert.admission_batch (
    concert_date_id uuid        NOT NULL,
    from_number     bigint      NOT NULL,
    to_number       bigint      NOT NULL,
    admitted        integer     NOT NULL,
    issued_at       timestamptz NOT NULL,
    CONSTRAINT admission_batch_pkey PRIMARY KEY (concert_date_id, to_number),
    CONSTRAINT admission_batch_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT admission_batch_range CHECK (from_number > 0 AND to_number >= from_number),
    CONSTRAINT admission_batch_admitted CHECK (admitted BETWEEN 0 AND to_number - from_number + 1)
);
CREATE INDEX admission_batch_issued ON concert.admission_batch (concert_date_id, issued_at);
COMMENT ON TABLE concert.admission_batch IS 'ranges of places that were admitted together, written before their passes go out';

SELECT pg_catalog.pg_extension_config_dump('concert.place_lease', '');
SELECT pg_catalog.pg_extension_config_dump('concert.admission_batch', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.place_lease
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.admission_batch
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

CREATE TYPE concert.lease_answer AS (from_number bigint, to_number bigint);
COMMENT ON TYPE concert.lease_answer IS 'the answer of lease_places(): the range, both ends in it';
CREATE TYPE concert.admission_answer AS (ok boolean, reason text, issued_at_ms bigint);
COMMENT ON TYPE concert.admission_answer IS 'the answer of record_admission(): when the batch was issued, Unix milliseconds';

-- lease_places(concert_date_id, count) gives the waiting room of a date the next count numbers;
-- none is ever given twice. Writes place_lease. Locks the date's admission (waiting).
-- Errors: TK001 unknown date, 22004 NULL, 22023 count out of 1..1000000.
-- Example: SELECT * FROM concert.lease_places(:date, 10000);
CREATE FUNCTION concert.lease_places(concert_date_id uuid, count integer) RETURNS concert.lease_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_lease_places';
COMMENT ON FUNCTION concert.lease_places(uuid, integer) IS 'leases the next range of waiting-room numbers';
REVOKE ALL ON FUNCTION concert.lease_places(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lease_places(uuid, integer) TO concert_sidecar;

-- record_admission(concert_date_id, from_number, to_number, admitted) writes down that the places
-- of a range were admitted, `admitted` of them being present, before their passes go out. A range
-- that reaches back into an earlier one is refused: stale_fence.
-- Writes admission_batch. Locks the date's admission (waiting).
-- Errors: TK001 unknown date, 22004 NULL, 22023 an empty range or more people than places.
-- Example: SELECT * FROM concert.record_admission(:date, 1, 100, 93);
CREATE FUNCTION concert.record_admission(concert_date_id uuid, from_number bigint, to_number bigint,
    admitted integer) RETURNS concert.admission_answer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'concert_record_admission';
COMMENT ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) IS 'writes down a batch of admitted places before its passes go out';
REVOKE ALL ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) TO concert_sidecar;

-- admission_state(concert_date_id) is what a cold waiting room needs: the highest number leased and
-- the highest admitted, and the batches whose passes still live, with what is left of their times.
-- Reads only. Example: SELECT * FROM concert.admission_state(:date);
CREATE FUNCTION concert.admission_state(concert_date_id uuid,
    OUT leased_to bigint, OUT served_to bigint, OUT batches jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT max(l.to_number) FROM concert.place_lease AS l
                     WHERE l.concert_date_id = admission_state.concert_date_id), 0),
           coalesce((SELECT max(b.to_number) FROM concert.admission_batch AS b
                     WHERE b.concert_date_id = admission_state.concert_date_id), 0),
           coalesce((SELECT jsonb_agg(jsonb_build_object(
                         'from', b.from_number, 'to', b.to_number, 'admitted', b.admitted,
                         'issued_at_ms', floor(extract(epoch FROM b.issued_at) * 1000)::bigint,
                         'pass_remaining_ms', floor(extract(epoch FROM
                             b.issued_at + d.pass_seconds * interval '1 second' - statement_timestamp()) * 1000)::bigint,
                         'claim_remaining_ms', greatest(0, floor(extract(epoch FROM
                             b.issued_at + d.claim_seconds * interval '1 second' - statement_timestamp()) * 1000)::bigint))
                         ORDER BY b.to_number)
                     FROM concert.admission_batch AS b
                     JOIN concert.concert_date AS d ON d.id = b.concert_date_id
                     WHERE b.concert_date_id = admission_state.concert_date_id
                       AND b.issued_at > statement_timestamp() - d.pass_seconds * interval '1 second'), '[]');
END;
COMMENT ON FUNCTION concert.admission_state(uuid) IS 'what a cold waiting room needs to go on';
REVOKE ALL ON FUNCTION concert.admission_state(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.admission_state(uuid) TO concert_sidecar;

-- sale_dates() lists the dates whose sale is open or opens within a day, with the rules that the
-- sidecar enforces; opens_in_ms is not above 0 once it is open. Reads only.
-- Example: SELECT * FROM concert.sale_dates();
CREATE FUNCTION concert.sale_dates()
    RETURNS TABLE (concert_date_id uuid, opens_in_ms bigint, closes_in_ms bigint, admission text,
                   admission_cap integer, admission_rate integer, claim_seconds integer,
                   pass_seconds integer)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.id,
           floor(extract(epoch FROM d.sale_opens_at - statement_timestamp()) * 1000)::bigint,
           floor(extract(epoch FROM d.sale_closes_at - statement_timestamp()) * 1000)::bigint,
           d.admission, d.admission_cap, d.admission_rate, d.claim_seconds, d.pass_seconds
    FROM concert.concert_date AS d
    JOIN concert.concert AS c ON c.id = d.concert_id
    WHERE d.deleted_at IS NULL AND c.deleted_at IS NULL
      AND d.sale_opens_at < statement_timestamp() + interval '1 day'
      AND d.sale_closes_at > statement_timestamp();
END;
COMMENT ON FUNCTION concert.sale_dates() IS 'dates whose sale is open or opens within a day';
REVOKE ALL ON FUNCTION concert.sale_dates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.sale_dates() TO concert_sidecar;
-- Reading: everything here is safe on a hot standby. No read is a guard for a later write.

-- concerts() lists the live concerts by name. Reads only. Example: SELECT * FROM concert.concerts();
CREATE FUNCTION concert.concerts() RETURNS TABLE (id uuid, name text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.name FROM concert.concert AS c WHERE c.deleted_at IS NULL ORDER BY c.name, c.id;
END;
COMMENT ON FUNCTION concert.concerts() IS 'the concerts';
REVOKE ALL ON FUNCTION concert.concerts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concerts() TO concert_reader;

-- concert_dates(concert_id) lists the live dates of a concert with the rules a buyer should know.
-- Reads only. Example: SELECT * FROM concert.concert_dates(:concert);
CREATE FUNCTION concert.concert_dates(concert_id uuid)
    RETURNS TABLE (id uuid, starts_at timestamptz, time_zone text, sale_opens_at timestamptz,
                   sale_closes_at timestamptz, pending_seconds integer, seats_per_user_max integer,
                   admission text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.id, d.starts_at, d.time_zone, d.sale_opens_at, d.sale_closes_at, d.pending_seconds,
           d.seats_per_user_max, d.admission
    FROM concert.concert_date AS d
    JOIN concert.concert AS c ON c.id = d.concert_id
    WHERE d.concert_id = concert_dates.concert_id AND d.deleted_at IS NULL AND c.deleted_at IS NULL
    ORDER BY d.starts_at, d.id;
END;
COMMENT ON FUNCTION concert.concert_dates(uuid) IS 'the dates of a concert';
REVOKE ALL ON FUNCTION concert.concert_dates(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concert_dates(uuid) TO concert_reader;

-- The state of every live seat: what the functions below have in common. A pending reservation
-- whose time is over reads as free.
CREATE VIEW concert.seat_state AS
    SELECT s.id AS seat_id, s.concert_date_id, s.section_id, s."row", s.col, s.label,
           CASE WHEN s.blocked_reason IS NOT NULL
                     AND coalesce(s.blocked_until > statement_timestamp(), true) THEN 'blocked'
                WHEN live.status = 'confirmed' THEN 'sold'
                WHEN live.expires_at > statement_timestamp() THEN 'pending'
                ELSE 'free' END AS state,
           live.user_id, live.expires_at, s.blocked_until
    FROM concert.seat AS s
    LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL
    WHERE s.deleted_at IS NULL;
COMMENT ON VIEW concert.seat_state IS 'every live seat with its state: free, pending, sold or blocked';

-- seat_map(concert_date_id) lists every seat of a date in grid order with its price and its state:
-- free, pending, sold or blocked. Reads only. Example: SELECT * FROM concert.seat_map(:date);
CREATE FUNCTION concert.seat_map(concert_date_id uuid)
    RETURNS TABLE (seat_id uuid, section_id uuid, section text, "row" integer, col integer,
                   label text, price bigint, currency text, state text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.seat_id, s.section_id, section.name, s."row", s.col, s.label, section.price,
           section.currency, s.state
    FROM concert.seat_state AS s
    JOIN concert.section AS section ON section.id = s.section_id
    WHERE s.concert_date_id = seat_map.concert_date_id AND section.deleted_at IS NULL
    ORDER BY s."row", s.col;
END;
COMMENT ON FUNCTION concert.seat_map(uuid) IS 'every seat of a date with its price and state, in grid order';
REVOKE ALL ON FUNCTION concert.seat_map(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_map(uuid) TO concert_reader;

-- availability(concert_date_id) counts the seats of each section by state.
-- Reads only. Example: SELECT * FROM concert.availability(:date);
CREATE FUNCTION concert.availability(concert_date_id uuid)
    RETURNS TABLE (section_id uuid, section text, kind text, price bigint, currency text,
                   seats bigint, free bigint, pending bigint, sold bigint, blocked bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT section.id, section.name, section.kind, section.price, section.currency,
           count(s.seat_id),
           count(*) FILTER (WHERE s.state = 'free'),
           count(*) FILTER (WHERE s.state = 'pending'),
           count(*) FILTER (WHERE s.state = 'sold'),
           count(*) FILTER (WHERE s.state = 'blocked')
    FROM concert.section AS section
    LEFT JOIN concert.seat_state AS s ON s.section_id = section.id
    WHERE section.concert_date_id = availability.concert_date_id AND section.deleted_at IS NULL
    GROUP BY section.id
    ORDER BY section.name, section.price;
END;
COMMENT ON FUNCTION concert.availability(uuid) IS 'the seats of each section, counted by state';
REVOKE ALL ON FUNCTION concert.availability(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.availability(uuid) TO concert_reader;

-- seat_states(concert_date_id, seat_ids) is the truth from which Redis is marked: who has a seat,
-- under which fence (0: never reserved), for how many milliseconds if it is pending or blocked for
-- a time. seat_ids NULL: all seats that are not free; given: those of them that the date has.
-- Reads only. Example: SELECT * FROM concert.seat_states(:date);
CREATE FUNCTION concert.seat_states(concert_date_id uuid, seat_ids uuid[] DEFAULT NULL)
    RETURNS TABLE (seat_id uuid, state text, user_id uuid, fence bigint, remaining_ms bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.seat_id, s.state,
           CASE WHEN s.state IN ('pending', 'sold') THEN s.user_id END,
           coalesce((SELECT r.fence FROM concert.reservation AS r
                     WHERE r.seat_id = s.seat_id ORDER BY r.fence DESC LIMIT 1), 0),
           floor(extract(epoch FROM
               CASE s.state WHEN 'pending' THEN s.expires_at WHEN 'blocked' THEN s.blocked_until END
               - statement_timestamp()) * 1000)::bigint
    FROM (SELECT * FROM concert.seat_state AS all_seats
          WHERE all_seats.concert_date_id = seat_states.concert_date_id
            AND seat_ids IS NULL AND all_seats.state <> 'free'
          UNION ALL
          SELECT * FROM concert.seat_state AS named_seats
          WHERE named_seats.concert_date_id = seat_states.concert_date_id
            AND named_seats.seat_id = ANY (seat_ids)) AS s;
END;
COMMENT ON FUNCTION concert.seat_states(uuid, uuid[]) IS 'the state, holder and fence of seats, from which Redis is marked';
REVOKE ALL ON FUNCTION concert.seat_states(uuid, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_states(uuid, uuid[]) TO concert_sidecar;
-- The promises, checked: check_integrity() returns one row for each that is broken, none when all is
-- well. What is merely under way is counted apart, by lag().

CREATE VIEW concert.violation AS
    SELECT 'P1'::text AS promise, 'seat ' || seat_id AS object,
           'has ' || count(*) || ' live reservations' AS detail
    FROM concert.reservation WHERE deleted_at IS NULL
    GROUP BY seat_id HAVING count(*) > 1
UNION ALL
    SELECT 'P1', 'reservation ' || id, 'status ' || status || ' disagrees with its soft delete'
    FROM concert.reservation
    WHERE (status IN ('pending', 'confirmed')) <> (deleted_at IS NULL)
UNION ALL
    SELECT 'P1', 'reservation ' || r.id, 'its seat is of another date or deleted'
    FROM concert.reservation AS r
    LEFT JOIN concert.seat AS s ON s.id = r.seat_id AND s.concert_date_id = r.concert_date_id
    WHERE s.id IS NULL OR (r.deleted_at IS NULL AND s.deleted_at IS NOT NULL)
UNION ALL
    SELECT 'P4', 'account ' || a.id,
           'balance row says debits ' || coalesce(b.debits::text, 'none') || ', credits '
           || coalesce(b.credits::text, 'none') || '; transfers say ' || t.debits || ', ' || t.credits
    FROM concert.account AS a
    LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT sum(amount) FROM concert.transfer WHERE debit_account_id = a.id), 0) AS debits,
               coalesce((SELECT sum(amount) FROM concert.transfer WHERE credit_account_id = a.id), 0) AS credits) AS t
    WHERE a.floor IS NOT NULL AND (b.debits, b.credits) IS DISTINCT FROM (t.debits, t.credits)
UNION ALL
    SELECT 'P4', 'account ' || a.id, 'stands below its floor: ' || (b.credits - b.debits)
    FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id
    WHERE b.credits - b.debits < a.floor
UNION ALL
    SELECT 'P4', 'transfer ' || t.id, 'its currency is not that of both accounts'
    FROM concert.transfer AS t
    JOIN concert.account AS d ON d.id = t.debit_account_id
    JOIN concert.account AS c ON c.id = t.credit_account_id
    WHERE t.currency <> d.currency OR t.currency <> c.currency
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'took ' || p.amount || ', its transfers moved ' || coalesce(t.amount, 0)
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.transfer
               WHERE payment_id IS NOT NULL GROUP BY payment_id, currency) AS t
         ON t.payment_id = p.id AND t.currency = p.currency
    WHERE p.amount <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P5', 'booking ' || b.booking_id,
           b.confirmed || ' of ' || b.seats || ' seats confirmed for ' || b.price
           || ', payments captured ' || b.payments || ' for ' || b.paid
    FROM (SELECT coalesce(r.booking_id, p.booking_id) AS booking_id,
                 coalesce(r.seats, 0) AS seats, coalesce(r.confirmed, 0) AS confirmed,
                 coalesce(r.price, 0) AS price, coalesce(p.payments, 0) AS payments,
                 coalesce(p.paid, 0) AS paid
          FROM (SELECT booking_id, count(*) AS seats,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       sum(price) FILTER (WHERE status = 'confirmed') AS price
                FROM concert.reservation GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id, count(*) AS payments, sum(amount) AS paid
                     FROM concert.payment WHERE status = 'captured' GROUP BY booking_id) AS p
               ON p.booking_id = r.booking_id) AS b
    WHERE b.confirmed NOT IN (0, b.seats)
       OR b.payments <> (CASE WHEN b.confirmed > 0 THEN 1 ELSE 0 END)
       OR b.paid <> b.price
UNION ALL
    SELECT 'P7', 'admission of date ' || concert_date_id, 'place ' || from_number || ' was admitted twice'
    FROM (SELECT concert_date_id, from_number,
                 lag(to_number) OVER (PARTITION BY concert_date_id ORDER BY to_number) AS before
          FROM concert.admission_batch) AS b
    WHERE from_number <= before
UNION ALL
    SELECT promise, object, detail FROM concert.outbox_violations()
UNION ALL
    SELECT promise, object, detail FROM concert.inbox_violations();
COMMENT ON VIEW concert.violation IS 'one row for each broken promise; empty when all is well';

-- check_integrity() lists every broken promise (DESIGN's P1 to P9) with the object and what is wrong
-- with it; no row when all is well. It reads everything: on a large database use a standby.
-- Reads only, one snapshot. Example: SELECT * FROM concert.check_integrity();
CREATE FUNCTION concert.check_integrity() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    SELECT v.promise, v.object, v.detail FROM concert.violation AS v;
END;
COMMENT ON FUNCTION concert.check_integrity() IS 'one row for each broken promise; none when all is well';
REVOKE ALL ON FUNCTION concert.check_integrity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.check_integrity() TO concert_sidecar;

-- lag() counts what is under way and will come right by itself: events not yet acked, confirmed
-- reservations without their ticket, charges without their record, pendings past their time.
-- Reads only. Example: SELECT * FROM concert.lag();
CREATE FUNCTION concert.lag() RETURNS TABLE (name text, value bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'events_unacked'::text, coalesce(sum(s.unacked), 0)::bigint FROM concert.outbox_stats() AS s
    UNION ALL
    SELECT 'tickets_missing', count(*) FROM concert.reservation AS r
    WHERE r.status = 'confirmed'
      AND NOT EXISTS (SELECT FROM concert.ticket AS t WHERE t.reservation_id = r.id)
    UNION ALL
    SELECT 'charge_records_missing', count(*) FROM concert.transfer AS t
    WHERE t.kind = 'charge'
      AND NOT EXISTS (SELECT FROM concert.point_charge_record AS p WHERE p.transfer_id = t.id)
    UNION ALL
    SELECT 'pendings_expired', count(*) FROM concert.reservation AS r
    WHERE r.status = 'pending' AND r.expires_at <= statement_timestamp();
END;
COMMENT ON FUNCTION concert.lag() IS 'what is under way, counted';
REVOKE ALL ON FUNCTION concert.lag() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lag() TO concert_sidecar;
