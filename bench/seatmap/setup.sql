-- SPDX-License-Identifier: PostgreSQL
--
-- A house of 50,000 seats, half of them sold in random order, between two other dates of the same shape whose
-- seats and sales lie on the same pages of the tables and indexes where they may. Rows are written straight to their
-- tables, because there are so many.
CREATE EXTENSION concert;
CREATE TABLE house AS
SELECT n, concert.create_concert_date(concert.create_concert('House ' || n), now() + interval '1 year') AS date
FROM generate_series(1, 3) AS n;
SELECT concert.add_seats(date, section, seat_row, cols)
FROM (SELECT date, concert.create_section(date, 'House', 5000) AS section FROM house) AS s,
     generate_series(1, 500) AS seat_row,
     (SELECT array_agg(col) AS cols FROM generate_series(1, 100) AS col) AS c \g /dev/null
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence, created_at,
                                 expires_at, expires_at_max, resolved_at)
SELECT concert.uuid7(), concert_date_id, id, concert.uuid7(), 'confirmed', 5000, 'PTS', 1, now(), now(), now(), now()
FROM concert.seat WHERE (row + col) % 2 = 0 ORDER BY random();
COMMIT;
-- Dates of one seat: as many as a backend keeps maps, so that reading them has it read the house from the tables again.
CREATE TABLE other AS
SELECT concert.create_concert_date(concert.create_concert('Other ' || n), now() + interval '1 year') AS date
FROM generate_series(1, 8) AS n;
SELECT concert.add_seats(date, concert.create_section(date, 'Other', 5000), 1, ARRAY[1]) FROM other \g /dev/null
-- What a client of a second ago has missed: fifty bookings.
CREATE TABLE client AS SELECT date, (concert.seat_map_packed(date)).version FROM house WHERE n = 2;
SELECT concert.reserve(s.concert_date_id, array_agg(s.id), concert.uuid7())
FROM concert.seat AS s JOIN client ON s.concert_date_id = client.date
WHERE (s.row + s.col) % 2 = 1 AND s.row % 10 = 0 AND s.col BETWEEN 10 AND 13
GROUP BY s.concert_date_id, s.row \g /dev/null
CREATE TABLE rival_seat (LIKE concert.seat);
INSERT INTO rival_seat SELECT s.* FROM concert.seat AS s JOIN client ON s.concert_date_id = client.date ORDER BY row, col;
VACUUM (ANALYZE) rival_seat, concert.seat, concert.section, concert.reservation, concert.history;
