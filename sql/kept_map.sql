-- The map that a session keeps serves those who tell it and reserve_best(), which chooses from it: what the
-- one kind guessed or did in its own transaction the other never tells, and each notices what the other read.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
\set ECHO none
-- Whether the packed map tells what seat_map() tells.
CREATE FUNCTION pg_temp.is_right(date uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT string_agg(substr('fpsb', 1 + (get_byte(p.states, i / 4) >> (i % 4 * 2) & 3), 1), '' ORDER BY i) =
           (SELECT string_agg(left(state, 1), '' ORDER BY "row", col) FROM concert.seat_map(date))
    FROM concert.seat_map_packed(date) AS p, generate_series(0, p.seats - 1) AS i GROUP BY p.states
$$;
CREATE FUNCTION pg_temp.best(date uuid, count integer) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r.reason, (SELECT string_agg(s.label, ' ' ORDER BY s."row", s.col)
            FROM jsonb_array_elements(r.seats) AS e JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid))
    FROM concert.reserve_best(date, count, gen_random_uuid(), policy => 'strict') AS r
$$;
CREATE FUNCTION pg_temp.booking_of(date uuid, label text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT r.booking_id FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id
    WHERE s.concert_date_id = date AND s.label = booking_of.label AND r.deleted_at IS NULL
$$;
CREATE FUNCTION pg_temp.give_back(date uuid, label text) RETURNS boolean LANGUAGE sql AS $$
    SELECT (concert.cancel(booking_id, user_id)).ok FROM concert.reservation
    WHERE booking_id = pg_temp.booking_of(date, label) LIMIT 1
$$;
CREATE FUNCTION pg_temp.wait_for_lapse(booking uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM concert.reservation AS r WHERE r.booking_id = booking AND r.expires_at >= clock_timestamp()) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
\set ECHO all
-- so many seats that a few of them are read one by one
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 100) AS house \gset
SELECT concert.create_section(:'house', 'Stalls', 100) AS stalls \gset
SELECT sum(concert.add_seats(:'house', :'stalls', r, array_agg(c), array_agg(chr(64 + r) || c))) OVER () AS seats
FROM generate_series(1, 10) AS r, generate_series(1, 20) AS c GROUP BY r LIMIT 1;
SELECT pg_temp.is_right(:'house');

-- what lapses in a kept map is told without anybody's doing
SELECT booking_id AS short FROM concert.reserve(:'house', ARRAY(SELECT seat_id FROM concert.seat_map(:'house') WHERE label = 'J20'),
                                                gen_random_uuid(), pending_seconds => 4) \gset
SELECT version AS held FROM concert.seat_map_packed(:'house') \gset
SELECT pg_temp.wait_for_lapse(:'short');
SELECT jsonb_path_query_array(seats, '$[*].state') FROM concert.seat_map_changes(:'house', :'held');

-- chosen from the map that was told
SELECT pg_temp.best(:'house', 2);
SELECT pg_temp.best(:'house', 2);

-- the time of a reservation is only reckoned by who chooses, by the date's rule: who tells reads it
SELECT pg_temp.lapse(pg_temp.booking_of(:'house', 'A9'));
SELECT pg_temp.best(:'house', 2);
SELECT pg_temp.is_right(:'house');

-- a seat that is free again, which who tells has read: who chooses knows it, and it is the best
SELECT pg_temp.give_back(:'house', 'A10');
SELECT pg_temp.is_right(:'house');
SELECT pg_temp.best(:'house', 2);

-- what the own transaction did is chosen from, but not told under a snapshot of before it
BEGIN;
DECLARE before_acts CURSOR FOR SELECT pg_temp.is_right(:'house'), state FROM concert.seat_map(:'house') WHERE label = 'A10';
SELECT pg_temp.give_back(:'house', 'A10');
SELECT pg_temp.best(:'house', 1) <> 'busy' AS answered;
FETCH before_acts;
SELECT pg_temp.is_right(:'house');
-- nor after it was undone, to a savepoint or at all
SAVEPOINT inner_part;
SELECT ok FROM concert.block_seats(ARRAY(SELECT seat_id FROM concert.seat_map(:'house') WHERE "row" = 1 AND col BETWEEN 8 AND 11 AND state = 'free'), 'camera');
SELECT pg_temp.best(:'house', 2);
ROLLBACK TO inner_part;
SELECT pg_temp.best(:'house', 2);
ROLLBACK;
SELECT pg_temp.is_right(:'house');
SELECT pg_temp.best(:'house', 2);
SELECT pg_temp.is_right(:'house');
SELECT * FROM concert.check_integrity();

-- of more dates than a session keeps, some are read anew, and all are right
CREATE TEMPORARY TABLE small AS
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 100) AS date, n FROM generate_series(1, 12) AS n;
SELECT sum(concert.add_seats(date, concert.create_section(date, 'Stalls', 100), 1, ARRAY[1,2,3,4,5])) AS added FROM small;
SELECT count(*) FILTER (WHERE pg_temp.is_right(date)) AS right, count(pg_temp.best(date, 1)) AS answered FROM small;
SELECT count(*) FILTER (WHERE pg_temp.best(date, 1) <> 'busy') AS taken, count(*) FILTER (WHERE pg_temp.is_right(date)) AS right
FROM (SELECT date FROM small, generate_series(1, 2) AS again ORDER BY again, n) AS twice;
SELECT count(*) FILTER (WHERE pg_temp.is_right(date)) AS right FROM small;

-- what is kept is of the extension that there was: another one has maps of its own, whatever its dates' ids
DROP EXTENSION concert;
CREATE EXTENSION concert;
SELECT concert.create_concert_date(concert.create_concert('Again'), now() + interval '30 days') AS again \gset
UPDATE concert.concert_date SET id = :'house' WHERE id = :'again';
SELECT concert.create_section(:'house', 'Stalls', 100) AS stalls \gset
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT concert.uuid7(), :'house', :'stalls', 1, col, 'A' || col FROM generate_series(1, 3) AS col;
SELECT seats FROM concert.seat_map_packed(:'house');
SELECT pg_temp.best(:'house', 3);
