-- Accounts: each kind is opened with what it must have, is the same when opened again, can be frozen,
-- and is closed only when it holds nothing and nothing is pending.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT gen_random_uuid() AS dora, 'fees ' || gen_random_uuid() AS fee_name, 'bank ' || gen_random_uuid() AS bank_name \gset
SELECT concert.open_account(:'dora', 'PTS', 'wallet') AS wallet,
       concert.open_account(NULL, 'PTS', 'funding', NULL, :'bank_name') AS bank,
       concert.open_account(NULL, 'PTS', 'fees', NULL, :'fee_name') AS fees,
       concert.open_account(:'dora', 'PTS', 'refunds_payable', -500) AS refunds,
       concert.open_account(:'dora', 'EUR', 'wallet', -100) AS euros,
       concert.open_account(:'dora', 'PTS', 'revenue', NULL) AS revenue \gset
SELECT kind, currency, floor, owner_id = :'dora' AS doras, name IS NOT NULL AS named, b.account_id IS NOT NULL AS has_row
FROM concert.account LEFT JOIN concert.account_balance AS b ON b.account_id = id
WHERE id IN (:'wallet', :'bank', :'fees', :'refunds', :'euros', :'revenue') ORDER BY kind, currency;
-- opened again it is the same; with another floor it is a mistake
SELECT concert.open_account(:'dora', 'PTS', 'wallet') = :'wallet' AS same,
       concert.open_account(NULL, 'PTS', 'fees', NULL, :'fee_name') = :'fees' AS same_fees;
SELECT concert.open_account(:'dora', 'PTS', 'wallet', -1);
-- charging finds the wallet and the source that are open
SELECT ok, account_id = :'wallet' AS same_wallet, balance FROM concert.charge_points(:'dora', 300, 'PTS', :'bank_name', 'one');
SELECT count(*) FROM concert.account WHERE name = :'bank_name';

SELECT currency, kind, balance, pending_debits, pending_credits, available, is_frozen FROM concert.account_balance(:'wallet');
SELECT currency, kind, balance, pending_debits, pending_credits, available, is_frozen FROM concert.account_balance(:'bank');
SELECT available FROM concert.account_balance(:'euros');
SELECT count(*) FROM concert.account_balance(:'nobody');
SELECT count(*) FROM concert.account_balance(NULL);

-- frozen: no money in, none out
SELECT concert.freeze_account(:'wallet') AS frozen, concert.freeze_account(:'wallet') AS again;
SELECT ok, reason FROM concert.transfer(:'wallet', :'fees', 1);
SELECT ok, reason FROM concert.transfer(:'fees', :'wallet', 1);
SELECT ok, reason FROM concert.charge_points(:'dora', 1, 'PTS', :'bank_name', 'two');
SELECT is_frozen FROM concert.account_balance(:'wallet');
SELECT concert.unfreeze_account(:'wallet') AS thawed, concert.unfreeze_account(:'wallet') AS again;
SELECT ok, reason FROM concert.transfer(:'wallet', :'fees', 1);
-- a concert's frozen revenue: what would credit it is refused
SELECT id AS concerts_revenue FROM concert.account WHERE owner_id = :'concert' AND kind = 'revenue' \gset
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT concert.freeze_account(:'concerts_revenue');
SELECT ok, reason FROM concert.pay(:'booking', :'ann');
SELECT concert.unfreeze_account(:'concerts_revenue');
SELECT ok, reason FROM concert.pay(:'booking', :'ann');

-- closing: not while it holds something, nor while something is set aside or to come
\set VERBOSITY sqlstate
SELECT concert.close_account(:'wallet');
SELECT concert.close_account(:'fees');
SELECT ok, transfer_id AS pending FROM concert.transfer_pending(:'wallet', :'refunds', 299, 60) \gset
SELECT concert.close_account(:'refunds');
SELECT ok, reason FROM concert.transfer_post(:'pending');
SELECT concert.close_account(:'refunds');
SELECT concert.close_account(:'wallet');
SELECT ok, reason FROM concert.transfer(:'refunds', :'wallet', 1);
SELECT concert.close_account(:'wallet');
SELECT ok, reason FROM concert.transfer(:'wallet', :'bank', 1);
SELECT ok, reason FROM concert.transfer(:'bank', :'refunds', 1);
SELECT count(*) FROM concert.account_balance(:'wallet');
-- a source stays once a reference of it was used: a new one of its name would take it again
SELECT ok, transfer_id AS given FROM concert.charge_points(:'ann', 7, 'PTS', 'source ' || :'ann', 'one') \gset
SELECT ok FROM concert.reverse(:'given');
SELECT concert.close_account(id) FROM concert.account WHERE name = 'source ' || :'ann';
SELECT ok, reason FROM concert.charge_points(:'ann', 7, 'PTS', 'source ' || :'ann', 'one');
SELECT concert.close_account(concert.open_account(NULL, 'PTS', 'funding', NULL, 'unused ' || :'ann')) AS unused_closes;
-- a concert's revenue stays while the concert is live, whatever it holds: its bookings can be paid
SELECT concert.create_concert('Spring Gala') AS gala \gset
SELECT concert.create_concert_date(:'gala', now() + interval '30 days') AS gala_day \gset
SELECT concert.create_section(:'gala_day', 'Stalls', 100) AS gala_stalls \gset
SELECT concert.add_seats(:'gala_day', :'gala_stalls', 1, ARRAY[1]) AS added \gset
SELECT concert.close_account(id) FROM concert.account WHERE owner_id = :'gala';
SELECT booking_id AS booking FROM concert.reserve(:'gala_day', (SELECT array_agg(seat_id) FROM concert.seat_map(:'gala_day')), :'ann') \gset
SELECT ok, reason FROM concert.pay(:'booking', :'ann');
-- and closes with a concert that is soft-deleted
SELECT concert.create_concert('Over') AS over \gset
SELECT concert.open_account(:'over', 'PTS', 'revenue', NULL) AS over_revenue \gset
SELECT concert.close_account(:'over_revenue');
SELECT concert.soft_delete('concert', :'over') IS NOT NULL AS soft_deleted;
SELECT concert.close_account(:'over_revenue');
-- who comes back gets a new wallet
SELECT ok, account_id <> :'wallet' AS another, balance FROM concert.charge_points(:'dora', 5, 'PTS', :'bank_name', 'three');

-- bad input
SELECT concert.open_account(:'dora', NULL, 'wallet');
SELECT concert.open_account(:'dora', 'pts', 'wallet');
SELECT concert.open_account(:'dora', 'PTS', NULL);
SELECT concert.open_account(:'dora', 'PTS', 'purse');
SELECT concert.open_account(:'dora', 'PTS', 'wallet', NULL);
SELECT concert.open_account(:'dora', 'PTS', 'wallet', 1);
SELECT concert.open_account(:'dora', 'PTS', 'wallet', -1000000000000001);
SELECT concert.open_account(:'dora', 'PTS', 'wallet', -9223372036854775808);
SELECT concert.open_account(:'dora', 'PTS', 'wallet', 0, 'named');
SELECT concert.open_account(NULL, 'PTS', 'wallet');
SELECT concert.open_account(:'dora', 'PTS', 'revenue', 0);
SELECT concert.open_account(:'dora', 'PTS', 'funding', NULL);
SELECT concert.open_account(NULL, 'PTS', 'funding', 0, 'source');
SELECT concert.open_account(NULL, 'PTS', 'fees');
SELECT concert.open_account(:'dora', 'PTS', 'fees', 0, 'both');
SELECT concert.open_account(NULL, 'PTS', 'fees', 0, '');
SELECT concert.open_account(NULL, 'PTS', 'fees', 0, repeat('x', 201));
SELECT concert.open_account(NULL, 'PTS', 'fees', 0, E'\xff');
SELECT concert.freeze_account(NULL);
SELECT concert.freeze_account(:'nobody');
SELECT concert.unfreeze_account(:'nobody');
SELECT concert.close_account(NULL);
SELECT concert.close_account(:'nobody');
SELECT concert.close_account(:'wallet');
\set VERBOSITY default
SELECT * FROM concert.verify_ledger();
