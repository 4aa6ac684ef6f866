-- What an app puts on our tables is honoured by reserve(): its triggers, rules, policies, columns,
-- constraints and keys; the direct way is left while it could not honour them, and taken again when they
-- are gone. A call that fails half-way leaves nothing, neither rows nor locks.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
CREATE SCHEMA regress_app;
CREATE TABLE regress_app.seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE regress_app.customer (id uuid PRIMARY KEY);
CREATE FUNCTION regress_app.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_app.seen (what) VALUES (concat_ws(' ', tg_when, tg_level, tg_op, tg_table_name));
    RETURN new;
END
$$;
-- Reserves and cancels A1: how it ended, whether a row was there, what the app saw, and whether the row went
-- in as it should: the foreign key's lock on the table of seats tells the direct way from the other.
CREATE FUNCTION pg_temp.sell(date uuid, seat uuid, buyer uuid, direct boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer concert.reserve_answer;
    told text;
    seen text;
    rows bigint;
    went_direct boolean;
BEGIN
    TRUNCATE regress_app.seen;
    BEGIN
        answer := concert.reserve(date, ARRAY[seat], buyer);
        told := CASE WHEN answer.ok THEN 'reserved' ELSE answer.reason END;
    EXCEPTION WHEN OTHERS THEN
        RETURN concat_ws(' ', SQLSTATE, regexp_replace(SQLERRM, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g'));
    END;
    SELECT count(*) INTO rows FROM concert.reservation WHERE booking_id = answer.booking_id;
    SELECT string_agg(what, ', ' ORDER BY n) INTO seen FROM regress_app.seen;
    SELECT count(*) = 0 INTO went_direct FROM pg_locks
    WHERE pid = pg_backend_pid() AND relation = 'concert.seat'::regclass AND mode = 'RowShareLock';
    IF answer.ok THEN
        PERFORM concert.cancel(answer.booking_id, buyer);
    END IF;
    RETURN concat_ws('; ', told, rows || ' row', 'seen: ' || seen, CASE
        WHEN NOT answer.ok THEN NULL
        WHEN went_direct = (direct AND current_setting('concert.direct_access')::boolean) THEN 'as it should'
        WHEN went_direct THEN 'went direct' ELSE 'did not go direct' END);
END
$$;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS without;

-- triggers: before and after, row and statement, at once and at the end
CREATE TRIGGER own BEFORE INSERT ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.see();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS before_row;
DROP TRIGGER own ON concert.reservation;
CREATE TRIGGER own AFTER INSERT ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.see();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS after_row;
DROP TRIGGER own ON concert.reservation;
CREATE TRIGGER own AFTER INSERT OR UPDATE ON concert.reservation FOR EACH STATEMENT EXECUTE FUNCTION regress_app.see();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS statement;
DROP TRIGGER own ON concert.reservation;
CREATE CONSTRAINT TRIGGER own AFTER INSERT ON concert.reservation DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION regress_app.see();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS deferred;
SELECT what FROM regress_app.seen;
DROP TRIGGER own ON concert.reservation;
-- one for changes only is none of an insert's business
CREATE TRIGGER own AFTER UPDATE ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.see();
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS of_changes;
SELECT what FROM regress_app.seen;
DROP TRIGGER own ON concert.reservation;
-- one whose function sets a search path of its own
CREATE FUNCTION regress_app.see_by_path() RETURNS trigger LANGUAGE plpgsql SET search_path = regress_app AS $$
BEGIN
    INSERT INTO seen (what) VALUES ('by its own path');
    RETURN NEW;
END
$$;
CREATE TRIGGER own BEFORE INSERT ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.see_by_path();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS by_path;
DROP TRIGGER own ON concert.reservation;
-- one that keeps the row out: no booking without its rows
CREATE FUNCTION regress_app.keep_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER own BEFORE INSERT ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.keep_out();
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS kept_out;
DROP TRIGGER own ON concert.reservation;
-- one that keeps a change out, or a rule: nothing is answered or told that was not done, and nobody is asked
-- to try again
SELECT booking_id AS kept FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
CREATE RULE own AS ON UPDATE TO concert.reservation DO INSTEAD NOTHING;
SELECT ok FROM concert.extend(:'kept', :'ann', 600);
DROP RULE own ON concert.reservation;
SELECT ok FROM concert.extend(:'kept', :'ann', 600);
UPDATE concert.reservation SET expires_at = created_at WHERE booking_id = :'kept';
CREATE TRIGGER own BEFORE UPDATE ON concert.reservation FOR EACH ROW EXECUTE FUNCTION regress_app.keep_out();
\set VERBOSITY sqlstate
SELECT concert.expire();
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob');
\set VERBOSITY default
DROP TRIGGER own ON concert.reservation;
SELECT concert.expire() > 0 AS expired;
SELECT action FROM concert.history_of_booking(:'kept') ORDER BY at, action;
-- on the history
CREATE TRIGGER own AFTER INSERT ON concert.history FOR EACH ROW EXECUTE FUNCTION regress_app.see();
SELECT split_part(pg_temp.sell(:'date', :'a1', :'ann', true), '; as', 1) AS of_history;
DROP TRIGGER own ON concert.history;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS without;

-- rules
CREATE RULE own AS ON INSERT TO concert.reservation DO ALSO INSERT INTO regress_app.seen (what) VALUES ('rule');
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS also;
DROP RULE own ON concert.reservation;
CREATE RULE own AS ON INSERT TO concert.reservation DO INSTEAD NOTHING;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS instead;
DROP RULE own ON concert.reservation;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS without;

-- policies hold for whom reserve() acts as: here an owner of the function who is no superuser
CREATE ROLE regress_concert_owner IN ROLE concert_admin;
GRANT ALL ON ALL TABLES IN SCHEMA concert TO regress_concert_owner;
GRANT ALL ON ALL SEQUENCES IN SCHEMA concert TO regress_concert_owner;
GRANT USAGE ON SCHEMA regress_app TO regress_concert_owner;
ALTER FUNCTION concert.reserve OWNER TO regress_concert_owner;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS other_owner;
-- one of a table that is only read: a seat that the policy hides is unknown
ALTER TABLE concert.seat ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON concert.seat USING (label <> 'A1');
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS hidden, pg_temp.sell(:'date', :'a2', :'ann', true) AS shown;
DROP POLICY own ON concert.seat;
ALTER TABLE concert.seat DISABLE ROW LEVEL SECURITY;
-- of one that is written: a row that it does not admit is an error, as it is for an INSERT
ALTER TABLE concert.reservation ENABLE ROW LEVEL SECURITY;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS no_policy;
CREATE POLICY own ON concert.reservation USING (true) WITH CHECK (user_id = :'bob');
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS ann, pg_temp.sell(:'date', :'a1', :'bob', false) AS bob;
ALTER TABLE concert.reservation OWNER TO regress_concert_owner;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS of_the_owner;
ALTER TABLE concert.reservation FORCE ROW LEVEL SECURITY;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS forced, pg_temp.sell(:'date', :'a1', :'bob', false) AS bob;
ALTER TABLE concert.reservation NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON concert.reservation;
ALTER TABLE concert.reservation OWNER TO CURRENT_USER;
ALTER FUNCTION concert.reserve OWNER TO CURRENT_USER;
DROP OWNED BY regress_concert_owner;
DROP ROLE regress_concert_owner;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS without;

-- columns: with a default, generated
BEGIN;
ALTER TABLE concert.reservation ADD own text NOT NULL DEFAULT 'mine', ADD doubled bigint GENERATED ALWAYS AS (price * 2) STORED;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS columns;
SELECT DISTINCT own, doubled = price * 2 AS doubled FROM concert.reservation WHERE concert_date_id = :'date';
ROLLBACK;
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS without;

-- keys: to a table of the app's; from one of the app's
INSERT INTO regress_app.customer VALUES (:'bob');
ALTER TABLE concert.reservation ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES regress_app.customer NOT VALID;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS stranger, pg_temp.sell(:'date', :'a1', :'bob', false) AS customer;
ALTER TABLE concert.reservation DROP CONSTRAINT own;
CREATE TABLE regress_app.note (reservation_id uuid REFERENCES concert.reservation);
SELECT pg_temp.sell(:'date', :'a1', :'ann', true) AS referenced;
DROP TABLE regress_app.note;

-- unique: an index, a constraint that is checked at the end
CREATE UNIQUE INDEX own ON concert.reservation (user_id) WHERE deleted_at IS NULL AND user_id = :'carl';
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'carl');
SELECT pg_temp.sell(:'date', :'a1', :'carl', true) AS second, pg_temp.sell(:'date', :'a1', :'ann', true) AS other;
DROP INDEX concert.own;
BEGIN;
ALTER TABLE concert.reservation ADD CONSTRAINT own UNIQUE (booking_id, seat_id, user_id) DEFERRABLE INITIALLY DEFERRED;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS deferred;
ROLLBACK;
ALTER TABLE concert.reservation ADD CONSTRAINT own EXCLUDE USING btree (user_id WITH =) WHERE (deleted_at IS NULL AND user_id = '00000000-0000-7000-8000-00000000000e');
SELECT pg_temp.sell(:'date', :'a1', '00000000-0000-7000-8000-00000000000e', true) AS first;
BEGIN;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], '00000000-0000-7000-8000-00000000000e');
SELECT pg_temp.sell(:'date', :'a1', '00000000-0000-7000-8000-00000000000e', true) AS second;
ROLLBACK;
ALTER TABLE concert.reservation DROP CONSTRAINT own;

-- checks: the direct way keeps them itself
ALTER TABLE concert.reservation ADD CONSTRAINT own CHECK (user_id <> :'bob') NOT VALID;
SELECT pg_temp.sell(:'date', :'a1', :'bob', true) AS bob, pg_temp.sell(:'date', :'a1', :'ann', true) AS ann;
ALTER TABLE concert.reservation DROP CONSTRAINT own;
SELECT pg_temp.sell(:'date', :'a1', :'bob', true) AS bob;

-- one that calls a function of the app's is left to SPI, which pins the search path for it
CREATE FUNCTION regress_app.path_is_pinned(id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN current_setting('search_path') = 'pg_catalog, pg_temp';
END
$$;
ALTER TABLE concert.reservation ADD CONSTRAINT own CHECK (regress_app.path_is_pinned(user_id)) NOT VALID;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS ann;
ALTER TABLE concert.reservation DROP CONSTRAINT own;
-- as is one that reaches it through a domain
CREATE DOMAIN regress_app.customer_id AS uuid CHECK (regress_app.path_is_pinned(VALUE));
ALTER TABLE concert.reservation ADD CONSTRAINT own CHECK (user_id::regress_app.customer_id IS NOT NULL) NOT VALID;
SELECT pg_temp.sell(:'date', :'a1', :'ann', false) AS ann;
ALTER TABLE concert.reservation DROP CONSTRAINT own;

-- half of a booking that fails is none: neither rows nor locks, in a transaction that goes on
CREATE FUNCTION pg_temp.left_of(buyer uuid) RETURNS TABLE (reservations bigint, acts bigint, events bigint, locks bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM concert.reservation WHERE user_id = buyer),
           (SELECT count(*) FROM concert.history WHERE user_id = buyer),
           (SELECT count(*) FROM concert.outbox_event WHERE payload->>'user_id' = buyer::text),
           (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
$$;
SELECT gen_random_uuid() AS dora, least(:'a3', :'a4') AS first_seat, greatest(:'a3', :'a4') AS last_seat \gset
ALTER TABLE concert.reservation ADD CONSTRAINT own CHECK (user_id <> :'dora' OR seat_id <> :'last_seat') NOT VALID;
BEGIN;
SAVEPOINT a;
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve(:'date', ARRAY[:'last_seat', :'first_seat']::uuid[], :'dora', idempotency_key => 'key');
\set VERBOSITY default
ROLLBACK TO SAVEPOINT a;
SELECT * FROM pg_temp.left_of(:'dora');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'first_seat']::uuid[], :'dora');
ROLLBACK TO SAVEPOINT a;
SELECT * FROM pg_temp.left_of(:'dora');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'first_seat']::uuid[], :'dora');
COMMIT;
SELECT * FROM pg_temp.left_of(:'dora');
ALTER TABLE concert.reservation DROP CONSTRAINT own;
-- a savepoint that is kept, one that is taken back after it
BEGIN;
SAVEPOINT a;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'dora');
RELEASE SAVEPOINT a;
SAVEPOINT b;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'dora');
ROLLBACK TO SAVEPOINT b;
COMMIT;
SELECT * FROM pg_temp.left_of(:'dora');
SELECT pg_temp.taken(:'date') IS NOT NULL AS taken;
SELECT count(*) AS violations FROM concert.check_integrity();
DROP SCHEMA regress_app CASCADE;
