-- SPDX-License-Identifier: PostgreSQL
--
-- A hall of 1,000 seats on sale; seat n has the id 00000000-…-n, so that a pgbench script, which can only count, can name
-- it. bench.footprint is what a backend says of its memory after so many calls.
CREATE EXTENSION concert;
CREATE SCHEMA bench;
CREATE TABLE bench.hall AS
SELECT concert.create_concert_date(concert.create_concert('Benchmark'), now() + interval '1 year') AS date;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad(n::text, 32, '0')::uuid, date, section, 1 + n / 50, 1 + n % 50, n::text
FROM (SELECT date, concert.create_section(date, 'Hall', 5000) AS section FROM bench.hall) AS s, generate_series(0, 999) AS n;
ALTER TABLE bench.hall ADD version text;
UPDATE bench.hall SET version = (concert.seat_map_packed(date)).version;
CREATE TABLE bench.footprint (calls bigint PRIMARY KEY, context_bytes bigint NOT NULL, anonymous_bytes bigint NOT NULL);
ANALYZE;
