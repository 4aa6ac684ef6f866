-- A pending booking is given back as a whole or in part: the seats that are named or none of them.
-- What is left stays one booking and is paid as one; an operator may do it for anybody and is named.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- some of the seats: they are free at once, the rest is paid, and no promise is broken
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2', :'a3']::uuid[], :'ann') \gset
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a3']::uuid[]);
SELECT pg_temp.booked(:'booking'), pg_temp.taken(:'date');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob');
SELECT ok FROM concert.extend(:'booking', :'ann', 600);
-- all or none: a seat that is another's, nobody's or was given back is refused and named
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a1', :'a4', :'a3', :'nobody']::uuid[]);
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a3', :'a1']::uuid[]);
SELECT pg_temp.booked(:'booking');
-- by nobody but its owner
SELECT ok, reason, seats FROM concert.cancel(:'booking', :'bob', seat_ids => ARRAY[:'a1']::uuid[]);
SELECT ok, reason, seats FROM concert.cancel(:'nobody', :'ann', seat_ids => ARRAY[:'a1']::uuid[]);
SELECT ok, reason, amount, currency FROM concert.pay(:'booking', :'ann');
SELECT pg_temp.booked(:'booking'), concert.balance(:'ann');
SELECT count(*) AS broken FROM concert.check_integrity() WHERE object = 'booking ' || :'booking';
-- a paid booking is given back neither as a whole nor in part
SELECT ok, reason, seats FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a1']::uuid[]);
SELECT ok, reason, seats FROM concert.cancel(:'booking', :'ann');

-- seat by seat to the last one: then there is nothing left to pay, to extend or to give back
SELECT booking_id AS crumbs FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'ann') \gset
SELECT ok, pg_temp.told(seats) FROM concert.cancel(:'crumbs', :'ann', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT ok, pg_temp.told(seats) FROM concert.cancel(:'crumbs', :'ann', seat_ids => ARRAY[:'a5']::uuid[]);
SELECT ok, reason FROM concert.pay(:'crumbs', :'ann');
SELECT ok, reason FROM concert.extend(:'crumbs', :'ann', 10);
SELECT ok, reason, seats FROM concert.cancel(:'crumbs', :'ann', seat_ids => ARRAY[:'a5']::uuid[]);
-- the rest of a booking that was given back in part expires like any other
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'ann') \gset
SELECT ok FROM concert.cancel(:'lapsed', :'ann', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT pg_temp.lapse(:'lapsed');
SELECT ok, reason FROM concert.cancel(:'lapsed', :'ann', seat_ids => ARRAY[:'a5']::uuid[]);
SELECT ok, reason FROM concert.pay(:'lapsed', :'ann');
SELECT concert.expire(10000) > 0 AS retired;
SELECT pg_temp.booked(:'lapsed');
-- what is given back no longer counts for the limit of four: two are paid, two are left
SELECT booking_id AS half FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'ann') \gset
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'ann');
SELECT ok FROM concert.cancel(:'half', :'ann', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a6', :'a4']::uuid[], :'ann');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'ann');

-- under a key: the same seats in any order get the same answer, other seats are another request
SELECT booking_id AS keyed FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'keyed', :'bob', 'key', seat_ids => ARRAY[:'a4', :'a1']::uuid[]);
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'keyed', :'bob', 'key', seat_ids => ARRAY[:'a1', :'a4']::uuid[]);
SELECT ok FROM concert.cancel(:'keyed', :'bob', 'key', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT ok FROM concert.cancel(:'keyed', :'bob', 'key');
SELECT ok, pg_temp.told(seats) FROM concert.cancel(:'keyed', :'bob', 'other key');
SELECT ok, pg_temp.told(seats) FROM concert.cancel(:'keyed', :'bob', 'other key');

-- an operator: anybody's booking, with a reason, and named in the history
CREATE ROLE regress_concert_operator IN ROLE concert_admin;
SELECT booking_id AS bobs FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SET SESSION AUTHORIZATION regress_concert_operator;
SELECT ok, reason, seats->0->>'reason' AS why FROM concert.cancel_by_operator(:'bobs', 'stage extended', seat_ids => ARRAY[:'a1']::uuid[]);
SELECT ok, reason, jsonb_array_length(seats) AS seats FROM concert.cancel_by_operator(:'bobs', 'stage extended', 'key ' || :'bobs', 'trace 1');
SELECT ok, reason, jsonb_array_length(seats) AS seats FROM concert.cancel_by_operator(:'bobs', 'stage extended', 'key ' || :'bobs', 'trace 2');
\set VERBOSITY sqlstate
SELECT ok FROM concert.cancel_by_operator(:'booking', 'stage extended', 'key ' || :'bobs');
SELECT ok FROM concert.cancel_by_operator(:'bobs', 'stage shortened', 'key ' || :'bobs');
\set VERBOSITY default
SELECT ok, reason, seats FROM concert.cancel_by_operator(:'booking', 'stage extended');
SELECT ok, reason, seats FROM concert.cancel_by_operator(:'nobody', 'stage extended');
RESET SESSION AUTHORIZATION;
SELECT action, actor, correlation_id, detail FROM concert.history_of_booking(:'bobs');
SELECT type, payload->>'detail' AS detail, jsonb_array_length(payload->'seats') AS seats
FROM concert.outbox_event WHERE key = :'bobs' ORDER BY seq;
SET ROLE concert_sidecar;
SELECT ok FROM concert.cancel_by_operator(:'bobs', 'mine');
RESET ROLE;
DROP ROLE regress_concert_operator;

-- bad input
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[]::uuid[]);
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[NULL]::uuid[]);
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[ARRAY[:'a1']]::uuid[]);
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 1001)));
SELECT ok FROM concert.cancel_by_operator(NULL, 'reason');
SELECT ok FROM concert.cancel_by_operator(:'booking', NULL);
SELECT ok FROM concert.cancel_by_operator(:'booking', '');
SELECT ok FROM concert.cancel_by_operator(:'booking', repeat('x', 201));
SELECT ok FROM concert.cancel_by_operator(:'booking', 'reason', '');
SELECT ok FROM concert.cancel_by_operator(:'booking', 'reason', NULL, '');
SELECT ok FROM concert.cancel_by_operator(:'booking', 'reason', seat_ids => ARRAY[]::uuid[]);
\set VERBOSITY sqlstate
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a1', :'a1']::uuid[]);

-- the cap of a pending's life is the table's own rule too
UPDATE concert.reservation SET expires_at_max = created_at + interval '901 seconds' WHERE booking_id = :'half';
UPDATE concert.reservation SET expires_at = created_at + interval '901 seconds' WHERE booking_id = :'half';
