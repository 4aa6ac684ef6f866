-- SPDX-License-Identifier: PostgreSQL
-- A row that an app's trigger or rule keeps out is never told as written: the call is an error (09000) and nothing of it
-- stays, and when the trigger or rule is gone the same session's next call does it.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
\set VERBOSITY sqlstate
CREATE SCHEMA regress_app;
CREATE FUNCTION regress_app.keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION pg_temp.keep_out(op text, table_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER own BEFORE %s ON concert.%I FOR EACH ROW EXECUTE FUNCTION regress_app.keep_out()', op, table_name);
END
$$;

-- what is set up
SELECT pg_temp.keep_out('INSERT', t) FROM unnest('{concert,concert_date,section,concession}'::text[]) AS t;
SELECT concert.create_concert('Kept out');
SELECT concert.create_concert_date(concert_id, now() + interval '1 day') FROM concert.concert_date WHERE id = :'date';
SELECT concert.create_section(:'date', 'Kept out', 1);
SELECT concert.create_concession(id, 'kept out', 1) FROM concert.section WHERE concert_date_id = :'date' LIMIT 1;
DROP TRIGGER own ON concert.concert;
DROP TRIGGER own ON concert.concert_date;
DROP TRIGGER own ON concert.section;
DROP TRIGGER own ON concert.concession;
SELECT concert.create_concert('Let in') IS NOT NULL AS let_in;

-- what is taken out of the sale
SELECT pg_temp.keep_out('UPDATE', 'seat');
SELECT ok FROM concert.block_seats(ARRAY[:'a1']::uuid[], 'camera');
SELECT concert.soft_delete('seat', :'a1');
DROP TRIGGER own ON concert.seat;
SELECT ok FROM concert.block_seats(ARRAY[:'a1']::uuid[], 'camera');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a1']::uuid[]);
SELECT concert.soft_delete('seat', :'a1');
SELECT pg_temp.keep_out('UPDATE', 'seat');
SELECT concert.restore('seat', :'a1');
DROP TRIGGER own ON concert.seat;
SELECT concert.restore('seat', :'a1');

-- the history and the answers that are kept under a key
CREATE RULE own AS ON INSERT TO concert.history DO INSTEAD NOTHING;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
DROP RULE own ON concert.history;
SELECT pg_temp.keep_out('INSERT', 'request_' || n) FROM generate_series(0, 3) AS n;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'kept out');
DROP TRIGGER own ON concert.request_0;
DROP TRIGGER own ON concert.request_1;
DROP TRIGGER own ON concert.request_2;
DROP TRIGGER own ON concert.request_3;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', idempotency_key => 'kept out');
-- what is put back into the sale
SELECT ok FROM concert.block_seats(ARRAY[:'a4', :'a5']::uuid[], 'camera');
SELECT pg_temp.keep_out('UPDATE', 'seat');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a4', :'a5', :'a6']::uuid[]);
DROP TRIGGER own ON concert.seat;
CREATE RULE own AS ON UPDATE TO concert.seat DO INSTEAD NOTHING;
SELECT ok FROM concert.unblock_seats(ARRAY[:'a4', :'a5', :'a6']::uuid[]);
DROP RULE own ON concert.seat;
SELECT count(*) AS told FROM concert.history_of_seat(:'a4') WHERE action = 'unblocked';
SELECT ok FROM concert.unblock_seats(ARRAY[:'a4', :'a5', :'a6']::uuid[]);
SELECT count(*) AS told FROM concert.history_of_seat(:'a4') WHERE action = 'unblocked';
SELECT pg_temp.taken(:'date');

-- the events: without its event nothing is done
SELECT booking_id AS told FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'ann') \gset
SELECT pg_temp.keep_out('INSERT', 'outbox_event_' || n) FROM generate_series(0, 3) AS n;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob');
SELECT ok FROM concert.cancel(:'told', :'ann');
SELECT ok FROM concert.block_seats(ARRAY[:'a5']::uuid[], 'camera');
SELECT ok FROM concert.charge_points(:'ann', 1, 'PTS', 'box office', 'no event ' || :'ann');
SELECT concert.emit('concert.notification', 'kept out', 'test.told', '{}');
DROP TRIGGER own ON concert.outbox_event_0;
DROP TRIGGER own ON concert.outbox_event_1;
DROP TRIGGER own ON concert.outbox_event_2;
DROP TRIGGER own ON concert.outbox_event_3;
SELECT pg_temp.booked(:'told'), pg_temp.taken(:'date');
SELECT ok FROM concert.cancel(:'told', :'ann');
SELECT concert.emit('concert.notification', 'kept out', 'test.told', '{}') IS NOT NULL AS emitted;

-- money
SELECT pg_temp.keep_out('INSERT', t) FROM unnest('{transfer,payment}'::text[]) AS t;
SELECT ok FROM concert.charge_points(:'ann', 1000, 'PTS', 'box office', 'kept out ' || :'ann');
DROP TRIGGER own ON concert.transfer;
SELECT ok FROM concert.charge_points(:'ann', 1000, 'PTS', 'box office', 'kept out ' || :'ann');
SELECT booking_id AS of_a3 FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'of_a3', :'ann');
DROP TRIGGER own ON concert.payment;
SELECT ok FROM concert.pay(:'of_a3', :'ann');

-- a call inside a trigger of the very statement that it would run again
SELECT booking_id AS of_a1 FROM concert.live_reservation WHERE seat_id = :'a1' \gset
SELECT booking_id AS of_a2 FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'ann') \gset
SELECT set_config('regress.inner', :'of_a2', false) = :'of_a2' AS set;
CREATE FUNCTION regress_app.cancel_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() > 1 THEN
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM concert.cancel(current_setting('regress.inner')::uuid, NEW.user_id);
    EXCEPTION WHEN triggered_action_exception THEN
        RAISE WARNING 'kept out';
    END;
    RETURN NEW;
END
$$;
CREATE TRIGGER own BEFORE UPDATE ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.cancel_another();
SELECT ok FROM concert.cancel(:'of_a1', :'ann');
DROP TRIGGER own ON concert.reservation;
SELECT ok FROM concert.cancel(:'of_a2', :'ann');

SET client_min_messages = error;
DROP SCHEMA regress_app CASCADE;
SELECT * FROM concert.check_integrity();
