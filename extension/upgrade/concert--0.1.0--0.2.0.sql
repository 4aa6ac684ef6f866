-- SPDX-License-Identifier: PostgreSQL
-- concert: from 0.1.0 to 0.2.0. What the objects are for is said in extension/sql/; afterwards they are, catalog for
-- catalog, those of a fresh install. Every table keeps its rows; sellers wait until this is committed.
\echo Use "ALTER EXTENSION concert UPDATE" to load this file. \quit

-- Functions that take more arguments, or return more, are made anew. Objects that depend on one stop the update
-- (2BP01); what was granted on one beside our own grants has to be granted again, and is named here.
DO $$
DECLARE
    lost record;
BEGIN
    FOR lost IN
        SELECT p.oid::pg_catalog.regprocedure AS function,
               CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(granted.grantee) END AS grantee
        FROM pg_catalog.unnest(ARRAY[
                'concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer)',
                'concert.create_section(uuid, text, bigint, text, text)',
                'concert.add_seats(uuid, uuid, integer, integer[], text[])',
                'concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text)',
                'concert.cancel(uuid, uuid, text, text)',
                'concert.concert_dates(uuid)'
            ]::pg_catalog.regprocedure[]) AS made_anew (oid)
        JOIN pg_catalog.pg_proc AS p ON p.oid = made_anew.oid
        CROSS JOIN LATERAL (
            SELECT grantee FROM pg_catalog.aclexplode(p.proacl)
            EXCEPT SELECT a.grantee
            FROM pg_catalog.pg_init_privs AS i, pg_catalog.aclexplode(i.initprivs) AS a
            WHERE i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid) AS granted
        ORDER BY 1, 2
    LOOP
        RAISE WARNING 'grant to % on function % is not kept', lost.grantee, lost.function
            USING HINT = 'Grant it again on the function of the same name.';
    END LOOP;
END
$$;

-- Tables: new columns at the end, as in a fresh install.
ALTER TABLE concert.concert_date
    ADD COLUMN orphan_rule text NOT NULL DEFAULT 'off',
    ADD COLUMN orphan_relax_fill_percent integer NOT NULL DEFAULT 100,
    ADD COLUMN orphan_relax_hours integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT concert_date_orphan_rule CHECK (orphan_rule IN ('off', 'warn', 'enforce')),
    ADD CONSTRAINT concert_date_orphan_relax_fill_percent CHECK (orphan_relax_fill_percent BETWEEN 1 AND 100),
    ADD CONSTRAINT concert_date_orphan_relax_hours CHECK (orphan_relax_hours BETWEEN 0 AND 8760);

ALTER TABLE concert.section
    ADD COLUMN focal_row integer,
    ADD COLUMN focal_col integer,
    ADD CONSTRAINT section_focal CHECK ((focal_row IS NULL) = (focal_col IS NULL)),
    ADD CONSTRAINT section_focal_row CHECK (focal_row BETWEEN 1 AND 1000000),
    ADD CONSTRAINT section_focal_col CHECK (focal_col BETWEEN 1 AND 1000000);

ALTER TABLE concert.seat
    ADD COLUMN accessible boolean NOT NULL DEFAULT false;

ALTER TABLE concert.reservation
    ADD COLUMN concession text,
    ADD CONSTRAINT reservation_expires_max CHECK (expires_at_max - created_at <= interval '900 seconds');

-- Functions in C pin the search path themselves.
ALTER FUNCTION concert.create_concert(text) RESET search_path;
ALTER FUNCTION concert.block_seats(uuid[], text, timestamptz, text) RESET search_path;
ALTER FUNCTION concert.unblock_seats(uuid[], text) RESET search_path;
ALTER FUNCTION concert.soft_delete(text, uuid) RESET search_path;
ALTER FUNCTION concert.request_rotate() RESET search_path;
ALTER FUNCTION concert.extend(uuid, uuid, integer, text) RESET search_path;
ALTER FUNCTION concert.expire(integer) RESET search_path;
ALTER FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text) RESET search_path;
ALTER FUNCTION concert.pay(uuid, uuid, text, text) RESET search_path;
ALTER FUNCTION concert.emit(text, text, text, jsonb, jsonb) RESET search_path;
ALTER FUNCTION concert.outbox_lanes() RESET search_path;
ALTER FUNCTION concert.outbox_open(integer) RESET search_path;
ALTER FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer) RESET search_path;
ALTER FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint) RESET search_path;
ALTER FUNCTION concert.outbox_skip(integer, uuid) RESET search_path;
ALTER FUNCTION concert.outbox_rotate() RESET search_path;
ALTER FUNCTION concert.outbox_reset() RESET search_path;
ALTER FUNCTION concert.inbox_accept(text, uuid) RESET search_path;
ALTER FUNCTION concert.inbox_rotate() RESET search_path;
ALTER FUNCTION concert.issue_tickets(uuid, text, jsonb) RESET search_path;
ALTER FUNCTION concert.record_point_charge(uuid, text, jsonb) RESET search_path;
ALTER FUNCTION concert.lease_places(uuid, integer) RESET search_path;
ALTER FUNCTION concert.record_admission(uuid, bigint, bigint, integer) RESET search_path;

-- What has nothing to gain from being compiled.
ALTER FUNCTION concert.seat_map(uuid) SET jit = off;
ALTER FUNCTION concert.availability(uuid) SET jit = off;
ALTER FUNCTION concert.lag() SET jit = off;

-- What only reads may run in parallel queries.
ALTER FUNCTION concert.outbox_stamp() PARALLEL SAFE;
ALTER FUNCTION concert.outbox_stats() PARALLEL SAFE;

-- The head.
COMMENT ON FUNCTION concert.refuse_delete() IS 'trigger: DELETE and TRUNCATE raise TK005';

CREATE FUNCTION concert.guard_change() RETURNS trigger
    LANGUAGE c SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_guard_change';
COMMENT ON FUNCTION concert.guard_change() IS 'trigger: changes of ids and of deleted_at take the locks of reserving; TK007, TK015';
REVOKE ALL ON FUNCTION concert.guard_change() FROM PUBLIC;

CREATE FUNCTION concert.forget_kept() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_forget_kept';
COMMENT ON FUNCTION concert.forget_kept() IS 'trigger: backends forget what they keep of the table''s rows';
REVOKE ALL ON FUNCTION concert.forget_kept() FROM PUBLIC;

-- The programme.
CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concert
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');

CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concert_date
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');

CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.section
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');

CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.seat
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.soft_delete(kind, id).');

CREATE TRIGGER forget_kept AFTER UPDATE OR DELETE ON concert.concert_date
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.concert_date ENABLE ALWAYS TRIGGER forget_kept;
CREATE TRIGGER forget_kept AFTER UPDATE OR DELETE ON concert.section
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.section ENABLE ALWAYS TRIGGER forget_kept;

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

DROP FUNCTION concert.create_concert_date(uuid, timestamptz, text, timestamptz, timestamptz, integer, integer, text, integer, integer, integer, integer);
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

DROP FUNCTION concert.create_section(uuid, text, bigint, text, text);
CREATE FUNCTION concert.create_section(concert_date_id uuid, name text, price bigint,
    currency text DEFAULT 'PTS', kind text DEFAULT 'seated', focal_row integer DEFAULT NULL,
    focal_col integer DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_create_section';
COMMENT ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) IS 'makes a priced section of a date, returns its id';
REVOKE ALL ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_section(uuid, text, bigint, text, text, integer, integer) TO concert_admin;

DROP FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[]);
CREATE FUNCTION concert.add_seats(concert_date_id uuid, section_id uuid, "row" integer,
    cols integer[], labels text[] DEFAULT NULL, accessible integer[] DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_add_seats';
COMMENT ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) IS 'adds the seats of one grid row to a section';
REVOKE ALL ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.add_seats(uuid, uuid, integer, integer[], text[], integer[]) TO concert_admin;
COMMENT ON FUNCTION concert.soft_delete(text, uuid) IS 'marks a concert, date, section, concession or seat as deleted';

CREATE FUNCTION concert.restore(kind text, id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_restore';
COMMENT ON FUNCTION concert.restore(text, uuid) IS 'takes the soft delete of a concert, date, section, concession or seat back';
REVOKE ALL ON FUNCTION concert.restore(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.restore(text, uuid) TO concert_admin;

-- Local times.
CREATE FUNCTION concert.from_local_time(wall_clock timestamp, time_zone text) RETURNS timestamptz
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_from_local_time';
COMMENT ON FUNCTION concert.from_local_time(timestamp, text) IS 'the instant at which the clocks of a time zone show something';
REVOKE ALL ON FUNCTION concert.from_local_time(timestamp, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.from_local_time(timestamp, text) TO concert_reader;

CREATE FUNCTION concert.local_time(at timestamptz, time_zone text) RETURNS timestamp
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_local_time';
COMMENT ON FUNCTION concert.local_time(timestamptz, text) IS 'what the clocks of a time zone show at an instant';
REVOKE ALL ON FUNCTION concert.local_time(timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.local_time(timestamptz, text) TO concert_reader;

-- Concessions.
CREATE TABLE concert.concession (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    concert_date_id uuid        NOT NULL,
    section_id      uuid        NOT NULL,
    name            text        NOT NULL,
    price           bigint      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT concession_pkey PRIMARY KEY (id),
    CONSTRAINT concession_section_fkey FOREIGN KEY (section_id, concert_date_id)
        REFERENCES concert.section (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT concession_name CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT concession_price CHECK (price BETWEEN 0 AND 1000000000000000)
);

CREATE UNIQUE INDEX concession_live_name ON concert.concession (section_id, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE concert.concession IS 'another price for the seats of a section, in minor units of the section''s currency';
SELECT pg_catalog.pg_extension_config_dump('concert.concession', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concession
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.concession
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at)
    EXECUTE FUNCTION concert.guard_change();

CREATE FUNCTION concert.create_concession(section_id uuid, name text, price bigint) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_create_concession';
COMMENT ON FUNCTION concert.create_concession(uuid, text, bigint) IS 'makes another price for the seats of a section, returns its id';
REVOKE ALL ON FUNCTION concert.create_concession(uuid, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_concession(uuid, text, bigint) TO concert_admin;

CREATE FUNCTION concert.concessions(concert_date_id uuid)
    RETURNS TABLE (id uuid, section_id uuid, section text, name text, price bigint, currency text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.section_id, s.name, c.name, c.price, s.currency
    FROM concert.concession AS c
    JOIN concert.section AS s ON s.id = c.section_id
    WHERE c.concert_date_id = concessions.concert_date_id
      AND c.deleted_at IS NULL AND s.deleted_at IS NULL
    ORDER BY s.name, s.price, c.name;
END;
COMMENT ON FUNCTION concert.concessions(uuid) IS 'the concessions of a date''s sections';
REVOKE ALL ON FUNCTION concert.concessions(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concessions(uuid) TO concert_reader;

-- Layouts.
CREATE FUNCTION concert.import_layout(concert_date_id uuid, layout jsonb, prices jsonb DEFAULT NULL)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_import_layout';
COMMENT ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) IS 'adds a document''s sections and seats to a date, all or nothing';
REVOKE ALL ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) TO concert_admin;

CREATE FUNCTION concert.export_layout(concert_date_id uuid) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_export_layout';
COMMENT ON FUNCTION concert.export_layout(uuid) IS 'a date''s sections and seats as a layout';
REVOKE ALL ON FUNCTION concert.export_layout(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.export_layout(uuid) TO concert_admin;

CREATE FUNCTION concert.copy_layout(from_date uuid, to_date uuid) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_copy_layout';
COMMENT ON FUNCTION concert.copy_layout(uuid, uuid) IS 'gives a date without seats the sections and seats of another';
REVOKE ALL ON FUNCTION concert.copy_layout(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.copy_layout(uuid, uuid) TO concert_admin;

-- Reservations.
DROP INDEX concert.reservation_user_date;
CREATE INDEX reservation_user_date ON concert.reservation (user_id, concert_date_id);

CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.reservation
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.cancel(booking_id, user_id).');

DROP FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text);
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

DROP FUNCTION concert.cancel(uuid, uuid, text, text);
CREATE FUNCTION concert.cancel(booking_id uuid, user_id uuid, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL, seat_ids uuid[] DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_cancel';
COMMENT ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) IS 'gives a pending booking back, or some of its seats';
REVOKE ALL ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.cancel(uuid, uuid, text, text, uuid[]) TO concert_app;

CREATE FUNCTION concert.cancel_by_operator(booking_id uuid, reason text,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL,
    seat_ids uuid[] DEFAULT NULL) RETURNS concert.seats_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_cancel_by_operator';
COMMENT ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) IS 'gives anybody''s pending booking back, or some of its seats, for a reason';
REVOKE ALL ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.cancel_by_operator(uuid, text, text, text, uuid[]) TO concert_admin;

-- The best seats.
CREATE TYPE concert.reserve_best_answer AS (
    ok boolean, reason text, booking_id uuid, expires_at timestamptz, seats jsonb, step text);
COMMENT ON TYPE concert.reserve_best_answer IS 'the answer of reserve_best(): the booking and the step by which its seats were found, or why none fit';

CREATE FUNCTION concert.reserve_best(concert_date_id uuid, count integer, user_id uuid,
    sections uuid[] DEFAULT NULL, policy text DEFAULT 'spread', accessible_count integer DEFAULT 0,
    max_price bigint DEFAULT NULL, allow_split boolean DEFAULT false,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL, concessions text[] DEFAULT NULL)
    RETURNS concert.reserve_best_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_reserve_best';
COMMENT ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[])
    IS 'chooses so many seats, the best there are, and takes them as one pending booking';
REVOKE ALL ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[]) TO concert_app;

-- Explaining.
CREATE FUNCTION concert.explain_reserve(concert_date_id uuid, seat_ids uuid[], user_id uuid,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, fence bigint DEFAULT NULL,
    concessions text[] DEFAULT NULL)
    RETURNS TABLE (rule text, seat_id uuid, holds boolean, reason text, detail text)
    LANGUAGE c STABLE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_explain_reserve';
COMMENT ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[])
    IS 'what reserve() would say, rule by rule, without doing it';
REVOKE ALL ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[]) TO concert_app;

-- History.
CREATE TABLE concert.history (
    xid             xid8        NOT NULL,
    at              timestamptz NOT NULL,
    concert_date_id uuid        NOT NULL,
    booking_id      uuid,
    user_id         uuid,
    action          text        NOT NULL,
    actor           text,
    correlation_id  text,
    detail          text,
    seat_ids        uuid[]      NOT NULL,
    CONSTRAINT history_user CHECK ((booking_id IS NULL) = (user_id IS NULL))
);

-- The history begins with what the reservations know: each booking was made, and each of its ways to end was an act.
INSERT INTO concert.history (xid, at, concert_date_id, booking_id, user_id, action, seat_ids)
SELECT pg_catalog.pg_current_xact_id(), act.at, r.concert_date_id, r.booking_id, r.user_id, act.action,
       pg_catalog.array_agg(r.seat_id ORDER BY r.seat_id)
FROM concert.reservation AS r
CROSS JOIN LATERAL (
    SELECT 'reserved' AS action, r.created_at AS at
    UNION ALL
    SELECT r.status, r.resolved_at WHERE r.status <> 'pending') AS act
GROUP BY r.concert_date_id, r.booking_id, r.user_id, act.action, act.at
ORDER BY act.at;

-- A limit that was lowered left no trace; what was taken under it says how high it must have been.
INSERT INTO concert.history (xid, at, concert_date_id, action, detail, seat_ids)
SELECT pg_catalog.pg_current_xact_id(), pg_catalog.clock_timestamp(), d.id, 'limit_lowered',
       'seats_per_user_max was ' || pg_catalog.max(r.seats), '{}'
FROM concert.concert_date AS d
JOIN (SELECT concert_date_id, user_id, pg_catalog.count(*) AS seats
      FROM concert.reservation WHERE deleted_at IS NULL GROUP BY concert_date_id, user_id) AS r
     ON r.concert_date_id = d.id
WHERE r.seats > d.seats_per_user_max
GROUP BY d.id;

CREATE INDEX history_booking ON concert.history (booking_id) WHERE booking_id IS NOT NULL;
CREATE INDEX history_date_xid ON concert.history (concert_date_id, xid);
CREATE INDEX history_house_seats ON concert.history USING gin (seat_ids) WHERE booking_id IS NULL;
COMMENT ON TABLE concert.history IS 'who did what to which seats, when, under which correlation id; append-only';
ALTER TABLE concert.history REPLICA IDENTITY FULL;
SELECT pg_catalog.pg_extension_config_dump('concert.history', '');

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.history
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();

CREATE FUNCTION concert.history_of_booking(booking_id uuid)
    RETURNS TABLE (at timestamptz, action text, seat_id uuid, user_id uuid, actor text,
                   correlation_id text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.at, h.action, acted.seat_id, h.user_id, h.actor, h.correlation_id, h.detail
    FROM concert.history AS h CROSS JOIN LATERAL unnest(h.seat_ids) AS acted (seat_id)
    WHERE h.booking_id = history_of_booking.booking_id
    ORDER BY h.at, acted.seat_id;
END;
COMMENT ON FUNCTION concert.history_of_booking(uuid) IS 'what was done to a booking, oldest first';
REVOKE ALL ON FUNCTION concert.history_of_booking(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.history_of_booking(uuid) TO concert_sidecar;

CREATE FUNCTION concert.history_of_seat(seat_id uuid)
    RETURNS TABLE (at timestamptz, action text, booking_id uuid, user_id uuid, actor text,
                   correlation_id text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE ids (id) AS (
        SELECT history_of_seat.seat_id
        UNION
        SELECT renamed.id
        FROM ids
        JOIN concert.history AS h ON h.booking_id IS NULL AND h.seat_ids @> ARRAY[ids.id] AND h.action = 'renamed'
        CROSS JOIN LATERAL unnest(h.seat_ids) AS renamed (id))
    SELECT h.at, h.action, h.booking_id, h.user_id, h.actor, h.correlation_id, h.detail
    FROM concert.history AS h
    WHERE h.booking_id IN (SELECT r.booking_id FROM concert.reservation AS r
                           WHERE r.seat_id = ANY (ARRAY(SELECT id FROM ids)))
      AND h.seat_ids && ARRAY(SELECT id FROM ids)
    UNION ALL
    SELECT h.at, h.action, h.booking_id, h.user_id, h.actor, h.correlation_id, h.detail
    FROM concert.history AS h
    WHERE h.booking_id IS NULL AND h.seat_ids && ARRAY(SELECT id FROM ids)
    ORDER BY 1, 3;
END;
COMMENT ON FUNCTION concert.history_of_seat(uuid) IS 'what was done to a seat, oldest first';
REVOKE ALL ON FUNCTION concert.history_of_seat(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.history_of_seat(uuid) TO concert_sidecar;

CREATE FUNCTION concert.history_of_user(user_id uuid)
    RETURNS TABLE (at timestamptz, action text, booking_id uuid, seat_id uuid, actor text,
                   correlation_id text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.at, h.action, h.booking_id, acted.seat_id, h.actor, h.correlation_id, h.detail
    FROM concert.history AS h CROSS JOIN LATERAL unnest(h.seat_ids) AS acted (seat_id)
    WHERE h.booking_id IN (SELECT r.booking_id FROM concert.reservation AS r
                           WHERE r.user_id = history_of_user.user_id)
    ORDER BY h.at, h.booking_id, acted.seat_id;
END;
COMMENT ON FUNCTION concert.history_of_user(uuid) IS 'what was done to the bookings of a user, oldest first';
REVOKE ALL ON FUNCTION concert.history_of_user(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.history_of_user(uuid) TO concert_sidecar;

-- The ledger.
ALTER TABLE concert.account
    DROP CONSTRAINT account_kind,
    DROP CONSTRAINT account_owner,
    DROP CONSTRAINT account_name,
    DROP CONSTRAINT account_floor,
    ADD CONSTRAINT account_kind CHECK (kind IN ('wallet', 'revenue', 'funding', 'refunds_payable', 'fees')),
    ADD CONSTRAINT account_owner CHECK (num_nonnulls(owner_id, name) = 1
        AND (kind NOT IN ('wallet', 'revenue') OR owner_id IS NOT NULL)
        AND (kind <> 'funding' OR name IS NOT NULL)),
    ADD CONSTRAINT account_floor CHECK (CASE kind WHEN 'wallet' THEN floor IS NOT NULL
        WHEN 'revenue' THEN floor IS NULL WHEN 'funding' THEN floor IS NULL ELSE true END);
DROP INDEX concert.account_of_name;
CREATE UNIQUE INDEX account_of_name ON concert.account (name, kind, currency)
    WHERE name IS NOT NULL AND deleted_at IS NULL;
COMMENT ON TABLE concert.account IS 'a balance in one currency: a user''s wallet, a concert''s revenue, a named source of funds, refunds to be paid, fees';

CREATE INDEX account_without_floor ON concert.account (id) WHERE floor IS NULL;
ALTER TABLE concert.account_balance
    ADD COLUMN debits_pending bigint NOT NULL DEFAULT 0,
    ADD COLUMN lapsed_through timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN transfers bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT account_balance_pending CHECK (debits_pending >= 0);
CREATE INDEX account_balance_with_pending ON concert.account_balance (account_id) WHERE debits_pending > 0;
COMMENT ON TABLE concert.account_balance IS 'the balance of an account with a floor: credits minus debits, in minor units; debits_pending is set aside by transfers that pend, of which none that was to lapse by lapsed_through is unresolved; transfers counts those since it is counted';

CREATE TABLE concert.pending_transfer (
    id                uuid        NOT NULL DEFAULT concert.uuid7(),
    debit_account_id  uuid        NOT NULL,
    credit_account_id uuid        NOT NULL,
    amount            bigint      NOT NULL,
    currency          text        NOT NULL,
    description       text,
    correlation_id    text,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    CONSTRAINT pending_transfer_pkey PRIMARY KEY (id),
    CONSTRAINT pending_transfer_debit_fkey FOREIGN KEY (debit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_transfer_credit_fkey FOREIGN KEY (credit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_transfer_two_accounts CHECK (debit_account_id <> credit_account_id),
    CONSTRAINT pending_transfer_amount CHECK (amount > 0)
);
CREATE INDEX pending_transfer_debit ON concert.pending_transfer (debit_account_id, expires_at);
CREATE INDEX pending_transfer_credit ON concert.pending_transfer (credit_account_id, expires_at);
COMMENT ON TABLE concert.pending_transfer IS 'an amount set aside until it is posted or voided, or until expires_at; append-only';

-- The numbers of old transfers are those of their rows' places; what counts is that each has one.
CREATE SEQUENCE concert.transfer_seq;
ALTER TABLE concert.transfer
    DROP CONSTRAINT transfer_kind,
    DROP CONSTRAINT transfer_cause,
    ADD COLUMN seq bigint NOT NULL DEFAULT pg_catalog.nextval('concert.transfer_seq'),
    ADD COLUMN effective_at timestamptz,
    ADD COLUMN description text,
    ADD COLUMN correlation_id text,
    ADD COLUMN reverses_id uuid,
    ADD COLUMN pending_id uuid,
    ADD COLUMN journal_id uuid,
    ADD CONSTRAINT transfer_reverses_fkey FOREIGN KEY (reverses_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD CONSTRAINT transfer_pending_fkey FOREIGN KEY (pending_id)
        REFERENCES concert.pending_transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD CONSTRAINT transfer_kind CHECK (kind IN ('charge', 'payment', 'transfer', 'posting', 'reversal', 'refund', 'fee')),
    ADD CONSTRAINT transfer_cause CHECK ((kind IN ('payment', 'refund', 'fee')) = (payment_id IS NOT NULL)
        AND (CASE kind WHEN 'posting' THEN pending_id IS NOT NULL ELSE pending_id IS NULL OR kind = 'payment' END)
        AND (kind = 'reversal') = (reverses_id IS NOT NULL)
        AND (kind <> 'charge' OR external_ref IS NOT NULL)
        AND (external_ref IS NULL OR kind IN ('charge', 'transfer')));
DROP INDEX concert.transfer_debit;
DROP INDEX concert.transfer_credit;
CREATE INDEX transfer_debit ON concert.transfer (debit_account_id, seq);
CREATE INDEX transfer_credit ON concert.transfer (credit_account_id, seq);
CREATE UNIQUE INDEX transfer_reverses ON concert.transfer (reverses_id) WHERE reverses_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_posts ON concert.transfer (pending_id) WHERE pending_id IS NOT NULL;
COMMENT ON TABLE concert.transfer IS 'an amount moved from the debited to the credited account; append-only. created_at is when it was recorded, effective_at when it counts from, if that is another time';

CREATE TABLE concert.pending_resolution (
    pending_id  uuid        NOT NULL,
    outcome     text        NOT NULL,
    amount      bigint      NOT NULL,
    transfer_id uuid,
    created_at  timestamptz NOT NULL,
    CONSTRAINT pending_resolution_pkey PRIMARY KEY (pending_id),
    CONSTRAINT pending_resolution_pending_fkey FOREIGN KEY (pending_id)
        REFERENCES concert.pending_transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_resolution_outcome CHECK (outcome IN ('posted', 'voided', 'lapsed')),
    CONSTRAINT pending_resolution_transfer CHECK ((outcome = 'posted') = (transfer_id IS NOT NULL)
        AND (outcome = 'posted') = (amount > 0) AND amount >= 0)
);
COMMENT ON TABLE concert.pending_resolution IS 'how a pending transfer ended, once; one that lapsed may have no row yet; append-only';

CREATE TABLE concert.account_checkpoint (
    account_id uuid        NOT NULL,
    seq        bigint      NOT NULL,
    debits     numeric     NOT NULL,
    credits    numeric     NOT NULL,
    last_at    timestamptz NOT NULL,
    set_back_us bigint     NOT NULL,
    CONSTRAINT account_checkpoint_pkey PRIMARY KEY (account_id, seq),
    CONSTRAINT account_checkpoint_account_fkey FOREIGN KEY (account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX account_checkpoint_last ON concert.account_checkpoint (account_id, last_at, seq);
COMMENT ON TABLE concert.account_checkpoint IS 'the sum of an account''s transfers up to a number that no later one of it can be under; their latest time, and by how much one was at most recorded before the latest of an earlier checkpoint';

SELECT pg_catalog.pg_extension_config_dump('concert.transfer_seq', '');
SELECT pg_catalog.pg_extension_config_dump('concert.pending_transfer', '');
SELECT pg_catalog.pg_extension_config_dump('concert.pending_resolution', '');
SELECT pg_catalog.pg_extension_config_dump('concert.account_checkpoint', '');

CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.pending_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('End it by transfer_post() or transfer_void().');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.pending_transfer
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('End it by transfer_post() or transfer_void().');
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.pending_resolution
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.pending_resolution
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

-- A payment of before is by points, and all of it was captured at once.
ALTER TABLE concert.payment
    DROP CONSTRAINT payment_method,
    DROP CONSTRAINT payment_status,
    ADD COLUMN captured bigint NOT NULL DEFAULT 0,
    ADD COLUMN captured_currency text,
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD COLUMN fee bigint NOT NULL DEFAULT 0,
    ADD COLUMN provider text,
    ADD COLUMN provider_ref text,
    ADD COLUMN points bigint NOT NULL DEFAULT 0,
    ADD COLUMN pending_id uuid,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at timestamptz;
ALTER TABLE concert.payment DISABLE TRIGGER USER;
UPDATE concert.payment SET captured = amount;
ALTER TABLE concert.payment ENABLE TRIGGER USER;
ALTER TABLE concert.payment
    ADD CONSTRAINT payment_method CHECK (method IN ('points', 'provider')),
    ADD CONSTRAINT payment_status CHECK (status IN ('begun', 'authorized', 'captured', 'refunded', 'failed')
        AND (method <> 'points' OR status IN ('captured', 'refunded'))),
    ADD CONSTRAINT payment_captured CHECK (captured >= 0 AND (captured = 0 OR status IN ('captured', 'refunded'))),
    ADD CONSTRAINT payment_left CHECK (refunded >= 0 AND fee >= 0 AND refunded <= captured - fee),
    ADD CONSTRAINT payment_provider CHECK ((method = 'provider') = (provider IS NOT NULL)),
    ADD CONSTRAINT payment_points CHECK (points >= 0 AND (points > 0) = (pending_id IS NOT NULL)),
    ADD CONSTRAINT payment_due CHECK (next_attempt_at IS NULL OR status IN ('begun', 'authorized'));
CREATE UNIQUE INDEX payment_open ON concert.payment (booking_id) WHERE status IN ('begun', 'authorized');
CREATE UNIQUE INDEX payment_pending ON concert.payment (pending_id) WHERE pending_id IS NOT NULL;
CREATE INDEX payment_due ON concert.payment (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON TABLE concert.payment IS 'money for one booking: amount is what was asked for, captured what came, of which refunded has been decided to go back and fee is kept; points is what was set aside beside it';

CREATE OR REPLACE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.payment
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');

CREATE OR REPLACE TRIGGER refuse_update BEFORE UPDATE ON concert.payment
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');

CREATE OR REPLACE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');

CREATE OR REPLACE TRIGGER refuse_update BEFORE UPDATE ON concert.transfer
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');

CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.account
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at OR old.id <> new.id
          OR old.frozen_at IS DISTINCT FROM new.frozen_at OR old.floor IS DISTINCT FROM new.floor)
    EXECUTE FUNCTION concert.guard_change();

CREATE TYPE concert.transfer_answer AS (ok boolean, reason text, transfer_id uuid);
COMMENT ON TYPE concert.transfer_answer IS 'the answer of transfer(), reverse(), transfer_post() and transfer_void(): the transfer, if there is one';
CREATE TYPE concert.journal_answer AS (
    ok boolean, reason text, refused_leg integer, journal_id uuid, transfer_ids uuid[]);
COMMENT ON TYPE concert.journal_answer IS 'the answer of journal(): its transfers in the order of the legs, or the leg that was refused';
CREATE TYPE concert.pending_answer AS (
    ok boolean, reason text, transfer_id uuid, expires_at timestamptz);
COMMENT ON TYPE concert.pending_answer IS 'the answer of transfer_pending(): the pending transfer and when it lapses';

CREATE FUNCTION concert.open_account(owner_id uuid, currency text, kind text, floor bigint DEFAULT 0,
    name text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_open_account';
COMMENT ON FUNCTION concert.open_account(uuid, text, text, bigint, text)
    IS 'opens an account, or returns the one that is open';
REVOKE ALL ON FUNCTION concert.open_account(uuid, text, text, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.open_account(uuid, text, text, bigint, text) TO concert_sidecar;

CREATE FUNCTION concert.freeze_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_freeze_account';
COMMENT ON FUNCTION concert.freeze_account(uuid)
    IS 'stops all money to and from an account';
REVOKE ALL ON FUNCTION concert.freeze_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.freeze_account(uuid) TO concert_sidecar;

CREATE FUNCTION concert.unfreeze_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_unfreeze_account';
COMMENT ON FUNCTION concert.unfreeze_account(uuid)
    IS 'lets a frozen account move money again';
REVOKE ALL ON FUNCTION concert.unfreeze_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.unfreeze_account(uuid) TO concert_sidecar;

CREATE FUNCTION concert.close_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_close_account';
COMMENT ON FUNCTION concert.close_account(uuid)
    IS 'closes an account at zero';
REVOKE ALL ON FUNCTION concert.close_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.close_account(uuid) TO concert_sidecar;

CREATE FUNCTION concert.transfer(debit_account_id uuid, credit_account_id uuid, amount bigint,
    description text DEFAULT NULL, external_ref text DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer';
COMMENT ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text)
    IS 'moves an amount between two accounts';
REVOKE ALL ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text) TO concert_sidecar;

CREATE FUNCTION concert.journal(debit_account_ids uuid[], credit_account_ids uuid[], amounts bigint[],
    description text DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.journal_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_journal';
COMMENT ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text)
    IS 'makes several transfers, all or none';
REVOKE ALL ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text) TO concert_sidecar;

CREATE FUNCTION concert.reverse(transfer_id uuid, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_reverse';
COMMENT ON FUNCTION concert.reverse(uuid, text, text, text)
    IS 'moves the amount of a transfer back, once';
REVOKE ALL ON FUNCTION concert.reverse(uuid, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reverse(uuid, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.transfer_pending(debit_account_id uuid, credit_account_id uuid, amount bigint,
    expires_in integer, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.pending_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_pending';
COMMENT ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text)
    IS 'sets an amount aside, to be posted or voided';
REVOKE ALL ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.transfer_post(transfer_id uuid, amount bigint DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_post';
COMMENT ON FUNCTION concert.transfer_post(uuid, bigint, text, text)
    IS 'moves what a pending transfer set aside';
REVOKE ALL ON FUNCTION concert.transfer_post(uuid, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_post(uuid, bigint, text, text) TO concert_sidecar;

CREATE FUNCTION concert.transfer_void(transfer_id uuid,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_void';
COMMENT ON FUNCTION concert.transfer_void(uuid, text, text)
    IS 'lets go of what a pending transfer set aside';
REVOKE ALL ON FUNCTION concert.transfer_void(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_void(uuid, text, text) TO concert_sidecar;

CREATE FUNCTION concert.lapse_transfers(max_accounts integer)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_lapse_transfers';
COMMENT ON FUNCTION concert.lapse_transfers(integer)
    IS 'writes down which pending transfers have lapsed';
REVOKE ALL ON FUNCTION concert.lapse_transfers(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lapse_transfers(integer) TO concert_sidecar;

CREATE FUNCTION concert.checkpoint_accounts(max_checkpoints integer)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_checkpoint_accounts';
COMMENT ON FUNCTION concert.checkpoint_accounts(integer)
    IS 'sums up accounts without a floor, a thousand transfers a checkpoint';
REVOKE ALL ON FUNCTION concert.checkpoint_accounts(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.checkpoint_accounts(integer) TO concert_sidecar;

CREATE FUNCTION concert.account_sums(account_id uuid)
    RETURNS TABLE (debits numeric, credits numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN a.floor IS NULL THEN coalesce(c.debits, 0) + d.amount ELSE b.debits END,
           CASE WHEN a.floor IS NULL THEN coalesce(c.credits, 0) + e.amount ELSE b.credits END
    FROM concert.account AS a
    LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
    LEFT JOIN LATERAL (
        SELECT k.seq, k.debits, k.credits FROM concert.account_checkpoint AS k
        WHERE a.floor IS NULL AND k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS c ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE a.floor IS NULL AND t.debit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS d
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE a.floor IS NULL AND t.credit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS e
    WHERE a.id = account_sums.account_id;
END;
COMMENT ON FUNCTION concert.account_sums(uuid)
    IS 'internal: what was debited from and credited to an account in all';
REVOKE ALL ON FUNCTION concert.account_sums(uuid) FROM PUBLIC;

CREATE FUNCTION concert.account_balance(account_id uuid)
    RETURNS TABLE (currency text, kind text, balance bigint, pending_debits bigint, pending_credits bigint,
                   available bigint, is_frozen boolean)
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER ROWS 1
    AS 'MODULE_PATHNAME', 'concert_account_balance';
COMMENT ON FUNCTION concert.account_balance(uuid)
    IS 'what an account holds, what is set aside and what is available';
REVOKE ALL ON FUNCTION concert.account_balance(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.account_balance(uuid) TO concert_admin;

CREATE FUNCTION concert.balance_at(account_id uuid, at timestamptz)
    RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_balance_at';
COMMENT ON FUNCTION concert.balance_at(uuid, timestamptz)
    IS 'what an account held at a time';
REVOKE ALL ON FUNCTION concert.balance_at(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.balance_at(uuid, timestamptz) TO concert_admin;

CREATE FUNCTION concert.points_statement(user_id uuid, from_time timestamptz DEFAULT NULL,
    to_time timestamptz DEFAULT NULL, currency text DEFAULT 'PTS')
    RETURNS TABLE (recorded_at timestamptz, effective_at timestamptz, transfer_id uuid, kind text,
                   amount bigint, balance bigint, description text, external_ref text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT m.created_at, coalesce(m.effective_at, m.created_at), m.id, m.kind, m.amount,
           m.balance::bigint, m.description, m.external_ref
    FROM (SELECT t.created_at, t.effective_at, t.id, t.kind, t.seq, t.description, t.external_ref, t.amount,
                 part.base + sum(t.amount) OVER (PARTITION BY part.after_seq ORDER BY t.seq) AS balance
          FROM concert.account AS a
          LEFT JOIN LATERAL (
              SELECT k.seq, k.credits - k.debits AS balance, k.set_back_us FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS l ON true
          LEFT JOIN LATERAL (
              SELECT k.seq, k.credits - k.debits AS balance FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id AND k.last_at < from_time
              ORDER BY k.last_at DESC, k.seq DESC LIMIT 1) AS c ON true
          LEFT JOIN LATERAL (
              SELECT k.seq FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id AND k.last_at >= to_time + l.set_back_us * interval '1 microsecond'
              ORDER BY k.last_at, k.seq LIMIT 1) AS u ON true
          CROSS JOIN LATERAL (VALUES
              (coalesce(c.seq, 0), coalesce(u.seq, l.seq), coalesce(c.balance, 0)),
              (coalesce(l.seq, 0), 9223372036854775807, coalesce(l.balance, 0))) AS part (after_seq, to_seq, base)
          CROSS JOIN LATERAL (
              SELECT c.created_at, c.effective_at, c.id, c.kind, c.seq, c.description, c.external_ref, c.amount
              FROM concert.transfer AS c
              WHERE c.credit_account_id = a.id AND c.seq > part.after_seq AND c.seq <= part.to_seq
              UNION ALL
              SELECT d.created_at, d.effective_at, d.id, d.kind, d.seq, d.description, d.external_ref, -d.amount
              FROM concert.transfer AS d
              WHERE d.debit_account_id = a.id AND d.seq > part.after_seq AND d.seq <= part.to_seq) AS t
          WHERE a.owner_id = points_statement.user_id AND a.kind = 'wallet'
            AND a.currency = points_statement.currency AND a.deleted_at IS NULL) AS m
    WHERE (from_time IS NULL OR m.created_at >= from_time) AND (to_time IS NULL OR m.created_at < to_time)
    ORDER BY m.seq;
END;
COMMENT ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text)
    IS 'what moved in a users wallet, with the balance after each';
REVOKE ALL ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text) TO concert_sidecar;

CREATE FUNCTION concert.verify_ledger(from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
    RETURNS TABLE (object text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    WITH moved AS NOT MATERIALIZED (
        SELECT t.* FROM concert.transfer AS t
        WHERE (from_time IS NULL OR t.created_at >= from_time) AND (to_time IS NULL OR t.created_at < to_time)),
    looked_at AS MATERIALIZED (
        SELECT a.id, a.floor, a.deleted_at, b.account_id, b.debits, b.credits, b.debits_pending
        FROM concert.account AS a LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
        WHERE (from_time IS NULL AND to_time IS NULL)
           OR a.id IN (SELECT m.debit_account_id FROM moved AS m)
           OR a.id IN (SELECT m.credit_account_id FROM moved AS m)),
    summed AS MATERIALIZED (
        SELECT l.*, coalesce(o.amount, 0) AS moved_out, coalesce(i.amount, 0) AS moved_in,
               coalesce(p.unresolved, 0) AS unresolved, coalesce(p.set_aside, 0) AS set_aside
        FROM looked_at AS l
        LEFT JOIN (SELECT t.debit_account_id AS id, sum(t.amount) AS amount FROM concert.transfer AS t
                   WHERE t.debit_account_id IN (SELECT w.id FROM looked_at AS w) GROUP BY 1) AS o ON o.id = l.id
        LEFT JOIN (SELECT t.credit_account_id AS id, sum(t.amount) AS amount FROM concert.transfer AS t
                   WHERE t.credit_account_id IN (SELECT w.id FROM looked_at AS w) GROUP BY 1) AS i ON i.id = l.id
        LEFT JOIN (SELECT t.debit_account_id AS id, sum(t.amount) AS unresolved,
                          sum(t.amount) FILTER (WHERE t.expires_at > statement_timestamp()) AS set_aside
                   FROM concert.pending_transfer AS t
                   WHERE t.debit_account_id IN (SELECT w.id FROM looked_at AS w)
                     AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)
                   GROUP BY 1) AS p ON p.id = l.id),
    recounted AS (
        SELECT k.account_id, k.seq, s.debits, s.credits, s.first_at, s.last_at
        FROM (SELECT w.account_id, w.seq,
                     lag(w.seq, 1, 0::bigint) OVER (PARTITION BY w.account_id ORDER BY w.seq) AS after_seq
              FROM concert.account_checkpoint AS w) AS k
        CROSS JOIN LATERAL (
            SELECT sum(t.debit) AS debits, sum(t.credit) AS credits,
                   min(t.created_at) AS first_at, max(t.created_at) AS last_at
            FROM (SELECT d.amount AS debit, 0 AS credit, d.created_at FROM concert.transfer AS d
                  WHERE d.debit_account_id = k.account_id AND d.seq > k.after_seq AND d.seq <= k.seq
                  UNION ALL
                  SELECT 0, c.amount, c.created_at FROM concert.transfer AS c
                  WHERE c.credit_account_id = k.account_id AND c.seq > k.after_seq AND c.seq <= k.seq) AS t) AS s
        WHERE k.account_id IN (SELECT l.id FROM looked_at AS l)),
    summed_up AS (
        SELECT r.account_id, r.seq, sum(r.debits) OVER seen AS debits, sum(r.credits) OVER seen AS credits,
               max(r.last_at) OVER seen AS last_at,
               extract(epoch FROM max(r.last_at) OVER before - r.first_at) * 1000000 AS set_back_us
        FROM recounted AS r
        WINDOW seen AS (PARTITION BY r.account_id ORDER BY r.seq),
               before AS (seen ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
    SELECT 'account ' || l.id,
           'balance row says debits ' || coalesce(l.debits::text, 'none') || ', credits '
           || coalesce(l.credits::text, 'none') || '; transfers say ' || l.moved_out || ', ' || l.moved_in
    FROM summed AS l
    WHERE l.floor IS NOT NULL AND (l.debits, l.credits) IS DISTINCT FROM (l.moved_out, l.moved_in)
    UNION ALL
    SELECT 'account ' || l.id, 'has a balance row, but no floor'
    FROM summed AS l WHERE l.floor IS NULL AND l.account_id IS NOT NULL
    UNION ALL
    SELECT 'account ' || l.id, 'stands below its floor: ' || (l.credits - l.debits - l.set_aside)
    FROM summed AS l WHERE l.credits - l.debits - l.set_aside < l.floor
    UNION ALL
    SELECT 'account ' || l.id, 'balance row says ' || l.debits_pending || ' set aside; pending transfers say ' || l.unresolved
    FROM summed AS l WHERE l.debits_pending <> l.unresolved
    UNION ALL
    SELECT 'account ' || l.id, 'is closed, and holds ' || (l.moved_in - l.moved_out)
    FROM summed AS l WHERE l.deleted_at IS NOT NULL AND l.moved_in <> l.moved_out
    UNION ALL
    SELECT 'account ' || k.account_id, 'its checkpoint at ' || k.seq || ' does not say what its transfers say'
    FROM (SELECT w.account_id, w.seq, w.debits, w.credits, w.last_at, w.set_back_us,
                 s.debits AS moved_out, s.credits AS moved_in, s.last_at AS last_moved_at,
                 greatest(max(s.set_back_us) OVER (PARTITION BY s.account_id ORDER BY s.seq), 0) AS moved_back_us
          FROM summed_up AS s JOIN concert.account_checkpoint AS w ON w.account_id = s.account_id AND w.seq = s.seq) AS k
    WHERE (k.debits, k.credits, k.last_at, k.set_back_us)
          IS DISTINCT FROM (k.moved_out, k.moved_in, k.last_moved_at, k.moved_back_us)
    UNION ALL
    SELECT 'currency ' || b.currency, 'its balances together are ' || sum(b.balance)
    FROM (SELECT a.currency, b.credits - b.debits AS balance
          FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id WHERE a.floor IS NOT NULL
          UNION ALL
          SELECT a.currency, s.credits - s.debits
          FROM concert.account AS a CROSS JOIN LATERAL concert.account_sums(a.id) AS s WHERE a.floor IS NULL) AS b
    GROUP BY b.currency HAVING sum(b.balance) <> 0
    UNION ALL
    SELECT 'transfer ' || m.id, CASE WHEN d.id IS NULL OR c.id IS NULL THEN 'its account does not exist'
                                     WHEN d.id = c.id THEN 'is from an account to itself'
                                     WHEN m.amount <= 0 THEN 'moves ' || m.amount
                                     ELSE 'its currency is not that of both accounts' END
    FROM moved AS m
    LEFT JOIN concert.account AS d ON d.id = m.debit_account_id
    LEFT JOIN concert.account AS c ON c.id = m.credit_account_id
    WHERE d.id IS NULL OR c.id IS NULL OR m.currency <> d.currency OR m.currency <> c.currency
       OR m.amount <= 0 OR d.id = c.id
    UNION ALL
    SELECT 'account ' || b.account_id, 'has a balance row, and does not exist'
    FROM concert.account_balance AS b WHERE NOT EXISTS (SELECT FROM concert.account AS a WHERE a.id = b.account_id)
    UNION ALL
    SELECT 'account ' || k.account_id, 'has a checkpoint at ' || k.seq || ', and does not exist'
    FROM concert.account_checkpoint AS k WHERE NOT EXISTS (SELECT FROM concert.account AS a WHERE a.id = k.account_id)
    UNION ALL
    SELECT 'pending transfer ' || p.id, 'is not between two accounts of its currency'
    FROM concert.pending_transfer AS p
    LEFT JOIN concert.account AS d ON d.id = p.debit_account_id
    LEFT JOIN concert.account AS c ON c.id = p.credit_account_id
    WHERE (d.currency, c.currency) IS DISTINCT FROM (p.currency, p.currency)
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id,
           CASE WHEN p.id IS NULL THEN 'is resolved, and does not exist'
                ELSE 'is resolved to ' || r.amount || ', and set ' || p.amount || ' aside' END
    FROM concert.pending_resolution AS r LEFT JOIN concert.pending_transfer AS p ON p.id = r.pending_id
    WHERE p.id IS NULL OR r.amount > p.amount
    UNION ALL
    SELECT 'pending transfer ' || p.id, 'lapsed, and its account still sets it aside'
    FROM concert.pending_transfer AS p
    JOIN concert.account_balance AS b ON b.account_id = p.debit_account_id AND p.expires_at <= b.lapsed_through
    WHERE NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)
    UNION ALL
    SELECT 'transfer ' || m.id, 'is not what its pending transfer was resolved to'
    FROM moved AS m
    LEFT JOIN concert.pending_transfer AS p ON p.id = m.pending_id
    LEFT JOIN concert.pending_resolution AS r ON r.pending_id = p.id
    WHERE m.pending_id IS NOT NULL
      AND (r.transfer_id IS DISTINCT FROM m.id OR r.amount <> m.amount OR m.amount > p.amount
           OR (m.debit_account_id, m.credit_account_id, m.currency)
              IS DISTINCT FROM (p.debit_account_id, p.credit_account_id, p.currency))
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id, 'is posted, but its transfer is not there'
    FROM concert.pending_resolution AS r
    WHERE r.outcome = 'posted' AND NOT EXISTS (
        SELECT FROM concert.transfer AS t WHERE t.id = r.transfer_id AND t.pending_id = r.pending_id)
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id, 'was resolved ' || count(*) || ' times'
    FROM concert.pending_resolution AS r GROUP BY r.pending_id HAVING count(*) > 1
    UNION ALL
    SELECT 'transfer ' || m.id, 'is not the reversal of what it reverses'
    FROM moved AS m LEFT JOIN concert.transfer AS t ON t.id = m.reverses_id
    WHERE m.reverses_id IS NOT NULL
      AND (m.debit_account_id, m.credit_account_id, m.amount, m.currency)
          IS DISTINCT FROM (t.credit_account_id, t.debit_account_id, t.amount, t.currency)
    UNION ALL
    SELECT 'transfer ' || m.reverses_id, 'was reversed ' || count(*) || ' times'
    FROM moved AS m WHERE m.reverses_id IS NOT NULL GROUP BY m.reverses_id HAVING count(*) > 1;
END;
COMMENT ON FUNCTION concert.verify_ledger(timestamptz, timestamptz)
    IS 'one row for each thing that is wrong with the ledger; none when all is well';
REVOKE ALL ON FUNCTION concert.verify_ledger(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.verify_ledger(timestamptz, timestamptz) TO concert_admin;

CREATE VIEW concert.revenue_by_concert AS
    SELECT a.owner_id AS concert_id, o.name AS concert, a.id AS account_id, a.currency,
           coalesce(c.credits, 0) + i.amount AS received, coalesce(c.debits, 0) + d.amount AS returned,
           coalesce(c.credits, 0) + i.amount - coalesce(c.debits, 0) - d.amount AS amount
    FROM concert.account AS a
    LEFT JOIN concert.concert AS o ON o.id = a.owner_id
    LEFT JOIN LATERAL (
        SELECT k.seq, k.debits, k.credits FROM concert.account_checkpoint AS k
        WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS c ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE t.credit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE t.debit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS d
    WHERE a.kind = 'revenue' AND a.floor IS NULL;
COMMENT ON VIEW concert.revenue_by_concert IS 'what each concert has earned: its revenue account, what it received and returned, and what is left; amount by amount what verify_ledger() proves';

CREATE VIEW concert.revenue_by_section AS
    SELECT d.concert_id, s.concert_date_id, s.id AS section_id, s.name AS section, r.currency, r.seats, r.sold
    FROM concert.section AS s
    JOIN concert.concert_date AS d ON d.id = s.concert_date_id
    CROSS JOIN LATERAL (
        SELECT live.currency, count(*) AS seats, sum(live.price) AS sold
        FROM concert.seat AS e
        JOIN concert.reservation AS live ON live.seat_id = e.id AND live.deleted_at IS NULL
        WHERE e.section_id = s.id AND live.status = 'confirmed'
        GROUP BY live.currency) AS r;
COMMENT ON VIEW concert.revenue_by_section IS 'the prices of the confirmed seats of each section, which add up to sold of their date in revenue_by_date; money that went back without a seat is of a booking, and no section''s';

CREATE VIEW concert.revenue_by_date AS
    SELECT d.concert_id, d.id AS concert_date_id, d.starts_at, r.currency, r.seats, r.sold,
           r.sold - r.amount AS given_back, r.amount
    FROM concert.concert_date AS d
    CROSS JOIN LATERAL (
        SELECT b.currency, sum(b.seats)::bigint AS seats, sum(b.sold) AS sold, sum(p.amount) AS amount
        FROM (SELECT live.booking_id, live.currency, count(*) AS seats, sum(live.price) AS sold
              FROM concert.seat AS e
              JOIN concert.reservation AS live ON live.seat_id = e.id AND live.deleted_at IS NULL
              WHERE e.concert_date_id = d.id AND live.status = 'confirmed'
              GROUP BY live.booking_id, live.currency) AS b
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(m.captured - m.refunded - m.fee), 0) AS amount
            FROM concert.payment AS m WHERE m.booking_id = b.booking_id) AS p
        GROUP BY b.currency) AS r;
COMMENT ON VIEW concert.revenue_by_date IS 'what each date has earned: what is left of the payments of its bookings, which is the prices of its confirmed seats (sold) less what of these went back as goodwill (given_back); the dates of a concert add up to what payments, refunds and fees left in its revenue account';

CREATE VIEW concert.pending_funds AS
    SELECT a.id AS account_id, a.kind, a.owner_id, a.name, a.currency, p.transfers, p.amount, p.next_expires_at
    FROM (SELECT b.account_id AS id FROM concert.account_balance AS b WHERE b.debits_pending > 0
          UNION ALL SELECT n.id FROM concert.account AS n WHERE n.floor IS NULL) AS w
    JOIN concert.account AS a ON a.id = w.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS transfers, sum(t.amount) AS amount, min(t.expires_at) AS next_expires_at
        FROM concert.pending_transfer AS t
        WHERE t.debit_account_id = w.id AND t.expires_at > statement_timestamp()
          AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)) AS p
    WHERE p.transfers > 0;
COMMENT ON VIEW concert.pending_funds IS 'what pending transfers set aside now, by account';

CREATE VIEW concert.wallet_liabilities AS
    SELECT a.currency, count(*) AS wallets, sum(b.credits::numeric - b.debits) AS amount,
           sum(greatest(b.debits::numeric - b.credits, 0)) AS overdrawn
    FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id
    WHERE a.kind = 'wallet'
    GROUP BY a.currency;
COMMENT ON VIEW concert.wallet_liabilities IS 'what all wallets of a currency hold together, and by how much those on credit are below nothing';

GRANT SELECT ON concert.revenue_by_concert, concert.revenue_by_section, concert.revenue_by_date,
    concert.pending_funds, concert.wallet_liabilities TO concert_admin;

CREATE FUNCTION concert.days_within(from_day date, to_day date) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_days_within';
COMMENT ON FUNCTION concert.days_within(date, date) IS 'internal: true, or 22023 for days that no report takes';
REVOKE ALL ON FUNCTION concert.days_within(date, date) FROM PUBLIC;

CREATE FUNCTION concert.revenue_by_day(concert_id uuid, from_day date, to_day date)
    RETURNS TABLE (day date, currency text, amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT b.day, b.currency, b.balance - b.before
    FROM (SELECT m.day, a.currency, a.id, m.balance, lag(m.balance) OVER (PARTITION BY a.id ORDER BY m.day) AS before
          FROM concert.account AS a
          CROSS JOIN LATERAL (
              SELECT g.day::date AS day,
                     concert.balance_at(a.id, (g.day::date + 1)::timestamptz - interval '1 microsecond')::numeric AS balance
              FROM generate_series((from_day - 1)::timestamp, to_day::timestamp, interval '1 day') AS g (day) OFFSET 0) AS m
          WHERE a.owner_id = revenue_by_day.concert_id AND a.kind = 'revenue') AS b
    WHERE concert.days_within(from_day, to_day) AND b.day >= from_day AND b.balance <> b.before
    ORDER BY b.day, b.currency;
END;
COMMENT ON FUNCTION concert.revenue_by_day(uuid, date, date) IS 'by how much a concert''s revenue changed on each day';
REVOKE ALL ON FUNCTION concert.revenue_by_day(uuid, date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.revenue_by_day(uuid, date, date) TO concert_admin;

-- The rings of answers and of the inbox, and the outbox.
DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.request_%s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete(%L)', i,
            'Use concert.request_rotate(): it empties what is past seven days.');
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.inbox_%s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete(%L)', i,
            'Use concert.inbox_rotate(): it empties what is past.');
    END LOOP;
END
$$;

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.outbox_state
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.outbox_reset().');
CREATE TRIGGER forget_kept AFTER INSERT OR UPDATE OR DELETE ON concert.outbox_state
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.outbox_state ENABLE ALWAYS TRIGGER forget_kept;

DO $$
DECLARE
    ring_table text;
BEGIN
    FOREACH ring_table IN ARRAY ARRAY['outbox_event_0', 'outbox_event_1', 'outbox_event_2', 'outbox_event_3',
                                      'outbox_cursor_0', 'outbox_cursor_1']
    LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change(%L)', ring_table,
            'Use concert.outbox_rotate(): it empties what is acked.');
        EXECUTE pg_catalog.format('DROP TRIGGER refuse_truncate ON concert.%I', ring_table);
    END LOOP;
END
$$;
DROP FUNCTION concert.refuse_truncate();

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format('DROP INDEX concert.outbox_event_%1$s_xid, concert.outbox_event_%1$s_seq', i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_xid ON concert.outbox_event_%1$s (xid, seq, lane)', i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_seq ON concert.outbox_event_%1$s (seq, lane)', i);
    END LOOP;
END
$$;
CREATE OR REPLACE VIEW concert.outbox_unacked AS
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
    FROM concert.outbox_event
    WHERE lane < 0 AND EXISTS (SELECT FROM concert.outbox_state WHERE stamp <> concert.outbox_stamp());

-- Reading.
DROP FUNCTION concert.concert_dates(uuid);
CREATE FUNCTION concert.concert_dates(concert_id uuid)
    RETURNS TABLE (id uuid, starts_at timestamptz, time_zone text, sale_opens_at timestamptz,
                   sale_closes_at timestamptz, pending_seconds integer, seats_per_user_max integer,
                   admission text, starts_at_local timestamp, sale_opens_at_local timestamp,
                   sale_closes_at_local timestamp)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.id, d.starts_at, d.time_zone, d.sale_opens_at, d.sale_closes_at, d.pending_seconds,
           d.seats_per_user_max, d.admission, concert.local_time(d.starts_at, d.time_zone),
           concert.local_time(d.sale_opens_at, d.time_zone),
           concert.local_time(d.sale_closes_at, d.time_zone)
    FROM concert.concert_date AS d
    JOIN concert.concert AS c ON c.id = d.concert_id
    WHERE d.concert_id = concert_dates.concert_id AND d.deleted_at IS NULL AND c.deleted_at IS NULL
    ORDER BY d.starts_at, d.id;
END;
COMMENT ON FUNCTION concert.concert_dates(uuid) IS 'the dates of a concert';
REVOKE ALL ON FUNCTION concert.concert_dates(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concert_dates(uuid) TO concert_reader;

CREATE OR REPLACE FUNCTION concert.seat_states(concert_date_id uuid, seat_ids uuid[] DEFAULT NULL)
    RETURNS TABLE (seat_id uuid, state text, user_id uuid, fence bigint, remaining_ms bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
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
            AND named_seats.seat_id = ANY (seat_ids)
          UNION ALL
          SELECT gone.id, gone.concert_date_id, gone.section_id, gone."row", gone.col, gone.label, 'blocked',
                 NULL, NULL, NULL
          FROM concert.seat AS gone
          WHERE gone.concert_date_id = seat_states.concert_date_id AND gone.id = ANY (seat_ids)
            AND gone.deleted_at IS NOT NULL) AS s;
END;

-- Retention.
CREATE VIEW concert.live_concert AS
    SELECT * FROM concert.concert WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concert IS 'the concerts that are not deleted';

CREATE VIEW concert.live_concert_date AS
    SELECT * FROM concert.concert_date WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concert_date IS 'the dates that are not deleted';

CREATE VIEW concert.live_section AS
    SELECT * FROM concert.section WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_section IS 'the sections that are not deleted';

CREATE VIEW concert.live_concession AS
    SELECT * FROM concert.concession WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concession IS 'the concessions that are not deleted';

CREATE VIEW concert.live_seat AS
    SELECT * FROM concert.seat WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_seat IS 'the seats that are not deleted';

CREATE VIEW concert.live_reservation AS
    SELECT * FROM concert.reservation
    WHERE deleted_at IS NULL AND (status = 'confirmed' OR expires_at > statement_timestamp());
COMMENT ON VIEW concert.live_reservation IS 'the reservations that hold their seat';
GRANT SELECT ON concert.live_concert, concert.live_concert_date, concert.live_section,
    concert.live_concession, concert.live_seat, concert.live_reservation TO concert_admin;

CREATE FUNCTION concert.purge(before timestamptz DEFAULT NULL, max_rows integer DEFAULT 1000)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_purge';
COMMENT ON FUNCTION concert.purge(timestamptz, integer) IS 'really removes what was deleted or ended before its retention';
REVOKE ALL ON FUNCTION concert.purge(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.purge(timestamptz, integer) TO concert_admin;

-- Seat maps.
CREATE INDEX seat_timed_block ON concert.seat (concert_date_id, blocked_until) WHERE blocked_until IS NOT NULL;

CREATE TYPE concert.seat_map_packed_answer AS (
    version text, layout text, seats integer, states bytea);
COMMENT ON TYPE concert.seat_map_packed_answer IS 'the answer of seat_map_packed(): the states of all seats of a date in grid order';

CREATE TYPE concert.seat_map_changes_answer AS (anew boolean, version text, seats jsonb);
COMMENT ON TYPE concert.seat_map_changes_answer IS 'the answer of seat_map_changes(): what has changed, or that the map must be read anew';

CREATE FUNCTION concert.seat_map_packed(concert_date_id uuid) RETURNS concert.seat_map_packed_answer
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_seat_map_packed';
COMMENT ON FUNCTION concert.seat_map_packed(uuid) IS 'the state of every seat of a date in two bits, in grid order, with a version';
REVOKE ALL ON FUNCTION concert.seat_map_packed(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_map_packed(uuid) TO concert_reader;

CREATE FUNCTION concert.seat_map_changes(concert_date_id uuid, since_version text)
    RETURNS concert.seat_map_changes_answer
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_seat_map_changes';
COMMENT ON FUNCTION concert.seat_map_changes(uuid, text) IS 'the seats of a date that have changed since a version, as they stand now';
REVOKE ALL ON FUNCTION concert.seat_map_changes(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_map_changes(uuid, text) TO concert_reader;

-- Administration.
CREATE FUNCTION concert.sales()
    RETURNS TABLE (concert_id uuid, concert text, concert_date_id uuid, starts_at timestamptz,
                   currency text, seats bigint, amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.name, d.id, d.starts_at, r.currency, count(r.id), coalesce(sum(r.price), 0)
    FROM concert.concert AS c
    JOIN concert.concert_date AS d ON d.concert_id = c.id AND d.deleted_at IS NULL
    LEFT JOIN concert.reservation AS r ON r.concert_date_id = d.id AND r.status = 'confirmed'
    WHERE c.deleted_at IS NULL
    GROUP BY c.id, d.id, r.currency
    ORDER BY d.starts_at, d.id, r.currency;
END;
COMMENT ON FUNCTION concert.sales() IS 'what was sold of each date';
REVOKE ALL ON FUNCTION concert.sales() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.sales() TO concert_admin;

CREATE FUNCTION concert.sales_by_section(concert_date_id uuid)
    RETURNS TABLE (section_id uuid, section text, concession text, currency text, seats bigint, amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT section.id, section.name, r.concession, r.currency, count(*), sum(r.price)
    FROM concert.reservation AS r
    JOIN concert.seat AS s ON s.id = r.seat_id
    JOIN concert.section AS section ON section.id = s.section_id
    WHERE r.concert_date_id = sales_by_section.concert_date_id AND r.status = 'confirmed'
    GROUP BY section.id, r.concession, r.currency
    ORDER BY section.name, section.price, r.concession NULLS FIRST;
END;
COMMENT ON FUNCTION concert.sales_by_section(uuid) IS 'what was sold of each section of a date, by price';
REVOKE ALL ON FUNCTION concert.sales_by_section(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.sales_by_section(uuid) TO concert_admin;

CREATE FUNCTION concert.sales_by_day(concert_date_id uuid)
    RETURNS TABLE (day date, currency text, seats bigint, amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT concert.local_time(r.resolved_at, d.time_zone)::date, r.currency, count(*), sum(r.price)
    FROM concert.reservation AS r
    JOIN concert.concert_date AS d ON d.id = r.concert_date_id
    WHERE r.concert_date_id = sales_by_day.concert_date_id AND r.status = 'confirmed'
    GROUP BY 1, 2
    ORDER BY 1, 2;
END;
COMMENT ON FUNCTION concert.sales_by_day(uuid) IS 'what was sold of a date on each day';
REVOKE ALL ON FUNCTION concert.sales_by_day(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.sales_by_day(uuid) TO concert_admin;

CREATE FUNCTION concert.refusals(since timestamptz DEFAULT NULL)
    RETURNS TABLE (operation text, reason text, requests bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT kept.operation, kept.result->>'reason', count(*)
    FROM (SELECT operation, result, created_at FROM concert.request_0
          UNION ALL SELECT operation, result, created_at FROM concert.request_1
          UNION ALL SELECT operation, result, created_at FROM concert.request_2
          UNION ALL SELECT operation, result, created_at FROM concert.request_3) AS kept
    WHERE kept.result->'ok' = 'false'
      AND kept.created_at >= coalesce(since, statement_timestamp() - interval '7 days')
    GROUP BY 1, 2
    ORDER BY 1, 2;
END;
COMMENT ON FUNCTION concert.refusals(timestamptz) IS 'requests under a key that were refused, by operation and reason';
REVOKE ALL ON FUNCTION concert.refusals(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refusals(timestamptz) TO concert_admin;

CREATE FUNCTION concert.pending_ages(concert_date_id uuid DEFAULT NULL)
    RETURNS TABLE (from_seconds integer, to_seconds integer, bookings bigint, seats bigint, lapsed bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT age.from_seconds, age.to_seconds, count(DISTINCT r.booking_id), count(r.id),
           count(r.id) FILTER (WHERE r.expires_at <= statement_timestamp())
    FROM (VALUES (0, 60), (60, 120), (120, 300), (300, 600), (600, 900), (900, NULL)) AS age (from_seconds, to_seconds)
    LEFT JOIN concert.reservation AS r
         ON r.status = 'pending'
        AND r.concert_date_id = coalesce(pending_ages.concert_date_id, r.concert_date_id)
        AND extract(epoch FROM statement_timestamp() - least(r.created_at, statement_timestamp())) >= age.from_seconds
        AND (age.to_seconds IS NULL OR extract(epoch FROM statement_timestamp() - r.created_at) < age.to_seconds)
    GROUP BY age.from_seconds, age.to_seconds
    ORDER BY age.from_seconds;
END;
COMMENT ON FUNCTION concert.pending_ages(uuid) IS 'pending reservations by their age';
REVOKE ALL ON FUNCTION concert.pending_ages(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.pending_ages(uuid) TO concert_admin;

CREATE FUNCTION concert.conversion(concert_date_id uuid, since timestamptz DEFAULT NULL)
    RETURNS TABLE (bookings bigint, bookings_confirmed bigint, seats bigint, confirmed bigint,
                   cancelled bigint, expired bigint, pending bigint, share numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    WITH RECURSIVE ids (id) AS (
        SELECT conversion.concert_date_id
        UNION
        SELECT renamed.id::uuid
        FROM ids CROSS JOIN LATERAL (
            SELECT string_to_array(a.detail, ' was ') AS ids FROM concert.history AS a
            WHERE a.concert_date_id = ids.id AND a.action = 'renamed' AND a.seat_ids = '{}' OFFSET 0) AS h
        CROSS JOIN LATERAL unnest(h.ids) AS renamed (id))
    SELECT count(*), count(*) FILTER (WHERE b.confirmed > 0), coalesce(sum(b.reserved), 0)::bigint,
           coalesce(sum(b.confirmed), 0)::bigint, coalesce(sum(b.cancelled), 0)::bigint,
           coalesce(sum(b.expired), 0)::bigint,
           coalesce(sum(b.reserved - b.confirmed - b.cancelled - b.expired), 0)::bigint,
           round(sum(b.confirmed) / nullif(sum(b.reserved), 0), 4)
    FROM (SELECT coalesce(sum(cardinality(h.seat_ids)) FILTER (WHERE h.action = 'reserved'), 0) AS reserved,
                 coalesce(sum(cardinality(h.seat_ids)) FILTER (WHERE h.action = 'confirmed'), 0) AS confirmed,
                 coalesce(sum(cardinality(h.seat_ids)) FILTER (WHERE h.action = 'cancelled'), 0) AS cancelled,
                 coalesce(sum(cardinality(h.seat_ids)) FILTER (WHERE h.action = 'expired'), 0) AS expired
          FROM ids CROSS JOIN LATERAL (
              SELECT a.booking_id, a.at, a.action, a.seat_ids FROM concert.history AS a
              WHERE a.concert_date_id = ids.id AND a.booking_id IS NOT NULL OFFSET 0) AS h
          GROUP BY h.booking_id
          HAVING min(h.at) FILTER (WHERE h.action = 'reserved') >= coalesce(since, '-infinity')) AS b;
END;
COMMENT ON FUNCTION concert.conversion(uuid, timestamptz) IS 'what became of the seats that were reserved';
REVOKE ALL ON FUNCTION concert.conversion(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.conversion(uuid, timestamptz) TO concert_admin;

-- Payments by a provider.
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

CREATE FUNCTION concert.payment_begin(booking_id uuid, user_id uuid, provider text, points bigint DEFAULT 0,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.payment_begin_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_begin';
COMMENT ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text)
    IS 'begins a payment by a provider, perhaps with points beside it';
REVOKE ALL ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_begin(uuid, uuid, text, bigint, text, text) TO concert_sidecar;

CREATE FUNCTION concert.payment_authorized(payment_id uuid, provider_ref text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_authorized';
COMMENT ON FUNCTION concert.payment_authorized(uuid, text, text, text, text)
    IS 'takes a provider''s message: authorized';
REVOKE ALL ON FUNCTION concert.payment_authorized(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_authorized(uuid, text, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.payment_captured(payment_id uuid, amount bigint, currency text, provider_ref text,
    message_id text, correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_captured';
COMMENT ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text)
    IS 'takes a provider''s message: captured; confirms the booking, or refunds by itself';
REVOKE ALL ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_captured(uuid, bigint, text, text, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.payment_failed(payment_id uuid, cause text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_failed';
COMMENT ON FUNCTION concert.payment_failed(uuid, text, text, text, text)
    IS 'takes a provider''s message: failed';
REVOKE ALL ON FUNCTION concert.payment_failed(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_failed(uuid, text, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.refund(booking_id uuid, user_id uuid, seat_ids uuid[] DEFAULT NULL, fee bigint DEFAULT 0,
    cause text DEFAULT NULL, idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.refund_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund';
COMMENT ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text)
    IS 'cancels a paid booking or some of its seats, and gives the money back less a fee';
REVOKE ALL ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund(uuid, uuid, uuid[], bigint, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.refund_payment(payment_id uuid, amount bigint, cause text,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.refund_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_payment';
COMMENT ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text)
    IS 'gives money of a payment back, the seats stay';
REVOKE ALL ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_payment(uuid, bigint, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.refund_settled(refund_id uuid, provider_ref text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_settled';
COMMENT ON FUNCTION concert.refund_settled(uuid, text, text, text, text)
    IS 'takes a provider''s message: the refund is done';
REVOKE ALL ON FUNCTION concert.refund_settled(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_settled(uuid, text, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.refund_failed(refund_id uuid, cause text, message_id text,
    correlation_id text DEFAULT NULL, provider text DEFAULT NULL)
    RETURNS concert.payment_change_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_refund_failed';
COMMENT ON FUNCTION concert.refund_failed(uuid, text, text, text, text)
    IS 'takes a provider''s message: the refund failed, and will be asked for again';
REVOKE ALL ON FUNCTION concert.refund_failed(uuid, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.refund_failed(uuid, text, text, text, text) TO concert_sidecar;

CREATE FUNCTION concert.payment_work(max_rows integer, lease_seconds integer, only_provider text DEFAULT NULL)
    RETURNS TABLE (kind text, payment_id uuid, refund_id uuid, provider text, provider_ref text, amount bigint,
                   currency text, booking_id uuid, attempt integer, correlation_id text)
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_work';
COMMENT ON FUNCTION concert.payment_work(integer, integer, text)
    IS 'claims what payment providers are to be asked now';
REVOKE ALL ON FUNCTION concert.payment_work(integer, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_work(integer, integer, text) TO concert_sidecar;

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

CREATE FUNCTION concert.payment_transitions()
    RETURNS TABLE (status text, message text, becomes text, action text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_payment_transitions';
COMMENT ON FUNCTION concert.payment_transitions() IS 'what each message makes of a payment in each status';
REVOKE ALL ON FUNCTION concert.payment_transitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.payment_transitions() TO concert_sidecar;

-- The inbox's part of the integrity.
CREATE OR REPLACE FUNCTION concert.inbox_violations() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'P3'::text, 'ticket ' || t.id, 'its reservation is not confirmed as the ticket says'
    FROM concert.ticket AS t JOIN concert.reservation AS r ON r.id = t.reservation_id
    WHERE t.deleted_at IS NULL
      AND ((r.status, r.booking_id, r.user_id) <> ('confirmed', t.booking_id, t.user_id)
           OR (r.seat_id <> t.seat_id AND NOT EXISTS (
               SELECT FROM concert.history AS h
               WHERE h.booking_id IS NULL AND h.seat_ids @> ARRAY[t.seat_id] AND h.action = 'renamed'))
           OR (r.concert_date_id <> t.concert_date_id AND NOT EXISTS (
               SELECT FROM concert.history AS h
               WHERE h.concert_date_id = t.concert_date_id AND h.action = 'renamed' AND h.seat_ids = '{}')))
    UNION ALL
    SELECT 'P3', 'point charge record ' || c.id, 'its transfer is not the charge that the record says'
    FROM concert.point_charge_record AS c JOIN concert.transfer AS t ON t.id = c.transfer_id
    WHERE (t.kind, t.amount, t.currency, t.external_ref)
          IS DISTINCT FROM ('charge', c.amount, c.currency, c.external_ref)
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

-- Integrity.
CREATE OR REPLACE VIEW concert.violation AS
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
    SELECT 'P1', 'seat ' || s.id, 'is blocked, and its reservation ' || r.id || ' is ' || r.status
    FROM concert.seat AS s JOIN concert.live_reservation AS r ON r.seat_id = s.id
    WHERE s.blocked_reason IS NOT NULL AND coalesce(s.blocked_until > statement_timestamp(), true)
UNION ALL
    SELECT 'programme', 'concert ' || c.id, 'is deleted, but ' || count(*) || ' of its dates are not'
    FROM concert.concert AS c JOIN concert.live_concert_date AS d ON d.concert_id = c.id
    WHERE c.deleted_at IS NOT NULL GROUP BY c.id
UNION ALL
    SELECT 'programme', 'concert date ' || d.id, 'is deleted, but ' || count(*) || ' of its sections are not'
    FROM concert.concert_date AS d JOIN concert.live_section AS s ON s.concert_date_id = d.id
    WHERE d.deleted_at IS NOT NULL GROUP BY d.id
UNION ALL
    SELECT 'programme', 'section ' || section.id, 'is deleted, but ' || count(*) || ' of its seats are not'
    FROM concert.section AS section JOIN concert.live_seat AS s ON s.section_id = section.id
    WHERE section.deleted_at IS NOT NULL GROUP BY section.id
UNION ALL
    SELECT 'programme', 'section ' || s.section_id, 'is of another date than ' || count(*) || ' of its seats'
    FROM concert.seat AS s
    LEFT JOIN concert.section AS section
         ON section.id = s.section_id AND section.concert_date_id = s.concert_date_id
    WHERE section.id IS NULL GROUP BY s.section_id
UNION ALL
    SELECT 'price', 'section ' || id, 'costs ' || price FROM concert.section WHERE price < 0
UNION ALL
    SELECT 'price', 'concession ' || id, 'costs ' || price FROM concert.concession WHERE price < 0
UNION ALL
    SELECT 'price', 'reservation ' || id, 'costs ' || price FROM concert.reservation WHERE price < 0
UNION ALL
    SELECT 'pending', 'reservation ' || id,
           CASE WHEN expires_at > expires_at_max THEN 'expires after its own cap'
                ELSE 'has a cap of more than 900 seconds' END
    FROM concert.reservation
    WHERE expires_at > expires_at_max OR expires_at_max > created_at + interval '900 seconds'
UNION ALL
    SELECT 'booking', 'booking ' || booking_id,
           format('is of %s users, %s dates and %s currencies',
                  count(DISTINCT user_id), count(DISTINCT concert_date_id), count(DISTINCT currency))
    FROM concert.reservation GROUP BY booking_id
    HAVING count(DISTINCT user_id) > 1 OR count(DISTINCT concert_date_id) > 1 OR count(DISTINCT currency) > 1
UNION ALL
    SELECT 'limit', 'user ' || r.user_id,
           'has ' || r.seats || ' seats of date ' || d.id || ', which never allowed more than '
           || greatest(d.seats_per_user_max, lowered.from_max)
    FROM (SELECT user_id, concert_date_id, count(*) AS seats
          FROM concert.live_reservation GROUP BY user_id, concert_date_id) AS r
    JOIN concert.concert_date AS d ON d.id = r.concert_date_id
    LEFT JOIN (WITH RECURSIVE lowered (date_id, at, from_max) AS (
                   SELECT concert_date_id, at, substring(detail FROM '[0-9]+$')::integer
                   FROM concert.history WHERE action = 'limit_lowered'
                   UNION
                   SELECT split_part(h.detail, ' ', 1)::uuid, h.at, l.from_max
                   FROM lowered AS l
                   JOIN concert.history AS h ON h.concert_date_id = l.date_id AND h.at >= l.at
                   WHERE h.action = 'renamed' AND h.seat_ids = '{}')
               SELECT date_id, max(from_max) AS from_max FROM lowered GROUP BY date_id) AS lowered
         ON lowered.date_id = d.id
    WHERE r.seats > greatest(d.seats_per_user_max, lowered.from_max)
UNION ALL
    SELECT 'history', 'booking ' || booking_id,
           format('has %s reservations, %s confirmed, %s cancelled, %s expired; its history says %s, %s, %s, %s',
                  reserved, confirmed, cancelled, expired,
                  told_reserved, told_confirmed, told_cancelled, told_expired)
    FROM (SELECT booking_id,
                 coalesce(r.reserved, 0) AS reserved, coalesce(h.reserved, 0) AS told_reserved,
                 coalesce(r.confirmed, 0) AS confirmed, coalesce(h.confirmed, 0) AS told_confirmed,
                 coalesce(r.cancelled, 0) AS cancelled, coalesce(h.cancelled, 0) AS told_cancelled,
                 coalesce(r.expired, 0) AS expired, coalesce(h.expired, 0) AS told_expired
          FROM (SELECT booking_id, count(*) AS reserved,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
                       count(*) FILTER (WHERE status = 'expired') AS expired
                FROM concert.reservation GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'reserved') AS reserved,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'confirmed') AS confirmed,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'cancelled') AS cancelled,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'expired') AS expired
                     FROM concert.history WHERE booking_id IS NOT NULL GROUP BY booking_id) AS h
               USING (booking_id)) AS told
    WHERE (reserved, cancelled, expired) <> (told_reserved, told_cancelled, told_expired)
       OR told_confirmed NOT BETWEEN confirmed AND confirmed + cancelled
UNION ALL
    SELECT 'P4', object, detail FROM concert.verify_ledger()
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'took ' || p.captured || ', its transfers moved ' || coalesce(t.amount, 0)
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.transfer
               WHERE kind = 'payment' GROUP BY payment_id, currency) AS t
         ON t.payment_id = p.id AND t.currency = coalesce(p.captured_currency, p.currency)
    WHERE p.captured <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id,
           format('gave back %s with a fee of %s, its refunds %s, transfers of fees %s',
                  p.refunded, p.fee, coalesce(r.amount, 0), coalesce(f.amount, 0))
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.refund
               GROUP BY payment_id, currency) AS r
         ON r.payment_id = p.id AND r.currency = coalesce(p.captured_currency, p.currency)
    LEFT JOIN (SELECT payment_id, sum(amount) AS amount FROM concert.transfer
               WHERE kind = 'fee' GROUP BY payment_id) AS f ON f.payment_id = p.id
    WHERE (p.refunded, p.fee) <> (coalesce(r.amount, 0), coalesce(f.amount, 0))
UNION ALL
    SELECT 'P4', 'refund ' || r.id, CASE WHEN r.booking_id <> p.booking_id THEN 'is of another booking than its payment'
                                         ELSE 'its transfers are not what it says' END
    FROM concert.refund AS r
    JOIN concert.payment AS p ON p.id = r.payment_id
    LEFT JOIN concert.transfer AS t ON t.id = r.transfer_id
    LEFT JOIN concert.transfer AS s ON s.id = r.settled_transfer_id
    WHERE r.booking_id <> p.booking_id
       OR (t.payment_id, t.amount, t.currency, t.kind)
          IS DISTINCT FROM (p.id, r.amount, r.currency, CASE WHEN r.kind IN ('late', 'excess') THEN 'payment' ELSE 'refund' END)
       OR (p.provider IS NOT NULL AND r.status = 'settled') <> (s.id IS NOT NULL)
       OR (s.id IS NOT NULL AND (s.payment_id, s.amount, s.currency, s.kind, s.debit_account_id)
                                IS DISTINCT FROM (p.id, r.amount, r.currency, 'refund', t.credit_account_id))
UNION ALL
    SELECT 'P4', 'transfer ' || t.id, 'gives money of payment ' || t.payment_id || ' back, and no refund says so'
    FROM concert.transfer AS t JOIN concert.payment AS p ON p.id = t.payment_id
    WHERE (t.kind = 'refund' OR (t.kind = 'payment' AND p.provider IS NOT NULL
                                 AND t.currency <> coalesce(p.captured_currency, p.currency))) AND NOT EXISTS (
        SELECT FROM concert.refund AS r
        WHERE r.payment_id = t.payment_id AND t.id IN (r.transfer_id, r.settled_transfer_id))
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', its last act says ' || coalesce(a.to_status, 'nothing')
    FROM concert.payment AS p
    LEFT JOIN LATERAL (SELECT to_status FROM concert.payment_act
                       WHERE payment_id = p.id ORDER BY n DESC LIMIT 1) AS a ON true
    WHERE coalesce(a.to_status, CASE WHEN p.provider IS NULL THEN p.status END) IS DISTINCT FROM p.status
UNION ALL
    SELECT 'P4', 'payment ' || id, 'is ' || status || ', and its provider is never asked'
    FROM concert.payment WHERE status IN ('begun', 'authorized') AND next_attempt_at IS NULL
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is beside ' || p.points || ' points, of which ' || coalesce(t.amount, 0) || ' were set aside'
    FROM concert.payment AS p LEFT JOIN concert.pending_transfer AS t ON t.id = p.pending_id
    WHERE p.points <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is of another user than its booking'
    FROM concert.payment AS p
    WHERE EXISTS (SELECT FROM concert.reservation AS r WHERE r.booking_id = p.booking_id AND r.user_id <> p.user_id)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', with ' || p.captured - p.refunded - p.fee || ' left and '
           || d.due || ' refunds due'
    FROM concert.payment AS p
    CROSS JOIN LATERAL (SELECT count(*) AS due FROM concert.refund AS r
                        WHERE r.payment_id = p.id AND r.status = 'due') AS d
    WHERE (p.status = 'refunded') <> (p.captured > 0 AND p.captured - p.refunded = p.fee AND d.due = 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', and what was set aside for it is not let go'
    FROM concert.payment AS p JOIN concert.pending_transfer AS t ON t.id = p.pending_id
    WHERE p.status NOT IN ('begun', 'authorized') AND t.expires_at > statement_timestamp()
      AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)
UNION ALL
    SELECT 'P5', 'booking ' || b.booking_id,
           format('%s of %s seats confirmed for %s, of %s payments %s is left, and %s was goodwill',
                  b.confirmed, b.seats, b.price, b.payments, b.paid, b.goodwill)
    FROM (SELECT coalesce(r.booking_id, p.booking_id) AS booking_id,
                 coalesce(r.seats, 0) AS seats, coalesce(r.confirmed, 0) AS confirmed,
                 coalesce(r.price, 0) AS price, coalesce(p.payments, 0) AS payments,
                 coalesce(p.paid, 0) AS paid, coalesce(g.amount, 0) AS goodwill
          FROM (SELECT booking_id, count(*) FILTER (WHERE status <> 'cancelled' AND NOT taken_again) AS seats,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       sum(price) FILTER (WHERE status = 'confirmed') AS price
                FROM (SELECT booking_id, status, price, status = 'expired'
                             AND count(*) OVER (PARTITION BY booking_id, seat_id) > 1 AS taken_again
                      FROM concert.reservation) AS seat
                GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id, count(*) AS payments, sum(captured - refunded - fee) AS paid
                     FROM concert.payment WHERE status IN ('captured', 'refunded') GROUP BY booking_id) AS p
               ON p.booking_id = r.booking_id
          LEFT JOIN (SELECT booking_id, sum(amount) AS amount FROM concert.refund
                     WHERE kind = 'goodwill' GROUP BY booking_id) AS g
               ON g.booking_id = coalesce(r.booking_id, p.booking_id)) AS b
    WHERE b.confirmed NOT IN (0, b.seats)
       OR (b.confirmed > 0 AND b.payments = 0)
       OR b.paid > b.price OR b.paid + b.goodwill < b.price
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

CREATE OR REPLACE FUNCTION concert.lag() RETURNS TABLE (name text, value bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
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
    SELECT 'transfers_lapsed', count(*) FROM concert.pending_transfer AS p
    JOIN concert.account_balance AS b ON b.account_id = p.debit_account_id
    WHERE p.expires_at > b.lapsed_through AND p.expires_at <= statement_timestamp()
      AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)
    UNION ALL
    SELECT 'pendings_expired', count(*) FROM concert.reservation AS r
    WHERE r.status = 'pending' AND r.expires_at <= statement_timestamp()
    UNION ALL
    SELECT 'payments_open', count(*) FROM concert.payment AS p WHERE p.status IN ('begun', 'authorized')
    UNION ALL
    SELECT 'refunds_due', count(*) FROM concert.refund AS r WHERE r.next_attempt_at IS NOT NULL;
END;
