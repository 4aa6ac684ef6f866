-- Best available: so many seats, chosen and taken in one call.

CREATE TYPE concert.reserve_best_answer AS (
    ok boolean, reason text, booking_id uuid, expires_at timestamptz, seats jsonb, step text);
COMMENT ON TYPE concert.reserve_best_answer IS 'the answer of reserve_best(): the booking and the step by which its seats were found, or why none fit';

-- reserve_best(concert_date_id, count, user_id, ...) chooses count seats and takes them for one user as
-- one pending booking, as reserve() does. step says how they were found, the first of these that can be:
--   same_row_no_orphan   side by side in one row of a section, leaving no single empty seat beside them
--   same_row             side by side in one row of a section
--   adjacent_rows        two groups in neighbouring rows of a section, with overlapping columns
--   split                groups of at least two, only with allow_split; in one currency
--   standing             seats of one standing section
-- Neighbours are neighbours in the grid (row, col), whatever the labels say. Of what fits, the seats
-- nearest the section's focal point are the best; of split, the ways with the fewest groups, each in a run
-- of free seats of its own. policy 'strict' takes the very best: of split, the farthest run that is needed is
-- as near as can be, none of them could be exchanged for a nearer one, the nearest is filled first, as far as
-- each of the others keeps two seats, and in each the group stands as near as it can.
-- 'spread' takes any of the best equal ones: of the nearer quarter (or 32, if that is more) of all blocks of
-- the step, cut from each run of free seats so that they do not overlap; of split, in any of the longest runs;
-- so callers at once hardly meet.
-- sections (NULL: all) and max_price (NULL: any; what is paid for each seat) say which seats may be taken;
-- accessible_count is how many of them must be accessible (no more are taken than need be).
-- concessions, as many as seats, names the price of each (NULL: the full price), the first that of the
-- first seat chosen in grid order (row, then col). Seats are taken in sections that have all of these
-- concessions; there none of the prices so asked for may be above max_price.
-- Where the date enforces the orphan rule, it holds here as well. A standing section is sold exactly
-- up to its seats; accessible ones go last.
-- Seats that another open transaction is at work on are passed over. Refused: seats is empty and reason
-- is the least final thing in the way: busy (others are at work on seats, or took 64 choices before it could;
-- nothing is recorded under the key; the same call may be tried again), orphan, held, sold, blocked; unknown
-- when the hall has no such seats at all, or there is no such date; limit, not_on_sale, no_pass and
-- wrong_currency as in reserve().
-- What is known of the hall is kept between calls (at most 8 dates and 128 MB a backend) and follows
-- concert.history; a change that an administrator makes past the functions of this extension is noticed
-- when it makes a choice fail, or before a refusal.
-- Writes and locks what reserve() does. Errors: 22004 NULL, 22023 a count below 1, an unknown policy, more
-- accessible seats than seats, a negative price, no or too many (1000) sections, a bad key or number of
-- concessions; TK001 concessions that no section has, or not all of them together; TK002, TK003
-- more than concert.max_seats_per_booking, TK010.
-- Example: SELECT * FROM concert.reserve_best(:date, 4, :user, max_price => 9000);
-- SELECT * FROM concert.reserve_best(:date, 2, :user, concessions => ARRAY['child', NULL]);
CREATE FUNCTION concert.reserve_best(concert_date_id uuid, count integer, user_id uuid,
    sections uuid[] DEFAULT NULL, policy text DEFAULT 'spread', accessible_count integer DEFAULT 0,
    max_price bigint DEFAULT NULL, allow_split boolean DEFAULT false,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL, concessions text[] DEFAULT NULL)
    RETURNS concert.reserve_best_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_reserve_best';
COMMENT ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[])
    IS 'chooses so many seats, the best there are, and takes them as one pending booking';
REVOKE ALL ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reserve_best(uuid, integer, uuid, uuid[], text, integer, bigint, boolean, integer, text, text, text, text[]) TO concert_app;
