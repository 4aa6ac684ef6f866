-- The nearest seats, at whatever distance; and of groups apart, as few as can be, in the nearest rows that allow it.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 1000) AS house \gset
-- seats r-c in these rows and columns of a section with this focal point
CREATE FUNCTION pg_temp.section(date uuid, focal_row integer, focal_col integer, "rows" integer[], cols integer[]) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE section uuid := concert.create_section(date, 'Focus ' || gen_random_uuid(), 100, focal_row => focal_row, focal_col => focal_col);
BEGIN
    PERFORM concert.add_seats(date, section, r, cols, (SELECT array_agg(r || '-' || c) FROM unnest(cols) AS c)) FROM unnest("rows") AS r;
    RETURN section;
END $$;
CREATE FUNCTION pg_temp.strictly(date uuid, count integer, section uuid, accessible integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(': ', coalesce(r.step, r.reason), (SELECT string_agg(s.label, ' ' ORDER BY s."row", s.col)
            FROM jsonb_array_elements(r.seats) AS e JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid))
    FROM concert.reserve_best(date, count, gen_random_uuid(), ARRAY[section], 'strict', accessible, NULL, true) AS r
$$;
CREATE FUNCTION pg_temp.give_back(date uuid) RETURNS boolean LANGUAGE sql AS $$
    SELECT bool_and((concert.cancel(b.booking_id, b.user_id)).ok)
    FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE concert_date_id = date AND status = 'pending') AS b
$$;

-- as far as there are columns, and rows
SELECT pg_temp.strictly(:'house', 1, pg_temp.section(:'house', 1, 1000000, ARRAY[1], ARRAY[1,2,3,4,5,6,7,8,9,10]));
SELECT pg_temp.strictly(:'house', 2, pg_temp.section(:'house', 1000000, 5, ARRAY[2, 3], ARRAY[1,2,3,4,5,6,7,8,9,10]));
SELECT pg_temp.strictly(:'house', 1, pg_temp.section(:'house', 4, 5, ARRAY[999999, 1000000], ARRAY[1,2,3,4,5,6,7,8,9,10]));
SELECT pg_temp.give_back(:'house');

-- groups: rows 1001 and 1003 do, and row 1500 is not nearer for being longer
SELECT pg_temp.section(:'house', 1, 5, ARRAY[1001, 1003], ARRAY[4,5,6]) AS far \gset
UPDATE concert.section SET focal_row = 1001 WHERE id = :'far';
SELECT concert.add_seats(:'house', :'far', 1500, ARRAY[4,5,6,7], ARRAY['1500-4','1500-5','1500-6','1500-7']) AS added;
SELECT pg_temp.strictly(:'house', 5, :'far');
SELECT pg_temp.give_back(:'house');
-- but where fewer groups need it
SELECT pg_temp.strictly(:'house', 7, :'far');
SELECT pg_temp.give_back(:'house');
-- the nearest row is filled first, the longer one takes the rest, at least two
SELECT pg_temp.section(:'house', 3001, 1, ARRAY[3001], ARRAY[1,2,3]) AS short \gset
SELECT concert.add_seats(:'house', :'short', 3003, ARRAY[1,2,3,4,5]), concert.add_seats(:'house', :'short', 3005, ARRAY[1,2,3,4]);
SELECT pg_temp.strictly(:'house', 6, :'short');
SELECT pg_temp.give_back(:'house');
-- a longer row is left for a nearer one that will do
SELECT concert.add_seats(:'house', :'short', 3007, ARRAY[1,2,3,4,5,6,7]);
SELECT pg_temp.strictly(:'house', 10, :'short');
SELECT pg_temp.give_back(:'house');
-- which group stands where in its row, the longest in the nearest
SELECT pg_temp.section(:'house', 2003, 5, ARRAY[2001, 2003], ARRAY[1,2,3,4,5,6]) AS pair \gset
SELECT pg_temp.strictly(:'house', 8, :'pair');
SELECT pg_temp.give_back(:'house');
-- accessible seats go before, but no farther than need be
UPDATE concert.seat SET accessible = true WHERE section_id = :'pair' AND label IN ('2001-1', '2001-2');
SELECT pg_temp.section(:'house', 2010, 5, ARRAY[2010], ARRAY[1]) AS reads_again \gset
SELECT pg_temp.strictly(:'house', 8, :'pair', 2);
SELECT pg_temp.give_back(:'house');
UPDATE concert.seat SET accessible = true WHERE section_id = :'pair' AND label = '2001-3';
SELECT pg_temp.section(:'house', 2020, 5, ARRAY[2020], ARRAY[1]) AS reads_again \gset
SELECT pg_temp.strictly(:'house', 8, :'pair', 3);
SELECT pg_temp.give_back(:'house');
SELECT * FROM concert.check_integrity();
