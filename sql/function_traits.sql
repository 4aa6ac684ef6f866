-- What the planner is told of each function is so. VOLATILE: it writes, locks, or answers differently each time. STABLE: it
-- reads only. Only what reads by the statement's own snapshot runs in parallel; what reads under the latest one (explain_reserve,
-- outbox_lanes) or asks for the transaction's own id (outbox_violations, and so check_integrity) does not.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT p.proname, CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel
FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'concert'
WHERE p.prorettype <> 'trigger'::regtype ORDER BY p.proname, p.pronargs;
-- each function in SQL that only reads can be told so by its body: it has no VOLATILE function of ours in it
SELECT DISTINCT caller.proname, called.proname AS calls FROM pg_proc AS caller
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = caller.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc AS called ON called.oid = d.refobjid
WHERE caller.pronamespace = 'concert'::regnamespace AND called.pronamespace = 'concert'::regnamespace
  AND ((caller.provolatile < called.provolatile AND called.provolatile = 'v') OR (caller.proparallel = 's' AND called.proparallel <> 's'));

-- and it holds: in a parallel worker they say what they say without
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob', idempotency_key => 'key');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob');
CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO question (query) SELECT format(q, :'concert', :'date', :'booking', :'a1', :'ann', :'section') FROM unnest(ARRAY[
    'sales() WHERE concert_date_id = %2$L', 'sales_by_section(%2$L)', 'sales_by_day(%2$L)', 'refusals()', 'pending_ages(%2$L)', 'conversion(%2$L)',
    'lag()', 'outbox_stats()', 'inbox_violations()', 'outbox_stamp()', 'concerts()', 'concert_dates(%1$L)', 'concessions(%2$L)', 'seat_map(%2$L)',
    'availability(%2$L)', 'seat_states(%2$L)', 'history_of_booking(%3$L)', 'history_of_seat(%4$L)', 'history_of_user(%5$L)',
    'seat_map_packed(%2$L)', 'export_layout(%2$L)', 'balance(%5$L)', 'sale_dates()', 'revenue_by_day(%1$L, current_date - 1, current_date)', 'payment_transitions()', 'booking_status(%3$L)',
    'verify_ledger()', 'points_statement(%5$L)',
    'local_time(''2027-01-01Z'', ''Europe/Oslo'')', 'from_local_time(''2027-01-01'', ''Europe/Oslo'')']) AS q;
-- whether the plan has a worker in it; how many rows it gives there and in the session itself
CREATE FUNCTION pg_temp.ask(query text, parallel text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
    rows bigint;
BEGIN
    PERFORM set_config(name, parallel, true) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode');
    EXECUTE 'EXPLAIN (FORMAT json) SELECT count(*) FROM concert.' || query INTO plan;
    EXECUTE 'SELECT count(*) FROM concert.' || query INTO rows;
    RETURN concat(plan->0->'Plan'->>'Node Type', ' ', rows);
END
$$;
SELECT query FROM question WHERE pg_temp.ask(query, 'on') <> replace(pg_temp.ask(query, 'off'), 'Aggregate', 'Gather') ORDER BY n;
-- and those that are not safe are not given to one
SELECT pg_temp.ask('check_integrity()', 'on') = 'Aggregate 0' AS check_integrity, pg_temp.ask('outbox_lanes()', 'on') = 'Aggregate 1' AS outbox_lanes,
       pg_temp.ask(format('explain_reserve(%L, ARRAY[%L]::uuid[], %L) WHERE NOT holds', :'date', :'a1', :'bob'), 'on') = 'Aggregate 1' AS explain_reserve;
