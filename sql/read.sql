-- Reads tell each seat's state as a buyer meets it, in grid order and for one date only; a pending
-- reservation whose time is over reads as free.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_section(:'date', 'Box', 500, 'EUR', 'standing') AS box \gset
SELECT concert.add_seats(:'date', :'box', 3, ARRAY[2,1], ARRAY['C2','C1']) AS added \gset
SELECT concert.create_section(:'date', 'Attic', 7) AS attic \gset
SELECT concert.create_concert_date(:'concert', now() + interval '29 days') AS other_date \gset
SELECT concert.create_section(:'other_date', 'Stalls', 100) AS other_section \gset
SELECT concert.add_seats(:'other_date', :'other_section', 1, ARRAY[1], ARRAY['elsewhere']) AS added \gset

-- one seat of each state
SELECT booking_id AS sold FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'sold', :'ann');
SELECT booking_id AS held FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann', fence => 55) \gset
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT booking_id AS given_up FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'ann') \gset
SELECT ok FROM concert.cancel(:'given_up', :'ann');
SELECT ok FROM concert.block_seats(ARRAY[:'a6']::uuid[], 'camera', now() + interval '1 hour');

SELECT section, "row", col, label, price, currency, state FROM concert.seat_map(:'date');
SELECT section, kind, price, currency, seats, free, pending, sold, blocked FROM concert.availability(:'date');

-- seat_states: what Redis is marked with
SELECT label, s.state, s.user_id = :'ann' AS anns, fence, round(remaining_ms / 1000.0, -1) AS remaining
FROM concert.seat_states(:'date') AS s JOIN concert.seat ON seat.id = s.seat_id ORDER BY label;
SELECT label, s.state, s.user_id = :'ann' AS anns, fence, remaining_ms
FROM concert.seat_states(:'date', ARRAY[:'a1', :'a2', :'a4', :'a5', :'nobody', :'other_date']::uuid[]) AS s
JOIN concert.seat ON seat.id = s.seat_id ORDER BY label;
SELECT count(*) AS of_another_date FROM concert.seat_states(:'other_date', ARRAY[:'a2']::uuid[]);
SELECT count(*) AS of_none_asked FROM concert.seat_states(:'date', ARRAY[]::uuid[]);

-- lists
SELECT count(*) AS listed FROM concert.concerts() WHERE id = :'concert';
SELECT CASE id WHEN :'date' THEN 'date' ELSE 'other date' END AS by_time FROM concert.concert_dates(:'concert');

-- an unknown id and a NULL find nothing
SELECT (SELECT count(*) FROM concert.concert_dates(id)) AS dates,
       (SELECT count(*) FROM concert.seat_map(id)) AS seats,
       (SELECT count(*) FROM concert.availability(id)) AS sections,
       (SELECT count(*) FROM concert.seat_states(id)) AS states
FROM unnest(ARRAY[:'nobody', NULL]::uuid[]) AS id;
\set VERBOSITY terse
SELECT * FROM concert.seat_map('date');

-- lag: what is under way has a name each
SELECT name FROM concert.lag() ORDER BY name;
SELECT value > 0 AS lapsed_is_counted FROM concert.lag() WHERE name = 'pendings_expired';
SELECT value > 0 AS sold_without_ticket FROM concert.lag() WHERE name = 'tickets_missing';
SELECT value > 0 AS charged_without_record FROM concert.lag() WHERE name = 'charge_records_missing';
