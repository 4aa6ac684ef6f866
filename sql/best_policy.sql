-- reserve_best() by an owner that row security holds for: what a policy's function does in between, an error
-- that it catches or maps that it reads itself, leaves the map in use to whoever uses it.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 100) AS house \gset
SELECT concert.create_section(:'house', 'Stalls', 100) AS stalls \gset
SELECT count(concert.add_seats(:'house', :'stalls', r, ARRAY(SELECT generate_series(1, 100)))) AS rows FROM generate_series(1, 50) AS r;
CREATE TABLE others AS SELECT concert.create_concert_date(:'concert', now() + interval '30 days') AS date FROM generate_series(1, 12);
SELECT sum(concert.add_seats(date, concert.create_section(date, 'Stalls', 100), 1, ARRAY[1,2,3])) AS added FROM others;
CREATE FUNCTION best(date uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', coalesce(r.step, r.reason), min(s."row"), count(s.id)) FROM concert.reserve_best(date, 2, gen_random_uuid(), policy => 'strict') AS r
    LEFT JOIN concert.seat AS s ON r.seats @> jsonb_build_array(jsonb_build_object('seat_id', s.id)) GROUP BY r.step, r.reason
$$;

CREATE ROLE regress_seller IN ROLE concert_admin;
GRANT USAGE ON SCHEMA concert TO regress_seller;
GRANT ALL ON ALL TABLES IN SCHEMA concert TO regress_seller;
GRANT ALL ON ALL SEQUENCES IN SCHEMA concert TO regress_seller;
GRANT SELECT ON others TO regress_seller;
ALTER FUNCTION concert.reserve_best OWNER TO regress_seller;
ALTER TABLE concert.seat ENABLE ROW LEVEL SECURITY;

-- the house is known; then its front row is blocked past our functions, so that the first choices are refused
CREATE FUNCTION known(date uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM concert.reserve_best(date, 2, gen_random_uuid());
    UPDATE concert.seat SET blocked_reason = 'stage' WHERE concert_date_id = date AND "row" = 1;
    RETURN 'known';
END $$;

-- an error that is caught: the map, which shows an open transaction's acts, is forgotten
CREATE FUNCTION caught() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 / 0;
    RETURN false;
EXCEPTION WHEN division_by_zero THEN
    RETURN true;
END $$;
CREATE POLICY own ON concert.seat TO regress_seller USING (caught());
BEGIN;
SELECT known(:'house');
SELECT best(:'house');
SELECT best(:'house');
ROLLBACK;
DROP POLICY own ON concert.seat;

-- maps of more dates than are kept
CREATE FUNCTION others_read() RETURNS boolean LANGUAGE sql AS $$
    SELECT count(concert.seat_map_packed(date)) > 0 FROM public.others
$$;
CREATE POLICY own ON concert.seat TO regress_seller USING (blocked_reason IS NULL OR others_read());
SELECT known(:'house');
SELECT best(:'house');
SELECT best(:'house');
DROP POLICY own ON concert.seat;

UPDATE concert.seat SET blocked_reason = NULL WHERE concert_date_id = :'house';
ALTER TABLE concert.seat DISABLE ROW LEVEL SECURITY;
ALTER FUNCTION concert.reserve_best OWNER TO CURRENT_USER;
SELECT best(:'house');
SELECT * FROM concert.check_integrity();
DROP OWNED BY regress_seller;
DROP ROLE regress_seller;
DROP TABLE others;
DROP FUNCTION best, known, caught, others_read;
