-- reserve_best() tries a bounded number of choices. When all of them fail although there are more, the answer is
-- busy, which no key records: here more seats were blocked past our functions than are tried in one call.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', seats_per_user_max => 1000) AS house \gset
SELECT concert.create_section(:'house', 'Stalls', 100, focal_row => 1, focal_col => 1) AS stalls \gset
SELECT sum(concert.add_seats(:'house', :'stalls', r, ARRAY(SELECT generate_series(1, 25)), ARRAY(SELECT chr(64 + r) || c FROM generate_series(1, 25) AS c))) AS added
FROM generate_series(1, 9) AS r;
SELECT ok, pg_temp.told(seats) FROM concert.reserve_best(:'house', 1, :'ann', policy => 'strict');
UPDATE concert.seat SET blocked_reason = 'stage' WHERE concert_date_id = :'house' AND "row" < 9 AND label <> 'A1';
SELECT ok, reason, seats FROM concert.reserve_best(:'house', 1, :'ann', policy => 'strict', idempotency_key => 'many');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve_best(:'house', 1, :'ann', policy => 'strict', idempotency_key => 'many');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve_best(:'house', 1, :'ann', policy => 'strict', idempotency_key => 'many');
