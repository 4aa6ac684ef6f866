-- SPDX-License-Identifier: PostgreSQL
--
-- Three dates with the seats of a stadium, read from the standard input (section, row, seats as in 1-4,31-34, price): empty, half sold,
-- 98 % sold. A row is cut into chunks of four seats side by side; what is sold are whole chunks and what is left over. The
-- free chunks of a date are numbered in random order, and seat j of chunk n has the id DATE-0000-0000-0000-n*4+j, DATE being the
-- first eight digits of the date's id: so a pgbench script can name four free seats. All is written straight to the
-- tables, without the checks of their foreign keys.
BEGIN;
CREATE EXTENSION concert;
CREATE SCHEMA bench;
CREATE TABLE bench.house (name text, sold double precision, concert_date_id uuid);
CREATE TABLE bench.refused (concert_date_id uuid, reason text);
CREATE TEMPORARY TABLE layout (section text, "row" text, seats text, price bigint, n serial);
\copy layout (section, "row", seats, price) FROM pstdin WITH (FORMAT csv, HEADER)

INSERT INTO bench.house VALUES ('empty', 0), ('half', 0.5), ('nearly_sold', 0.98);
SELECT concert.create_concert('Benchmark') AS concert \gset
UPDATE bench.house SET concert_date_id = concert.create_concert_date(:'concert', now() + interval '1 year',
                                                                     pending_seconds => 900, seats_per_user_max => 4);
-- The last eight digits of a version 7 id are random, its first are not.
SET LOCAL session_replication_role = replica;
UPDATE concert.concert_date SET id = (right(id::text, 8) || substr(id::text, 9))::uuid;
UPDATE bench.house AS h SET concert_date_id = (right(concert_date_id::text, 8) || substr(concert_date_id::text, 9))::uuid;

CREATE TEMPORARY TABLE section AS
SELECT h.concert_date_id, l.section, l.price, concert.create_section(h.concert_date_id, l.section, l.price) AS id
FROM bench.house AS h, (SELECT DISTINCT section, price FROM layout) AS l;

CREATE TEMPORARY TABLE spot AS
SELECT section, price, n + 10 * sum(begins) OVER (ORDER BY n) AS "row", "row" || '-' || col AS label, col,
       (row_number() OVER (PARTITION BY n, part ORDER BY col) - 1) / 4 AS chunk, part
FROM (SELECT *, (col = first_col AND lag(section) OVER (ORDER BY n, col) IS DISTINCT FROM section)::integer AS begins
      FROM (SELECT l.*, p.part, col, min(col) OVER (PARTITION BY n) AS first_col
            FROM layout AS l, unnest(string_to_array(seats, ',')) WITH ORDINALITY AS p (cols, part),
                 generate_series(split_part(p.cols, '-', 1)::integer,
                                 coalesce(nullif(split_part(p.cols, '-', 2), ''), p.cols)::integer) AS col) AS c) AS s;

SELECT setseed(0.5);
CREATE TEMPORARY TABLE seat AS
SELECT s.*,
       CASE WHEN seats_in_chunk = 4 AND NOT is_sold THEN dense_rank() OVER (PARTITION BY concert_date_id, seats_in_chunk = 4 AND NOT is_sold ORDER BY dice, "row", part, chunk) END AS free_chunk
FROM (SELECT spot.*, h.concert_date_id, c.dice,
             count(*) OVER (PARTITION BY h.concert_date_id, spot."row", spot.part, spot.chunk) AS seats_in_chunk,
             h.sold > 0 AND (c.dice < h.sold OR count(*) OVER (PARTITION BY h.concert_date_id, spot."row", spot.part, spot.chunk) < 4) AS is_sold
      FROM bench.house AS h
      CROSS JOIN spot
      JOIN (SELECT h.name, "row", part, chunk, random() AS dice
            FROM bench.house AS h, (SELECT DISTINCT "row", part, chunk FROM spot) AS d) AS c
          ON c.name = h.name AND c."row" = spot."row" AND c.part = spot.part AND c.chunk = spot.chunk) AS s;

INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT CASE WHEN free_chunk IS NULL THEN concert.uuid7()
            ELSE (left(seat.concert_date_id::text, 8) || lpad((free_chunk * 4 + row_number() OVER (PARTITION BY seat.concert_date_id, free_chunk ORDER BY col) - 1)::text, 24, '0'))::uuid END,
       seat.concert_date_id, section.id, seat."row", seat.col, seat.label
FROM seat JOIN section USING (concert_date_id, section, price);

INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence, created_at,
                                 expires_at, expires_at_max, resolved_at)
SELECT concert.uuid7(), s.concert_date_id, s.id, concert.uuid7(), 'confirmed', 5000, 'PTS', 1, now(), now(), now(), now()
FROM concert.seat AS s JOIN seat USING (concert_date_id, "row", col)
WHERE seat.is_sold;
COMMIT;
VACUUM ANALYZE;
SELECT name || ': ' || count(*) || ' seats, ' || count(r.id) || ' sold'
FROM bench.house AS h JOIN concert.seat AS s USING (concert_date_id) LEFT JOIN concert.reservation AS r ON r.seat_id = s.id
GROUP BY name ORDER BY name;
