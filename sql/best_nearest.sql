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
