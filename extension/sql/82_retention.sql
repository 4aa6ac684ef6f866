-- What lives, and what may really go.
--
-- The views show administrators the live rows of each table, whole: without those that were deleted, and
-- of reservations without those that ended or whose pending time is over, which read as free everywhere.
-- concert_admin may read them; no role has a right on any table, nor on a view but these and the reports of money.

CREATE VIEW concert.live_concert AS
    SELECT * FROM concert.concert WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concert IS 'the concerts that are not deleted';
CREATE VIEW concert.live_concert_date AS
    SELECT * FROM concert.concert_date WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concert_date IS 'the dates that are not deleted';
CREATE VIEW concert.live_section AS
    SELECT * FROM concert.section WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_section IS 'the sections that are not deleted';
CREATE VIEW concert.live_concession AS
    SELECT * FROM concert.concession WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_concession IS 'the concessions that are not deleted';
CREATE VIEW concert.live_seat AS
    SELECT * FROM concert.seat WHERE deleted_at IS NULL;
COMMENT ON VIEW concert.live_seat IS 'the seats that are not deleted';
CREATE VIEW concert.live_reservation AS
    SELECT * FROM concert.reservation
    WHERE deleted_at IS NULL AND (status = 'confirmed' OR expires_at > statement_timestamp());
COMMENT ON VIEW concert.live_reservation IS 'the reservations that hold their seat';
GRANT SELECT ON concert.live_concert, concert.live_concert_date, concert.live_section,
    concert.live_concession, concert.live_seat, concert.live_reservation TO concert_admin;

-- purge(before, max_rows) really removes what was soft-deleted or ended before a time (NULL: as late as
-- concert.retention_days allows) and returns how many rows went; call it until it returns 0. Ended
-- reservations go by whole bookings with their history, then deleted seats without reservations, then
-- concessions, sections, dates and concerts without anything on them; a date takes its house history, place leases
-- and admission batches along. Money stays, and so does what was paid for, and what a row of an app's own table
-- refers to by a key without ON DELETE action: a WARNING counts these rows, and they go once nothing refers to
-- them. Everything else that is
-- DELETE or TRUNCATE is refused (TK005, TK006), for every role.
-- Writes reservation, history, seat, concession, section, place_lease, admission_batch, concert_date,
-- concert. Locks
-- the bookings and seats that go, without waiting: what somebody is at work on stays for the next call.
-- At most max_rows go, where the shared lock table is small fewer, and a last booking as a whole; the
-- history of a booking is not counted.
-- Errors: 22004 NULL max_rows, 22023 max_rows out of 1..10000, or a time within the retention, 23503 a key of a
-- table that the function's owner may not read forbids it.
-- Example: SELECT concert.purge();
CREATE FUNCTION concert.purge(before timestamptz DEFAULT NULL, max_rows integer DEFAULT 1000)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_purge';
COMMENT ON FUNCTION concert.purge(timestamptz, integer) IS 'really removes what was deleted or ended before its retention';
REVOKE ALL ON FUNCTION concert.purge(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.purge(timestamptz, integer) TO concert_admin;
