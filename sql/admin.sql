-- Administration: sales by date, section, price and day; refusals under keys; pending ages; conversion. What
-- they count is known here to the seat.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_section(:'date', 'Box', 0, 'EUR') AS box \gset
SELECT concert.add_seats(:'date', :'box', 3, ARRAY[1], ARRAY['C1']) AS added \gset
SELECT seat_id AS c1 FROM concert.seat_map(:'date') WHERE label = 'C1' \gset
SELECT concert.create_concession(:'section', 'student', 50) AS student \gset
UPDATE concert.concert_date SET time_zone = 'Asia/Seoul' WHERE id = :'date';
CREATE TEMP TABLE refused AS SELECT * FROM concert.refusals();
GRANT SELECT ON refused TO concert_admin;

-- nothing yet
SELECT concert, currency, seats, amount FROM concert.sales() WHERE concert_date_id = :'date';
SELECT count(*) AS sections FROM concert.sales_by_section(:'date');
SELECT * FROM concert.conversion(:'date');

-- three sold of four, one given back; one free of charge in another currency; two expired; one pending
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2', :'a3', :'a4']::uuid[], :'ann', concessions => ARRAY['student', NULL, NULL, NULL]) \gset
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT booking_id AS free FROM concert.reserve(:'date', ARRAY[:'c1']::uuid[], :'carl') \gset
SELECT ok FROM concert.pay(:'free', :'carl');
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'bob') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT concert.expire(10000) > 0 AS retired;
SELECT booking_id AS pending FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
-- sold within an hour that in Seoul is two days, in UTC one
UPDATE concert.reservation SET resolved_at = '2027-01-01 15:30+00' WHERE booking_id = :'booking';
UPDATE concert.reservation SET resolved_at = '2027-01-01 14:30+00' WHERE booking_id = :'free';

SET ROLE concert_admin;
SELECT concert, currency, seats, amount FROM concert.sales() WHERE concert_date_id = :'date';
SELECT section, concession, currency, seats, amount FROM concert.sales_by_section(:'date');
SELECT * FROM concert.sales_by_day(:'date');
SELECT * FROM concert.conversion(:'date');
SELECT bookings, share FROM concert.conversion(:'date', now() + interval '1 hour');

-- refused under a key: once each; without a key, and busy or raised: never
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob', idempotency_key => 'key 1');
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob', idempotency_key => 'key 1');
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
SELECT reason FROM concert.pay(:'booking', :'ann', 'key 2');
SELECT reason FROM concert.pay(:'booking', :'bob', 'key 3');
SELECT ok FROM concert.cancel(:'pending', :'bob', 'key 4');
SELECT r.operation, r.reason, r.requests - coalesce(before.requests, 0) AS more
FROM concert.refusals() AS r LEFT JOIN refused AS before USING (operation, reason)
WHERE r.requests > coalesce(before.requests, 0);
SELECT count(*) AS later FROM concert.refusals(now() + interval '1 hour');
RESET ROLE;

-- pending ages: fresh, older, and one that has lapsed and was not retired
SELECT booking_id AS fresh FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT booking_id AS older FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
UPDATE concert.reservation SET created_at = created_at - interval '5 minutes', expires_at_max = expires_at_max - interval '5 minutes' WHERE booking_id = :'older';
SELECT booking_id AS over FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'bob', 1) \gset
UPDATE concert.reservation SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour', expires_at_max = expires_at_max - interval '1 hour' WHERE booking_id = :'over';
SELECT * FROM concert.pending_ages(:'date');
SELECT sum(seats) >= 3 AS all_dates FROM concert.pending_ages();
SELECT pending, expired, cancelled FROM concert.conversion(:'date');
-- the same under the date's new id, and the old one
SELECT gen_random_uuid() AS new_date \gset
SELECT c::text AS conversion FROM concert.conversion(:'date') AS c \gset
UPDATE concert.concert_date SET id = :'new_date' WHERE id = :'date';
SELECT c::text = :'conversion' AS same FROM concert.conversion(:'new_date') AS c;
SELECT ok FROM concert.cancel(:'older', :'bob');
SELECT c.pending, c.cancelled FROM unnest(ARRAY[:'date', :'new_date']::uuid[]) AS id, concert.conversion(id) AS c;
SELECT c::text AS conversion FROM concert.conversion(:'date') AS c \gset
UPDATE concert.concert_date SET id = :'date' WHERE id = :'new_date';
SELECT c::text = :'conversion' AS same FROM concert.conversion(:'date') AS c;

-- an unknown date has nothing
SELECT (SELECT count(*) FROM concert.sales_by_section(:'nobody')) AS sections, (SELECT count(*) FROM concert.sales_by_day(:'nobody')) AS days,
       (SELECT sum(seats) FROM concert.pending_ages(:'nobody')) AS pending, (SELECT bookings FROM concert.conversion(NULL)) AS bookings;
-- for admins only
SET ROLE concert_sidecar;
\set VERBOSITY sqlstate
SELECT * FROM concert.sales();
SELECT * FROM concert.refusals();
SELECT * FROM concert.conversion(:'date');
RESET ROLE;
