-- SPDX-License-Identifier: PostgreSQL
-- A session remembers where it saw the reservation of a seat that it was refused. Whatever stands there later, the
-- answer is right: the row is gone, another seat's row took its place, the table was written anew.
\i sql/hall.psql
SET client_min_messages = error;

-- the booking is cancelled: the row that was seen is dead
SELECT booking_id AS first, ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
SELECT ctid AS place FROM concert.reservation WHERE seat_id = :'a1' \gset
SELECT ok FROM concert.cancel(:'first', :'ann');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1', :'nobody']::uuid[], :'bob');

-- another seat's reservation takes the place
VACUUM concert.reservation;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'ann');
SELECT ctid = :'place' AS same_place FROM concert.reservation WHERE seat_id = :'a2';
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
SELECT pg_temp.taken(:'date');

-- the booking is paid: the row that was seen has a successor
SELECT booking_id AS second FROM concert.reservation WHERE seat_id = :'a1' AND deleted_at IS NULL \gset
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SELECT ok FROM concert.pay(:'second', :'bob');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');

-- the table is written anew
VACUUM FULL concert.reservation;
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1', :'a3']::uuid[], :'ann');
