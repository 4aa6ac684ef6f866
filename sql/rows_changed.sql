-- What an app's trigger makes of a reservation that is inserted is what everybody is told: the caller, the answer kept under
-- the key, the event, the history and the payment. A trigger that makes another's, another seat's or another booking's
-- reservation of it is an error (09000), and nothing of the call stays.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
CREATE SCHEMA regress_app;
CREATE FUNCTION pg_temp.change(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION regress_app.change() RETURNS trigger LANGUAGE plpgsql AS %L', 'BEGIN ' || what || '; RETURN NEW; END');
END
$$;
-- a discount of 30 for the seats A1 and A3
SELECT pg_temp.change(format('IF NEW.seat_id IN (%L, %L) THEN NEW.price := NEW.price - 30; NEW.concession := ''friend''; END IF', :'a1', :'a3'));
CREATE TRIGGER own BEFORE INSERT ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.change();

SELECT ok, r::text AS answer, booking_id AS booking, pg_temp.told(seats) AS told
FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key') AS r \gset
SELECT :'ok' AS ok, :'told' AS told;
SELECT r::text = :'answer' AS same FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key') AS r;
SELECT s.label, r.price, r.concession FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id WHERE r.booking_id = :'booking' ORDER BY s.label;
SELECT pg_temp.told(payload->'seats') AS event, payload->'seats' @> '[{"concession": "friend"}]' AS with_concession
FROM concert.outbox_event WHERE key = :'booking';
SELECT ok, amount FROM concert.pay(:'booking', :'ann');
-- by the other way to seats
SELECT pg_temp.told(seats) FROM concert.reserve_best(:'date', 1, :'bob', policy => 'strict');
SELECT count(concert.cancel(booking_id, user_id)) AS cancelled FROM concert.reservation WHERE user_id = :'bob' AND status = 'pending';

-- the time and the fence: told as they are stored
SELECT pg_temp.change('NEW.expires_at := NEW.created_at + interval ''60 seconds''; NEW.fence := NEW.fence + 41');
SELECT ok, booking_id AS booking, r.seats AS seats, expires_at AS expires_at FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'bob') AS r \gset
SELECT bool_and(r.expires_at = :'expires_at') AS time_as_stored, bool_and(r.fence = (e->>'fence')::bigint AND r.fence > 41) AS fence_as_stored,
       bool_and((e->>'remaining_ms')::bigint <= 60000) AS remaining
FROM concert.reservation AS r JOIN jsonb_array_elements(:'seats') AS e ON r.id = (e->>'reservation_id')::uuid WHERE r.booking_id = :'booking';
SELECT (payload->>'expires_at')::timestamptz = :'expires_at' AS time_as_stored FROM concert.outbox_event WHERE key = :'booking';
SELECT ok FROM concert.cancel(:'booking', :'bob');

-- what may not become of it
CREATE FUNCTION pg_temp.attempt(date uuid, seats uuid[], buyer uuid, what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.change(what);
    RETURN (concert.reserve(date, seats, buyer)).ok;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT replace(replace(what, :'a5', 'A5'), :'a6', 'A6') AS what, pg_temp.attempt(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob', what) FROM unnest(ARRAY[
    'NEW.user_id := gen_random_uuid()',
    format('NEW.seat_id := CASE NEW.seat_id WHEN %L THEN %L ELSE %1$L END', :'a5', :'a6'),
    'NEW.booking_id := gen_random_uuid()', 'NEW.id := gen_random_uuid()',
    'NEW.status := ''confirmed''; NEW.resolved_at := NEW.created_at',
    'NEW.status := ''cancelled''; NEW.resolved_at := NEW.created_at; NEW.deleted_at := NEW.created_at',
    format('NEW.currency := CASE NEW.seat_id WHEN %L THEN ''EUR'' ELSE NEW.currency END', :'a5'),
    format('NEW.expires_at := CASE NEW.seat_id WHEN %L THEN NEW.created_at ELSE NEW.expires_at END', :'a5')]) AS what;
\set VERBOSITY sqlstate
SELECT pg_temp.change(format('NEW.seat_id := %L', :'a4'));
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob');
SELECT pg_temp.change('NEW.price := 9223372036854775807');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob');
\set VERBOSITY default
SELECT pg_temp.change('NEW.user_id := gen_random_uuid()');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob');
SELECT pg_temp.taken(:'date'), (SELECT count(*) FROM concert.history_of_seat(:'a5')) AS told_of_a5;
SELECT pg_temp.change('NEW.fence := NEW.fence');
-- a fence below one that has ended: the seat is taken all the same
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob', fence => 100) \gset
SELECT ok FROM concert.cancel(:'booking', :'bob');
SELECT pg_temp.change('NEW.fence := 1');
SELECT ok, booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob') \gset
SELECT :'ok' AS ok;
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'ann');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a5', :'a6', :'a4']::uuid[], :'ann');
SELECT rule, holds, reason FROM concert.explain_reserve(:'date', ARRAY[:'a5']::uuid[], :'ann') WHERE NOT holds;
SELECT ok FROM concert.cancel(:'booking', :'bob');
SELECT ok, reason FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob', fence => 99);
DROP TRIGGER own ON concert.reservation;
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'bob');
SET client_min_messages = error;
DROP SCHEMA regress_app CASCADE;
SELECT * FROM concert.check_integrity();
