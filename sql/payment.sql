-- pay() moves exactly the price of the booking from its owner's wallet to the concert's revenue and
-- confirms every seat, or changes nothing and says why.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
CREATE FUNCTION pg_temp.revenue(concert uuid) RETURNS numeric LANGUAGE sql AS $$
    SELECT sum(t.amount) FROM concert.transfer AS t JOIN concert.account AS a ON a.id = t.credit_account_id
    WHERE a.owner_id = concert AND a.kind = 'revenue' AND a.currency = 'PTS'
$$;

SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok, reason, payment_id AS payment, amount, currency FROM concert.pay(:'booking', :'ann') \gset
SELECT :'ok' AS ok, :amount AS amount, :'currency' AS currency;
SELECT pg_temp.booked(:'booking'), concert.balance(:'ann'), pg_temp.revenue(:'concert');
SELECT method, status, amount, currency, user_id = :'ann' AS anns FROM concert.payment WHERE booking_id = :'booking';
SELECT kind, amount, currency FROM concert.transfer WHERE payment_id = :'payment';

-- double pay: the second is refused, under a key too
SELECT ok, reason, payment_id, amount, currency FROM concert.pay(:'booking', :'ann');
SELECT ok, reason FROM concert.pay(:'booking', :'ann', 'another key');
SELECT concert.balance(:'ann'), count(*) AS payments FROM concert.payment WHERE booking_id = :'booking';

-- somebody else's, unknown, cancelled
SELECT ok, reason, payment_id, amount, currency FROM concert.pay(:'booking', :'bob');
SELECT ok, reason FROM concert.pay(:'nobody', :'bob');
SELECT booking_id AS given_up FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT ok FROM concert.cancel(:'given_up', :'bob');
SELECT ok, reason FROM concert.pay(:'given_up', :'bob');

-- paid after expiry, the seat still free: refused, whether expire() has run or not
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT ok, reason, amount FROM concert.pay(:'lapsed', :'bob');
SELECT concert.expire(10000) > 0 AS expired;
SELECT ok, reason FROM concert.pay(:'lapsed', :'bob');
-- paid after expiry, one of the two seats taken: the other is not sold alone
SELECT booking_id AS half FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'bob') \gset
SELECT pg_temp.lapse(:'half');
SELECT booking_id AS anns FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann') \gset
SELECT ok, reason FROM concert.pay(:'half', :'bob');
SELECT ok FROM concert.pay(:'anns', :'ann');
SELECT pg_temp.booked(:'half') AS half, pg_temp.taken(:'date'), concert.balance(:'bob');

-- too little: what it costs is told; exactly enough is enough
SELECT booking_id AS poor FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'carl') \gset
SELECT ok, reason, payment_id, amount, currency FROM concert.pay(:'poor', :'carl');
SELECT ok FROM concert.charge_points(:'carl', 50, 'EUR', 'box office', 'euros ' || :'carl');
SELECT ok, reason, amount, currency FROM concert.pay(:'poor', :'carl');
SELECT ok FROM concert.charge_points(:'carl', 99, 'PTS', 'box office', 'some ' || :'carl');
SELECT ok, reason, amount, currency FROM concert.pay(:'poor', :'carl');
SELECT ok FROM concert.charge_points(:'carl', 1, 'PTS', 'box office', 'rest ' || :'carl');
SELECT ok, reason, amount FROM concert.pay(:'poor', :'carl');
SELECT concert.balance(:'carl'), concert.balance(:'carl', 'EUR') AS eur;

-- a frozen wallet pays nothing
SELECT booking_id AS later FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
UPDATE concert.account SET frozen_at = now() WHERE owner_id = :'bob';
SELECT ok, reason, amount FROM concert.pay(:'later', :'bob');
UPDATE concert.account SET frozen_at = NULL WHERE owner_id = :'bob';
SELECT ok FROM concert.pay(:'later', :'bob');

-- what costs nothing is paid without a wallet and without a transfer
SELECT gen_random_uuid() AS guest, concert.create_section(:'date', 'Guests', 0) AS guests \gset
SELECT concert.add_seats(:'date', :'guests', 2, ARRAY[1], ARRAY['G1']) AS added \gset
SELECT seat_id AS g1 FROM concert.seat_map(:'date') WHERE label = 'G1' \gset
SELECT booking_id AS free FROM concert.reserve(:'date', ARRAY[:'g1']::uuid[], :'guest') \gset
SELECT ok, amount, currency FROM concert.pay(:'free', :'guest');
SELECT pg_temp.booked(:'free'), count(*) AS wallets FROM concert.account WHERE owner_id = :'guest';

-- six pendings of 1,000 on a balance of 5,000: five are paid
SELECT gen_random_uuid() AS dora,
       concert.create_concert_date(:'concert', now() + interval '1 day', seats_per_user_max => 6) AS day \gset
SELECT concert.create_section(:'day', 'Stalls', 1000) AS stalls \gset
SELECT concert.add_seats(:'day', :'stalls', 1, ARRAY[1,2,3,4,5,6]) AS added \gset
SELECT ok FROM concert.charge_points(:'dora', 5000, 'PTS', 'box office', 'dora ' || :'dora');
SELECT count(*) FILTER (WHERE ok) AS reserved
FROM concert.seat_map(:'day') AS s, concert.reserve(:'day', ARRAY[s.seat_id], :'dora');
SELECT p.ok, p.reason, count(*)
FROM (SELECT DISTINCT booking_id FROM concert.reservation WHERE user_id = :'dora') AS b,
     concert.pay(b.booking_id, :'dora') AS p
GROUP BY p.ok, p.reason ORDER BY p.ok;
SELECT concert.balance(:'dora');
SELECT pg_temp.revenue(:'concert') = sum(price) AS revenue_is_what_was_sold
FROM concert.reservation AS r JOIN concert.concert_date AS d ON d.id = r.concert_date_id
WHERE d.concert_id = :'concert' AND r.status = 'confirmed';

-- bad input
SELECT ok FROM concert.pay(NULL, :'ann');
SELECT ok FROM concert.pay(:'booking', NULL);
SELECT ok FROM concert.pay(:'booking', :'ann', '');
SELECT ok FROM concert.pay(:'booking', :'ann', repeat('x', 201));
SELECT ok FROM concert.pay(:'booking', :'ann', 'key', '');
\set VERBOSITY terse
SELECT ok FROM concert.pay('booking', :'ann');
