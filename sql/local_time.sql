-- Local times are told and taken by the zone's own clocks, also where these skip an hour in spring and
-- repeat one in autumn; the sale's window is an instant, whatever they show.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- Oslo, spring 2027: 02:00 becomes 03:00 at 01:00 UTC; what is skipped is taken by the offset before
SELECT wall_clock, concert.from_local_time(wall_clock, 'Europe/Oslo') AS at,
       concert.local_time(concert.from_local_time(wall_clock, 'Europe/Oslo'), 'Europe/Oslo') AS back
FROM unnest(ARRAY['2027-03-28 01:59:59.999999', '2027-03-28 02:00', '2027-03-28 02:30',
                  '2027-03-28 02:59:59.999999', '2027-03-28 03:00']::timestamp[]) AS wall_clock;
-- autumn: 03:00 becomes 02:00 at 01:00 UTC; what comes twice is the second
SELECT wall_clock, concert.from_local_time(wall_clock, 'Europe/Oslo') AS at,
       concert.local_time(concert.from_local_time(wall_clock, 'Europe/Oslo'), 'Europe/Oslo') AS back
FROM unnest(ARRAY['2027-10-31 01:59:59.999999', '2027-10-31 02:00', '2027-10-31 02:30',
                  '2027-10-31 02:59:59.999999', '2027-10-31 03:00']::timestamp[]) AS wall_clock;
-- both of the two half past twos, told from their instants; the first is named by its offset
SELECT at, concert.local_time(at, 'Europe/Oslo') AS shows
FROM unnest(ARRAY['2027-10-31 02:30+02', '2027-10-31 02:30+01']::timestamptz[]) AS at;
-- an instant that comes back is itself, but for the first pass of the hour that is repeated
SELECT count(*) AS instants, count(*) FILTER (WHERE back <> at) AS others,
       min(at) FILTER (WHERE back <> at), max(at) FILTER (WHERE back <> at), bool_and(back - at IN ('0', '1 hour')) AS by_an_hour
FROM generate_series('2027-01-01'::timestamptz, '2027-12-31', '15 minutes') AS at,
     LATERAL concert.from_local_time(concert.local_time(at, 'Europe/Oslo'), 'Europe/Oslo') AS back;
-- a name is a zone's, never an abbreviation
SELECT concert.from_local_time('2027-07-01 12:00', 'CET') AS cet, concert.from_local_time('2027-07-01 12:00', 'Asia/Seoul') AS seoul;
-- every name that the server lists is one, also those few (as EST5EDT) that could be a POSIX specification
SELECT count(*) > 300 AS many, count(concert.from_local_time('2027-07-01 12:00', name)) = count(*) AS taken,
       concert.from_local_time('2027-07-01 12:00', 'europe/oslo')
FROM pg_timezone_names WHERE name ~ '^[A-Z]';

-- a date that is set up by the clocks of its hall, and what concert_dates() shows of it
SELECT concert.create_concert_date(:'concert', concert.from_local_time('2028-03-26 20:00', 'Europe/Oslo'), 'Europe/Oslo',
    sale_opens_at => concert.from_local_time('2028-03-25 20:00', 'Europe/Oslo'),
    sale_closes_at => concert.from_local_time('2028-03-26 02:30', 'Europe/Oslo')) AS oslo \gset
SELECT starts_at, starts_at_local, sale_opens_at, sale_opens_at_local, sale_closes_at, sale_closes_at_local
FROM concert.concert_dates(:'concert') WHERE id = :'oslo';

-- bad input
SELECT concert.from_local_time(NULL, 'Europe/Oslo');
SELECT concert.from_local_time('2027-01-01', NULL);
SELECT concert.from_local_time('infinity', 'Europe/Oslo');
SELECT concert.from_local_time('2027-01-01', 'Europe/Olso');
SELECT concert.from_local_time('2027-01-01', '');
-- no IANA zone: a POSIX specification, one that counts leap seconds, the machine's own, another spelling of a file
CREATE FUNCTION pg_temp.attempt(zone text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN concert.from_local_time('2027-01-01', zone);
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT pg_temp.attempt(zone) FROM unnest(ARRAY['Mars5', 'MARS5', '<+99>-99', 'CET-1', 'CET-1CEST,M3.5.0,M10.5.0/3', 'EST5EDX', 'UTC0', 'utc+1',
    'right/UTC', 'posix/Europe/Oslo', 'localtime', ':Europe/Oslo', '/usr/share/zoneinfo/Europe/Oslo', '../Europe/Oslo', '5', '-5', 'CEST']) AS zone;
-- such a one is read where it is, for a date may have it since before it was refused
SELECT concert.local_time('2027-07-01 12:00Z', 'CET-1') AS by_offset;
SELECT concert.local_time(NULL, 'Europe/Oslo');
SELECT concert.local_time(now(), NULL);
SELECT concert.local_time('-infinity', 'Europe/Oslo');
SELECT concert.local_time(now(), repeat('x', 201));
-- at either end of the years that a timestamp has
\set VERBOSITY sqlstate
SELECT concert.from_local_time('294276-12-31 23:00', 'America/New_York');
SELECT concert.from_local_time('4714-11-24 00:00 BC', 'Asia/Seoul');
SELECT concert.local_time('294276-12-31 23:00Z', 'Asia/Seoul');
SELECT concert.local_time('4714-11-24 00:00Z BC', 'America/New_York');
SELECT concert.local_time('294276-12-31 23:00Z', 'America/New_York'), concert.from_local_time('4714-11-24 08:30 BC', 'Asia/Seoul');
