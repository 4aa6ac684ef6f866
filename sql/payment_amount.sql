-- A provider that captures anything but what it was asked for has all of it back, one point too many as well as
-- one too few, up to the end of bigint; the booking stays as it was and can be paid, its points are let go.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT 'acquirer ' || gen_random_uuid() AS acquirer \gset
CREATE FUNCTION pg_temp.capture(date uuid, seat uuid, fan uuid, acquirer text, captured bigint, currency text, points bigint DEFAULT 0)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE booking uuid; payment uuid; told record;
BEGIN
    SELECT booking_id INTO booking FROM concert.reserve(date, ARRAY[seat], fan);
    SELECT payment_id INTO payment FROM concert.payment_begin(booking, fan, acquirer, points);
    SELECT * INTO told FROM concert.payment_captured(payment, captured, currency, NULL, 'm1');
    PERFORM concert.refund_settled(told.refund_id, NULL, 'm2') WHERE told.refund_id IS NOT NULL;
    RETURN (SELECT format('%s, booking %s, captured %s, %s %s %s went back: %s', p.status, told.booking_status, p.captured, p.refunded, r.currency, r.status, r.cause)
            FROM concert.payment AS p LEFT JOIN concert.refund AS r ON r.payment_id = p.id WHERE p.id = payment);
END
$$;
SELECT pg_temp.capture(:'date', :'a1', :'ann', :'acquirer', 99, 'PTS');
SELECT pg_temp.capture(:'date', :'a2', :'ann', :'acquirer', 101, 'PTS');
SELECT pg_temp.capture(:'date', :'a3', :'ann', :'acquirer', 9223372036854775807, 'PTS');
SELECT pg_temp.capture(:'date', :'a4', :'ann', :'acquirer', 100, 'EUR');
SELECT pg_temp.capture(:'date', :'a5', :'bob', :'acquirer', 100, 'PTS', 30);
SELECT pg_temp.capture(:'date', :'a6', :'bob', :'acquirer', 70, 'PTS', 30);
-- what the provider's accounts hold, and the wallets: Bob's points of the first booking are let go
SELECT a.kind, a.currency, b.balance FROM concert.account AS a, concert.account_balance(a.id) AS b
WHERE a.name = :'acquirer' ORDER BY a.kind, a.currency;
SELECT b.balance, b.available FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.owner_id IN (:'ann', :'bob') ORDER BY b.balance;
SELECT p.ok, p.reason, count(*) FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE user_id IN (:'ann', :'bob')) AS b,
    concert.pay(b.booking_id, b.user_id) AS p GROUP BY 1, 2 ORDER BY 1;
SELECT concert.balance(:'ann') AS ann, concert.balance(:'bob') AS bob;
-- so are those of a payment that fails
SELECT gen_random_uuid() AS dora, concert.create_concert_date(:'concert', now() + interval '1 day') AS day \gset
SELECT concert.add_seats(:'day', concert.create_section(:'day', 'Stalls', 100), 1, ARRAY[1]) AS added \gset
SELECT ok FROM concert.charge_points(:'dora', 50, 'PTS', 'box office', 'dora ' || :'dora');
SELECT r.booking_id AS booking FROM concert.seat_map(:'day') AS m, concert.reserve(:'day', ARRAY[m.seat_id], :'dora') AS r \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'dora', :'acquirer', 30) \gset
SELECT b.available FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.owner_id = :'dora';
SELECT ok, status FROM concert.payment_failed(:'payment', 'declined', 'm1');
SELECT b.available FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.owner_id = :'dora';
SELECT * FROM concert.check_integrity();
