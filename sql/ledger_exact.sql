-- Amounts are exact: many small ones on a large balance, with checkpoints, and at both ends of bigint.
-- What every account holds can be rebuilt from the transfers alone, in the order of their numbers.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- by the transfers alone: what an account held after each, in the order of their numbers
CREATE FUNCTION pg_temp.rebuilt(account uuid) RETURNS numeric LANGUAGE sql AS $$
    SELECT coalesce(sum(CASE WHEN credit_account_id = account THEN amount ELSE -amount END), 0)
    FROM concert.transfer WHERE account IN (debit_account_id, credit_account_id)
$$;
CREATE FUNCTION pg_temp.held(account uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s, %s out, %s in, %s available', balance, pending_debits, pending_credits, available)
    FROM concert.account_balance(account)
$$;

-- 1,000 times one on 2^53 + 1, in an account with a floor and in one without
SELECT concert.open_account(gen_random_uuid(), 'XTS', 'wallet') AS rich,
       concert.open_account(NULL, 'XTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees,
       concert.open_account(NULL, 'XTS', 'fees', NULL, 'mint ' || gen_random_uuid()) AS mint \gset
SELECT ok FROM concert.transfer(:'mint', :'rich', 9007199254740993);
SELECT ok FROM concert.transfer(:'mint', :'fees', 9007199254740993);
SELECT count(*) FILTER (WHERE t.ok AND b.ok) AS done FROM generate_series(1, 1000) AS n,
    concert.transfer(:'mint', :'rich', n / n) AS t, concert.transfer(:'rich', :'fees', n / n) AS b;
SELECT b.balance, b.balance = pg_temp.rebuilt(id) AS as_transferred
FROM unnest(ARRAY[:'rich', :'fees', :'mint']::uuid[]) AS id, concert.account_balance(id) AS b;
SELECT concert.checkpoint_accounts(100) > 0 AS checkpoints;
SELECT b.balance, b.balance = pg_temp.rebuilt(id) AS as_transferred, concert.balance_at(id, 'infinity') = b.balance AS at_last
FROM unnest(ARRAY[:'rich', :'fees', :'mint']::uuid[]) AS id, concert.account_balance(id) AS b;
-- an account's transfers have an order, and each number is given once
SELECT count(*) = count(DISTINCT seq) AS numbered_once,
       bool_and(created_at >= before) AS none_recorded_before_the_one_before_it
FROM (SELECT seq, created_at, lag(created_at, 1, created_at) OVER (ORDER BY seq) AS before
      FROM concert.transfer WHERE :'rich' IN (debit_account_id, credit_account_id)) AS t;
SELECT bool_and(balance = sum) AS adds_up, count(*) AS lines
FROM (SELECT balance, sum(amount) OVER (ORDER BY recorded_at, n) AS sum
      FROM concert.points_statement((SELECT owner_id FROM concert.account WHERE id = :'rich'), NULL, NULL, 'XTS')
           WITH ORDINALITY AS s (recorded_at, effective_at, id, kind, amount, balance, description, external_ref, n)) AS s;

-- a reversal is a transfer of its own: what it reverses stays as it was
SELECT transfer_id AS gift FROM concert.transfer(:'rich', :'fees', 5, 'a gift') \gset
SELECT t::text AS before FROM concert.transfer AS t WHERE id = :'gift' \gset
SELECT ok FROM concert.reverse(:'gift');
SELECT t::text = :'before' AS as_it_was FROM concert.transfer AS t WHERE id = :'gift';

-- the ends of bigint, of an amount, of a balance, and of what is set aside; 22003 leaves all as it was
SELECT concert.open_account(gen_random_uuid(), 'XTS', 'wallet') AS midas,
       concert.open_account(gen_random_uuid(), 'XTS', 'wallet', -1000000000000000) AS borrower \gset
SELECT ok FROM concert.transfer(:'mint', :'midas', 9223372036854775807);
SELECT ok, transfer_id AS all FROM concert.transfer_pending(:'midas', :'fees', 9223372036854775807, 60) \gset
SELECT pg_temp.held(:'midas');
SELECT ok, reason FROM concert.transfer_pending(:'midas', :'fees', 1, 60);
SELECT ok, reason FROM concert.transfer(:'midas', :'fees', 9223372036854775807);
SELECT ok FROM concert.transfer_post(:'all', 1);
SELECT pg_temp.held(:'midas');
SELECT ok, reason FROM concert.transfer(:'midas', :'mint', 9223372036854775807);
SELECT ok, reason FROM concert.transfer(:'midas', :'mint', 9223372036854775806);
SELECT pg_temp.held(:'midas');
SELECT ok, reason FROM concert.transfer(:'borrower', :'mint', 1000000000000001);
SELECT ok, reason FROM concert.transfer(:'borrower', :'mint', 1000000000000000);
SELECT ok, reason FROM concert.transfer(:'borrower', :'mint', 9223372036854775807);
-- with credit, more is available than bigint can tell; all of the balance can be had
SELECT concert.open_account(gen_random_uuid(), 'XTS', 'wallet', -1000000000000000) AS lender \gset
SELECT ok FROM concert.transfer(:'mint', :'lender', 9223372036854775807);
SELECT ok, reason FROM concert.transfer(:'lender', :'mint', 9223372036854775807);
SELECT ok, reason FROM concert.transfer_pending(:'lender', :'mint', 1000000000000001, 60);
SELECT pg_temp.held(:'lender');
\set VERBOSITY sqlstate
-- a wallet takes in no more than bigint in all its life
SELECT ok FROM concert.transfer(:'mint', :'midas', 1);
SELECT ok FROM concert.journal(ARRAY[:'mint', :'mint']::uuid[], ARRAY[:'borrower', :'borrower']::uuid[], ARRAY[9223372036854775807, 1]);
SELECT ok FROM concert.transfer(:'mint', :'rich', 9223372036854775808);
SELECT ok FROM concert.transfer(:'mint', :'rich', 1.5);
\set VERBOSITY default
SELECT pg_temp.held(:'midas'), pg_temp.held(:'borrower');

-- an account without a floor holds more than bigint: its books are exact, its balance is told as 22003
SELECT concert.open_account(NULL, 'XTS', 'fees', NULL, 'more ' || gen_random_uuid()) AS more \gset
SELECT count(*) FILTER (WHERE ok) AS done FROM generate_series(0, 1) AS n, concert.transfer(:'mint', :'more', 9223372036854775807 - n);
SELECT pg_temp.rebuilt(:'more');
\set VERBOSITY sqlstate
SELECT balance FROM concert.account_balance(:'more');
SELECT concert.balance_at(:'more', 'infinity');
SELECT concert.close_account(:'more');
\set VERBOSITY default
SELECT ok FROM concert.transfer(:'more', :'mint', 9223372036854775806);
SELECT pg_temp.held(:'more'), concert.balance_at(:'more', 'infinity');
SELECT * FROM concert.verify_ledger();
