-- Seat maps at high rate. A client reads seat_map() once, then seat_map_packed() or, after that,
-- seat_map_changes(); docs/seat-map.md tells how. All of it is safe on a hot standby.

CREATE INDEX seat_timed_block ON concert.seat (concert_date_id, blocked_until) WHERE blocked_until IS NOT NULL;

CREATE TYPE concert.seat_map_packed_answer AS (
    version text, layout text, seats integer, states bytea);
COMMENT ON TYPE concert.seat_map_packed_answer IS 'the answer of seat_map_packed(): the states of all seats of a date in grid order';
CREATE TYPE concert.seat_map_changes_answer AS (anew boolean, version text, seats jsonb);
COMMENT ON TYPE concert.seat_map_changes_answer IS 'the answer of seat_map_changes(): what has changed, or that the map must be read anew';

-- seat_map_packed(concert_date_id) tells the state of every seat of a date, two bits a seat, in the
-- order of seat_map(): by row, then col. An unknown date has no seats.
-- states has ceil(seats / 4) bytes. Seat i, counted from 0, is in byte i / 4 (rounded down), in its bits
-- 2 * (i % 4) and the next, bit 0 being the lowest: get_byte(states, i / 4) >> (i % 4 * 2) & 3.
-- 0 is free, 1 pending, 2 sold, 3 blocked; what is left over of the last byte is 0.
-- layout is a digest of the id, row and col of every seat in that order: while it stays the same, seat i
-- is the same seat. version is for seat_map_changes(); it is NULL while the map shows what the caller's own
-- open transaction has done, which a savepoint may yet undo.
-- Reads only: what the calling statement's snapshot shows, judged at the statement's time.
-- Errors: 22004 NULL. Example: SELECT * FROM concert.seat_map_packed(:date);
CREATE FUNCTION concert.seat_map_packed(concert_date_id uuid) RETURNS concert.seat_map_packed_answer
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_seat_map_packed';
COMMENT ON FUNCTION concert.seat_map_packed(uuid) IS 'the state of every seat of a date in two bits, in grid order, with a version';
REVOKE ALL ON FUNCTION concert.seat_map_packed(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_map_packed(uuid) TO concert_reader;

-- seat_map_changes(concert_date_id, since_version) tells what has changed since a version that
-- seat_map_packed() or this function gave, on this server or another of the same cluster: seats lists
-- {seat_id, row, col, state} in grid order as they stand now, those among them whose pending or block
-- has ended by the clock, and some perhaps that changed and changed back. version is the new one; NULL
-- as in seat_map_packed().
-- anew: read seat_map_packed() again, and seat_map() if its layout is another one. Seats were added, deleted or
-- restored, more than 10,000 have changed, or the version is older than a day, of another date or database, or of a time before
-- a restore or failover. version and seats are NULL then.
-- Reads only, as seat_map_packed() does. Errors: 22004 NULL, 22023 what is not a version.
-- Example: SELECT * FROM concert.seat_map_changes(:date, :version);
CREATE FUNCTION concert.seat_map_changes(concert_date_id uuid, since_version text)
    RETURNS concert.seat_map_changes_answer
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_seat_map_changes';
COMMENT ON FUNCTION concert.seat_map_changes(uuid, text) IS 'the seats of a date that have changed since a version, as they stand now';
REVOKE ALL ON FUNCTION concert.seat_map_changes(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.seat_map_changes(uuid, text) TO concert_reader;
