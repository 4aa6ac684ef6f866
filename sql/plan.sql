-- The statements inside concert's C functions are never compiled, whatever the caller's settings: with
-- jit_above_cost = 0 the compiler stays unloaded. (PL/pgSQL's assignments run no statement of their own
-- that could be; what foreign keys run is PostgreSQL's, so the calls here meet none.)
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
-- plans are made anew
\connect -
SELECT set_config('test.date', :'date', false) = :'date' AS date,
       set_config('test.seat', :'a1', false) = :'a1' AS seat, set_config('test.fan', :'bob', false) = :'bob' AS fan;
SET jit = on;
SET jit_above_cost = 0;
DO $$
DECLARE
    reason text;
    event uuid;
    compiled boolean;
BEGIN
    reason := (concert.reserve(current_setting('test.date')::uuid, ARRAY[current_setting('test.seat')::uuid],
                               current_setting('test.fan')::uuid)).reason;
    event := concert.emit('concert.notification', 'key', 'test.told', '{}');
    compiled := coalesce(pg_read_file('/proc/' || pg_backend_pid() || '/maps', 0, 10000000, true) LIKE '%llvmjit%', false);
    SET jit = off;
    PERFORM set_config('test.told', format('%s, emitted %s, compiled %s', reason, event IS NOT NULL, compiled), false);
END
$$;
SELECT current_setting('test.told') AS told;
-- nor are the functions in SQL that read a whole hall
SELECT proname, 'jit=off' = ANY (proconfig) AS never_compiled FROM pg_proc
WHERE pronamespace = 'concert'::regnamespace
  AND proname IN ('seat_map', 'availability', 'seat_states', 'lag', 'check_integrity', 'outbox_stats') ORDER BY 1;
