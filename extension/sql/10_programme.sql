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
    orphan_rule        text        NOT NULL DEFAULT 'off',
    orphan_relax_fill_percent integer NOT NULL DEFAULT 100,
    orphan_relax_hours integer     NOT NULL DEFAULT 0,
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
    CONSTRAINT concert_date_pass_seconds CHECK (pass_seconds BETWEEN 1 AND 86400),
    CONSTRAINT concert_date_orphan_rule CHECK (orphan_rule IN ('off', 'warn', 'enforce')),
    CONSTRAINT concert_date_orphan_relax_fill_percent CHECK (orphan_relax_fill_percent BETWEEN 1 AND 100),
    CONSTRAINT concert_date_orphan_relax_hours CHECK (orphan_relax_hours BETWEEN 0 AND 8760)
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
    focal_row       integer,
    focal_col       integer,
    CONSTRAINT section_pkey PRIMARY KEY (id),
    CONSTRAINT section_of_date UNIQUE (id, concert_date_id),
    CONSTRAINT section_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT section_name CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT section_kind CHECK (kind IN ('seated', 'standing')),
    CONSTRAINT section_price CHECK (price BETWEEN 0 AND 1000000000000000),
    CONSTRAINT section_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT section_focal CHECK ((focal_row IS NULL) = (focal_col IS NULL)),
    CONSTRAINT section_focal_row CHECK (focal_row BETWEEN 1 AND 1000000),
    CONSTRAINT section_focal_col CHECK (focal_col BETWEEN 1 AND 1000000)
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
    accessible      boolean     NOT NULL DEFAULT false,
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
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concert_date
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.section
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.seat
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');

CREATE TRIGGER forget_kept AFTER UPDATE OR DELETE ON concert.concert_date
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.concert_date ENABLE ALWAYS TRIGGER forget_kept;
CREATE TRIGGER forget_kept AFTER UPDATE OR DELETE ON concert.section
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.section ENABLE ALWAYS TRIGGER forget_kept;

-- Their names sort last, so that they judge what any other BEFORE trigger has made of the row. What is
-- deleted, restored or gets another id has its act in the history, and a seat its event, whoever did it. Every
-- foreign key is ON UPDATE CASCADE: a changed id goes on into what hangs on the row, a seat's and a date's
-- into reservations too, and a concert's (by this trigger) to its revenue accounts. What carries ids without a key (history, events, a payment's booking, a ticket's
-- seat and date) keeps those of its time: what was done to a seat before its id changed is found by
-- booking and by user, not by the new id. Lowering a date's limit per user leaves an act in the history
-- (limit_lowered, with what it was), or check_integrity() could not tell what was taken under the old one.
CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.concert
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at OR old.id <> new.id)
    EXECUTE FUNCTION concert.guard_change();
CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.concert_date
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at
                       OR old.id <> new.id
                       OR new.seats_per_user_max < old.seats_per_user_max)
    EXECUTE FUNCTION concert.guard_change();
CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.section
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at)
    EXECUTE FUNCTION concert.guard_change();
CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.seat
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at OR old.id <> new.id
                       OR old.concert_date_id <> new.concert_date_id)
    EXECUTE FUNCTION concert.guard_change();

CREATE TYPE concert.seats_answer AS (ok boolean, reason text, seats jsonb);
COMMENT ON TYPE concert.seats_answer IS 'an answer that lists seats: all that it is about, or every one refused with its reason';

-- create_concert(name) makes a concert and returns its id.
-- Writes concert. Locks nothing. Errors: 22004 NULL, 22023 an empty or over-long name.
-- Example: SELECT concert.create_concert('Winter Gala');
CREATE FUNCTION concert.create_concert(name text) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
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
-- time_zone is the name of an IANA zone, no abbreviation and no POSIX specification.
-- Whoever knows the times by the clocks of the hall translates them with from_local_time().
-- orphan_rule says what becomes of a choice that leaves a single empty seat although another choice of
-- as many seats would not, in the same run of free seats or elsewhere in its row and section: 'off' nothing,
-- 'warn' it is told, 'enforce' it is refused. The rule no longer holds in a section of which more than orphan_relax_fill_percent (1..100;
-- 100: never) of the seats are taken, nor from orphan_relax_hours (0..8760) before starts_at on.
-- Writes concert_date. Locks the concert's row (KEY SHARE).
-- Errors: TK001 unknown concert, 22004 NULL, 22023 an unknown time zone or a value out of bounds.
-- Example: SELECT concert.create_concert_date(:concert, '2027-12-24 20:00+01', 'Europe/Oslo');
CREATE FUNCTION concert.create_concert_date(
    concert_id uuid, starts_at timestamptz, time_zone text DEFAULT 'UTC',
    sale_opens_at timestamptz DEFAULT NULL, sale_closes_at timestamptz DEFAULT NULL,
    pending_seconds integer DEFAULT 300, seats_per_user_max integer DEFAULT 4,
    admission text DEFAULT 'open', admission_cap integer DEFAULT 500,
    admission_rate integer DEFAULT 100, claim_seconds integer DEFAULT 30,
    pass_seconds integer DEFAULT 600, orphan_rule text DEFAULT 'off',
    orphan_relax_fill_percent integer DEFAULT 100, orphan_relax_hours integer DEFAULT 0) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_create_concert_date';
COMMENT ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer, text, integer, integer)
    IS 'makes a date of a concert with the rules of its sale, returns its id';
REVOKE ALL ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer, text, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer, text, integer, integer) TO concert_admin;

-- create_section(concert_date_id, name, price, currency, kind, ...) makes a section, returns its id.
-- price is in minor units of currency (points are PTS), kind 'seated' or 'standing'. The revenue
-- account of the concert in that currency is opened with it if there is none. focal_row and focal_col
-- (both or none) are the spot of the grid from which reserve_best() looks for the nearest seats; without
-- them it is the middle of the section's front row, the one with the lowest number.
-- Writes section, account. Locks the date's row (SHARE: waits for an open import_layout() or copy_layout()).
-- Errors: TK001 unknown date, 22004 NULL, 22023 a bad name, price, currency, kind or focal spot,
-- 23505 a live section of the same name and price.
-- Example: SELECT concert.create_section(:date, 'Stalls', 5000);
CREATE FUNCTION concert.create_section(concert_date_id uuid, name text, price bigint,
    currency text DEFAULT 'PTS', kind text DEFAULT 'seated', focal_row integer DEFAULT NULL,
    focal_col integer DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_create_section';
COMMENT ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) IS 'makes a priced section of a date, returns its id';
REVOKE ALL ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) TO concert_admin;

-- add_seats(concert_date_id, section_id, row, cols, labels, accessible) adds one seat for each of cols
-- in one row of the grid; labels (as many as cols) are what is printed, by default 'row-col'; accessible
-- names those of cols that are accessible seats. Returns how many were added.
-- Writes seat, history ('added'). Locks the date's row (SHARE: waits for an open import_layout() or
-- copy_layout()) and the section's (KEY SHARE).
-- Errors: TK001 unknown section of that date, TK004 a spot that is taken or named twice,
-- 22004 NULL, 22023 a bad row, col or label, arrays of different length, an accessible seat not of cols.
-- Example: SELECT concert.add_seats(:date, :section, 1, ARRAY[1,2,3], ARRAY['A1','A2','A3']);
CREATE FUNCTION concert.add_seats(concert_date_id uuid, section_id uuid, "row" integer,
    cols integer[], labels text[] DEFAULT NULL, accessible integer[] DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_add_seats';
COMMENT ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) IS 'adds the seats of one grid row to a section';
REVOKE ALL ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) TO concert_admin;

-- block_seats(seat_ids, reason, until) takes seats of one date out of the sale, all or none, until
-- a time (NULL: until unblock_seats). A sold, held or busy seat is refused with its reason; one
-- already blocked gets the new reason and time.
-- Writes seat, history, the outbox (seat.blocked). Locks the seats and the bookings of expired pendings, without
-- waiting, and gives them back when it refuses. Errors: 22004 NULL, 22023 an empty list or reason, an infinite time, TK003 too many, TK004 a seat named twice.
-- Example: SELECT * FROM concert.block_seats(ARRAY[:seat]::uuid[], 'camera');
CREATE FUNCTION concert.block_seats(seat_ids uuid[], reason text, until timestamptz DEFAULT NULL,
    correlation_id text DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_block_seats';
COMMENT ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) IS 'takes seats out of the sale, all or none';
REVOKE ALL ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.block_seats(uuid[], text, timestamptz, text) TO concert_admin;

-- unblock_seats(seat_ids) puts blocked seats back into the sale; one that is not blocked stays as
-- it is. Writes seat, the outbox (seat.unblocked). Locks and errors as block_seats().
-- Example: SELECT * FROM concert.unblock_seats(ARRAY[:seat]::uuid[]);
CREATE FUNCTION concert.unblock_seats(seat_ids uuid[], correlation_id text DEFAULT NULL)
    RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_unblock_seats';
COMMENT ON FUNCTION concert.unblock_seats(uuid[], text) IS 'puts blocked seats back into the sale';
REVOKE ALL ON FUNCTION concert.unblock_seats(uuid[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.unblock_seats(uuid[], text) TO concert_admin;

-- soft_delete(kind, id) marks a 'concert', 'concert_date', 'section', 'concession' or 'seat' as deleted. It is
-- refused (TK007, the detail names the first ten and counts the rest) while live rows depend on it: dates
-- of a concert, sections of a date, seats of a section, a reservation of a seat; one whose pending time
-- is over is ended here, as whoever takes the seat would. Reservations are cancelled, not deleted.
-- Writes the row, history (a section's, date's and concert's act names no seats), for a seat the outbox
-- (seat.deleted; reservation.expired). Locks the row (FOR UPDATE), and a seat as reserve() does (waiting);
-- the booking of an expired pending without waiting, the outbox key.
-- Errors: TK001 unknown or already deleted, TK007, 22004 NULL, 22023 an unknown kind.
-- Example: SELECT concert.soft_delete('seat', :seat);
CREATE FUNCTION concert.soft_delete(kind text, id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_soft_delete';
COMMENT ON FUNCTION concert.soft_delete(text, uuid) IS 'marks a concert, date, section, concession or seat as deleted';
REVOKE ALL ON FUNCTION concert.soft_delete(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.soft_delete(text, uuid) TO concert_admin;

-- restore(kind, id) takes a soft delete back; what was deleted before it, is restored one by one after it.
-- Refused (TK015) while its parent is deleted, while a live section of the date has its name, price and
-- currency, while a live concession of the section has its name. Writes the row, history, for a seat the outbox (seat.restored).
-- Locks as soft_delete(), and the parent's row (KEY SHARE; a section's date SHARE).
-- Errors: TK001 unknown or not deleted, TK015, 22004 NULL, 22023 an unknown kind.
-- Example: SELECT concert.restore('seat', :seat);
CREATE FUNCTION concert.restore(kind text, id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_restore';
COMMENT ON FUNCTION concert.restore(text, uuid) IS 'takes the soft delete of a concert, date, section, concession or seat back';
REVOKE ALL ON FUNCTION concert.restore(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.restore(text, uuid) TO concert_admin;
