-- SPDX-License-Identifier: PostgreSQL
--
-- One date with :seats seats for sale; seat n has the id 00000000-…-n. Beside it the tables that a sale writes, with their
-- columns, checks and indexes and without foreign keys.
BEGIN;
CREATE EXTENSION concert;
CREATE SCHEMA rival;
CREATE TABLE rival.sale AS
SELECT concert.create_concert_date(concert.create_concert('Benchmark'), now() + interval '1 year') AS date;
CREATE TABLE rival.reservation (LIKE concert.reservation INCLUDING ALL);
CREATE TABLE rival.history (LIKE concert.history INCLUDING ALL);
CREATE TABLE rival.event (LIKE concert.outbox_event_0 INCLUDING ALL);
SET LOCAL session_replication_role = replica;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad(n::text, 32, '0')::uuid, date, section, 1 + n / 1000, 1 + n % 1000, n::text
FROM (SELECT date, concert.create_section(date, 'Stalls', 5000) AS section FROM rival.sale) AS s,
     generate_series(1, :seats) AS n;
COMMIT;
VACUUM ANALYZE;
