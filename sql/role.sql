-- Least privilege: an app calls its functions and can do nothing else, whatever it puts in its
-- search path; each role adds what it is for to the one before it.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- no role has any right on a table, a column, a view or a sequence, nor has PUBLIC; but for an admin, who
-- reads the views of live rows and the reports of money
SELECT c.relname, c.relkind, a.grantee::regrole, a.privilege_type
FROM pg_class AS c, aclexplode(c.relacl) AS a
WHERE c.relnamespace = 'concert'::regnamespace AND a.grantee <> c.relowner ORDER BY 1, 3, 4;
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attacl IS NOT NULL AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'concert'::regnamespace);

-- nobody makes anything in the schema, and only the roles look into it
SELECT r AS role, has_schema_privilege(r, 'concert', 'USAGE') AS usage, has_schema_privilege(r, 'concert', 'CREATE') AS "create"
FROM unnest(ARRAY['public', 'concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin']) AS r;
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolbypassrls
FROM pg_roles WHERE rolname IN ('concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin') ORDER BY rolname;

-- each function that a role may call runs with its owner's rights under a pinned search path (those
-- in C pin it themselves, around all SQL that they run); uuid7 touches nothing and needs neither
SELECT p.proname FROM pg_proc AS p
WHERE p.pronamespace = 'concert'::regnamespace AND has_function_privilege('concert_admin', p.oid, 'EXECUTE')
  AND NOT (p.prosecdef AND (p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
                            OR 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))));
SELECT p.proname AS for_public FROM pg_proc AS p
WHERE p.pronamespace = 'concert'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');

-- the first role that may call each function (the outbox's and the inbox's have tests of their own)
SELECT r.role, string_agg(DISTINCT p.proname, ' ' ORDER BY p.proname) AS functions
FROM pg_proc AS p
CROSS JOIN LATERAL (
    SELECT n, role FROM unnest(ARRAY['public', 'concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin'])
        WITH ORDINALITY AS r (role, n)
    WHERE has_function_privilege(role, p.oid, 'EXECUTE')
    ORDER BY n LIMIT 1) AS r
WHERE p.pronamespace = 'concert'::regnamespace
  AND p.proname !~ 'outbox|inbox|^emit$|^issue_tickets$|^record_point_charge$'
GROUP BY r.role, r.n ORDER BY r.n;

-- an app has money put into its wallets by others
SET ROLE concert_sidecar;
SELECT balance FROM concert.charge_points(:'carl', 1000, 'PTS', 'box office', 'carl ' || :'carl');
RESET ROLE;

-- concert_reader reads, by functions
SET ROLE concert_reader;
SELECT count(*) AS seats FROM concert.seat_map(:'date');
SELECT sum(free) AS free FROM concert.availability(:'date');
SELECT count(*) AS dates FROM concert.concert_dates(:'concert');
SELECT count(*) > 0 AS concerts FROM concert.concerts();
SELECT concert.balance(:'ann');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SELECT ok FROM concert.pay(:'nobody', :'ann');
SELECT count(*) FROM concert.seat_states(:'date');
SELECT count(*) FROM concert.reservation;
SELECT count(*) FROM concert.seat_state;

-- concert_app sells
SET ROLE concert_app;
SELECT ok, booking_id AS booking, expires_at IS NOT NULL AS expires FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'carl', idempotency_key => 'key') \gset
SELECT ok FROM concert.extend(:'booking', :'carl', 500);
SELECT ok FROM concert.pay(:'booking', :'carl', 'key');
SELECT ok, reason FROM concert.cancel(:'booking', :'carl', 'key');
SELECT count(*) AS seats FROM concert.seat_map(:'date');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'mine');
SELECT concert.expire();
SELECT concert.create_concert('mine');
SELECT ok FROM concert.block_seats(ARRAY[:'a2']::uuid[], 'mine');
SELECT concert.soft_delete('seat', :'a2');
SELECT * FROM concert.lease_places(:'date', 1);
SELECT count(*) FROM concert.check_integrity();
-- and nothing else: no table, nothing of its own beside them
SELECT count(*) FROM concert.seat;
INSERT INTO concert.reservation (seat_id) VALUES (:'a2');
UPDATE concert.account_balance SET credits = credits + 1000000;
DELETE FROM concert.transfer;
TRUNCATE concert.seat;
BEGIN;
LOCK TABLE concert.seat;
ROLLBACK;
CREATE TABLE concert.mine (n int);
CREATE FUNCTION concert.balance(uuid) RETURNS bigint LANGUAGE sql AS 'SELECT 1';
ALTER TABLE concert.seat DISABLE TRIGGER ALL;
DROP FUNCTION concert.pay;
ALTER EXTENSION concert UPDATE;
DROP EXTENSION concert;
SET session_replication_role = replica;

-- a search path full of traps changes nothing
CREATE TABLE pg_temp.account_balance (account_id uuid, debits bigint, credits bigint);
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT timestamptz ''2001-01-01''';
CREATE FUNCTION pg_temp.more(a bigint, b bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1000000';
CREATE OPERATOR pg_temp.- (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.more);
SET search_path = pg_temp, concert, pg_catalog;
SELECT balance(:'carl');
SELECT ok, booking_id AS second FROM reserve(:'date', ARRAY[:'a2']::uuid[], :'carl') \gset
SELECT ok, amount FROM pay(:'second', :'carl');
SELECT balance(:'carl');
RESET search_path;

-- concert_sidecar relays, admits and charges; it sets nothing up
SET ROLE concert_sidecar;
SELECT * FROM concert.lease_places(:'date', 3);
SELECT ok FROM concert.record_admission(:'date', 1, 3, 2);
SELECT served_to FROM concert.admission_state(:'date');
SELECT count(*) > 0 AS on_sale FROM concert.sale_dates();
SELECT count(*) AS not_free FROM concert.seat_states(:'date');
SELECT concert.expire() >= 0 AS expires, concert.request_rotate() >= 0 AS rotates;
SELECT count(*) > 0 AS lags FROM concert.lag();
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann');
SELECT concert.create_concert('mine');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a2']::uuid[]);
SELECT count(*) FROM concert.transfer;
SELECT count(*) FROM concert.live_reservation;
SELECT concert.restore('seat', :'a5');
SELECT concert.purge();

-- concert_admin sets up and takes down, by functions too
SET ROLE concert_admin;
SELECT concert.create_concert('Autumn Gala') AS autumn \gset
SELECT concert.create_concert_date(:'autumn', '2999-10-01') AS october \gset
SELECT concert.create_section(:'october', 'Stalls', 1) AS stalls \gset
SELECT concert.add_seats(:'october', :'stalls', 1, ARRAY[1]);
SELECT ok FROM concert.block_seats(ARRAY[:'a4']::uuid[], 'camera');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a4']::uuid[]);
SELECT concert.soft_delete('seat', :'a5');
SELECT count(*) AS live FROM concert.live_seat WHERE concert_date_id = :'date';
SELECT concert.restore('seat', :'a5');
SELECT concert.purge() >= 0 AS purges;
UPDATE concert.live_seat SET label = 'mine';
DELETE FROM concert.live_reservation;
DELETE FROM concert.seat;
UPDATE concert.payment SET amount = 0;
SELECT count(*) FROM concert.account;
RESET ROLE;

-- who is no member of any role does not even see the schema
CREATE ROLE regress_concert_stranger;
SET ROLE regress_concert_stranger;
\set VERBOSITY terse
SELECT concert.balance(:'ann');
SELECT concert.uuid7();
RESET ROLE;
DROP ROLE regress_concert_stranger;

-- a function whose owner is not the tables' reads no more than that owner may, whichever way it goes
CREATE ROLE regress_teller;
GRANT USAGE ON SCHEMA concert TO regress_teller;
\set ask 'SELECT reason FROM concert.reserve(' :'date' ', ARRAY[' :'nobody' ']::uuid[], ' :'ann' ');'
:ask
ALTER FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text, text[]) OWNER TO regress_teller;
:ask
GRANT SELECT ON concert.concert_date, concert.section, concert.seat, concert.reservation TO regress_teller;
:ask
REVOKE SELECT ON concert.reservation FROM regress_teller;
:ask
GRANT pg_read_all_data TO regress_teller;
:ask
REVOKE pg_read_all_data FROM regress_teller;
:ask
ALTER FUNCTION concert.reserve(uuid, uuid[], uuid, integer, text, bigint, text, text, text[]) OWNER TO CURRENT_USER;
:ask
DROP OWNED BY regress_teller;
DROP ROLE regress_teller;
