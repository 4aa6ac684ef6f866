-- A session that reads a map anew finds what seat_map() tells, however the rows lie in the tables: two large
-- dates and a small one whose seats and sales lie between each other, on pages that VACUUM has marked or not.
SET client_min_messages = warning;
CREATE SCHEMA load;
CREATE TABLE load.house AS
SELECT name, date, concert.create_section(date, 'Stalls', 100) AS section FROM (
    SELECT name, concert.create_concert_date(concert.create_concert(name), now() + interval '30 days') AS date
    FROM unnest(ARRAY['large', 'small', 'wide']) AS name) AS dates;
SELECT sum(concert.add_seats(date, section, r, ARRAY(SELECT generate_series(1, CASE name WHEN 'small' THEN 1 ELSE 40 END)))) AS added
FROM generate_series(1, 40) AS r, load.house;
CREATE VIEW load.answer AS
    SELECT name, p.seats, p.states = (
               SELECT string_agg(set_byte('\000', 0, bits), '' ORDER BY place) FROM (
                   SELECT n / 4 AS place, sum(array_position('{free,pending,sold,blocked}', state) - 1 << n % 4 * 2)::integer AS bits
                   FROM (SELECT state, row_number() OVER (ORDER BY "row", col)::integer - 1 AS n FROM concert.seat_map(date)) AS s
                   GROUP BY 1) AS bytes) AS is_right
    FROM load.house, concert.seat_map_packed(date) AS p ORDER BY name;
-- sales of all three in random order, some given back, the pending ones last, and of these some lapsed
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence, created_at,
                                 expires_at, expires_at_max, resolved_at, deleted_at)
SELECT concert.uuid7(), concert_date_id, id, concert.uuid7(), status, 100, 'PTS', 1, now(), now() + remaining, now() + interval '890 seconds',
       CASE WHEN status <> 'pending' THEN now() END, CASE WHEN status = 'cancelled' THEN now() END
FROM (SELECT seat.*, CASE WHEN (row + col) % 11 = 0 THEN 'cancelled' WHEN row % 20 = 0 THEN 'pending' ELSE 'confirmed' END AS status,
             CASE WHEN col % 3 = 0 THEN interval '-1 second' ELSE interval '880 seconds' END AS remaining
      FROM concert.seat JOIN load.house ON date = concert_date_id WHERE (row * 3 + col) % 5 > 0) AS s
ORDER BY status = 'pending', random();
COMMIT;
\c -
SELECT * FROM load.answer;
VACUUM concert.reservation, concert.seat;
\c -
SELECT * FROM load.answer;

-- what was confirmed, given back, made and changed since: many rows have moved
SELECT count(*) AS taken FROM load.house, LATERAL (
    SELECT concert.reserve(date, ARRAY[seat_id], gen_random_uuid()) AS r FROM concert.seat_map(date) WHERE state = 'free' AND "row" % 7 = 0) AS t
WHERE (r).ok;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET status = 'confirmed', resolved_at = now() FROM concert.seat JOIN load.house ON date = seat.concert_date_id
WHERE seat.id = seat_id AND status = 'pending' AND col % 4 = 0;
UPDATE concert.reservation SET status = 'cancelled', deleted_at = now() FROM concert.seat JOIN load.house ON date = seat.concert_date_id
WHERE seat.id = seat_id AND status = 'confirmed' AND col % 13 = 0;
UPDATE concert.reservation SET concession = 'none' FROM concert.seat JOIN load.house ON date = seat.concert_date_id
WHERE seat.id = seat_id AND row % 10 = 0;
COMMIT;
SELECT (concert.block_seats(array_agg(seat_id), 'camera')).ok FROM load.house, concert.seat_map(date) WHERE state = 'free' AND "row" % 9 = 0 GROUP BY name;
SELECT count(concert.soft_delete('seat', seat_id)) AS deleted FROM load.house, concert.seat_map(date) WHERE name = 'wide' AND state = 'free' AND "row" = 1 AND col < 20;
\c -
SELECT * FROM load.answer;
VACUUM concert.reservation, concert.seat;
\c -
SELECT * FROM load.answer;

-- later versions on the pages of the first ones, where VACUUM has made room
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET concession = 'none' FROM concert.seat JOIN load.house ON date = seat.concert_date_id
WHERE seat.id = seat_id AND row % 10 = 5;
COMMIT;
\c -
SELECT * FROM load.answer;
VACUUM concert.reservation;
\c -
SELECT * FROM load.answer;

-- with little memory, and at an isolation level that has to know of every read
\c -
SET work_mem = '64kB';
SELECT * FROM load.answer;
\c -
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM load.answer;
COMMIT;
\c -
SET client_min_messages = warning;
-- what was written straight to the tables goes the same way: it has no history
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.reservation WHERE concert_date_id IN (SELECT date FROM load.house);
DELETE FROM concert.history WHERE concert_date_id IN (SELECT date FROM load.house);
DELETE FROM concert.seat WHERE concert_date_id IN (SELECT date FROM load.house);
COMMIT;
DROP SCHEMA load CASCADE;
