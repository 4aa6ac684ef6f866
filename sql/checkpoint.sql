-- Reading a long account: checkpoints are written by themselves for an account with a floor, and by
-- checkpoint_accounts() for one without; balances and statements are the same as without them, at any
-- time, also where the clock was set back; a checkpoint that is wrong is named.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees,
       concert.open_account(NULL, 'PTS', 'fees', NULL, 'bank ' || gen_random_uuid()) AS bank, gen_random_uuid() AS zoe \gset
SELECT concert.open_account(:'zoe', 'PTS', 'wallet') AS wallet \gset
-- 1500 transfers into a wallet and out of it, one by one, in journals, and posted
SELECT count(*) FILTER (WHERE t.ok) AS done FROM generate_series(1, 900) AS n,
    concert.transfer(CASE WHEN n % 3 = 0 THEN :'wallet' ELSE :'bank' END::uuid,
                     CASE WHEN n % 3 = 0 THEN :'fees' ELSE :'wallet' END::uuid, 1 + n % 7, 'number ' || n) AS t;
SELECT count(*) FILTER (WHERE j.ok) AS done FROM generate_series(1, 5) AS n,
    concert.journal(array_fill(:'bank'::uuid, ARRAY[100]), array_fill(:'wallet'::uuid, ARRAY[100]), array_fill(n::bigint, ARRAY[100])) AS j;
SELECT count(*) FILTER (WHERE t.ok) AS done
FROM (SELECT transfer_id FROM generate_series(1, 100) AS n, concert.transfer_pending(:'wallet', :'fees', 3, n)) AS p,
     concert.transfer_post(p.transfer_id, 2) AS t;
SELECT transfers, credits - debits AS balance FROM concert.account_balance WHERE account_id = :'wallet';
SELECT count(*) AS checkpoints FROM concert.account_checkpoint WHERE account_id = :'wallet';
SELECT concert.checkpoint_accounts(10000) > 0 AS of_the_others_too;
SELECT count(*) > 0 AS checkpoints FROM concert.account_checkpoint WHERE account_id = :'fees';
SELECT * FROM concert.verify_ledger();

-- the same as without checkpoints, at every moment
CREATE FUNCTION pg_temp.naive_at(account uuid, at timestamptz) RETURNS numeric LANGUAGE sql AS $$
    SELECT coalesce(sum(CASE WHEN credit_account_id = account THEN amount ELSE -amount END), 0)
    FROM concert.transfer WHERE account IN (debit_account_id, credit_account_id) AND created_at <= at
$$;
CREATE FUNCTION pg_temp.wrong_moments(account uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM concert.transfer AS t, (VALUES (interval '0'), ('-1 us'), ('1 us')) AS near (by)
    WHERE account IN (debit_account_id, credit_account_id) AND seq % 7 = 0
      AND concert.balance_at(account, created_at + near.by) IS DISTINCT FROM pg_temp.naive_at(account, created_at + near.by)
$$;
CREATE FUNCTION pg_temp.wrong_statements(account uuid, owner uuid) RETURNS bigint LANGUAGE sql AS $$
    WITH truth AS MATERIALIZED (
        SELECT t.*, CASE WHEN credit_account_id = account THEN amount ELSE -amount END AS moved,
               sum(CASE WHEN credit_account_id = account THEN amount ELSE -amount END) OVER (ORDER BY seq) AS balance
        FROM concert.transfer AS t WHERE account IN (debit_account_id, credit_account_id)),
    bound AS (SELECT created_at AS at FROM truth WHERE seq % 230 = 0 UNION ALL VALUES ('-infinity'::timestamptz), ('infinity'), (NULL)),
    asked AS (SELECT f.at AS from_time, u.at AS to_time FROM bound AS f, bound AS u)
    SELECT count(*) FROM asked WHERE
        (SELECT array_agg((s.transfer_id, s.amount, s.balance)::text ORDER BY n)
         FROM concert.points_statement(owner, from_time, to_time) WITH ORDINALITY AS s (a, b, transfer_id, d, amount, balance, g, h, n))
        IS DISTINCT FROM
        (SELECT array_agg((id, moved, balance)::text ORDER BY seq) FROM truth
         WHERE (from_time IS NULL OR created_at >= from_time) AND (to_time IS NULL OR created_at < to_time))
$$;
SELECT pg_temp.wrong_moments(:'wallet') AS wallet, pg_temp.wrong_moments(:'fees') AS fees, pg_temp.wrong_moments(:'bank') AS bank;
SELECT pg_temp.wrong_statements(:'wallet', :'zoe');

-- the clock was set back twice, once over several checkpoints
CREATE FUNCTION pg_temp.sum_up_anew() RETURNS void LANGUAGE sql AS $$
    DELETE FROM concert.account_checkpoint;
    UPDATE concert.account_balance SET transfers = 0
$$;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.transfer SET created_at = created_at - CASE WHEN n > 1200 THEN interval '400 ms' ELSE '20 s' END
FROM (SELECT id AS i, row_number() OVER (ORDER BY seq) AS n FROM concert.transfer
      WHERE :'wallet' IN (debit_account_id, credit_account_id)) AS w
WHERE id = i AND n NOT BETWEEN 1 AND 300;
SELECT pg_temp.sum_up_anew();
SELECT count(*) FILTER (WHERE ok) FROM generate_series(1, 200) AS n, concert.transfer(:'bank', :'wallet', n);
SELECT concert.checkpoint_accounts(10000) > 0 AS anew;
SELECT count(*) AS checkpoints, max(set_back_us) BETWEEN 1000000 AND 60000000 AS is_known FROM concert.account_checkpoint WHERE account_id = :'wallet';
SELECT * FROM concert.verify_ledger();
SELECT pg_temp.wrong_moments(:'wallet') AS wallet, pg_temp.wrong_moments(:'fees') AS fees;
SELECT pg_temp.wrong_statements(:'wallet', :'zoe');
ROLLBACK;

-- one that is wrong is named, and no other
CREATE FUNCTION pg_temp.wrong() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(object || ' ' || detail, '[0-9a-f-]{36}|at [0-9]+', 'ID', 'g') FROM concert.verify_ledger() ORDER BY 1
$$;
SELECT seq AS third FROM concert.account_checkpoint WHERE account_id = :'wallet' ORDER BY seq OFFSET 2 LIMIT 1 \gset
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET debits = debits - 1, credits = credits - 1 WHERE account_id = :'wallet' AND seq = :third;
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET last_at = last_at + interval '1 us' WHERE account_id = :'wallet' AND seq = :third;
SELECT pg_temp.wrong(); ROLLBACK;
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET set_back_us = set_back_us + 1 WHERE account_id = :'wallet' AND seq = :third;
SELECT pg_temp.wrong(); ROLLBACK;
-- a look at what moved since then reads the whole of an account that moved
SELECT clock_timestamp() AS then \gset
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.account_checkpoint SET credits = credits - 1 WHERE account_id = :'wallet' AND seq = :third;
SELECT count(*) AS before FROM concert.verify_ledger(:'then', NULL);
SELECT ok FROM concert.transfer(:'wallet', :'fees', 1);
SELECT count(*) AS after FROM concert.verify_ledger(:'then', NULL);
ROLLBACK;

-- one account's past that was never summed up is caught up with, a few checkpoints a time
BEGIN; SET LOCAL session_replication_role = replica;
DELETE FROM concert.account_checkpoint WHERE account_id = :'wallet';
UPDATE concert.account_balance SET transfers = 199 WHERE account_id = :'wallet';
SELECT ok FROM concert.transfer(:'wallet', :'fees', 1);
SELECT count(*) AS checkpoints FROM concert.account_checkpoint WHERE account_id = :'wallet';
SELECT * FROM concert.verify_ledger();
SELECT pg_temp.wrong_moments(:'wallet');
ROLLBACK;
