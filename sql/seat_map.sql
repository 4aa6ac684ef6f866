-- Packed seat maps and their changes tell what seat_map() tells: free, pending, sold and blocked in grid
-- order, what lapses by the clock, and that a layout or a version is no longer what it was.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
\set ECHO none
-- The states of a packed map as letters in grid order: free, pending, sold, blocked.
CREATE FUNCTION pg_temp.letters(seats integer, states bytea) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(substr('fpsb', 1 + (get_byte(states, i / 4) >> (i % 4 * 2) & 3), 1), '' ORDER BY i)
    FROM generate_series(0, seats - 1) AS i
$$;
-- 'A1 free, A2 sold': the seats of an answer of seat_map_changes(), or 'anew'.
CREATE FUNCTION pg_temp.changed(date uuid, version text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN c.anew THEN 'anew' ELSE
        (SELECT coalesce(string_agg(concat_ws(' ', seat.label, s.state), ', ' ORDER BY n), 'nothing')
         FROM ROWS FROM (jsonb_to_recordset(c.seats) AS (seat_id uuid, "row" integer, col integer, state text))
              WITH ORDINALITY AS s (seat_id, "row", col, state, n)
         LEFT JOIN concert.seat ON (seat.id, seat."row", seat.col) = (s.seat_id, s."row", s.col))
        || CASE WHEN c.version IS NULL THEN ', no version' ELSE '' END END
    FROM concert.seat_map_changes(date, version) AS c
$$;
CREATE FUNCTION pg_temp.wait_until(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE clock_timestamp() <= at LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
\set ECHO all
SELECT concert.create_section(:'date', 'Box', 500) AS box \gset
SELECT concert.add_seats(:'date', :'box', 3, ARRAY[2,1], ARRAY['C2','C1']) AS added \gset
SELECT concert.create_concert_date(:'concert', now() + interval '29 days') AS other_date \gset
SELECT concert.create_section(:'other_date', 'Stalls', 100) AS other_section \gset
SELECT concert.add_seats(:'other_date', :'other_section', 1, ARRAY[1], ARRAY['elsewhere']) AS added \gset
SELECT version AS first, layout AS first_layout FROM concert.seat_map_packed(:'date') \gset

-- one seat of each state, as packed and as changes
SELECT booking_id AS sold FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'sold', :'ann');
SELECT booking_id AS held FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann') \gset
SELECT booking_id AS given_up FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'ann') \gset
SELECT ok FROM concert.cancel(:'given_up', :'ann');
SELECT ok FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'camera');
SELECT seats, length(states), pg_temp.letters(seats, states), encode(states, 'hex'), layout = :'first_layout' AS same_layout
FROM concert.seat_map_packed(:'date');
SELECT pg_temp.taken(:'date');
SELECT pg_temp.changed(:'date', :'first');
SELECT version AS second FROM concert.seat_map_changes(:'date', :'first') \gset
SELECT pg_temp.changed(:'date', :'second');
SELECT pg_temp.letters(seats, states) AS elsewhere FROM concert.seat_map_packed(:'other_date');

-- what the clock ends is told without anybody's doing: a pending, and a block with a time
SELECT booking_id AS lapsing FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', pending_seconds => 4) \gset
SELECT ok FROM concert.block_seats(ARRAY[:'a4']::uuid[], 'sound', clock_timestamp() + interval '4 seconds');
SELECT version AS before_lapse, pg_temp.letters(seats, states) FROM concert.seat_map_packed(:'date') \gset
SELECT :'letters' AS before_lapse;
SELECT pg_temp.wait_until(max(expires_at)) FROM concert.reservation WHERE booking_id = :'lapsing';
SELECT pg_temp.wait_until(blocked_until) FROM concert.seat WHERE id = :'a4';
SELECT pg_temp.letters(seats, states) FROM concert.seat_map_packed(:'date');
SELECT pg_temp.taken(:'date');
SELECT pg_temp.changed(:'date', :'before_lapse');
SELECT version AS lapsed FROM concert.seat_map_changes(:'date', :'before_lapse') \gset
SELECT concert.expire() > 0 AS retired;
SELECT pg_temp.changed(:'date', :'lapsed');

-- a seat that another section's seats lie around, unblocked
SELECT ok FROM concert.unblock_seats(ARRAY[:'a6']::uuid[]);
SELECT version AS now FROM concert.seat_map_packed(:'date') \gset
SELECT pg_temp.changed(:'date', :'lapsed');

-- what a transaction did itself it sees, but nobody can go on from there: it may undo it
BEGIN;
SAVEPOINT before;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'bob');
SELECT pg_temp.letters(seats, states), version FROM concert.seat_map_packed(:'date');
SELECT pg_temp.changed(:'date', :'now');
ROLLBACK TO before;
SELECT pg_temp.letters(seats, states), version IS NOT NULL AS has_version FROM concert.seat_map_packed(:'date');
SELECT version AS undone FROM concert.seat_map_changes(:'date', :'now') \gset
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob');
COMMIT;
SELECT pg_temp.changed(:'date', :'undone');
SELECT pg_temp.letters(seats, states) FROM concert.seat_map_packed(:'date');

-- a transaction that keeps one snapshot sees its own acts too
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.letters(seats, states), version AS kept FROM concert.seat_map_packed(:'date') \gset
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
SELECT pg_temp.letters(seats, states), version FROM concert.seat_map_packed(:'date');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob');
COMMIT;
SELECT pg_temp.changed(:'date', :'kept');

-- another layout: the digest tells, and changes say so; between the seats' ids lie those of another date, all taken
SELECT concert.create_concert_date(:'concert', now() + interval '28 days', seats_per_user_max => 100) AS crowded_date \gset
SELECT concert.create_section(:'crowded_date', 'Stalls', 100) AS crowded_section \gset
SELECT concert.add_seats(:'crowded_date', :'crowded_section', 1, array_agg(col)) AS added FROM generate_series(1, 40) AS col \gset
SELECT bool_and((concert.reserve(:'crowded_date', ids, :'bob')).ok) AS crowded
FROM (SELECT array_agg(seat_id) AS ids FROM concert.seat_map(:'crowded_date') GROUP BY col % 5) AS part;
SELECT version AS of_old_layout FROM concert.seat_map_packed(:'date') \gset
SELECT concert.add_seats(:'date', :'box', 2, ARRAY[7,8], ARRAY['B7','B8']) AS added \gset
SELECT r.ok FROM concert.seat_map(:'date') AS m, concert.reserve(:'date', ARRAY[m.seat_id], :'bob') AS r WHERE m.label = 'B7';
SELECT seats, pg_temp.letters(seats, states), layout = :'first_layout' AS same_layout FROM concert.seat_map_packed(:'date');
SELECT pg_temp.changed(:'date', :'of_old_layout');
SELECT pg_temp.letters(seats, states) AS crowded FROM concert.seat_map_packed(:'crowded_date');

-- a version of another date, of a later time, of another timeline, with one digit changed: read anew
SELECT version AS good FROM concert.seat_map_packed(:'date') \gset
SELECT pg_temp.changed(:'date', :'good') AS good;
SELECT pg_temp.changed(:'other_date', :'good') AS of_another_date;
SELECT pg_temp.changed(:'date', regexp_replace(:'good', '^1-1-', '1-2-')) AS another_timeline;
SELECT pg_temp.changed(:'date', regexp_replace(:'good', '-([0-9a-f]+)-([0-9a-f.]*)-([0-9a-f]+)$', '-ffffffffffff-\2-\3')) AS later;
SELECT pg_temp.changed(:'nobody', :'good') AS unknown_date;

-- what is no version is an error, and so is a NULL
\set VERBOSITY sqlstate
SELECT concert.seat_map_changes(:'date', '');
SELECT concert.seat_map_changes(:'date', 'nonsense');
SELECT concert.seat_map_changes(:'date', :'good' || '0000000000000000');
SELECT concert.seat_map_changes(:'date', :'good' || ' ');
SELECT concert.seat_map_changes(:'date', '2' || substr(:'good', 2));
SELECT concert.seat_map_changes(:'date', regexp_replace(:'good', '-[0-9a-f]+$', '-'));
SELECT concert.seat_map_changes(:'date', '1-1-1-1-' || repeat('1.', 100000) || '-1');
SELECT concert.seat_map_changes(:'date', '1-1--1-1--1');
SELECT concert.seat_map_changes(:'date', upper(:'good'));
SELECT concert.seat_map_changes(NULL, :'good');
SELECT concert.seat_map_changes(:'date', NULL);
SELECT concert.seat_map_packed(NULL);
\set VERBOSITY terse

-- an unknown date has no seats
SELECT seats, length(states), version IS NOT NULL AS has_version FROM concert.seat_map_packed(:'nobody');

-- both may run anywhere and write nothing
SELECT proname, provolatile, proparallel FROM pg_proc
WHERE oid IN ('concert.seat_map_packed(uuid)'::regprocedure, 'concert.seat_map_changes(uuid, text)'::regprocedure) ORDER BY 1;
BEGIN READ ONLY;
SELECT pg_temp.changed(:'date', version) FROM concert.seat_map_packed(:'date');
COMMIT;
