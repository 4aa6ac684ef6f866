-- A concession is another price for a section's seats, out of the same pool. It is chosen seat by seat,
-- frozen into the reservation, told in answers and events, and part of what makes it the same request.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_section(:'date', 'Balcony', 60) AS balcony \gset
SELECT concert.add_seats(:'date', :'balcony', 2, ARRAY[1,2], ARRAY['B1','B2']) AS added \gset
SELECT max(seat_id::text) FILTER (WHERE label = 'B1') AS b1, max(seat_id::text) FILTER (WHERE label = 'B2') AS b2
FROM concert.seat_map(:'date') \gset
SELECT concert.create_concession(:'section', 'student', 50) AS student \gset
SELECT concert.create_concession(:'section', E'"guest"\\ é', 0) AS guest \gset
SELECT concert.create_concession(:'balcony', 'student', 30) AS balcony_student \gset
SELECT section, name, price, currency FROM concert.concessions(:'date');

-- in the caller's order, each seat for itself; NULL is the full price
SELECT booking_id AS booking, ok, pg_temp.told(seats) AS told
FROM concert.reserve(:'date', ARRAY[:'b1', :'a3', :'a1', :'a2']::uuid[], :'ann',
                    concessions => ARRAY['student', NULL, E'"guest"\\ é', 'student']) \gset
SELECT :'ok' AS ok, :'told' AS told;
SELECT s.label, r.price, r.concession FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id
WHERE r.booking_id = :'booking' ORDER BY s.label;
SELECT s.label, seat->'concession' AS concession, seat->'price' AS price
FROM concert.outbox_event AS e, jsonb_array_elements(e.payload->'seats') AS seat
JOIN concert.seat AS s ON s.id = (seat->>'seat_id')::uuid
WHERE e.key = :'booking' ORDER BY s.label;
-- the pool is shared: whatever it costs, a seat is taken once
SELECT reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'bob', concessions => ARRAY['student', NULL]);
-- frozen: neither another price nor the end of the concession changes what is paid
SELECT concert.soft_delete('concession', :'student');
SELECT concert.create_concession(:'section', 'student', 99) AS dearer \gset
SELECT ok, pg_temp.told(seats), seats->0->'concession' AS concession
FROM concert.cancel(:'booking', :'ann', seat_ids => ARRAY[:'a2']::uuid[]);
SELECT ok, amount FROM concert.pay(:'booking', :'ann');
SELECT concert.balance(:'ann');
SELECT count(*) AS broken FROM concert.check_integrity() WHERE object = 'booking ' || :'booking';
SELECT pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'bob', concessions => ARRAY['student']);

-- under a key: no concession and NULL are the same, another concession is another request
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a4', :'b2']::uuid[], :'bob', idempotency_key => 'key', concessions => ARRAY['student', NULL]);
SELECT ok, pg_temp.told(seats), seats->0->'concession' AS concession
FROM concert.reserve(:'date', ARRAY[:'b2', :'a4']::uuid[], :'bob', idempotency_key => 'key', concessions => ARRAY[NULL, 'student']);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'b2', :'a4']::uuid[], :'bob', idempotency_key => 'key', concessions => ARRAY['student', NULL]);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'b2', :'a4']::uuid[], :'bob', idempotency_key => 'key');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', idempotency_key => 'other', concessions => ARRAY[NULL]::text[]);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', idempotency_key => 'other');

-- one that the section of a free seat does not have is an error, and takes nothing; taken seats are refused
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY['senior']);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1', :'a6']::uuid[], :'carl', concessions => ARRAY['senior', NULL]);
SELECT concert.soft_delete('concession', :'guest');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY[E'"guest"\\ é']);
SELECT concert.soft_delete('concession', :'guest');
\set VERBOSITY default
DO $$ BEGIN PERFORM concert.reserve(s.concert_date_id, ARRAY[s.id], s.id, concessions => ARRAY['senior'])
    FROM concert.seat AS s WHERE s.label = 'A6' AND s.concert_date_id = (SELECT max(concert_date_id::text)::uuid FROM concert.concession);
EXCEPTION WHEN SQLSTATE 'TK001' THEN RAISE WARNING '%', regexp_replace(SQLERRM, '[0-9a-f-]{36}', 'ID'); END $$;
-- an unknown seat and another date's have no section here to ask
SELECT concert.create_concert_date(:'concert', now() + interval '31 days') AS other_date \gset
SELECT concert.create_section(:'other_date', 'Stalls', 100) AS other_section \gset
SELECT concert.add_seats(:'other_date', :'other_section', 1, ARRAY[1], ARRAY['elsewhere']) AS added \gset
SELECT seat_id AS elsewhere FROM concert.seat_map(:'other_date') \gset
SELECT reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'nobody', :'elsewhere']::uuid[], :'carl', concessions => ARRAY['senior', 'senior']);
SELECT pg_temp.taken(:'date');

-- the row is the table's to guard
\set VERBOSITY sqlstate
SELECT concert.create_concession(:'section', 'student', 1);
DELETE FROM concert.concession;
TRUNCATE concert.concession;
UPDATE concert.concession SET section_id = :'other_section' WHERE id = :'dearer';
\set VERBOSITY default
-- bad input
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY[]::text[]);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY['student', 'student']);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY[ARRAY['student']]);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY['']);
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl', concessions => ARRAY[repeat('x', 201)]);
SELECT concert.create_concession(NULL, 'student', 1);
SELECT concert.create_concession(:'nobody', 'student', 1);
SELECT concert.create_concession(:'section', NULL, 1);
SELECT concert.create_concession(:'section', '', 1);
SELECT concert.create_concession(:'section', repeat('x', 201), 1);
SELECT concert.create_concession(:'section', 'senior', NULL);
SELECT concert.create_concession(:'section', 'senior', -1);
SELECT concert.create_concession(:'section', 'senior', 1000000000000001);
SELECT (SELECT count(*) FROM concert.concessions(:'nobody')) AS unknown, (SELECT count(*) FROM concert.concessions(NULL)) AS "null";
