-- A balance row and a confirmed reservation that are written without the executor are written as an UPDATE writes
-- them: into an app's indexes, under its checks, past its triggers and rules, and not to a publication that cannot tell rows apart.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT id AS bob_wallet FROM concert.account WHERE owner_id = :'bob' \gset
CREATE FUNCTION pg_temp.held(OUT ann numeric, OUT bob numeric) LANGUAGE sql AS $$
    SELECT (SELECT credits - debits FROM concert.account_balance WHERE account_id = current_setting('test.ann')::uuid),
           (SELECT credits - debits FROM concert.account_balance WHERE account_id = current_setting('test.bob')::uuid)
$$;
SET test.ann = :'ann_wallet'; SET test.bob = :'bob_wallet';

-- an app's indexes, of a column that changes and of one that does not
BEGIN;
CREATE INDEX ON concert.account_balance (credits) WHERE credits > 1000;
CREATE INDEX ON concert.account_balance USING brin (debits);
CREATE INDEX ON concert.reservation (resolved_at);
SELECT n, t.ok FROM generate_series(1, 3) AS n, concert.transfer(:'ann_wallet', :'bob_wallet', n) AS t;
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
SELECT account_id = :'bob_wallet' AS bobs, credits FROM concert.account_balance WHERE credits > 1005 AND credits < 1100 AND account_id IN (:'ann_wallet', :'bob_wallet');
SELECT count(*) FROM concert.account_balance WHERE credits > 1000 AND credits < 1006 AND account_id = :'bob_wallet';
SELECT count(*), count(DISTINCT seat_id) AS seats FROM concert.reservation WHERE resolved_at > now() - interval '1 day' AND booking_id = :'booking';
SELECT count(*) FROM concert.reservation WHERE resolved_at IS NULL AND booking_id = :'booking';
SET LOCAL enable_bitmapscan = on; SET LOCAL enable_indexscan = off;
SELECT count(*) FROM concert.account_balance WHERE debits = 206 AND account_id = :'ann_wallet';
SELECT * FROM pg_temp.held();
ROLLBACK;

-- its check
BEGIN;
ALTER TABLE concert.account_balance ADD CHECK (debits < 500) NOT VALID;
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 499);
\set VERBOSITY sqlstate
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
\set VERBOSITY default
ROLLBACK;

-- its foreign keys of and to a column that changes
BEGIN;
CREATE TABLE concert.app_status (status text PRIMARY KEY);
INSERT INTO concert.app_status VALUES ('pending');
ALTER TABLE concert.reservation ADD FOREIGN KEY (status) REFERENCES concert.app_status NOT VALID;
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
\set VERBOSITY sqlstate
SELECT ok FROM concert.pay(:'booking', :'ann');
\set VERBOSITY default
ROLLBACK;
BEGIN;
ALTER TABLE concert.reservation ADD UNIQUE (id, status);
CREATE TABLE concert.app_mirror (id uuid, status text, FOREIGN KEY (id, status) REFERENCES concert.reservation (id, status) ON UPDATE CASCADE);
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
INSERT INTO concert.app_mirror SELECT id, status FROM concert.reservation WHERE booking_id = :'booking';
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT status, count(*) FROM concert.app_mirror GROUP BY 1;
ROLLBACK;

-- its triggers, before a row and after a statement; one that keeps the row as it was is an error
CREATE TABLE pg_temp.told (what text);
CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.told VALUES (TG_TABLE_NAME || ' ' || TG_LEVEL);
    RETURN new;
END
$$;
BEGIN;
CREATE TRIGGER app BEFORE UPDATE ON concert.account_balance FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
CREATE TRIGGER app AFTER UPDATE ON concert.reservation FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.tell();
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT what, count(*) FROM pg_temp.told GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.held();
ROLLBACK;
CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
\set VERBOSITY sqlstate
BEGIN;
CREATE TRIGGER app BEFORE UPDATE ON concert.account_balance FOR EACH ROW EXECUTE FUNCTION pg_temp.keep();
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
ROLLBACK;
-- a publication
BEGIN;
SET LOCAL client_min_messages = error;
CREATE PUBLICATION app FOR TABLE concert.account_balance;
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
ALTER TABLE concert.account_balance REPLICA IDENTITY NOTHING;
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
ROLLBACK;
\set VERBOSITY default
SELECT ok FROM concert.transfer(:'ann_wallet', :'bob_wallet', 1);
SELECT * FROM pg_temp.held();
