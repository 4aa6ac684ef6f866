-- reserve_best() takes concessions: the seats that it chooses, in grid order, have the prices that were named; they are in
-- sections that have all of these, and max_price is about what is paid.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 1000) AS house \gset
SELECT concert.create_section(:'house', 'Stalls', 100) AS stalls, concert.create_section(:'house', 'Balcony', 60) AS balcony,
       concert.create_section(:'house', 'Floor', 30, kind => 'standing') AS floor \gset
SELECT concert.add_seats(:'house', :'stalls', 1, ARRAY[1,2,3,4,5,6]) + concert.add_seats(:'house', :'balcony', 2, ARRAY[1,2,3,4])
       + concert.add_seats(:'house', :'floor', 3, ARRAY[1,2,3]) AS added;
SELECT concert.create_concession(:'stalls', 'child', 50) AS child, concert.create_concession(:'stalls', 'student', 80) AS student,
       concert.create_concession(:'balcony', 'child', 0) AS balcony_child, concert.create_concession(:'floor', 'child', 10) AS floor_child \gset
-- what was taken and for how much, in grid order
CREATE FUNCTION pg_temp.best(answer concert.reserve_best_answer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(': ', coalesce(answer.step, answer.reason),
                     (SELECT string_agg(concat_ws(' ', section.name, e->>'price', e->>'concession'), ', ' ORDER BY s."row", s.col)
                      FROM jsonb_array_elements(answer.seats) AS e JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid
                      JOIN concert.section AS section ON section.id = s.section_id))
$$;
CREATE FUNCTION pg_temp.strictly(date uuid, count integer, concessions text[], sections uuid[] DEFAULT NULL, max_price bigint DEFAULT NULL,
    split boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.best(concert.reserve_best(date, count, gen_random_uuid(), sections, 'strict', 0, max_price, split, concessions => concessions))
$$;
CREATE FUNCTION pg_temp.give_back(date uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count((concert.cancel(b.booking_id, b.user_id)).ok)
    FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE concert_date_id = date AND status = 'pending') AS b
$$;

-- the first concession for the first seat in grid order, whatever order they were chosen in; NULL is the full price
SELECT pg_temp.strictly(:'house', 3, ARRAY['child', NULL, 'student'], ARRAY[:'stalls']::uuid[]);
SELECT pg_temp.give_back(:'house');
SELECT pg_temp.strictly(:'house', 3, ARRAY[NULL, 'child', NULL], ARRAY[:'balcony']::uuid[]);
SELECT pg_temp.strictly(:'house', 2, ARRAY['child', NULL], ARRAY[:'floor']::uuid[]);
-- none named is the full price for all
SELECT pg_temp.strictly(:'house', 1, NULL, ARRAY[:'floor']::uuid[]);
SELECT pg_temp.give_back(:'house');
SELECT pg_temp.strictly(:'house', 2, ARRAY[NULL, NULL], ARRAY[:'balcony']::uuid[]);
SELECT pg_temp.give_back(:'house');

-- only sections that have all of them: student is the stalls' alone
SELECT pg_temp.strictly(:'house', 2, ARRAY['student', 'child']);
SELECT pg_temp.strictly(:'house', 5, ARRAY['student', 'child', NULL, NULL, NULL]);
SELECT pg_temp.give_back(:'house');
-- max_price is about what is paid: two children in the stalls at 50, not one of them with a parent
SELECT pg_temp.strictly(:'house', 2, ARRAY['child', 'child'], ARRAY[:'stalls']::uuid[], max_price => 50);
SELECT pg_temp.strictly(:'house', 2, ARRAY['child', NULL], ARRAY[:'stalls']::uuid[], max_price => 99);
SELECT pg_temp.strictly(:'house', 2, ARRAY['child', NULL], ARRAY[:'stalls']::uuid[], max_price => 100);
SELECT pg_temp.strictly(:'house', 2, ARRAY['child', 'child'], ARRAY[:'stalls']::uuid[], max_price => 49);
SELECT pg_temp.give_back(:'house');
-- split groups as well
SELECT pg_temp.strictly(:'house', 10, array_fill('child'::text, ARRAY[10]), ARRAY[:'stalls', :'balcony']::uuid[], max_price => 50, split => true);
SELECT pg_temp.give_back(:'house');
-- a concession's price that was raised since counts, and one that is no more is none
SELECT pg_temp.strictly(:'house', 1, ARRAY['child'], ARRAY[:'stalls']::uuid[], max_price => 50);
UPDATE concert.concession SET price = 70 WHERE id = :'child';
SELECT pg_temp.strictly(:'house', 1, ARRAY['child'], ARRAY[:'stalls']::uuid[], max_price => 50);
SELECT pg_temp.strictly(:'house', 1, ARRAY['child'], ARRAY[:'stalls', :'balcony']::uuid[], max_price => 50);
SELECT pg_temp.give_back(:'house');
SELECT concert.soft_delete('concession', :'floor_child');

-- frozen, paid and told as by reserve()
SELECT booking_id AS booking FROM concert.reserve_best(:'house', 2, :'ann', ARRAY[:'stalls']::uuid[], 'strict', concessions => ARRAY['student', NULL]) \gset
SELECT r.price, r.concession FROM concert.reservation AS r WHERE r.booking_id = :'booking' ORDER BY r.price;
SELECT ok, amount FROM concert.pay(:'booking', :'ann');

-- under a key: the concessions, seat by seat, are part of the request; none and only NULLs are the same
SELECT pg_temp.best(concert.reserve_best(:'house', 2, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'key', concessions => ARRAY['child', NULL]));
SELECT pg_temp.best(concert.reserve_best(:'house', 2, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'key', concessions => ARRAY['child', NULL]));
SELECT pg_temp.best(concert.reserve_best(:'house', 2, :'carl', ARRAY[:'balcony']::uuid[], idempotency_key => 'key'));
SELECT pg_temp.best(concert.reserve_best(:'house', 2, :'carl', ARRAY[:'balcony']::uuid[], idempotency_key => 'key', concessions => ARRAY[NULL, NULL]::text[]));
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve_best(:'house', 2, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'key', concessions => ARRAY[NULL, 'child']);
SELECT ok FROM concert.reserve_best(:'house', 2, :'bob', ARRAY[:'balcony']::uuid[], idempotency_key => 'key');

-- bad input: unknown, deleted, another section's, not together in any; nothing is taken
SELECT pg_temp.give_back(:'house');
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY['senior']);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'floor']::uuid[], concessions => ARRAY['child']);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'balcony']::uuid[], concessions => ARRAY['student']);
SELECT ok FROM concert.reserve_best(:'house', 2, :'carl', concessions => ARRAY['student', 'senior']);
SELECT reason FROM concert.reserve_best(:'house', 1, :'carl', ARRAY[:'nobody']::uuid[], concessions => ARRAY['senior']);
\set VERBOSITY default
-- as many as seats, and names
SELECT ok FROM concert.reserve_best(:'house', 2, :'carl', concessions => ARRAY['child']);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY['child', NULL]);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY[]::text[]);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY[ARRAY['child']]);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY['']);
SELECT ok FROM concert.reserve_best(:'house', 1, :'carl', concessions => ARRAY[repeat('x', 201)]);
SELECT pg_temp.taken(:'house');
SELECT count(*) AS broken FROM concert.check_integrity();
