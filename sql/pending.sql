-- Transfers in two phases: what is set aside is not available, is moved at most once and up to its
-- amount, and is available again when it was voided or its time is over.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees,
       concert.open_account(NULL, 'EUR', 'fees', NULL, 'fees ' || gen_random_uuid()) AS euros,
       concert.open_account(gen_random_uuid(), 'PTS', 'wallet') AS five, gen_random_uuid() AS key \gset
CREATE FUNCTION pg_temp.held(account uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s, %s out, %s in, %s available', balance, pending_debits, pending_credits, available)
    FROM concert.account_balance(account)
$$;
-- Lets the time of a pending transfer be over.
CREATE FUNCTION pg_temp.lapse_transfer(pending uuid) RETURNS void LANGUAGE sql AS $$
    SET LOCAL session_replication_role = replica;
    UPDATE concert.pending_transfer SET expires_at = created_at + interval '1 microsecond' WHERE id = pending;
    SET LOCAL session_replication_role = origin;
$$;

-- six pendings of 1,000 on a balance of 5,000: five
SELECT ok FROM concert.transfer(:'fees', :'five', 5000);
SELECT n, p.ok, p.reason FROM generate_series(1, 6) AS n, concert.transfer_pending(:'five', :'fees', 1000, 60, 'number ' || n) AS p;
SELECT pg_temp.held(:'five');
SELECT ok, reason FROM concert.transfer(:'five', :'fees', 1);

-- posting: all, a part, more
SELECT transfer_id AS whole FROM concert.transfer_pending(:'ann_wallet', :'fees', 100, 60, 'whole') \gset
SELECT transfer_id AS part FROM concert.transfer_pending(:'ann_wallet', :'fees', 300, 60) \gset
SELECT transfer_id AS more FROM concert.transfer_pending(:'ann_wallet', :'fees', 500, 60) \gset
SELECT pg_temp.held(:'ann_wallet'), pending_credits FROM concert.account_balance(:'fees');
SELECT ok, reason, transfer_id AS posted FROM concert.transfer_post(:'whole', NULL, 'a' || :'key') \gset
SELECT :'ok' AS ok, kind, amount, pending_id = :'whole' AS names_it FROM concert.transfer WHERE id = :'posted';
SELECT ok, reason FROM concert.transfer_post(:'part', 120);
SELECT ok, reason, transfer_id FROM concert.transfer_post(:'more', 501);
SELECT pg_temp.held(:'ann_wallet');
-- once: the same key is the same answer, another call is not
SELECT ok, transfer_id = :'posted' AS same FROM concert.transfer_post(:'whole', NULL, 'a' || :'key');
SELECT ok, reason FROM concert.transfer_post(:'whole');
SELECT ok, reason FROM concert.transfer_void(:'whole');
SELECT ok, reason, transfer_id FROM concert.transfer_void(:'more', 'v' || :'key');
SELECT ok, reason FROM concert.transfer_void(:'more', 'v' || :'key');
SELECT ok, reason FROM concert.transfer_void(:'more');
SELECT ok, reason FROM concert.transfer_post(:'more');
SELECT pg_temp.held(:'ann_wallet');
-- what was posted can be reversed
SELECT ok, reason FROM concert.reverse(:'posted');
SELECT pg_temp.held(:'ann_wallet');

-- lapsed: available at once, and no longer to be had; nobody needs to come for it
SELECT transfer_id AS late FROM concert.transfer_pending(:'ann_wallet', :'fees', 880, 60) \gset
SELECT ok, reason FROM concert.transfer(:'ann_wallet', :'fees', 1);
SELECT pg_temp.lapse_transfer(:'late');
SELECT pg_temp.held(:'ann_wallet');
SELECT value > 0 AS lapsed FROM concert.lag() WHERE name = 'transfers_lapsed';
SELECT ok, reason FROM concert.transfer_post(:'late');
SELECT ok, reason FROM concert.transfer_void(:'late');
SELECT count(*) AS resolved FROM concert.pending_resolution WHERE pending_id = :'late';
SELECT * FROM concert.verify_ledger();
SELECT ok, reason FROM concert.transfer(:'ann_wallet', :'fees', 1);
SELECT outcome, amount FROM concert.pending_resolution WHERE pending_id = :'late';
SELECT ok, reason FROM concert.transfer_post(:'late');
SELECT pg_temp.held(:'ann_wallet');
-- what has ended before its time holds nothing that could lapse, beside another that pends
SELECT concert.open_account(gen_random_uuid(), 'PTS', 'wallet') AS two \gset
SELECT ok FROM concert.transfer(:'fees', :'two', 100);
SELECT transfer_id AS ended FROM concert.transfer_pending(:'two', :'fees', 40, 60) \gset
SELECT ok FROM concert.transfer_pending(:'two', :'fees', 60, 60);
SELECT ok FROM concert.transfer_void(:'ended');
SELECT pg_temp.lapse_transfer(:'ended');
SELECT ok, reason FROM concert.transfer(:'two', :'fees', 41);
SELECT ok, reason FROM concert.transfer(:'two', :'fees', 40);
SELECT pg_temp.held(:'two');
-- or somebody does
SELECT transfer_id AS late FROM concert.transfer_pending(:'ann_wallet', :'fees', 879, 60) \gset
SELECT pg_temp.lapse_transfer(:'late');
SELECT concert.lapse_transfers(1000) > 0 AS swept;
SELECT outcome FROM concert.pending_resolution WHERE pending_id = :'late';
SELECT value FROM concert.lag() WHERE name = 'transfers_lapsed';
SELECT concert.lapse_transfers(1000) AS nothing_left;
SELECT pg_temp.held(:'ann_wallet');
-- an account that closes leaves nothing to lapse behind
SELECT concert.open_account(gen_random_uuid(), 'PTS', 'wallet', -100) AS overdrawn \gset
SELECT transfer_id AS late FROM concert.transfer_pending(:'overdrawn', :'fees', 50, 60) \gset
SELECT pg_temp.lapse_transfer(:'late');
SELECT concert.close_account(:'overdrawn');
SELECT outcome FROM concert.pending_resolution WHERE pending_id = :'late';
SELECT concert.lapse_transfers(1000) AS nothing_left;
-- what is set aside is not there to pay with
SELECT transfer_id AS aside FROM concert.transfer_pending(:'ann_wallet', :'fees', 800, 60) \gset
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT ok, reason FROM concert.pay(:'booking', :'ann');
SELECT pg_temp.lapse_transfer(:'aside');
SELECT ok, reason FROM concert.pay(:'booking', :'ann');

-- from an account without a floor
SELECT transfer_id AS open FROM concert.transfer_pending(:'fees', :'ann_wallet', 50, 60) \gset
SELECT ok, reason FROM concert.transfer_post(:'open', 20);
SELECT ok, reason FROM concert.transfer_post(:'open', 20);
SELECT transfer_id AS open FROM concert.transfer_pending(:'fees', :'ann_wallet', 50, 60) \gset
SELECT pg_temp.lapse_transfer(:'open');
SELECT ok, reason FROM concert.transfer_void(:'open');
-- a frozen account lets go, but moves nothing
SELECT transfer_id AS open FROM concert.transfer_pending(:'ann_wallet', :'fees', 5, 60) \gset
SELECT concert.freeze_account(:'ann_wallet');
SELECT ok, reason FROM concert.transfer_pending(:'ann_wallet', :'fees', 1, 60);
SELECT ok, reason FROM concert.transfer_post(:'open');
SELECT ok, reason FROM concert.transfer_void(:'open');
SELECT concert.unfreeze_account(:'ann_wallet');
SELECT pg_temp.held(:'ann_wallet');

-- refusals and bad input
SELECT ok, reason FROM concert.transfer_pending(:'ann_wallet', :'euros', 1, 60);
SELECT ok, reason FROM concert.transfer_pending(:'nobody', :'fees', 1, 60);
SELECT ok, reason FROM concert.transfer_post(:'nobody');
SELECT ok, reason FROM concert.transfer_void(:'nobody');
SELECT ok, transfer_id AS pending FROM concert.transfer_pending(:'fees', :'five', 1, 60, NULL, 'p' || :'key') \gset
SELECT ok, transfer_id = :'pending' AS same FROM concert.transfer_pending(:'fees', :'five', 1, 60, NULL, 'p' || :'key');
\set VERBOSITY sqlstate
SELECT ok FROM concert.transfer_pending(:'fees', :'five', 1, 61, NULL, 'p' || :'key');
SELECT ok FROM concert.transfer_pending(NULL, :'fees', 1, 60);
SELECT ok FROM concert.transfer_pending(:'five', NULL, 1, 60);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', NULL, 60);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', 1, NULL);
SELECT ok FROM concert.transfer_pending(:'five', :'five', 1, 60);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', 0, 60);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', -5, 60);
SELECT ok, reason FROM concert.transfer_pending(:'five', :'fees', 9223372036854775807, 60);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', 1, 0);
SELECT ok FROM concert.transfer_pending(:'five', :'fees', 1, 2147483647);
SELECT ok FROM concert.transfer_post(NULL);
SELECT ok FROM concert.transfer_post(:'pending', 0);
SELECT ok FROM concert.transfer_post(:'pending', -1);
SELECT ok FROM concert.transfer_void(NULL);
SELECT concert.lapse_transfers(NULL);
SELECT concert.lapse_transfers(0);
\set VERBOSITY default
-- neither the pending nor how it ended can be changed
UPDATE concert.pending_transfer SET amount = 1 WHERE id = :'pending';
DELETE FROM concert.pending_resolution;
SELECT * FROM concert.verify_ledger();
