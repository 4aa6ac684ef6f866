-- Settings have ranges, belong to the superuser, and concert's prefix to concert alone.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
\set VERBOSITY terse

SELECT name, boot_val, unit, context, min_val, max_val FROM pg_settings WHERE name LIKE 'concert.%' ORDER BY name;

SET concert.max_seats_per_booking = 0;
SET concert.max_seats_per_booking = 1001;
SET concert.max_seats_per_booking = 'many';
-- (PostgreSQL's majors word these and some below differently)
\set VERBOSITY sqlstate
SET concert.max_event_bytes = 1023;
SET concert.max_event_bytes = '901kB';
\set VERBOSITY terse
SET concert.max_event_bytes = '900kB';
RESET concert.max_event_bytes;
-- the keys are the server's, not a session's
SET concert.pass_key_file = '/etc/passwd';
-- a name that is not there
\set VERBOSITY sqlstate
SET concert.max_seats_per_bookings = 5;
ALTER ROLE concert_admin SET concert.nonsense = 1;
\set VERBOSITY terse

-- the limit is the one in force at the call
SET concert.max_seats_per_booking = 1;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SET concert.max_seats_per_booking = 1000;
SELECT count(*) AS refused FROM (
    SELECT array_agg(gen_random_uuid()) AS seat_ids FROM generate_series(1, 1000)) AS asked,
    concert.reserve(:'date', seat_ids, :'ann') AS r, jsonb_array_elements(r.seats) AS seat
WHERE seat->>'reason' = 'unknown';
RESET concert.max_seats_per_booking;

-- nobody else sets them, nor reads where the keys are
\set VERBOSITY sqlstate
SET ROLE concert_admin;
SET concert.max_seats_per_booking = 1000;
SET concert.max_event_bytes = 1024;
SHOW concert.max_seats_per_booking;
SHOW concert.pass_key_file;
RESET ROLE;
