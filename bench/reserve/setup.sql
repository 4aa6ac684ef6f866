-- SPDX-License-Identifier: PostgreSQL
--
-- One date with :concert_seats seats and one named :open_seat, and :rival_seats seats of the same shape for the rivals. Seat n has the id
-- 00000000-…-n, so that a pgbench script, which can only count, can name it. Seats are written straight to
-- their tables, without the checks of their foreign key, because there are hundreds of thousands.
BEGIN;
CREATE EXTENSION concert;
CREATE SCHEMA rival;
CREATE TABLE rival.sale (concert_date_id uuid, section_id uuid);
INSERT INTO rival.sale (concert_date_id)
SELECT concert.create_concert_date(concert.create_concert('Benchmark'), now() + interval '1 year', pending_seconds => 900);
UPDATE rival.sale SET section_id = concert.create_section(concert_date_id, 'Stalls', 5000);

CREATE TABLE rival.seat (LIKE concert.seat INCLUDING ALL);
SET LOCAL session_replication_role = replica;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad(n::text, 32, '0')::uuid, concert_date_id, section_id, 1 + n / 1000, 1 + n % 1000, n::text
FROM rival.sale, generate_series(0, :concert_seats) AS n;
INSERT INTO rival.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad(n::text, 32, '0')::uuid, concert_date_id, section_id, 1 + n / 1000, 1 + n % 1000, n::text
FROM rival.sale, generate_series(0, :rival_seats) AS n;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT :'open_seat', concert_date_id, section_id, 1000000, 1, 'open' FROM rival.sale;
COMMIT;
