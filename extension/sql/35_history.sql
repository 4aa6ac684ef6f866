-- History: who did what to which seats, when, under which correlation id. One row for each act;
-- append-only. detail tells why, or what else; of a reservation, for how long it is pending where that is
-- not the date's own time. What a taker retires and what he takes has one time: the older booking comes
-- first. A booking's acts are found by booking; a seat's and a user's through the bookings
-- that they had; the house's own acts (blocks, soft deletes) by seat. (date, xid) makes it the feed
-- of changes of a date: what one snapshot sees and an older one does not. The ids of seats and dates are
-- those of their time: where one is changed, an act 'renamed' names both, a seat's in seat_ids, the old one
-- first; a date's in detail, 'NEW was OLD', without seats and once under each of the two.

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
CREATE INDEX history_booking ON concert.history (booking_id) WHERE booking_id IS NOT NULL;
CREATE INDEX history_date_xid ON concert.history (concert_date_id, xid);
CREATE INDEX history_house_seats ON concert.history USING gin (seat_ids) WHERE booking_id IS NULL;
COMMENT ON TABLE concert.history IS 'who did what to which seats, when, under which correlation id; append-only';
-- purge() removes rows of this table without a key, also where every table is published. It costs nothing but the
-- row in the WAL, and that with wal_level logical only.
ALTER TABLE concert.history REPLICA IDENTITY FULL;
SELECT pg_catalog.pg_extension_config_dump('concert.history', '');

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.history
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();

-- history_of_booking(booking_id) tells what was done to a booking, oldest first, a row for each seat of
-- an act. actor NULL: the booking's own user, or nobody in particular where a pending merely expired. seat_id is
-- what it was at that time.
-- Reads only. Example: SELECT * FROM concert.history_of_booking(:booking);
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

-- history_of_seat(seat_id) tells what was done to a seat, oldest first: by its bookings and by the house; under
-- whatever ids it has had, of which seat_id is one. Seats that had one id one after the other are told as one.
-- Reads only. Example: SELECT * FROM concert.history_of_seat(:seat);
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

-- history_of_user(user_id) tells what was done to the bookings of a user, oldest first; seat_id is what it was
-- at that time.
-- Reads only. Example: SELECT * FROM concert.history_of_user(:user);
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
