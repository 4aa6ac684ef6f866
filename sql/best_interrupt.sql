-- SPDX-License-Identifier: PostgreSQL
-- Choosing the one best of very many pairs of rows ends when the statement is cancelled, at once; it would take
-- many minutes else.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 1000) AS wide \gset
SELECT concert.create_section(:'wide', 'Rows of 800', 100) AS rows \gset
SELECT count(concert.add_seats(:'wide', :'rows', r, ARRAY(SELECT generate_series(1, 800)), accessible => ARRAY[1, 2, 3])) AS rows
FROM generate_series(1, 12) AS r;
SET concert.max_seats_per_booking = 1000;
SET statement_timeout = '300ms';
SELECT ok FROM concert.reserve_best(:'wide', 801, :'ann', policy => 'strict', accessible_count => 2);
RESET statement_timeout;
SELECT ok, step FROM concert.reserve_best(:'wide', 800, :'ann', policy => 'strict');
