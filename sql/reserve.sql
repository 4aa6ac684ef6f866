-- reserve() takes all of its seats for one user or none, and names every refused one with its
-- reason; the price, the limit, the window of the sale and the fence are judged in the same call.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- the answer has the seats in id order, at the section's price, under their first fence
SELECT ok, reason, booking_id IS NOT NULL AS booked, pg_temp.told(seats),
       round(extract(epoch FROM expires_at - now()), -1) AS pending_seconds,
       (seats->0->>'fence')::bigint AS fence,
       (seats->0->>'remaining_ms')::bigint AS remaining_ms
FROM concert.reserve(:'date', ARRAY[:'a2', :'a1']::uuid[], :'ann');
SELECT pg_temp.taken(:'date');

-- all or none: every refused seat is named in the order asked for, with the first one's reason on
-- top, and the free one among them stays free
SELECT booking_id AS sold FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT ok FROM concert.pay(:'sold', :'bob');
SELECT ok FROM concert.block_seats(ARRAY[:'a4']::uuid[], 'camera');
SELECT concert.create_concert_date(:'concert', now() + interval '31 days') AS other_date \gset
SELECT concert.create_section(:'other_date', 'Stalls', 100) AS other_section \gset
SELECT concert.add_seats(:'other_date', :'other_section', 1, ARRAY[1], ARRAY['elsewhere']) AS added \gset
SELECT seat_id AS elsewhere FROM concert.seat_map(:'other_date') \gset
SELECT ok, reason, booking_id, expires_at, pg_temp.told(seats)
FROM concert.reserve(:'date', ARRAY[:'elsewhere', :'a5', :'a4', :'a3', :'a1', :'nobody']::uuid[], :'carl');
SELECT (seat->>'remaining_ms')::bigint BETWEEN 1 AND 300000 AS told_when_it_frees
FROM concert.reserve(:'date', ARRAY[:'a1', :'a3']::uuid[], :'carl') AS r, jsonb_array_elements(r.seats) AS seat;
SELECT pg_temp.taken(:'date');
-- last ticket in two windows: the same user is refused as any other
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
-- a section that is gone takes its seats with it; so does a seat
SELECT concert.soft_delete('seat', :'a6');
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl');

-- the limit counts over bookings, what is pending and what is sold, and no other date's
SELECT concert.add_seats(:'date', :'section', 2, ARRAY[1,2,3,4,5], ARRAY['B1','B2','B3','B4','B5']) AS added \gset
SELECT max(seat_id::text) FILTER (WHERE label = 'B1') AS b1, max(seat_id::text) FILTER (WHERE label = 'B2') AS b2,
       max(seat_id::text) FILTER (WHERE label = 'B3') AS b3, max(seat_id::text) FILTER (WHERE label = 'B4') AS b4,
       max(seat_id::text) FILTER (WHERE label = 'B5') AS b5
FROM concert.seat_map(:'date') \gset
SELECT ok, reason, seats FROM concert.reserve(:'date', ARRAY[:'b1', :'b2', :'b3']::uuid[], :'ann');
SELECT ok, reason FROM concert.reserve(:'other_date', ARRAY[:'elsewhere']::uuid[], :'ann');
SELECT ok, booking_id AS fourth FROM concert.reserve(:'date', ARRAY[:'b1', :'b2']::uuid[], :'ann') \gset
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'b3']::uuid[], :'ann');
-- a cancelled or lapsed booking makes room again
SELECT ok FROM concert.cancel(:'fourth', :'ann');
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'b1', :'b2']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'b3', :'b4']::uuid[], :'ann');

-- a pending reservation whose time is over counts as free; of its booking only the seat that is
-- taken is retired
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'b1']::uuid[], :'bob');
SELECT pg_temp.booked(:'lapsed');

-- the window of the sale
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => now() + interval '1 hour') AS later \gset
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => '2001-01-01', sale_closes_at => now()) AS over \gset
SELECT ok, reason, seats FROM concert.reserve(:'later', ARRAY[:'b5']::uuid[], :'carl');
SELECT ok, reason, seats FROM concert.reserve(:'over', ARRAY[:'b5']::uuid[], :'carl');
SELECT ok, reason, seats FROM concert.reserve(:'nobody', ARRAY[:'b5']::uuid[], :'carl');

-- pending_seconds: cut to 1..900, by default the date's
SELECT asked, round((r.seats->0->>'remaining_ms')::bigint / 1000.0) AS seconds
FROM unnest(ARRAY[-5, 0, 7, 900, 2147483647]) AS asked,
     concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'carl', pending_seconds => asked) AS r,
     concert.cancel(r.booking_id, :'carl') AS c
WHERE c.ok;

-- the fence: without one the next is given; an older one is stale, an equal one only good for its user
SELECT booking_id AS fenced FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'carl', fence => 1000) \gset
SELECT fence FROM concert.reservation WHERE booking_id = :'fenced';
SELECT ok FROM concert.cancel(:'fenced', :'carl');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'carl', fence => 999);
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'bob', fence => 1000);
-- it weighs least of what is final
BEGIN;
SELECT ok FROM concert.block_seats(ARRAY[:'b5']::uuid[], 'camera');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'bob', fence => 1);
SELECT reason FROM concert.explain_reserve(:'date', ARRAY[:'b5']::uuid[], :'bob', fence => 1) WHERE NOT holds LIMIT 1;
SELECT ok FROM concert.unblock_seats(ARRAY[:'b5']::uuid[]);
SELECT concert.soft_delete('seat', :'b5');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'bob', fence => 1);
ROLLBACK;
SELECT ok, reason, booking_id AS fenced FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'carl', fence => 1000) \gset
SELECT ok FROM concert.cancel(:'fenced', :'carl');
SELECT ok, seats->0->>'fence' AS next_fence FROM concert.reserve(:'date', ARRAY[:'b5']::uuid[], :'carl');

-- one booking has one currency
SELECT concert.create_section(:'date', 'Box', 10, 'EUR') AS box \gset
SELECT concert.add_seats(:'date', :'box', 3, ARRAY[1], ARRAY['C1']) AS added \gset
SELECT seat_id AS c1 FROM concert.seat_map(:'date') WHERE label = 'C1' \gset
SELECT ok, reason, seats FROM concert.reserve(:'date', ARRAY[:'a5', :'c1']::uuid[], :'carl');

-- the price is the one at reserving, whatever the section's becomes
SELECT booking_id AS bargain FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl') \gset
UPDATE concert.section SET price = 999 WHERE id = :'section';
SELECT price FROM concert.reservation WHERE booking_id = :'bargain';

-- bad input
SELECT ok FROM concert.reserve(NULL, ARRAY[:'a5']::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', NULL, :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], NULL);
SELECT ok FROM concert.reserve(:'date', ARRAY[]::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5', NULL]::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'nobody', :'a5', :'nobody']::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[ARRAY[:'a5'], ARRAY[:'b5']]::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 11)), :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', idempotency_key => '');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', idempotency_key => repeat('x', 201));
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', correlation_id => '');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', correlation_id => repeat('x', 201));
\set VERBOSITY terse
SELECT ok FROM concert.reserve(:'date', ARRAY['A5']::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', fence => 0);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', fence => -9223372036854775808);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl', fence => 9223372036854775807);
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve(:'date', (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 11)), :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5', :'a5']::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[]::uuid[], :'carl');
SELECT ok FROM concert.reserve(:'date', ARRAY[NULL]::uuid[], :'carl');
