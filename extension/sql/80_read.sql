-- Reading: everything here is safe on a hot standby. No read is a guard for a later write. What reads
-- a whole hall sets jit off: compiling would take longer than the hall does. Nothing is lost by it, for a
-- function that is SECURITY DEFINER is never inlined.

-- concerts() lists the live concerts by name. Reads only. Example: SELECT * FROM concert.concerts();
CREATE FUNCTION concert.concerts() RETURNS TABLE (id uuid, name text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.name FROM concert.concert AS c WHERE c.deleted_at IS NULL ORDER BY c.name, c.id;
END;
COMMENT ON FUNCTION concert.concerts() IS 'the concerts';
REVOKE ALL ON FUNCTION concert.concerts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concerts() TO concert_reader;

-- concert_dates(concert_id) lists the live dates of a concert with the rules a buyer should know; the
-- _local times are what the clocks of the date's time zone show then.
-- Reads only. Example: SELECT * FROM concert.concert_dates(:concert);
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
    SET jit = off
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
    SET jit = off
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
-- a time. seat_ids NULL: all seats that are not free; given: those of them that the date has, and of
-- these one that was deleted is told as blocked.
-- Reads only. Example: SELECT * FROM concert.seat_states(:date);
CREATE FUNCTION concert.seat_states(concert_date_id uuid, seat_ids uuid[] DEFAULT NULL)
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
COMMENT ON FUNCTION concert.seat_states(uuid, uuid[]) IS 'the state, holder and fence of seats, from which Redis is marked';
REVOKE ALL ON FUNCTION concert.seat_states(uuid, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_states(uuid, uuid[]) TO concert_sidecar;
