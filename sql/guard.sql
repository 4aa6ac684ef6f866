-- Rows that must never go stay, for the superuser too: DELETE and TRUNCATE of what is never
-- removed are refused, and any change of history but the cascade of a changed id.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT from_number FROM concert.lease_places(:'date', 10);
SELECT ok FROM concert.record_admission(:'date', 1, 10, 5);

-- the whole message; its hint is about the table's own rows
DELETE FROM concert.seat WHERE id = :'a1';
DELETE FROM concert.reservation;
DELETE FROM concert.place_lease;
UPDATE concert.transfer SET amount = amount + 1;
DELETE FROM concert.outbox_event_0;
TRUNCATE concert.outbox_event_0;

-- every table: DELETE and TRUNCATE raise
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT pg_temp.attempt(format('DELETE FROM concert.%I', t)) AS deleting,
       pg_temp.attempt(format('DELETE FROM concert.%I WHERE false', t)) AS nothing,
       pg_temp.attempt(format('TRUNCATE concert.%I CASCADE', t)) AS truncating
FROM unnest(ARRAY['concert', 'concert_date', 'section', 'seat', 'reservation', 'account',
                  'account_balance', 'payment', 'transfer', 'place_lease', 'admission_batch']) AS t;
-- what a ring holds leaves it when it is rotated, in no other way
DELETE FROM concert.request_0;
SELECT t, pg_temp.attempt(format('DELETE FROM concert.%I', t)) AS deleting, pg_temp.attempt(format('TRUNCATE concert.%I', t)) AS truncating
FROM unnest(ARRAY['request_0', 'request_1', 'request_2', 'request_3', 'inbox_0', 'inbox_1', 'inbox_2', 'inbox_3']) AS t;
DELETE FROM concert.inbox_0 WHERE false;
SELECT pg_temp.attempt('DELETE FROM concert.outbox_state') AS deleting, pg_temp.attempt('TRUNCATE concert.outbox_state') AS truncating;
-- no table is left out
SELECT c.relname AS without FROM pg_class AS c WHERE c.relnamespace = 'concert'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname IN ('refuse_delete', 'refuse_change') AND t.tgtype & 42 = 42);
-- the triggers by which sessions forget what they keep see what replication applies: else nothing may be kept
SELECT tgrelid::regclass AS of FROM pg_trigger WHERE tgname = 'forget_kept' AND tgenabled = 'A' ORDER BY tgrelid::regclass::text COLLATE "C";
MERGE INTO concert.reservation AS r USING (SELECT 1) AS one ON r.booking_id = :'booking' WHEN MATCHED THEN DELETE;

-- history: no column of it changes, not even to what it is
SELECT pg_temp.attempt(format('UPDATE concert.payment SET %1$I = %1$I', attname)) AS payment
FROM pg_attribute WHERE attrelid = 'concert.payment'::regclass AND attnum > 0 ORDER BY attnum;
SELECT pg_temp.attempt(format('UPDATE concert.transfer SET %1$I = %1$I', attname)) AS transfer
FROM pg_attribute WHERE attrelid = 'concert.transfer'::regclass AND attnum > 0 ORDER BY attnum;

-- the cascade of a changed account id is let through, to both sides of a transfer and the balance
SELECT id AS wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT concert.uuid7() AS new_wallet, concert.uuid7() AS new_revenue \gset
UPDATE concert.account SET id = :'new_wallet' WHERE id = :'wallet';
UPDATE concert.account SET id = :'new_revenue' WHERE owner_id = :'concert';
SELECT kind, amount, credit_account_id = :'new_wallet' AS into_wallet, debit_account_id = :'new_wallet' AS from_wallet,
       credit_account_id = :'new_revenue' AS into_revenue
FROM concert.transfer WHERE :'new_wallet' IN (debit_account_id, credit_account_id) ORDER BY id;
SELECT concert.balance(:'ann'), (SELECT count(*) FROM concert.transfer WHERE :'wallet' IN (debit_account_id, credit_account_id)) AS left_behind;
CREATE FUNCTION pg_temp.sum_of(account uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(CASE account WHEN credit_account_id THEN amount ELSE -amount END) FROM concert.transfer
    WHERE account IN (debit_account_id, credit_account_id)
$$;
-- an UPDATE that only looks like one is not
UPDATE concert.transfer SET debit_account_id = :'new_revenue' WHERE debit_account_id = :'new_wallet';
-- a trigger of somebody's own that is nested as deep may not touch more than the accounts
BEGIN;
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE concert.transfer SET amount = amount + 1, debit_account_id = debit_account_id;
    RETURN new;
END
$$;
CREATE TABLE pg_temp.bait (n int);
CREATE TRIGGER meddle BEFORE INSERT ON pg_temp.bait FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
INSERT INTO bait VALUES (1);
ROLLBACK;
-- nor the accounts: not while both of them are there ...
BEGIN;
CREATE FUNCTION pg_temp.redirect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE concert.transfer SET debit_account_id = new.other WHERE debit_account_id = new.id;
    RETURN new;
END
$$;
CREATE TABLE pg_temp.bait (id uuid, other uuid);
CREATE TRIGGER redirect BEFORE INSERT ON pg_temp.bait FOR EACH ROW EXECUTE FUNCTION pg_temp.redirect();
INSERT INTO bait VALUES (:'new_wallet', :'new_revenue');
ROLLBACK;
-- ... nor while the one is gone, before its own cascade, to another than itself
BEGIN;
CREATE FUNCTION pg_temp.redirect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE concert.transfer SET debit_account_id = (SELECT a.id FROM concert.account AS a WHERE a.kind = 'funding' AND a.currency = old.currency LIMIT 1)
    WHERE debit_account_id = old.id;
    RETURN new;
END
$$;
CREATE TRIGGER "AA_redirect" AFTER UPDATE ON concert.account FOR EACH ROW EXECUTE FUNCTION pg_temp.redirect();
UPDATE concert.account SET id = gen_random_uuid() WHERE id = :'new_wallet';
ROLLBACK;
-- ... nor once another account has the old id, or the change is taken back
BEGIN;
SELECT gen_random_uuid() AS newer_wallet, id AS bobs FROM concert.account WHERE owner_id = :'bob' \gset
UPDATE concert.account SET id = :'newer_wallet' WHERE id = :'new_wallet';
UPDATE concert.account SET id = :'new_wallet' WHERE id = :'bobs';
UPDATE concert.transfer SET credit_account_id = :'newer_wallet' WHERE credit_account_id = :'new_wallet';
ROLLBACK;
BEGIN;
SAVEPOINT changing;
UPDATE concert.account SET id = :'newer_wallet' WHERE id = :'new_wallet';
ROLLBACK TO changing;
UPDATE concert.transfer SET debit_account_id = :'newer_wallet' WHERE debit_account_id = :'new_wallet';
ROLLBACK;
-- the cascade itself goes on from within a trigger too, of both sides of a transfer at once; an id that one
-- account gives up and another one takes in the same statement is too much for it
BEGIN;
CREATE FUNCTION pg_temp.rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE concert.account SET id = CASE id WHEN new.one THEN new.newer_one ELSE new.newer_two END WHERE id IN (new.one, new.two);
    RETURN new;
END
$$;
CREATE TABLE pg_temp.bait (one uuid, newer_one uuid, two uuid, newer_two uuid);
CREATE TRIGGER rename BEFORE INSERT ON pg_temp.bait FOR EACH ROW EXECUTE FUNCTION pg_temp.rename();
SELECT gen_random_uuid() AS newer_revenue, pg_temp.sum_of(:'new_wallet') AS wallet_sum, pg_temp.sum_of(:'new_revenue') AS revenue_sum \gset
INSERT INTO bait VALUES (:'new_wallet', :'newer_wallet', :'new_revenue', :'newer_revenue');
SELECT pg_temp.sum_of(:'newer_wallet') = :wallet_sum AS wallet, pg_temp.sum_of(:'newer_revenue') = :revenue_sum AS revenue,
       pg_temp.sum_of(:'new_wallet') AS left_behind, pg_temp.sum_of(:'new_revenue') AS left_behind_too,
       (SELECT credits - debits FROM concert.account_balance WHERE account_id = :'newer_wallet') = :wallet_sum AS balance;
INSERT INTO bait VALUES (:'newer_wallet', :'new_wallet', :'newer_revenue', :'newer_wallet');
ROLLBACK;

-- what we do to a table is not let through for a trigger that it fires there
SELECT booking_id AS card FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'card', :'ann', 'acquirer') \gset
BEGIN;
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE concert.payment SET fee = fee + 1 WHERE id <> new.id;
    RETURN new;
END
$$;
CREATE TRIGGER meddle AFTER UPDATE ON concert.payment FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
SELECT ok FROM concert.payment_authorized(:'payment', 'auth', 'm1');
ROLLBACK;
SELECT ok FROM concert.payment_authorized(:'payment', 'auth', 'm1');

-- the ids of what is sold cascade as well
SELECT concert.uuid7() AS new_a1, concert.uuid7() AS new_date, concert.uuid7() AS new_section \gset
UPDATE concert.seat SET id = :'new_a1' WHERE id = :'a1';
UPDATE concert.section SET id = :'new_section' WHERE id = :'section';
UPDATE concert.concert_date SET id = :'new_date' WHERE id = :'date';
SELECT pg_temp.booked(:'booking'), pg_temp.taken(:'new_date'), pg_temp.taken(:'date') AS under_the_old_id;
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'new_date', ARRAY[:'new_a1', :'a3']::uuid[], :'bob');

-- the triggers are of no use by hand
SELECT pg_temp.attempt('SELECT concert.refuse_delete()'), pg_temp.attempt('SELECT concert.refuse_change()');
SELECT count(*) AS violations FROM concert.check_integrity();
