-- A session that does not keep a map reads the seats that have changed alone, and tells what one that keeps it tells;
-- seats of another section on the same pages, a column of the app's and rows of all ages do not mislead either.
SET client_min_messages = warning;
CREATE SCHEMA part;
CREATE TABLE part.house AS
SELECT date, concert.create_section(date, 'Stalls', 100) AS stalls, concert.create_section(date, 'Balcony', 100) AS balcony FROM (
    SELECT concert.create_concert_date(concert.create_concert('Some'), now() + interval '30 days') AS date) AS dates;
SELECT sum(concert.add_seats(date, CASE r % 2 WHEN 0 THEN stalls ELSE balcony END, r, ARRAY[1,2,3,4,5,6,7,8], accessible => ARRAY[5])) AS added
FROM generate_series(1, 20) AS r, part.house;
CREATE TABLE part.version AS SELECT p.version FROM part.house, concert.seat_map_packed(date) AS p;
CREATE TABLE part.booking AS
SELECT r."row", u.user_id, a.booking_id FROM part.house, generate_series(1, 16) AS r("row"),
    LATERAL (SELECT array_agg(seat_id ORDER BY col DESC) AS ids FROM concert.seat_map(date) AS m WHERE m."row" = r."row" AND m.col % 3 = 1) AS s,
    LATERAL (SELECT gen_random_uuid() AS user_id, r."row") AS u, LATERAL concert.reserve(date, s.ids, u.user_id) AS a;
SELECT count(*) AS cancelled FROM part.booking, LATERAL concert.cancel(booking_id, user_id) AS c WHERE "row" % 4 = 1 AND c.ok;
SELECT (concert.block_seats(array_agg(seat_id), 'camera', now() + interval '1 hour')).ok FROM part.house, concert.seat_map(date) WHERE "row" = 20 AND col < 5;
-- sold, and over by the clock, without an act of their own
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET expires_at = now() - interval '1 microsecond' FROM part.booking AS b WHERE b.booking_id = reservation.booking_id AND "row" = 2;
UPDATE concert.reservation SET status = 'confirmed', resolved_at = now() FROM part.booking AS b WHERE b.booking_id = reservation.booking_id AND "row" % 4 = 3;
COMMIT;
\c -
SELECT NOT c.anew AND c.seats = (
           SELECT jsonb_agg(jsonb_build_object('seat_id', seat_id, 'row', m."row", 'col', m.col, 'state', state) ORDER BY m."row", m.col)
           FROM concert.seat_map(date) AS m WHERE ("row" <= 16 AND col % 3 = 1) OR ("row" = 20 AND col < 5)) AS told,
       jsonb_array_length(c.seats) AS seats, jsonb_path_query_array(c.seats, '$[*] ? (@.row > 15 || @.row < 4).state') AS states
FROM part.house, part.version AS v, concert.seat_map_changes(date, v.version) AS c;
CREATE TABLE part.told AS SELECT c.anew, c.seats FROM part.house, part.version AS v, concert.seat_map_changes(date, v.version) AS c;
SELECT seats FROM part.house, concert.seat_map_packed(date);
SELECT c.anew = t.anew AND c.seats = t.seats AS same_kept FROM part.told AS t, part.house, part.version AS v, concert.seat_map_changes(date, v.version) AS c;

-- what the clock alone ended, a pending and a block
CREATE TABLE part.later AS SELECT p.version FROM part.house, concert.seat_map_packed(date) AS p;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET expires_at = now() FROM part.booking AS b WHERE b.booking_id = reservation.booking_id AND "row" = 6;
UPDATE concert.seat SET blocked_until = now() FROM part.house WHERE concert_date_id = date AND blocked_reason = 'camera' AND col = 2;
COMMIT;
\c -
SELECT c.anew, jsonb_path_query_array(c.seats, '$[*].row') AS rows, jsonb_path_query_array(c.seats, '$[*].state') AS states
FROM part.house, part.later AS v, concert.seat_map_changes(date, v.version) AS c;

-- a column of the app's: some rows have it, others are older
\c -
BEGIN;
ALTER TABLE concert.seat ADD COLUMN note text;
UPDATE concert.seat SET note = 'by the door' FROM part.house WHERE concert_date_id = date AND col = 6;
SELECT n AS accessible, (concert.reserve_best(date, 2, gen_random_uuid(), ARRAY[balcony], accessible_count => n)).ok
FROM part.house, generate_series(1, 2) AS n;
ROLLBACK;

-- a section that does not live: its seats are no part of the layout, and what changed among them is to be read anew
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.section SET deleted_at = now() FROM part.house WHERE id = balcony;
COMMIT;
\c -
SELECT c.anew FROM part.house, part.version AS v, concert.seat_map_changes(date, v.version) AS c;
SELECT p.seats, p.states = (
           SELECT string_agg(set_byte('\000', 0, bits), '' ORDER BY place) FROM (
               SELECT n / 4 AS place, sum(array_position('{free,pending,sold,blocked}', state) - 1 << n % 4 * 2)::integer AS bits
               FROM (SELECT state, row_number() OVER (ORDER BY "row", col)::integer - 1 AS n FROM concert.seat_map(date)) AS s
               GROUP BY 1) AS bytes) AS is_right
FROM part.house, concert.seat_map_packed(date) AS p;
\c -
SET client_min_messages = warning;
-- what was written straight to the tables goes the same way
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.reservation WHERE concert_date_id IN (SELECT date FROM part.house);
DELETE FROM concert.history WHERE concert_date_id IN (SELECT date FROM part.house);
DELETE FROM concert.seat WHERE concert_date_id IN (SELECT date FROM part.house);
DELETE FROM concert.section WHERE concert_date_id IN (SELECT date FROM part.house);
COMMIT;
DROP SCHEMA part CASCADE;
