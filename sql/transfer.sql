-- Transfers: debits equal credits, no floor is passed, a journal is all or none, a reference and a
-- reversal are good once, and the same key gives the same answer.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT id AS bob_wallet FROM concert.account WHERE owner_id = :'bob' \gset
SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees,
       concert.open_account(NULL, 'EUR', 'fees', NULL, 'fees ' || gen_random_uuid()) AS euros,
       concert.open_account(:'carl', 'PTS', 'wallet', -50) AS credit_line, gen_random_uuid() AS key \gset
CREATE FUNCTION pg_temp.held() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(balance::text, ', ' ORDER BY n)
    FROM unnest(ARRAY[current_setting('my.ann'), current_setting('my.bob'), current_setting('my.carl'), current_setting('my.fees')])
         WITH ORDINALITY AS a (id, n), concert.account_balance(id::uuid)
$$;
SELECT set_config('my.ann', :'ann_wallet', false) IS NULL, set_config('my.bob', :'bob_wallet', false) IS NULL,
       set_config('my.carl', :'credit_line', false) IS NULL, set_config('my.fees', :'fees', false) IS NULL;

SELECT ok, reason, transfer_id IS NOT NULL AS posted FROM concert.transfer(:'ann_wallet', :'bob_wallet', 100, 'a gift');
SELECT ok, reason, transfer_id AS fee FROM concert.transfer(:'ann_wallet', :'fees', 900, NULL, 'fee 1', '2020-01-01 00:00+00') \gset
SELECT :'ok' AS ok, pg_temp.held();
SELECT kind, amount, currency, description, external_ref, effective_at = '2020-01-01 00:00+00' AS effective_then,
       created_at > now() - interval '1 minute' AS recorded_now
FROM concert.transfer WHERE debit_account_id = :'ann_wallet' ORDER BY seq;
-- refusals
SELECT ok, reason, transfer_id FROM concert.transfer(:'ann_wallet', :'fees', 1);
SELECT ok, reason FROM concert.transfer(:'credit_line', :'fees', 51);
SELECT ok, reason FROM concert.transfer(:'credit_line', :'fees', 50);
SELECT ok, reason FROM concert.transfer(:'bob_wallet', :'euros', 1);
SELECT ok, reason FROM concert.transfer(:'bob_wallet', :'nobody', 1);
SELECT ok, reason FROM concert.transfer(:'nobody', :'bob_wallet', 1);
SELECT ok, reason FROM concert.transfer(:'nobody', :'bob_wallet', 1, NULL, 'ref');
SELECT pg_temp.held();
-- a reference is good once for the debited account
SELECT ok, reason FROM concert.transfer(:'fees', :'ann_wallet', 10, NULL, 'fee 1');
SELECT ok, reason FROM concert.transfer(:'fees', :'ann_wallet', 10, NULL, 'fee 1');
-- also where charge_points() used it
SELECT a.id AS source FROM concert.account AS a JOIN concert.transfer AS t ON t.debit_account_id = a.id AND t.external_ref = 'ann ' || :'ann' \gset
SELECT ok, reason FROM concert.transfer(:'source', :'ann_wallet', 10, NULL, 'ann ' || :'ann');

-- the same key gives the same answer, a refusal too, and is refused with another request
SELECT ok, transfer_id AS first FROM concert.transfer(:'bob_wallet', :'fees', 1, NULL, NULL, NULL, 'a' || :'key') \gset
SELECT ok, transfer_id = :'first' AS same FROM concert.transfer(:'bob_wallet', :'fees', 1, NULL, NULL, NULL, 'a' || :'key');
SELECT ok, reason FROM concert.transfer(:'ann_wallet', :'fees', 5000, NULL, NULL, NULL, 'b' || :'key');
SELECT ok FROM concert.charge_points(:'ann', 5000, 'PTS', 'box office', 'late ' || :'ann');
SELECT ok, reason FROM concert.transfer(:'ann_wallet', :'fees', 5000, NULL, NULL, NULL, 'b' || :'key');
\set VERBOSITY sqlstate
SELECT ok FROM concert.transfer(:'bob_wallet', :'fees', 2, NULL, NULL, NULL, 'a' || :'key');
SELECT ok FROM concert.transfer(:'ann_wallet', :'fees', 1, NULL, NULL, NULL, 'a' || :'key');
SELECT ok FROM concert.transfer(:'bob_wallet', :'fees', 1, 'x', NULL, NULL, 'a' || :'key');
\set VERBOSITY default
SELECT pg_temp.held();

-- a journal is all or none; each leg is judged on what the legs before it leave
SELECT ok, reason, refused_leg, cardinality(transfer_ids) AS transfers, journal_id AS journal
FROM concert.journal(ARRAY[:'ann_wallet', :'ann_wallet', :'bob_wallet']::uuid[], ARRAY[:'bob_wallet', :'fees', :'fees']::uuid[], ARRAY[100, 10, 1190], 'split', NULL, 'j' || :'key') \gset
SELECT :'ok' AS ok, :transfers AS transfers, pg_temp.held();
SELECT amount, description FROM concert.transfer WHERE journal_id = :'journal' ORDER BY seq;
SELECT ok, journal_id = :'journal' AS same, cardinality(transfer_ids)
FROM concert.journal(ARRAY[:'ann_wallet', :'ann_wallet', :'bob_wallet']::uuid[], ARRAY[:'bob_wallet', :'fees', :'fees']::uuid[], ARRAY[100, 10, 1190], 'split', NULL, 'j' || :'key');
SELECT ok, reason, refused_leg, journal_id, transfer_ids
FROM concert.journal(ARRAY[:'ann_wallet', :'bob_wallet', :'ann_wallet']::uuid[], ARRAY[:'fees', :'fees', :'fees']::uuid[], ARRAY[1, 5000, 1]);
SELECT ok, reason, refused_leg FROM concert.journal(ARRAY[:'ann_wallet', :'ann_wallet']::uuid[], ARRAY[:'fees', :'euros']::uuid[], ARRAY[1, 1]);
SELECT ok, reason, refused_leg FROM concert.journal(ARRAY[:'nobody']::uuid[], ARRAY[:'fees']::uuid[], ARRAY[1]);
SELECT pg_temp.held();

-- a transfer is reversed once, by a transfer that names it; so is a reversal
SELECT ok, transfer_id AS reversal FROM concert.reverse(:'fee', 'in error') \gset
SELECT :'ok' AS ok, kind, amount, debit_account_id = :'fees' AS from_fees, reverses_id = :'fee' AS names_it, description
FROM concert.transfer WHERE id = :'reversal';
SELECT ok, reason, transfer_id FROM concert.reverse(:'fee');
SELECT ok, reason FROM concert.reverse(:'reversal', NULL, 'r' || :'key');
SELECT ok, reason FROM concert.reverse(:'reversal', NULL, 'r' || :'key');
SELECT ok, reason FROM concert.reverse(:'reversal');
SELECT ok, reason FROM concert.reverse(:'nobody');
SELECT pg_temp.held();
-- not when the money is spent
SELECT transfer_id AS spent FROM concert.transfer(:'ann_wallet', :'credit_line', 30) \gset
SELECT ok FROM concert.transfer(:'credit_line', :'fees', 30);
SELECT ok, reason FROM concert.reverse(:'spent');
-- what paid for a booking is refunded, not reversed
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.pay(:'booking', :'ann') \gset
SELECT id AS paid FROM concert.transfer WHERE payment_id = :'payment' \gset
\set VERBOSITY sqlstate
SELECT ok FROM concert.reverse(:'paid');

-- the whole range of bigint and not one point more
SELECT concert.open_account(gen_random_uuid(), 'PTS', 'wallet') AS midas, concert.open_account(NULL, 'PTS', 'fees', NULL, 'mint ' || gen_random_uuid()) AS mint \gset
SELECT ok FROM concert.transfer(:'mint', :'midas', 9223372036854775807);
SELECT ok FROM concert.transfer(:'mint', :'midas', 1);
SELECT ok, reason FROM concert.transfer(:'midas', :'mint', 9223372036854775807);
SELECT balance FROM concert.account_balance(:'midas');

-- bad input
SELECT ok FROM concert.transfer(NULL, :'fees', 1);
SELECT ok FROM concert.transfer(:'fees', NULL, 1);
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', NULL);
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', 0);
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', -1);
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', -9223372036854775808);
SELECT ok FROM concert.transfer(:'fees', :'fees', 1);
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', 1, '');
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', 1, NULL, '');
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', 1, NULL, NULL, 'infinity');
SELECT ok FROM concert.transfer(:'fees', :'ann_wallet', 1, NULL, NULL, NULL, '');
SELECT ok FROM concert.journal(NULL, ARRAY[:'fees']::uuid[], ARRAY[1]);
SELECT ok FROM concert.journal('{}', '{}', '{}');
SELECT ok FROM concert.journal(ARRAY[:'fees']::uuid[], ARRAY[:'ann_wallet', :'bob_wallet']::uuid[], ARRAY[1]);
SELECT ok FROM concert.journal(ARRAY[:'fees', NULL]::uuid[], ARRAY[:'ann_wallet', :'bob_wallet']::uuid[], ARRAY[1, 1]);
SELECT ok FROM concert.journal(ARRAY[:'fees']::uuid[], ARRAY[:'fees']::uuid[], ARRAY[1]);
SELECT ok FROM concert.journal(ARRAY[:'fees']::uuid[], ARRAY[:'ann_wallet']::uuid[], ARRAY[0]);
SELECT ok FROM concert.journal(ARRAY[ARRAY[:'fees']]::uuid[], ARRAY[:'ann_wallet']::uuid[], ARRAY[1]);
SELECT ok FROM concert.journal(array_fill(:'fees'::uuid, ARRAY[101]), array_fill(:'ann_wallet'::uuid, ARRAY[101]), array_fill(1::bigint, ARRAY[101]));
SELECT ok FROM concert.reverse(NULL);
SELECT ok FROM concert.reverse(:'fee', '');
\set VERBOSITY default
SELECT * FROM concert.verify_ledger();
