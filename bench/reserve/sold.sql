-- SPDX-License-Identifier: PostgreSQL
--
-- Sells seat 0 of each pool, which no winner takes: it is what the losers ask for. Both are asked for once more, so that
-- a benchmark of anything but a refusal stops here.
SELECT concert_date_id AS date, :'hot_seat'::uuid AS seat, '11111111-1111-7111-8111-111111111111'::uuid AS buyer
FROM rival.sale \gset
SELECT ok AS is_charged FROM concert.charge_points(:'buyer', 5000, 'PTS', 'bench', 'bench') \gset
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'seat']::uuid[], :'buyer') \gset
SELECT ok AS is_paid FROM concert.pay(:'booking', :'buyer') \gset
SELECT booking_id AS booking FROM rival.reserve(:'date', ARRAY[:'seat']::uuid[], :'buyer') \gset
UPDATE rival.reservation SET status = 'confirmed', resolved_at = now() WHERE booking_id = :'booking';
SELECT 1 / (ours.reason = 'sold' AND theirs.reason = 'sold')::int AS both_refuse
FROM concert.reserve(:'date', ARRAY[:'seat']::uuid[], :'buyer') AS ours,
     rival.reserve(:'date', ARRAY[:'seat']::uuid[], :'buyer') AS theirs \gset
ANALYZE concert.seat, rival.seat;
