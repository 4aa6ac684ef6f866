-- What PostgreSQL remembers of the waiting room: no number is leased twice, no place is admitted
-- twice, and a Redis that comes back empty learns where it was.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_concert_date(:'concert', now() + interval '20 hours', admission => 'required',
                                   claim_seconds => 30, pass_seconds => 600) AS queued \gset

-- numbers follow on, for each date from 1
SELECT * FROM concert.admission_state(:'queued');
SELECT * FROM concert.lease_places(:'queued', 100);
SELECT * FROM concert.lease_places(:'queued', 1);
SELECT * FROM concert.lease_places(:'queued', 1000000);
SELECT * FROM concert.lease_places(:'date', 1);
BEGIN;
SELECT * FROM concert.lease_places(:'queued', 5);
ROLLBACK;
SELECT * FROM concert.lease_places(:'queued', 5);

-- a batch goes forward only; the empty ones at its head and tail are its own
SELECT ok, reason, abs(issued_at_ms - extract(epoch FROM now()) * 1000) < 60000 AS just_now
FROM concert.record_admission(:'queued', 1, 50, 40);
SELECT * FROM concert.record_admission(:'queued', 1, 50, 40);
SELECT * FROM concert.record_admission(:'queued', 50, 60, 1);
SELECT * FROM concert.record_admission(:'queued', 10, 20, 1);
SELECT ok, reason FROM concert.record_admission(:'queued', 51, 51, 0);
SELECT ok, reason FROM concert.record_admission(:'queued', 60, 60, 1);

-- the state: the batches whose passes still live, with what is left of their times
UPDATE concert.admission_batch SET issued_at = now() - interval '600 seconds'
WHERE concert_date_id = :'queued' AND to_number = 50;
UPDATE concert.admission_batch SET issued_at = now() - interval '100 seconds'
WHERE concert_date_id = :'queued' AND to_number = 51;
SELECT leased_to, served_to, jsonb_array_length(batches) AS live FROM concert.admission_state(:'queued');
SELECT batch->'from' AS "from", batch->'to' AS "to", batch->'admitted' AS admitted,
       round((batch->'pass_remaining_ms')::bigint / 1000.0, -1) AS pass_remaining,
       greatest(round((batch->'claim_remaining_ms')::bigint / 1000.0, -1), 0) AS claim_remaining
FROM concert.admission_state(:'queued') AS s, jsonb_array_elements(s.batches) AS batch;
SELECT * FROM concert.admission_state(:'nobody');
SELECT * FROM concert.admission_state(NULL);

-- sale_dates: open, or opening within a day, and not over
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => now() + interval '1 hour') AS soon \gset
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => now() + interval '25 hours') AS later \gset
SELECT concert.create_concert_date(:'concert', '2999-01-01', sale_opens_at => '2001-01-01', sale_closes_at => now()) AS over \gset
SELECT CASE concert_date_id WHEN :'date' THEN 'date' WHEN :'queued' THEN 'queued' WHEN :'soon' THEN 'soon'
            WHEN :'later' THEN 'later' WHEN :'over' THEN 'over' END AS which,
       opens_in_ms > 0 AS to_open, round(closes_in_ms / 3600000.0) < 21 AS closes_today,
       admission, admission_cap, admission_rate, claim_seconds, pass_seconds
FROM concert.sale_dates()
WHERE concert_date_id IN (:'date', :'queued', :'soon', :'later', :'over') ORDER BY which;

-- bad input
SELECT * FROM concert.lease_places(:'nobody', 1);
SELECT * FROM concert.lease_places(NULL, 1);
SELECT * FROM concert.lease_places(:'queued', NULL);
SELECT * FROM concert.lease_places(:'queued', 0);
SELECT * FROM concert.lease_places(:'queued', -1);
SELECT * FROM concert.lease_places(:'queued', 1000001);
SELECT * FROM concert.record_admission(:'nobody', 100, 200, 1);
SELECT * FROM concert.record_admission(NULL, 100, 200, 1);
SELECT * FROM concert.record_admission(:'queued', NULL, 200, 1);
SELECT * FROM concert.record_admission(:'queued', 100, NULL, 1);
SELECT * FROM concert.record_admission(:'queued', 100, 200, NULL);
SELECT * FROM concert.record_admission(:'queued', 0, 200, 1);
SELECT * FROM concert.record_admission(:'queued', 200, 100, 1);
SELECT * FROM concert.record_admission(:'queued', 100, 200, 102);
SELECT * FROM concert.record_admission(:'queued', 100, 200, -1);
-- the highest number there is
SELECT ok FROM concert.record_admission(:'date', 1, 9223372036854775807, 2147483647);
SELECT ok, reason FROM concert.record_admission(:'date', 9223372036854775807, 9223372036854775807, 1);
