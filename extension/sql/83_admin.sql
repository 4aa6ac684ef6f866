-- Administration: what was sold, what was refused, what is waiting, what becomes of it. Functions, not
-- views, because no role has a right on a table. All of them read much: on a large database use a standby.

-- sales() tells for each live date what was sold, in each currency: confirmed seats and their prices.
-- Reads only. Example: SELECT * FROM concert.sales();
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

-- sales_by_section(concert_date_id) tells what was sold of each section at each price: concession is NULL
-- for the full one. Reads only. Example: SELECT * FROM concert.sales_by_section(:date);
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

-- sales_by_day(concert_date_id) tells what was sold of a date on each day, as days go in the date's zone.
-- Reads only. Example: SELECT * FROM concert.sales_by_day(:date);
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

-- refusals(since) counts the requests that were refused, by operation and reason (since NULL: all that
-- are kept, seven days). Counted is what was recorded under an idempotency key: each request once, however
-- often it was repeated. A call without a key and 'busy' write nothing, so that refusing stays cheap, and
-- what the waiting room or the holds in Redis refuse never comes here: these are no part of it. concertd
-- gives a key to each of its calls and counts all of its answers in its metrics.
-- Reads only. Example: SELECT * FROM concert.refusals(now() - interval '1 hour');
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

-- pending_ages(concert_date_id) is a histogram of the pending reservations by their age: how many bookings
-- and seats were made so many seconds ago (from_seconds included), and how many of these seats have lapsed
-- and are free, though not retired yet. concert_date_id NULL: all dates. The last row is open-ended.
-- Reads only. Example: SELECT * FROM concert.pending_ages();
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

-- conversion(concert_date_id, since) tells from the history what became of the bookings that were made
-- since then (NULL: ever), seat by seat; share is the confirmed part of the seats, NULL when there are
-- none. A pending that has lapsed counts as pending until it is retired. concert_date_id is any of the ids that the
-- date has had; dates that had one id one after the other count as one.
-- Reads only. Example: SELECT * FROM concert.conversion(:date);
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
