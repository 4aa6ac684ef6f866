-- Seats are added to the grid once each; a house block takes all of its seats out of the sale or
-- none, never one that is sold, held or being paid for, and gives them back when its time is over.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- add_seats: the order of cols is that of labels; without labels they are named by their place
SELECT concert.create_section(:'date', 'Balcony', 50) AS balcony \gset
SELECT concert.add_seats(:'date', :'balcony', 2, ARRAY[3,1], ARRAY['left','right']);
SELECT concert.add_seats(:'date', :'balcony', 1000000, ARRAY[1000000]);
SELECT section, "row", col, label, price, state FROM concert.seat_map(:'date');

-- bad input: add_seats, and that nothing of a refused row is kept
SELECT concert.add_seats(:'date', :'balcony', 2, ARRAY[4,3,5]);
SELECT concert.add_seats(:'date', :'section', 2, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[7,8,7]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[]::int[]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1,NULL]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[[1,2],[3,4]]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[0]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1000001]);
SELECT concert.add_seats(:'date', :'balcony', 0, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', -1, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', 1000001, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', NULL, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', 3, NULL);
SELECT concert.add_seats(:'date', :'balcony', 3, (SELECT array_agg(n) FROM generate_series(1, 10001) AS n));
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1,2], ARRAY['one']);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1], ARRAY[NULL]::text[]);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1], ARRAY['']);
SELECT concert.add_seats(:'date', :'balcony', 3, ARRAY[1], ARRAY[repeat('x', 201)]);
SELECT concert.add_seats(:'date', :'nobody', 3, ARRAY[1]);
SELECT concert.add_seats(NULL, :'balcony', 3, ARRAY[1]);
-- a section of another date
SELECT concert.create_concert_date(:'concert', now() + interval '31 days') AS other_date \gset
SELECT concert.create_section(:'other_date', 'Stalls', 100) AS other_section \gset
\set VERBOSITY sqlstate
SELECT concert.add_seats(:'date', :'other_section', 3, ARRAY[1]);
SELECT concert.add_seats(:'date', :'balcony', 2, ARRAY[4,3,5]);
\set VERBOSITY default
SELECT count(*) AS seats FROM concert.seat_map(:'date');

-- a block is all or none, and its reason may be changed
SELECT ok, reason, pg_temp.told(seats) FROM concert.block_seats(ARRAY[:'a2', :'a1']::uuid[], 'camera');
SELECT ok, reason, pg_temp.told(seats) FROM concert.block_seats(ARRAY[:'a1']::uuid[], 'pillar');
SELECT label, blocked_reason FROM concert.seat WHERE concert_date_id = :'date' AND blocked_reason IS NOT NULL ORDER BY label;
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1', :'a3', :'a2']::uuid[], :'ann');
SELECT ok, reason, pg_temp.told(seats) FROM concert.unblock_seats(ARRAY[:'a1', :'a3']::uuid[]);
SELECT pg_temp.taken(:'date');

-- nobody's seat is blocked: held, then sold; every refused seat is named
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'ann') \gset
SELECT ok, reason, pg_temp.told(seats) FROM concert.block_seats(ARRAY[:'a5', :'a3', :'nobody', :'a4']::uuid[], 'camera');
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT ok, reason, pg_temp.told(seats) FROM concert.block_seats(ARRAY[:'a5', :'a3']::uuid[], 'camera');
SELECT ok, reason, pg_temp.told(seats) FROM concert.unblock_seats(ARRAY[:'a3']::uuid[]);
SELECT pg_temp.taken(:'date');
-- one whose pending time is over is free for a block too, and cannot be paid any more
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT ok, reason FROM concert.block_seats(ARRAY[:'a5']::uuid[], 'camera');
SELECT ok, reason FROM concert.pay(:'lapsed', :'ann');
SELECT ok, reason FROM concert.unblock_seats(ARRAY[:'a5']::uuid[]);

-- a block with a time: over at once, over later
SELECT ok FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'camera', now() - interval '1 second');
SELECT state, remaining_ms FROM concert.seat_states(:'date', ARRAY[:'a6']::uuid[]);
SELECT ok FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'camera', now() + interval '1 hour');
SELECT state, remaining_ms BETWEEN 3500000 AND 3600000 AS an_hour_left
FROM concert.seat_states(:'date', ARRAY[:'a6']::uuid[]);
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'bob');
-- the moment its time comes, every read and reserve() know it, and it may be blocked anew
SELECT seats, free, blocked FROM concert.availability(:'date') WHERE section = 'Stalls';
UPDATE concert.seat SET blocked_until = clock_timestamp() WHERE id = :'a6';
SELECT m.state AS map, s.state AS states, s.remaining_ms, a.seats, a.free, a.blocked
FROM concert.seat_map(:'date') AS m, concert.seat_states(:'date', ARRAY[:'a6']::uuid[]) AS s, concert.availability(:'date') AS a
WHERE m.seat_id = :'a6' AND a.section = 'Stalls';
SELECT count(*) FROM concert.seat_states(:'date') WHERE seat_id = :'a6';
SELECT holds FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], :'bob') WHERE rule = 'seat is not blocked';
SELECT ok, reason FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'wheelchair', now() + interval '1 hour');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'bob');
SELECT state FROM concert.seat_states(:'date') WHERE seat_id = :'a6';
UPDATE concert.seat SET blocked_until = clock_timestamp() WHERE id = :'a6';
SELECT ok, booking_id AS released FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'bob') \gset
SELECT state FROM concert.seat_map(:'date') WHERE seat_id = :'a6';
SELECT ok, reason FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'camera');
SELECT ok FROM concert.cancel(:'released', :'bob');

-- seats of two dates are no one block
SELECT concert.add_seats(:'other_date', :'other_section', 1, ARRAY[1], ARRAY['elsewhere']);
SELECT seat_id AS elsewhere FROM concert.seat_map(:'other_date') \gset
SELECT ok, reason, pg_temp.told(seats) FROM concert.block_seats(ARRAY[:'a5', :'elsewhere']::uuid[], 'camera');

-- bad input: block_seats, unblock_seats
SELECT ok FROM concert.block_seats(NULL, 'camera');
SELECT ok FROM concert.block_seats(ARRAY[]::uuid[], 'camera');
SELECT ok FROM concert.block_seats(ARRAY[NULL]::uuid[], 'camera');
SELECT ok FROM concert.block_seats(ARRAY[:'nobody', :'nobody']::uuid[], 'camera');
SELECT ok FROM concert.block_seats(ARRAY[ARRAY[:'a5']]::uuid[], 'camera');
SELECT ok FROM concert.block_seats((SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 1001)), 'camera');
SELECT ok FROM concert.block_seats(ARRAY[:'a5']::uuid[], NULL);
SELECT ok FROM concert.block_seats(ARRAY[:'a5']::uuid[], '');
SELECT ok FROM concert.block_seats(ARRAY[:'a5']::uuid[], 'camera', 'infinity');
SELECT ok FROM concert.block_seats(ARRAY[:'a5']::uuid[], 'camera', NULL, '');
SELECT ok FROM concert.unblock_seats(NULL);
SELECT ok FROM concert.unblock_seats(ARRAY[]::uuid[]);
SELECT ok, reason, pg_temp.told(seats) FROM concert.unblock_seats(ARRAY[:'nobody']::uuid[]);
SELECT pg_temp.taken(:'date');
