-- The points ledger: a charge is posted once for each reference of its source, debits equal
-- credits, and a wallet holds what its transfers say.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- the first charge opens the wallet
SELECT concert.balance(:'carl') AS before;
SELECT ok, reason, transfer_id IS NOT NULL AS posted, account_id AS wallet, balance
FROM concert.charge_points(:'carl', 700, 'PTS', 'box office', 'first ' || :'carl') \gset
SELECT :'ok' AS ok, :'posted' AS posted, :balance AS balance, concert.balance(:'carl') AS after;
SELECT ok, account_id = :'wallet' AS same_wallet, balance
FROM concert.charge_points(:'carl', 300, 'PTS', 'voucher', 'first ' || :'carl');
SELECT f.name AS source, t.amount, t.currency, t.kind
FROM concert.transfer AS t JOIN concert.account AS f ON f.id = t.debit_account_id
WHERE t.credit_account_id = :'wallet' ORDER BY t.id;
SELECT kind, owner_id = :'carl' AS carls, currency, floor, debits, credits
FROM concert.account JOIN concert.account_balance ON account_id = id WHERE id = :'wallet';

-- a reference is good once in a source and currency, for whomever; it is told apart from the source
SELECT ok, reason, transfer_id, account_id, balance
FROM concert.charge_points(:'carl', 700, 'PTS', 'box office', 'first ' || :'carl');
SELECT ok, reason FROM concert.charge_points(:'bob', 9, 'PTS', 'box office', 'first ' || :'carl');
SELECT ok, reason FROM concert.charge_points(:'carl', 5, 'PTS', 'box', 'office first ' || :'carl');
-- another currency is another wallet
SELECT ok, balance FROM concert.charge_points(:'carl', 1, 'EUR', 'box office', 'first ' || :'carl');
SELECT concert.balance(:'carl'), concert.balance(:'carl', 'EUR') AS eur, concert.balance(:'carl', 'USD') AS usd;

-- balance() of nobody, of nothing
SELECT concert.balance(:'nobody'), concert.balance(NULL) AS no_user, concert.balance(:'carl', NULL) AS no_currency;

-- a frozen wallet takes no money
UPDATE concert.account SET frozen_at = now() WHERE id = :'wallet';
SELECT ok, reason, balance FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'frozen ' || :'carl');
UPDATE concert.account SET frozen_at = NULL WHERE id = :'wallet';
SELECT ok, balance FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'frozen ' || :'carl');

-- the whole range of bigint and not one point more
SELECT gen_random_uuid() AS midas \gset
SELECT ok, balance FROM concert.charge_points(:'midas', 9223372036854775807, 'PTS', 'box office', 'all ' || :'midas');
SELECT ok FROM concert.charge_points(:'midas', 1, 'PTS', 'box office', 'more ' || :'midas');
\set VERBOSITY sqlstate
SELECT ok FROM concert.charge_points(:'midas', 1, 'PTS', 'box office', 'more ' || :'midas');
\set VERBOSITY default
SELECT concert.balance(:'midas');

-- bad input
SELECT ok FROM concert.charge_points(NULL, 1, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', NULL, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 0, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', -100, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', -9223372036854775808, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, NULL, 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, '', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'pts', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'POINTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', NULL, 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', '', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', repeat('x', 201), 'ref');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', NULL);
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', '');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', repeat('x', 201));
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'ref', '');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'ref', 'key', '');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', E'\xff', 'ref');
\set VERBOSITY sqlstate
SELECT ok FROM concert.charge_points(:'carl', 1.5, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points(:'carl', 9223372036854775808, 'PTS', 'box office', 'ref');
SELECT ok FROM concert.charge_points('carl', 1, 'PTS', 'box office', 'ref');
SELECT concert.balance(:'carl');
