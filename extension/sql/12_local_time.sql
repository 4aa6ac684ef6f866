-- Times are kept as instants and judged by the database's clock; people name them by the clocks of the
-- hall. These two functions translate, by the server's time zone data and by the names that
-- create_concert_date() takes, those of IANA: 'CET' is the zone with its summer time here, not an abbreviation,
-- and a POSIX specification such as 'CET-1' is no name.

-- from_local_time(wall_clock, time_zone) returns the instant at which the clocks of the zone show that.
-- A time that the clocks skip in spring is taken by the offset from before, so it comes out later by
-- what is skipped (02:30 is 03:30); of one that they show twice in autumn it is the second. Whoever means
-- the first writes it with its offset, as timestamptz.
-- Writes nothing, locks nothing. Errors: 22004 NULL, 22008 a result beyond the years that a timestamp has,
-- 22023 an unknown zone or an infinite time.
-- Example: SELECT concert.create_concert_date(:concert, concert.from_local_time('2027-12-24 20:00', 'Europe/Oslo'), 'Europe/Oslo');
CREATE FUNCTION concert.from_local_time(wall_clock timestamp, time_zone text) RETURNS timestamptz
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_from_local_time';
COMMENT ON FUNCTION concert.from_local_time(timestamp, text) IS 'the instant at which the clocks of a time zone show something';
REVOKE ALL ON FUNCTION concert.from_local_time(timestamp, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.from_local_time(timestamp, text) TO concert_reader;

-- local_time(at, time_zone) returns what the clocks of the zone show at an instant. As it tells the times of
-- dates that are there already, it also takes what versions before 0.2.0 let in: any zone of the server's.
-- Writes nothing, locks nothing. Errors: 22004 NULL, 22008 a result beyond the years that a timestamp has,
-- 22023 an unknown zone or an infinite time.
-- Example: SELECT concert.local_time(now(), 'Europe/Oslo');
CREATE FUNCTION concert.local_time(at timestamptz, time_zone text) RETURNS timestamp
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_local_time';
COMMENT ON FUNCTION concert.local_time(timestamptz, text) IS 'what the clocks of a time zone show at an instant';
REVOKE ALL ON FUNCTION concert.local_time(timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.local_time(timestamptz, text) TO concert_reader;
