-- reserve_best() chooses the best seats that are left, in the order of its steps, and takes them in
-- the same call; adjacency is the grid, not the label; what it refuses is nowhere to be had.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SET concert.max_seats_per_booking = 20;

-- a house: ten seats in each of rows 10, 11 and 12, an aisle between cols 5 and 7, a gap before row 20
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 1000) AS house \gset
SELECT concert.create_section(:'house', 'Stalls', 100) AS stalls, concert.create_section(:'house', 'Balcony', 50) AS balcony,
       concert.create_section(:'house', 'Floor', 30, kind => 'standing') AS floor \gset
SELECT sum(concert.add_seats(:'house', :'stalls', r, ARRAY[1,2,3,4,5,7,8,9,10,11],
                             (SELECT array_agg(chr(55 + r) || c) FROM unnest(ARRAY[1,2,3,4,5,7,8,9,10,11]) AS c)))
FROM unnest(ARRAY[10, 11, 12]) AS r;
SELECT concert.add_seats(:'house', :'balcony', 20, ARRAY[1,2,3,4,5,6], ARRAY['Z1','Z2','Z3','Z4','Z5','Z6'], ARRAY[1,4]) AS added;

-- what was taken, in grid order, and how
CREATE FUNCTION pg_temp.best(answer concert.reserve_best_answer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(': ', coalesce(answer.step, answer.reason),
                     (SELECT string_agg(s.label, ' ' ORDER BY s."row", s.col)
                      FROM jsonb_array_elements(answer.seats) AS e JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid))
$$;
CREATE FUNCTION pg_temp.strictly(date uuid, count integer, sections uuid[] DEFAULT NULL, accessible integer DEFAULT 0,
    max_price bigint DEFAULT NULL, split boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.best(concert.reserve_best(date, count, gen_random_uuid(), sections, 'strict', accessible, max_price, split))
$$;
-- gives seats back that were taken since
CREATE FUNCTION pg_temp.give_back(date uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count((concert.cancel(b.booking_id, b.user_id)).ok)
    FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE concert_date_id = date AND status = 'pending') AS b
$$;

-- the answer is that of reserve(), and says which step it was
SELECT ok, reason, step, booking_id IS NOT NULL AS booked, pg_temp.told(seats),
       round(extract(epoch FROM expires_at - now()), -1) AS pending_seconds
FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'stalls']::uuid[], 'strict');
SELECT pg_temp.taken(:'house');
SELECT pg_temp.give_back(:'house');

-- nearest the middle of the front row, but so that no single seat is left: not A2 to A4
SELECT pg_temp.strictly(:'house', 3, ARRAY[:'stalls']::uuid[]);
-- the next best, and the next
SELECT pg_temp.strictly(:'house', 5, ARRAY[:'stalls']::uuid[]);
SELECT pg_temp.strictly(:'house', 5, ARRAY[:'stalls']::uuid[]);
-- four of five always leave one: only when no run of the house has room without, and then it is told
SELECT pg_temp.strictly(:'house', 4, ARRAY[:'stalls']::uuid[]);
SELECT pg_temp.strictly(:'house', 4, ARRAY[:'stalls']::uuid[]);
SELECT pg_temp.taken(:'house');
SELECT pg_temp.give_back(:'house');

-- the focal point of a section may be said; it need not be a seat
SELECT concert.create_section(:'house', 'Box', 100, focal_row => 32, focal_col => 1) AS box \gset
SELECT sum(concert.add_seats(:'house', :'box', r, ARRAY[1,2,3,4,5,6], (SELECT array_agg('Box' || r || '-' || c) FROM generate_series(1, 6) AS c)))
FROM unnest(ARRAY[31, 32]) AS r;
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'box']::uuid[]);
SELECT pg_temp.give_back(:'house');

-- adjacent rows: when no row has so many side by side any more, two groups whose columns overlap
SELECT pg_temp.strictly(:'house', 9, ARRAY[:'box']::uuid[]);
SELECT pg_temp.give_back(:'house');
-- a gap between rows is a break: rows 10 and 12 are not neighbours once row 11 is gone
SELECT concert.create_section(:'house', 'Two rows', 100) AS apart \gset
SELECT sum(concert.add_seats(:'house', :'apart', r, ARRAY[1,2,3])) FROM unnest(ARRAY[41, 43]) AS r;
SELECT pg_temp.strictly(:'house', 4, ARRAY[:'apart']::uuid[]);
-- and columns that do not overlap are none either
SELECT concert.create_section(:'house', 'Stairs', 100) AS stairs \gset
SELECT concert.add_seats(:'house', :'stairs', 51, ARRAY[1,2,3]) + concert.add_seats(:'house', :'stairs', 52, ARRAY[4,5,6]) AS added;
SELECT pg_temp.strictly(:'house', 4, ARRAY[:'stairs']::uuid[]);
-- it is the groups that must overlap, not the runs that they are cut from
SELECT concert.create_section(:'house', 'Ledge', 100) AS ledge \gset
SELECT concert.add_seats(:'house', :'ledge', 81, ARRAY[1,2,3]) + concert.add_seats(:'house', :'ledge', 82, ARRAY[3,4,5]) AS added;
SELECT pg_temp.best(concert.reserve_best(:'house', 4, gen_random_uuid(), ARRAY[:'ledge']::uuid[]));
-- split, only if the caller allows it, into groups of at least two
SELECT pg_temp.strictly(:'house', 4, ARRAY[:'stairs']::uuid[], split => true);
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'stairs']::uuid[], split => true);
SELECT pg_temp.strictly(:'house', 5, ARRAY[:'apart']::uuid[], split => true);
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'apart', :'stairs']::uuid[], split => true);
SELECT pg_temp.give_back(:'house');

-- accessible seats: at least so many among them, and no more than need be
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[], accessible => 1);
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]);
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[], accessible => 2);
SELECT pg_temp.strictly(:'house', 1, ARRAY[:'stalls']::uuid[], accessible => 1);
SELECT pg_temp.give_back(:'house');

-- the price of each seat
SELECT pg_temp.strictly(:'house', 2, max_price => 50);
SELECT pg_temp.strictly(:'house', 2, max_price => 29);
-- a price that was raised since the hall was read counts
SELECT booking_id AS before FROM concert.reserve_best(:'house', 1, :'ann', ARRAY[:'box']::uuid[]) \gset
UPDATE concert.section SET price = 200 WHERE id = :'box';
SELECT pg_temp.strictly(:'house', 1, ARRAY[:'box']::uuid[], max_price => 100);
SELECT pg_temp.give_back(:'house');

-- standing: by count, exactly up to capacity
SELECT ok, reason, step FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'floor']::uuid[]);
SELECT concert.add_seats(:'house', :'floor', 60, ARRAY[1,2,3,4,5,6,7,8,9,10], accessible => ARRAY[3,4]) AS added;
SELECT (r).ok, (r).reason, (r).step, jsonb_array_length((r).seats) AS seats
FROM (SELECT concert.reserve_best(:'house', n, gen_random_uuid(), ARRAY[:'floor']::uuid[]) AS r
      FROM unnest(ARRAY[4, 3, 4, 1, 3, 2, 1]) WITH ORDINALITY AS w (n, ord) ORDER BY ord) AS answers;
SELECT free, pending FROM concert.availability(:'house') WHERE section = 'Floor';
SELECT pg_temp.give_back(:'house');
-- those who need them find the accessible ones
SELECT (r).ok, (r).step FROM (SELECT concert.reserve_best(:'house', 8, gen_random_uuid(), ARRAY[:'floor']::uuid[]) AS r) AS all_others;
SELECT ok, step, (SELECT bool_and(s.accessible) FROM jsonb_array_elements(seats) AS e JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid)
FROM concert.reserve_best(:'house', 2, gen_random_uuid(), ARRAY[:'floor']::uuid[], accessible_count => 2);
SELECT pg_temp.give_back(:'house');
-- seats are preferred to standing where both will do
SELECT step FROM concert.reserve_best(:'house', 2, gen_random_uuid());
SELECT pg_temp.give_back(:'house');

-- why nothing fits: the least final thing without which it would; nothing is taken then
SELECT concert.create_section(:'house', 'Row', 100) AS one_row \gset
SELECT concert.add_seats(:'house', :'one_row', 70, ARRAY[1,2,3,4]) AS added;
SELECT booking_id AS held FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'one_row']::uuid[], 'strict') \gset
SELECT booking_id AS sold FROM concert.reserve_best(:'house', 2, :'bob', ARRAY[:'one_row']::uuid[], 'strict') \gset
SELECT ok FROM concert.pay(:'sold', :'bob');
SELECT ok, reason, booking_id, expires_at, seats, step FROM concert.reserve_best(:'house', 2, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT reason FROM concert.reserve_best(:'house', 4, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT reason FROM concert.reserve_best(:'house', 5, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT ok FROM concert.cancel(:'held', :'ann');
SELECT ok FROM concert.block_seats((SELECT array_agg(seat_id) FROM concert.seat_map(:'house') WHERE "row" = 70 AND state = 'free'), 'camera');
SELECT reason FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT reason FROM concert.reserve_best(:'house', 3, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT ok FROM concert.unblock_seats((SELECT array_agg(seat_id) FROM concert.seat_map(:'house') WHERE "row" = 70 AND state = 'blocked'));
SELECT ok, step FROM concert.reserve_best(:'house', 2, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.give_back(:'house');

-- a pending whose time is over is free, also when it ended sooner than the date's rule or behind our back
SELECT booking_id AS lapsing FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'one_row']::uuid[]) \gset
SELECT pg_temp.lapse(:'lapsing');
SELECT ok, step FROM concert.reserve_best(:'house', 2, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.booked(:'lapsing');
SELECT pg_temp.give_back(:'house');
-- and so is a block whose time is over
SELECT ok FROM concert.block_seats((SELECT array_agg(seat_id) FROM concert.seat_map(:'house') WHERE "row" = 70 AND state = 'free'),
                                   'camera', clock_timestamp() + interval '1 hour');
SELECT reason FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'one_row']::uuid[]);
UPDATE concert.seat SET blocked_until = clock_timestamp() - interval '1 second' WHERE section_id = :'one_row' AND blocked_reason IS NOT NULL;
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.give_back(:'house');

-- seats that are new or gone are noticed; what a rolled-back transaction or savepoint took is free
SELECT concert.add_seats(:'house', :'one_row', 71, ARRAY[1,2,3,4,5,6]) AS added;
SELECT ok, step FROM concert.reserve_best(:'house', 6, :'carl', ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.give_back(:'house');
SELECT concert.soft_delete('seat', seat_id) FROM concert.seat_map(:'house') WHERE "row" = 71 AND col <> 3;
SELECT pg_temp.strictly(:'house', 3, ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.strictly(:'house', 1, ARRAY[:'one_row']::uuid[]);
SELECT pg_temp.give_back(:'house');
BEGIN;
SELECT ok FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'balcony']::uuid[]);
SAVEPOINT inner_part;
SELECT ok FROM concert.reserve_best(:'house', 4, :'bob', ARRAY[:'balcony']::uuid[]);
SELECT reason FROM concert.reserve_best(:'house', 1, :'bob', ARRAY[:'balcony']::uuid[]);
ROLLBACK TO inner_part;
SELECT ok FROM concert.reserve_best(:'house', 3, :'bob', ARRAY[:'balcony']::uuid[]);
ROLLBACK;
SELECT ok FROM concert.reserve_best(:'house', 6, :'bob', ARRAY[:'balcony']::uuid[]);
SELECT pg_temp.give_back(:'house');
-- within one transaction a seat given back can be had again
BEGIN;
SELECT booking_id AS mine FROM concert.reserve_best(:'house', 6, :'bob', ARRAY[:'balcony']::uuid[]) \gset
SELECT ok FROM concert.cancel(:'mine', :'bob');
SELECT ok FROM concert.reserve_best(:'house', 6, :'bob', ARRAY[:'balcony']::uuid[]);
COMMIT;
SELECT pg_temp.give_back(:'house');

BEGIN;
SELECT booking_id AS mine FROM concert.reserve_best(:'house', 2, :'bob', ARRAY[:'balcony']::uuid[], 'strict') \gset
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]);
SELECT pg_temp.told(seats) FROM concert.cancel(:'mine', :'bob');
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]);
COMMIT;
SELECT pg_temp.give_back(:'house');

BEGIN;
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]) AS first, pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]) AS second;
ROLLBACK;
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]) AS first_again;
BEGIN;
SAVEPOINT inner_part;
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]) AS second, pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[], 1) AS third;
ROLLBACK TO inner_part;
SELECT pg_temp.strictly(:'house', 2, ARRAY[:'balcony']::uuid[]) AS second_again;
COMMIT;
SELECT pg_temp.give_back(:'house');

-- the rules of the sale are reserve()'s
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => now() + interval '1 hour') AS later \gset
SELECT ok, reason FROM concert.reserve_best(:'later', 2, :'ann');
SELECT ok, reason FROM concert.reserve_best(:'nobody', 2, :'ann');
SELECT ok, reason FROM concert.reserve_best(:'date', 4, :'ann');
SELECT ok, reason, seats, step FROM concert.reserve_best(:'date', 1, :'ann');
SELECT ok, reason FROM concert.reserve_best(:'house', 1, :'ann', ARRAY[:'nobody']::uuid[]);

-- with a key the same request has the same answer, refusals too; another request under it is an error
SELECT booking_id AS first, step AS first_step FROM concert.reserve_best(:'house', 2, :'bob', idempotency_key => 'two') \gset
SELECT booking_id = :'first' AS same, step = :'first_step' AS same_step
FROM concert.reserve_best(:'house', 2, :'bob', idempotency_key => 'two');
SELECT ok FROM concert.reserve_best(:'house', 3, :'bob', idempotency_key => 'two');
SELECT ok, reason FROM concert.reserve_best(:'house', 7, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'seven');
SELECT concert.add_seats(:'house', :'balcony', 21, ARRAY[1,2,3,4,5,6,7]) AS added;
SELECT ok, reason FROM concert.reserve_best(:'house', 7, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'seven');

-- misuse
SELECT concert.reserve_best(NULL, 1, :'ann');
SELECT concert.reserve_best(:'house', NULL, :'ann');
SELECT concert.reserve_best(:'house', 1, NULL);
SELECT concert.reserve_best(:'house', 0, :'ann');
SELECT concert.reserve_best(:'house', -1, :'ann');
SELECT concert.reserve_best(:'house', 21, :'ann');
SELECT concert.reserve_best(:'house', 2147483647, :'ann');
SELECT concert.reserve_best(:'house', 1, :'ann', '{}');
SELECT concert.reserve_best(:'house', 1, :'ann', ARRAY[NULL]::uuid[]);
SELECT concert.reserve_best(:'house', 1, :'ann', ARRAY[ARRAY[:'stalls'], ARRAY[:'floor']]::uuid[]);
SELECT concert.reserve_best(:'house', 1, :'ann', policy => 'cheapest');
SELECT concert.reserve_best(:'house', 1, :'ann', policy => NULL);
SELECT concert.reserve_best(:'house', 1, :'ann', accessible_count => 2);
SELECT concert.reserve_best(:'house', 1, :'ann', accessible_count => -1);
SELECT concert.reserve_best(:'house', 1, :'ann', accessible_count => NULL);
SELECT concert.reserve_best(:'house', 1, :'ann', max_price => -1);
SELECT concert.reserve_best(:'house', 1, :'ann', allow_split => NULL);
SELECT concert.reserve_best(:'house', 1, :'ann', idempotency_key => '');
SELECT concert.create_section(:'house', 'Half', 1, focal_row => 1);
SELECT concert.create_section(:'house', 'Half', 1, focal_col => 1);
SELECT concert.create_section(:'house', 'Far', 1, focal_row => 0, focal_col => 1);
SELECT concert.add_seats(:'house', :'stalls', 99, ARRAY[1,2], accessible => ARRAY[3]);
SELECT concert.add_seats(:'house', :'stalls', 99, ARRAY[1,2], accessible => ARRAY[NULL]::int[]);
SELECT * FROM concert.check_integrity();
