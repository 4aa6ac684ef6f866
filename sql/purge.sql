-- purge() really removes what was deleted or ended before its retention, from the leaves to the root, so
-- many rows a call and nothing else; money and what it was paid for stay. Nobody else removes a row.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
-- What is there of this test's date.
CREATE FUNCTION pg_temp.kept(date uuid) RETURNS TABLE (reservations bigint, acts bigint, house_acts bigint, seats bigint,
                                                        sections bigint, leases bigint, batches bigint, dates bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM concert.reservation WHERE concert_date_id = date),
           (SELECT count(*) FROM concert.history WHERE concert_date_id = date AND booking_id IS NOT NULL),
           (SELECT count(*) FROM concert.history WHERE concert_date_id = date AND booking_id IS NULL),
           (SELECT count(*) FROM concert.seat WHERE concert_date_id = date),
           (SELECT count(*) FROM concert.section WHERE concert_date_id = date),
           (SELECT count(*) FROM concert.place_lease WHERE concert_date_id = date),
           (SELECT count(*) FROM concert.admission_batch WHERE concert_date_id = date),
           (SELECT count(*) FROM concert.concert_date WHERE id = date)
$$;
-- Lets everything of a concert that was deleted or ended have been so for three days.
CREATE FUNCTION pg_temp.age(of_concert uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE concert.reservation SET deleted_at = deleted_at - interval '3 days'
    WHERE deleted_at IS NOT NULL AND concert_date_id IN (SELECT id FROM concert.concert_date WHERE concert_id = of_concert);
    UPDATE concert.seat SET deleted_at = deleted_at - interval '3 days'
    WHERE deleted_at IS NOT NULL AND concert_date_id IN (SELECT id FROM concert.concert_date WHERE concert_id = of_concert);
    UPDATE concert.section SET deleted_at = deleted_at - interval '3 days'
    WHERE deleted_at IS NOT NULL AND concert_date_id IN (SELECT id FROM concert.concert_date WHERE concert_id = of_concert);
    UPDATE concert.concert_date SET deleted_at = deleted_at - interval '3 days' WHERE deleted_at IS NOT NULL AND concert_id = of_concert;
    UPDATE concert.concert SET deleted_at = deleted_at - interval '3 days' WHERE deleted_at IS NOT NULL AND id = of_concert;
$$;
SET concert.retention_days = 2;

-- bookings: cancelled, expired in part, paid, pending
SELECT booking_id AS cancelled FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.cancel(:'cancelled', :'ann');
SELECT booking_id AS half FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'half');
SELECT booking_id AS paid FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob') \gset
SELECT ok FROM concert.pay(:'paid', :'bob');
SELECT concert.soft_delete('seat', :'a5'), concert.soft_delete('seat', :'a6');
SELECT * FROM pg_temp.kept(:'date');

-- nothing is old enough
SELECT concert.purge(), concert.purge('2001-01-01');
SELECT pg_temp.age(:'concert');
-- the retention is the superuser's, and judged in each call
\set VERBOSITY sqlstate
SELECT concert.purge(now() - interval '47 hours');
\set VERBOSITY default
SET concert.retention_days = 4;
SELECT concert.purge();
SET concert.retention_days = 2;
-- also where every table is published, which a table without a replica identity does not bear
SET client_min_messages = error;
CREATE PUBLICATION regress_everything FOR ALL TABLES;
SET client_min_messages = warning;
-- a row at a time: the booking that ended as a whole, with its history; of one that ended in part nothing
SELECT concert.purge(max_rows => 1) AS booking, concert.purge(max_rows => 1) AS seat, concert.purge(max_rows => 1) AS another,
       concert.purge() AS nothing;
SELECT * FROM pg_temp.kept(:'date');
SELECT pg_temp.booked(:'cancelled'), pg_temp.booked(:'half'), pg_temp.booked(:'paid');
SELECT count(*) AS told FROM concert.history_of_booking(:'cancelled');
SELECT count(*) AS violations FROM concert.check_integrity();

-- everything goes but what was paid for, and all it hangs on
SELECT concert.expire() > 0 AS expired;
SELECT count(concert.soft_delete('seat', id::uuid)) AS deleted FROM unnest(ARRAY[:'a2', :'a3', :'a4']) AS id;
SELECT pg_temp.age(:'concert');
SELECT concert.purge(), concert.purge() AS again;
SELECT * FROM pg_temp.kept(:'date');

-- what was paid for stays even when it has ended
BEGIN;
UPDATE concert.reservation SET status = 'cancelled', deleted_at = resolved_at WHERE booking_id = :'paid';
SELECT pg_temp.age(:'concert');
SELECT concert.purge(), pg_temp.booked(:'paid');
ROLLBACK;

-- a date without money goes to the root, with the waiting room's rows and the house's acts
SELECT concert.create_concert('Spring Gala') AS gala \gset
SELECT concert.create_concert_date(:'gala', '2999-12-24') AS eve \gset
SELECT concert.create_section(:'eve', 'Stalls', 5) AS stalls \gset
SELECT concert.add_seats(:'eve', :'stalls', 1, ARRAY[1,2,3]);
SELECT concert.create_concession(:'stalls', 'student', 3) IS NOT NULL AS live, concert.create_concession(:'stalls', 'senior', 3) AS senior \gset
SELECT concert.soft_delete('concession', :'senior');
SELECT count(concert.lease_places(:'eve', n)) AS leased FROM generate_series(1, 3) AS n;
SELECT ok FROM concert.record_admission(:'eve', 1, 10, 5);
SELECT count(concert.soft_delete('seat', seat_id)) FROM concert.seat_map(:'eve');
SELECT concert.soft_delete('section', :'stalls'), concert.soft_delete('concert_date', :'eve');
SELECT pg_temp.age(:'gala');
SELECT concert.purge(max_rows => 2);
SELECT * FROM pg_temp.kept(:'eve');
SELECT concert.purge(max_rows => 3);
SELECT * FROM pg_temp.kept(:'eve');
SELECT concert.purge();
SELECT * FROM pg_temp.kept(:'eve');
SELECT count(*) AS concerts FROM concert.concert WHERE id = :'gala';
SELECT concert.soft_delete('concert', :'gala');
SELECT pg_temp.age(:'gala');
SELECT concert.purge(), concert.purge() AS again;
SELECT count(*) AS concerts FROM concert.concert WHERE id = :'gala';
SELECT count(*) AS violations FROM concert.check_integrity();

DROP PUBLICATION regress_everything;
-- without one are tables alone whose rows are only inserted, and leave by TRUNCATE
SELECT c.relname AS without FROM pg_class AS c
WHERE c.relnamespace = 'concert'::regnamespace AND c.relkind = 'r' AND c.relreplident <> 'f'
  AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1;

-- what an app's rows refer to stays, a booking as a whole, and is counted; the rest goes, and these once nothing refers to them
SELECT concert.create_concert('Summer Gala') AS summer \gset
SELECT concert.create_concert_date(:'summer', '2999-07-01') AS july \gset
SELECT concert.create_section(:'july', 'Stalls', 5) AS stalls, concert.create_section(:'july', 'Balcony', 5) AS balcony \gset
SELECT concert.add_seats(:'july', :'stalls', 1, ARRAY[1,2,3,4,5]);
SELECT booking_id AS first FROM concert.reserve(:'july', ARRAY(SELECT seat_id FROM concert.seat_map(:'july') WHERE col IN (1, 2)), :'ann') \gset
SELECT booking_id AS second FROM concert.reserve(:'july', ARRAY(SELECT seat_id FROM concert.seat_map(:'july') WHERE col = 3), :'ann') \gset
SELECT (concert.cancel(booking, :'ann')).ok FROM unnest(ARRAY[:'first', :'second']::uuid[]) AS booking;
CREATE SCHEMA regress_app;
CREATE TABLE regress_app."Order" ("of" uuid REFERENCES concert.reservation ON DELETE RESTRICT, note uuid REFERENCES concert.reservation ON DELETE CASCADE);
CREATE TABLE regress_app.chair (seat_id uuid, concert_date_id uuid,
                                FOREIGN KEY (concert_date_id, seat_id) REFERENCES concert.seat (concert_date_id, id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE regress_app.part (section_id uuid REFERENCES concert.section) PARTITION BY HASH (section_id);
CREATE TABLE regress_app.only_part PARTITION OF regress_app.part FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO regress_app."Order" SELECT max(id::text)::uuid FROM concert.reservation WHERE booking_id = :'first';
INSERT INTO regress_app."Order" (note) SELECT id FROM concert.reservation WHERE booking_id = :'second';
INSERT INTO regress_app.chair SELECT id, concert_date_id FROM concert.seat WHERE concert_date_id = :'july' AND col = 4;
INSERT INTO regress_app.part VALUES (:'balcony');
SELECT count(concert.soft_delete('seat', seat_id)) FROM concert.seat_map(:'july');
SELECT concert.soft_delete('section', :'stalls'), concert.soft_delete('section', :'balcony');
SELECT pg_temp.age(:'summer');
SELECT concert.purge(), concert.purge() AS again;
SELECT * FROM pg_temp.kept(:'july');
SELECT count("of") AS orders, count(note) AS notes FROM regress_app."Order";
DELETE FROM regress_app."Order";
SELECT concert.purge();
SELECT * FROM pg_temp.kept(:'july');
DROP TABLE regress_app.chair;
TRUNCATE regress_app.part;
SELECT concert.purge(), concert.purge() AS again;
SELECT * FROM pg_temp.kept(:'july');
SELECT count(*) AS violations FROM concert.check_integrity();
DROP SCHEMA regress_app CASCADE;

\set VERBOSITY terse
-- a trigger of somebody's own that runs meanwhile removes nothing else
SELECT concert.create_section(:'date', 'Balcony', 5) AS balcony \gset
SELECT concert.soft_delete('section', :'balcony');
SELECT pg_temp.age(:'concert');
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM concert.transfer; RETURN old; END $$;
CREATE TRIGGER own BEFORE DELETE ON concert.section FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
SELECT concert.purge();
DROP TRIGGER own ON concert.section;
-- nor does anybody after one that failed
DELETE FROM concert.section;
TRUNCATE concert.section CASCADE;
DELETE FROM concert.history;
TRUNCATE concert.history;
SELECT concert.purge();

-- bad input
\set VERBOSITY default
SELECT concert.purge(max_rows => NULL);
SELECT concert.purge(max_rows => 0);
SELECT concert.purge(max_rows => 10001);
SELECT concert.purge('-infinity');
\set VERBOSITY sqlstate
SELECT concert.purge('infinity');
SELECT concert.purge(now());
