-- explain_reserve() says what reserve() would, by the same rules, and does nothing: it tells all that
-- stands in a request's way, rule by rule and seat by seat.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.create_section(:'date', 'Box', 500, 'EUR') AS box \gset
SELECT concert.add_seats(:'date', :'box', 3, ARRAY[1], ARRAY['C1']) AS added \gset
SELECT seat_id AS c1 FROM concert.seat_map(:'date') WHERE label = 'C1' \gset
SELECT concert.create_concert_date(:'concert', now() + interval '31 days', sale_opens_at => now() + interval '1 day',
                                   admission => 'required', seats_per_user_max => 1) AS closed \gset
SELECT concert.create_section(:'closed', 'Stalls', 100) AS closed_section \gset
SELECT concert.add_seats(:'closed', :'closed_section', 1, ARRAY[1,2], ARRAY['D1','D2']) AS added \gset
SELECT max(seat_id::text) FILTER (WHERE label = 'D1') AS d1, max(seat_id::text) FILTER (WHERE label = 'D2') AS d2
FROM concert.seat_map(:'closed') \gset
-- an explanation without ids, times and what is left of them
CREATE FUNCTION pg_temp.told(rule text, seat_id uuid, holds boolean, reason text, detail text)
RETURNS TABLE (told_rule text, seat text, told_holds boolean, told_reason text, told_detail text) LANGUAGE sql AS $$
    SELECT rule, coalesce((SELECT label FROM concert.seat WHERE id = seat_id), CASE WHEN seat_id IS NOT NULL THEN '?' END),
           holds, reason, regexp_replace(regexp_replace(detail, '\d+ ms', 'N ms'), '\d{4}-\d\d-\d\d [0-9:.]+[+-][0-9:]+', 'TIME', 'g')
$$;

-- nothing stands in the way
SELECT t.* FROM concert.explain_reserve(:'date', ARRAY[:'a2', :'a1']::uuid[], :'ann') AS e, pg_temp.told(e.rule, e.seat_id, e.holds, e.reason, e.detail) AS t;

-- every kind of refusal at once, and what reserve() says to the same
SELECT booking_id AS sold FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob') \gset
SELECT ok FROM concert.pay(:'sold', :'bob');
SELECT booking_id AS held FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'bob', fence => 70) \gset
SELECT ok FROM concert.block_seats(ARRAY[:'a3']::uuid[], 'camera', now() + interval '1 hour');
SELECT ok FROM concert.block_seats(ARRAY[:'a4']::uuid[], 'pillar');
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', fence => 80) \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT array[:'a5', :'a1', :'a2', :'a3', :'a4', :'d1', :'nobody']::uuid[] AS asked \gset
SELECT t.* FROM concert.explain_reserve(:'date', :'asked', :'ann', fence => 60) AS e, pg_temp.told(e.rule, e.seat_id, e.holds, e.reason, e.detail) AS t
WHERE t.told_holds IS NOT TRUE;
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', :'asked', :'ann', fence => 60);
-- the same fence is good for the same user only
SELECT e.holds FROM concert.explain_reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', fence => 80) AS e WHERE rule = 'fence is the newest';
SELECT e.holds FROM concert.explain_reserve(:'date', ARRAY[:'a5']::uuid[], :'ann', fence => 80) AS e WHERE rule = 'fence is the newest';
-- an expired pending is free, and stays as it is
SELECT bool_and(holds) AS would_be_made FROM concert.explain_reserve(:'date', ARRAY[:'a5']::uuid[], :'ann');
SELECT pg_temp.booked(:'lapsed');

-- the date's rules and those of the seats together
SELECT t.* FROM concert.explain_reserve(:'closed', ARRAY[:'d1', :'d2']::uuid[], :'ann') AS e, pg_temp.told(e.rule, e.seat_id, e.holds, e.reason, e.detail) AS t
WHERE t.told_holds IS NOT TRUE;
SELECT reason FROM concert.reserve(:'closed', ARRAY[:'d1', :'d2']::uuid[], :'ann');
SELECT t.* FROM concert.explain_reserve(:'date', ARRAY[:'a6', :'c1']::uuid[], :'ann') AS e, pg_temp.told(e.rule, e.seat_id, e.holds, e.reason, e.detail) AS t
WHERE t.told_holds IS NOT TRUE;
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a6', :'c1']::uuid[], :'ann');
SELECT t.* FROM concert.explain_reserve(:'nobody', ARRAY[:'d1', :'nobody']::uuid[], :'ann') AS e, pg_temp.told(e.rule, e.seat_id, e.holds, e.reason, e.detail) AS t;

-- the orphan rule, which is judged last: what is refused, and what would do; where it warns, it tells and holds
SELECT concert.create_concert_date(:'concert', now() + interval '32 days', orphan_rule => 'enforce') AS strict \gset
SELECT concert.add_seats(:'strict', concert.create_section(:'strict', 'Stalls', 100), 1, ARRAY[1,2,3,4], ARRAY['E1','E2','E3','E4']) AS added \gset
SELECT max(seat_id::text) FILTER (WHERE label = 'E1') AS e1, max(seat_id::text) FILTER (WHERE label = 'E2') AS e2
FROM concert.seat_map(:'strict') \gset
SELECT e.holds, e.reason, replace(e.detail, :'e1', 'E1') AS detail FROM concert.explain_reserve(:'strict', ARRAY[:'e2']::uuid[], :'ann') AS e WHERE NOT holds;
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'strict', ARRAY[:'e2']::uuid[], :'ann');
SELECT bool_and(holds) AS would_be_made FROM concert.explain_reserve(:'strict', ARRAY[:'e1']::uuid[], :'ann');
UPDATE concert.concert_date SET orphan_rule = 'warn' WHERE id = :'strict';
SELECT e.holds, e.reason, replace(e.detail, :'e1', 'E1') AS detail FROM concert.explain_reserve(:'strict', ARRAY[:'e2']::uuid[], :'ann') AS e WHERE rule = 'no single seat is left';

-- whatever is asked, it says what reserve() says: each pair of seats, alone and with a fence
SELECT count(*) AS asked, count(*) FILTER (WHERE r.reason IS DISTINCT FROM e.reason) AS other_reason,
       count(DISTINCT r.reason) AS reasons
FROM (SELECT ARRAY[a.seat_id, b.seat_id] AS pair FROM concert.seat_map(:'date') AS a, concert.seat_map(:'date') AS b
      WHERE a.seat_id <> b.seat_id AND 'free' <> ALL (ARRAY[a.state, b.state])) AS pairs,
     unnest(ARRAY[NULL, 60]::bigint[]) AS fence,
     concert.reserve(:'date', pair, :'ann', fence => fence) AS r,
     LATERAL (SELECT min(x.reason) FILTER (WHERE x.n = first) AS reason
              FROM (SELECT *, min(n) FILTER (WHERE NOT holds) OVER () AS first
                    FROM concert.explain_reserve(:'date', pair, :'ann', fence => fence) WITH ORDINALITY AS w (rule, seat_id, holds, reason, detail, n)) AS x) AS e;

-- it writes nothing, locks nothing, needs no transaction id, and may be asked in a read-only transaction
BEGIN READ ONLY;
SELECT count(*) > 0 AS told FROM concert.explain_reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'ann');
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid,
       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks;
COMMIT;
SELECT provolatile FROM pg_proc WHERE oid = 'concert.explain_reserve'::regproc;
-- an app may ask
SET ROLE concert_app;
SELECT bool_and(holds) AS would_be_made FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], :'ann');
RESET ROLE;

-- bad input is reserve()'s
\set VERBOSITY sqlstate
SELECT count(*) FROM concert.explain_reserve(NULL, ARRAY[:'a6']::uuid[], :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', NULL, :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], NULL);
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[]::uuid[], :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[NULL]::uuid[], :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[:'a6', :'a6']::uuid[], :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 11)), :'ann');
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], :'ann', fence => -1);
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], :'ann', fence => 9223372036854775807);
SELECT count(*) FROM concert.explain_reserve(:'date', ARRAY[:'a6']::uuid[], :'ann', concessions => ARRAY['senior']);
