-- The history tells who did what to which seat, when and under which correlation id, also what merely
-- expired; by booking, by seat and by user. Nobody changes or removes it, and refusals leave none.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
CREATE FUNCTION pg_temp.label(seat_id uuid) RETURNS text LANGUAGE sql AS $$ SELECT label FROM concert.seat WHERE id = seat_id $$;
CREATE ROLE regress_concert_operator IN ROLE concert_admin;

-- a booking's life, act by act
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2', :'a3']::uuid[], :'ann', correlation_id => 'trace 1') \gset
SELECT ok FROM concert.extend(:'booking', :'ann', 600, 'trace 2');
SELECT ok FROM concert.cancel(:'booking', :'ann', correlation_id => 'trace 3', seat_ids => ARRAY[:'a3']::uuid[]);
SELECT ok FROM concert.pay(:'booking', :'ann', correlation_id => 'trace 4');
SELECT action, pg_temp.label(seat_id) AS seat, user_id = :'ann' AS anns, actor, correlation_id, detail
FROM concert.history_of_booking(:'booking');
-- what was refused, replayed, rolled back or raised was not done
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1', :'a4']::uuid[], :'bob', idempotency_key => 'key');
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1', :'a4']::uuid[], :'bob', idempotency_key => 'key');
SELECT reason FROM concert.pay(:'booking', :'ann');
SELECT reason FROM concert.cancel(:'booking', :'bob');
BEGIN;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob');
ROLLBACK;
SELECT count(*) AS acts FROM concert.history WHERE concert_date_id = :'date' AND action <> 'added';

-- what expired: by expire(), and by the next taker, whose correlation id it then bears
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'ann', correlation_id => 'trace 5') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT booking_id AS taken FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob', correlation_id => 'trace 6') \gset
SELECT concert.expire(10000) > 0 AS retired;
SELECT action, pg_temp.label(seat_id) AS seat, user_id = :'ann' AS anns, actor, correlation_id
FROM concert.history_of_booking(:'lapsed');

-- the house's acts, and an operator's on a booking, bear his name
SET SESSION AUTHORIZATION regress_concert_operator;
SELECT ok FROM concert.cancel_by_operator(:'taken', 'stage extended', correlation_id => 'trace 7');
SELECT ok FROM concert.block_seats(ARRAY[:'a4', :'a6']::uuid[], 'camera', correlation_id => 'trace 8');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a4']::uuid[], 'trace 9');
RESET SESSION AUTHORIZATION;

-- all that was done to one seat, in its order: what a taker retires comes before what he takes
SELECT action, CASE user_id WHEN :'ann' THEN 'Ann' WHEN :'bob' THEN 'Bob' END AS "user", actor, correlation_id, detail
FROM concert.history_of_seat(:'a4');
SELECT bool_and(at >= before) AS in_order FROM (SELECT at, lag(at) OVER () AS before FROM concert.history_of_seat(:'a4')) AS acts;
-- and to one user's bookings
SELECT action, pg_temp.label(seat_id) AS seat, actor, correlation_id FROM concert.history_of_user(:'ann');
SELECT action, pg_temp.label(seat_id) AS seat, actor, correlation_id FROM concert.history_of_user(:'bob');
-- each act stands beside its event: same transaction, same words
SELECT count(*) AS acts, count(e.id) AS told
FROM concert.history AS h LEFT JOIN concert.outbox_event AS e
  ON e.xid = h.xid AND e.key IN (h.booking_id::text, h.concert_date_id::text) AND e.type LIKE '%.' || h.action
WHERE h.concert_date_id = :'date' AND h.action <> 'added';
-- nothing of an unknown id, nor of NULL
SELECT (SELECT count(*) FROM concert.history_of_booking(id)) AS booking, (SELECT count(*) FROM concert.history_of_seat(id)) AS seat,
       (SELECT count(*) FROM concert.history_of_user(id)) AS "user"
FROM unnest(ARRAY[:'nobody', NULL]::uuid[]) AS id;

-- under whatever id a seat has had: all that was done to it is found under each of them, and nothing of another seat
SELECT gen_random_uuid() AS second, gen_random_uuid() AS third \gset
CREATE TEMP TABLE before AS SELECT * FROM concert.history_of_seat(:'a4');
CREATE TEMP TABLE others AS SELECT * FROM concert.history_of_seat(:'a5');
UPDATE concert.seat SET id = :'second' WHERE id = :'a4';
SELECT ok FROM concert.block_seats(ARRAY[:'second']::uuid[], 'piano');
SELECT ok FROM concert.unblock_seats(ARRAY[:'second']::uuid[]);
UPDATE concert.seat SET id = :'third' WHERE id = :'second';
SELECT booking_id AS renamed FROM concert.reserve(:'date', ARRAY[:'third']::uuid[], :'bob') \gset
SELECT ok FROM concert.cancel(:'renamed', :'bob');
SELECT action, booking_id IS NOT NULL AS of_booking, detail = :'second' || ' was ' || :'a4' AS first_change, detail = :'third' || ' was ' || :'second' AS second_change
FROM (SELECT * FROM concert.history_of_seat(:'third') EXCEPT ALL SELECT * FROM before) AS since ORDER BY at;
SELECT count(*) AS lost FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM concert.history_of_seat(:'third')) AS lost;
SELECT count(*) AS not_by_each_id FROM unnest(ARRAY[:'a4', :'second']::uuid[]) AS id,
    LATERAL (SELECT * FROM concert.history_of_seat(:'third') EXCEPT ALL SELECT * FROM concert.history_of_seat(id)) AS missing;
SELECT count(*) AS of_others FROM (SELECT * FROM concert.history_of_seat(:'a5') EXCEPT ALL SELECT * FROM others) AS more;
UPDATE concert.seat SET id = :'a4' WHERE id = :'third';
SELECT count(*) - (SELECT count(*) FROM before) AS and_back FROM concert.history_of_seat(:'a4');

-- never changed, never removed: not by its owner, nor by any role
UPDATE concert.history SET actor = 'nobody';
DELETE FROM concert.history WHERE concert_date_id = :'date' AND action <> 'added';
TRUNCATE concert.history;
CREATE FUNCTION pg_temp.tries(role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT statement, string_agg(DISTINCT pg_temp.tries(role, statement), ' ') AS answer
FROM unnest(ARRAY['concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin', 'regress_concert_operator']) AS role,
     unnest(ARRAY['UPDATE concert.history SET actor = NULL', 'DELETE FROM concert.history', 'TRUNCATE concert.history',
                  'INSERT INTO concert.history DEFAULT VALUES', 'SELECT FROM concert.history']) AS statement
GROUP BY statement ORDER BY statement;
SELECT count(*) AS acts FROM concert.history WHERE concert_date_id = :'date' AND action <> 'added';
DROP ROLE regress_concert_operator;
