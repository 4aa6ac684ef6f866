-- SPDX-License-Identifier: PostgreSQL
--
-- :dates dates of :seats seats each in this database, the first :sold of each sold. Date n, counted from 0, has the id
-- dddddddd-…-n, and seat m of all dates 00000000-…-m, so that a pgbench script, which can only count, can name them. Written straight to the tables, without the checks of
-- their foreign keys, because there are so many.
BEGIN;
CREATE EXTENSION concert;
CREATE SCHEMA bench;
CREATE TABLE bench.house AS
SELECT n, concert.create_concert_date(concert.create_concert('House ' || n), now() + interval '1 year') AS date
FROM generate_series(0, :dates - 1) AS n;
SET LOCAL session_replication_role = replica;
UPDATE concert.concert_date SET id = lpad(n::text, 32, 'd')::uuid FROM bench.house WHERE id = date;
UPDATE bench.house SET date = lpad(n::text, 32, 'd')::uuid;
ALTER TABLE bench.house ADD section uuid;
UPDATE bench.house SET section = concert.create_section(date, 'House', 5000);
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad((n * :seats + seat)::text, 32, '0')::uuid, date, section, 1 + seat / 100, 1 + seat % 100, seat::text
FROM bench.house, generate_series(0, :seats - 1) AS seat
ORDER BY n, seat;
WITH made AS (
    INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence,
                                     created_at, expires_at, expires_at_max, resolved_at)
    SELECT concert.uuid7(), date, id, gen_random_uuid(), 'confirmed', 5000, 'PTS', 1, now(), now(), now(), now()
    FROM concert.seat JOIN bench.house ON date = concert_date_id WHERE label::integer < :sold
    RETURNING concert_date_id, booking_id, user_id, seat_id)
INSERT INTO concert.history (xid, at, concert_date_id, booking_id, user_id, action, seat_ids)
SELECT pg_current_xact_id(), now(), concert_date_id, booking_id, user_id, 'reserved', ARRAY[seat_id] FROM made;
COMMIT;
VACUUM ANALYZE;
