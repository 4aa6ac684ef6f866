-- Reading the ledger: an account without a floor is the sum of its transfers, with checkpoints or
-- without, now and at any time; a statement adds up; what is wrong is found.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees,
       concert.open_account(NULL, 'PTS', 'fees', NULL, 'bank ' || gen_random_uuid()) AS bank \gset
-- each third goes back
SELECT count(*) FILTER (WHERE t.ok) AS done FROM generate_series(1, 3500) AS n,
    concert.transfer(CASE WHEN n % 3 = 0 THEN :'fees' ELSE :'bank' END::uuid,
                     CASE WHEN n % 3 = 0 THEN :'bank' ELSE :'fees' END::uuid, n) AS t;
CREATE TABLE pg_temp.truth AS
    SELECT seq, created_at, sum(CASE WHEN credit_account_id = :'fees' THEN amount ELSE -amount END) OVER (ORDER BY seq) AS balance
    FROM concert.transfer WHERE :'fees' IN (debit_account_id, credit_account_id);
SELECT balance FROM concert.account_balance(:'fees');
SELECT concert.checkpoint_accounts(4) AS four, concert.checkpoint_accounts(1000) >= 2 AS the_rest, concert.checkpoint_accounts(1000) AS none_left;
SELECT count(*) FROM concert.account_checkpoint WHERE account_id = :'fees';
SELECT balance FROM concert.account_balance(:'fees');
-- at every hundredth moment, before, after, with money that came since
SELECT ok FROM concert.transfer(:'bank', :'fees', 1);
SELECT balance FROM concert.account_balance(:'fees');
SELECT count(*) AS compared, count(*) FILTER (WHERE concert.balance_at(:'fees', created_at) IS DISTINCT FROM balance) AS wrong
FROM pg_temp.truth WHERE seq % 100 = 0;
SELECT concert.balance_at(:'fees', 'infinity') AS at_last, concert.balance_at(:'fees', '-infinity') AS at_first,
       concert.balance_at(:'fees', NULL) AS no_time, concert.balance_at(:'nobody', now()) AS nobodys, concert.balance_at(NULL, now()) AS nulls;
-- a wallet's too
SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT clock_timestamp() AS before \gset
SELECT ok FROM concert.transfer(:'ann_wallet', :'fees', 400, 'a gift', 'gift 1', '2020-01-01 00:00+00');
SELECT concert.balance_at(:'ann_wallet', :'before') AS before, concert.balance_at(:'ann_wallet', clock_timestamp()) AS after;
-- the statement: both times, a running balance, bounds
SELECT ok FROM concert.charge_points(:'ann', 50, 'PTS', 'box office', 'more ' || :'ann');
SELECT kind, amount, balance, description, effective_at = recorded_at AS counts_at_once FROM concert.points_statement(:'ann');
SELECT kind, amount, balance FROM concert.points_statement(:'ann', :'before');
SELECT kind, amount, balance FROM concert.points_statement(:'ann', NULL, :'before');
SELECT count(*) FROM concert.points_statement(:'ann', NULL, NULL, 'EUR');
SELECT count(*) FROM concert.points_statement(:'nobody');
SELECT count(*) FROM concert.points_statement(NULL);

-- all is well; then it is not
SELECT * FROM concert.verify_ledger();
SELECT * FROM concert.verify_ledger(:'before', now());
SELECT transfer_id AS pending FROM concert.transfer_pending(:'ann_wallet', :'fees', 100, 60) \gset
SELECT transfer_id AS posted FROM concert.transfer_post(:'pending', 60) \gset
SELECT transfer_id AS reversal FROM concert.reverse(:'posted') \gset
SELECT transfer_id AS open FROM concert.transfer_pending(:'ann_wallet', :'fees', 100, 60) \gset
CREATE FUNCTION pg_temp.wrong() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(object || ' ' || detail, '[0-9a-f-]{36}|at [0-9]+', 'ID', 'g') FROM concert.verify_ledger() ORDER BY 1
$$;
SELECT pg_temp.wrong();
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_balance SET debits_pending = 0 WHERE account_id = :'ann_wallet';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account SET floor = 600 WHERE id = :'ann_wallet';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
DELETE FROM concert.pending_resolution WHERE pending_id = :'pending';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.pending_resolution SET transfer_id = :'reversal' WHERE pending_id = :'pending';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.transfer SET reverses_id = pending_id, kind = 'reversal', pending_id = NULL WHERE id = :'posted';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET credits = credits + 1 WHERE account_id = :'fees' AND seq = (SELECT max(seq) FROM concert.account_checkpoint WHERE account_id = :'fees');
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account SET deleted_at = now() WHERE id = :'ann_wallet';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.transfer SET debit_account_id = :'nobody' WHERE id = :'posted';
SELECT pg_temp.wrong(); ROLLBACK;
-- orphans, and what was to lapse and did not
BEGIN; SET LOCAL session_replication_role = replica;
INSERT INTO concert.account_balance (account_id, debits, credits) VALUES (:'nobody', 0, 5);
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET account_id = :'nobody' WHERE account_id = :'fees' AND seq = (SELECT max(seq) FROM concert.account_checkpoint WHERE account_id = :'fees');
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.pending_transfer SET credit_account_id = :'nobody' WHERE id = :'open';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.pending_transfer SET currency = 'EUR' WHERE id = :'open';
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
INSERT INTO concert.pending_resolution (pending_id, outcome, amount, created_at) VALUES (:'nobody', 'voided', 0, now());
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_balance SET lapsed_through = 'infinity' WHERE account_id = :'ann_wallet';
SELECT pg_temp.wrong(); ROLLBACK;
-- bad input
\set VERBOSITY sqlstate
SELECT concert.checkpoint_accounts(NULL);
SELECT concert.checkpoint_accounts(0);
SELECT concert.checkpoint_accounts(10001);
