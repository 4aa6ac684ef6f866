-- The same request under the same idempotency key gets the same answer, refusals too, whatever has
-- happened since; the key with another request is refused; misuse and what was rolled back are not
-- remembered.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- an answer is given again to the letter, and nothing is done twice
SELECT r::text AS first FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r \gset
SELECT r::text = :'first' AS same, ok, pg_temp.told(seats)
FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r;
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') \gset
SELECT pg_temp.booked(:'booking'), count(*) AS reservations FROM concert.reservation WHERE user_id = :'ann';
-- the order of the seats, the pass, the fence and the correlation do not make another request
SELECT r::text = :'first' AS same
FROM concert.reserve(:'date', ARRAY[:'a2', :'a1']::uuid[], :'ann', NULL, 'another pass', 77, 'key 1', 'another trace') AS r;
-- also when the booking has gone its way
SELECT r::text AS first_cancel FROM concert.cancel(:'booking', :'ann', 'key 1') AS r \gset
SELECT r::text = :'first' AS same
FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r;
SELECT r::text = :'first_cancel' AS same, ok, pg_temp.told(seats) FROM concert.cancel(:'booking', :'ann', 'key 1') AS r;
SELECT ok, reason FROM concert.cancel(:'booking', :'ann', 'key 2');
SELECT pg_temp.taken(:'date');

-- a refused key replayed stays refused, though the seat is free by now
SELECT booking_id AS bobs FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob') \gset
SELECT r::text AS refused, ok, reason, pg_temp.told(seats) AS told
FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'too late') AS r \gset
SELECT :'ok' AS ok, :'reason' AS reason, :'told' AS told;
SELECT ok FROM concert.cancel(:'bobs', :'bob');
SELECT r::text = :'refused' AS same
FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'too late') AS r;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'in time');
-- so do an unknown booking and a missing sum
SELECT booking_id AS carls FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'carl') \gset
SELECT ok, reason, amount FROM concert.pay(:'carls', :'carl', 'pay');
SELECT ok, balance FROM concert.charge_points(:'carl', 500, 'PTS', 'box office', 'carl ' || :'carl', 'charge');
SELECT ok, reason, amount FROM concert.pay(:'carls', :'carl', 'pay');

-- charge_points and pay are done once under their key
SELECT r::text AS charged FROM concert.charge_points(:'carl', 500, 'PTS', 'box office', 'carl ' || :'carl', 'charge') AS r \gset
SELECT r::text = :'charged' AS same, balance
FROM concert.charge_points(:'carl', 500, 'PTS', 'box office', 'carl ' || :'carl', 'charge') AS r;
SELECT r::text AS paid FROM concert.pay(:'carls', :'carl', 'pay again') AS r \gset
SELECT r::text = :'paid' AS same, ok, amount, currency FROM concert.pay(:'carls', :'carl', 'pay again') AS r;
SELECT concert.balance(:'carl');

-- another request under the key: other seats, another time, another booking, another amount
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'key 1');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', 60, idempotency_key => 'key 1');
SELECT ok FROM concert.cancel(:'carls', :'ann', 'key 1');
SELECT ok FROM concert.pay(:'nobody', :'carl', 'pay');
SELECT ok FROM concert.charge_points(:'carl', 501, 'PTS', 'box office', 'carl ' || :'carl', 'charge');
SELECT ok FROM concert.charge_points(:'carl', 500, 'EUR', 'box office', 'carl ' || :'carl', 'charge');
\set VERBOSITY sqlstate
SELECT ok FROM concert.charge_points(:'carl', 500, 'PTS', 'box', 'office carl ' || :'carl', 'charge');
\set VERBOSITY default

-- a key is its user's and its operation's
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob', idempotency_key => 'key 1');
SELECT ok, reason FROM concert.pay(:'booking', :'ann', 'key 1');
-- and any text of up to 200 characters
SELECT booking_id AS quoted FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', idempotency_key => repeat(chr(8364), 199) || '''') \gset
SELECT booking_id = :'quoted' AS same
FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', idempotency_key => repeat(chr(8364), 199) || '''');

-- what is kept of a request, short or long, is the SHA-256 of its content: answers are found by every release
SELECT count(*) AS refused FROM generate_series(1, 200) AS n, concert.cancel_by_operator(:'nobody', repeat('x', n), 'digest ' || n);
SELECT count(*) AS kept, bool_and(digest = sha256(convert_to(:'nobody' || ' reason ' || repeat('x', substr(key, 8)::int), 'UTF8'))) AS same
FROM (TABLE concert.request_0 UNION ALL TABLE concert.request_1 UNION ALL TABLE concert.request_2 UNION ALL TABLE concert.request_3) AS request
WHERE operation = 'cancel_by_operator' AND key LIKE 'digest %';

-- misuse records nothing, nor does what is rolled back
SELECT ok FROM concert.reserve(:'date', ARRAY[:'nobody', :'nobody']::uuid[], :'carl', idempotency_key => 'second try');
BEGIN;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', 10, idempotency_key => 'second try');
ROLLBACK;
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', idempotency_key => 'second try');

-- an answer is kept for seven days, and no longer
UPDATE concert.request_0 SET created_at = now() - interval '6 days 23 hours' WHERE user_id = :'bob';
UPDATE concert.request_1 SET created_at = now() - interval '6 days 23 hours' WHERE user_id = :'bob';
UPDATE concert.request_2 SET created_at = now() - interval '6 days 23 hours' WHERE user_id = :'bob';
UPDATE concert.request_3 SET created_at = now() - interval '6 days 23 hours' WHERE user_id = :'bob';
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob', idempotency_key => 'key 1');
UPDATE concert.request_0 SET created_at = now() - interval '7 days' WHERE user_id = :'bob';
UPDATE concert.request_1 SET created_at = now() - interval '7 days' WHERE user_id = :'bob';
UPDATE concert.request_2 SET created_at = now() - interval '7 days' WHERE user_id = :'bob';
UPDATE concert.request_3 SET created_at = now() - interval '7 days' WHERE user_id = :'bob';
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob', idempotency_key => 'key 1');

-- request_rotate empties one table of the ring, the one that comes next, never a younger answer: such a one is
-- there only when a clock was set back
CREATE VIEW pg_temp.marks AS
    SELECT created_at FROM (TABLE concert.request_0 UNION ALL TABLE concert.request_1 UNION ALL
                            TABLE concert.request_2 UNION ALL TABLE concert.request_3) AS request WHERE operation = 'mark';
CREATE FUNCTION pg_temp.mark(at timestamptz) RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
BEGIN
    FOR n IN 0..3 LOOP
        EXECUTE format('DELETE FROM concert.request_%s WHERE operation = %L', n, 'mark');
        EXECUTE format('INSERT INTO concert.request_%s VALUES (gen_random_uuid(), %L, %2$L, %3$L, %4$L, %5$L)', n, 'mark', '', '{}', at);
    END LOOP;
END
$$;
SELECT pg_temp.mark(now() - interval '6 days');
SELECT concert.request_rotate() AS emptied;
SELECT count(*) AS kept FROM pg_temp.marks;
SELECT pg_temp.mark(now() - interval '7 days');
SELECT concert.request_rotate() AS emptied, concert.request_rotate() AS emptied_again;
SELECT count(*) AS kept FROM pg_temp.marks;
SELECT r::text = :'first' AS same
FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r;

-- the answer is the same after the bound on seats was lowered; a new request is held to it
SET concert.max_seats_per_booking = 1;
SELECT r::text = :'first' AS same
FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r;
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key of two');
SELECT ok FROM concert.reserve_best(:'date', 2, :'ann', idempotency_key => 'key of two');
RESET concert.max_seats_per_booking;
