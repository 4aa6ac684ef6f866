-- explain_reserve(...) says what reserve() would say to the same request, rule by rule and seat by seat,
-- without doing it. A rule that holds has no reason; holds is NULL where it cannot be judged: an unknown
-- seat is neither free nor blocked, a taken one is not looked at further, and whether a busy one is free is
-- not settled yet. The rules come in the order in which they weigh: the first that
-- does not hold gives reserve()'s reason, but for 'busy', which gives way to any other seat's. Of a
-- seat all that stands in its way is told, not only the first. There is no key and no correlation id: a
-- recorded answer is not looked for. The orphan rule is judged where all seats may be had; where it only warns,
-- it holds and the detail tells.
-- Reads only, under the latest snapshot (so not in a parallel query); keeps no lock, works on a standby.
-- What it says holds for the moment in which it is read.
-- Errors: as reserve(), but those of the key; TK001 whenever a seat that is free does not have its concession.
-- Example: SELECT * FROM concert.explain_reserve(:date, ARRAY[:seat]::uuid[], :user) WHERE NOT holds;
CREATE FUNCTION concert.explain_reserve(concert_date_id uuid, seat_ids uuid[], user_id uuid,
    pending_seconds integer DEFAULT NULL, pass text DEFAULT NULL, fence bigint DEFAULT NULL,
    concessions text[] DEFAULT NULL)
    RETURNS TABLE (rule text, seat_id uuid, holds boolean, reason text, detail text)
    LANGUAGE c STABLE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_explain_reserve';
COMMENT ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[])
    IS 'what reserve() would say, rule by rule, without doing it';
REVOKE ALL ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.explain_reserve(uuid, uuid[], uuid, integer, text, bigint, text[]) TO concert_app;
