-- Reports of money say what adding up every transfer and every sold seat says, with checkpoints and
-- without; an admin reads them, who may ask for any account's balance, and nobody else.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SELECT concert.create_concert_date(:'concert', now() + interval '31 days', seats_per_user_max => 300) AS second_date \gset
SELECT concert.create_section(:'second_date', 'Balcony', 30) AS balcony, concert.create_section(:'second_date', 'Balcony', 7, 'EUR') AS euros \gset
SELECT concert.add_seats(:'second_date', :'balcony', 1, array_agg(n)) AS added FROM generate_series(1, 250) AS n \gset
SELECT concert.add_seats(:'second_date', :'euros', 2, ARRAY[1, 2]) AS added \gset
SELECT ok FROM concert.charge_points(:'ann', 10000, 'PTS', 'box office', 'report ' || :'ann');
SELECT ok FROM concert.charge_points(:'ann', 100, 'EUR', 'box office', 'report ' || :'ann');
-- sold: two of the stalls, one of them in a booking that is given back unpaid; 220 of the balcony; two for euros
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'bob') \gset
SELECT ok FROM concert.cancel(:'booking', :'bob');
SELECT booking_id AS unpaid FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT count(*) FILTER (WHERE p.ok) AS paid
FROM (SELECT r.booking_id FROM concert.seat AS s, concert.reserve(s.concert_date_id, ARRAY[s.id], :'ann') AS r
      WHERE s.concert_date_id = :'second_date' AND (s."row" = 2 OR s.col <= 220)) AS b, concert.pay(b.booking_id, :'ann') AS p;
-- and something back, something set aside
SELECT id AS revenue FROM concert.account WHERE owner_id = :'concert' AND currency = 'PTS' \gset
SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' AND currency = 'PTS' \gset
SELECT id AS bob_wallet FROM concert.account WHERE owner_id = :'bob' \gset
SELECT ok FROM concert.transfer(:'revenue', :'bob_wallet', 11);
SELECT count(ok) FROM (VALUES (5), (6)) AS v (n), concert.transfer_pending(:'ann_wallet', :'revenue', n, 60);
SELECT transfer_id AS back FROM concert.transfer_pending(:'revenue', :'bob_wallet', 3, 60) \gset
SELECT transfer_id AS ended FROM concert.transfer_pending(:'ann_wallet', :'revenue', 100, 60) \gset
SELECT ok FROM concert.transfer_void(:'ended');
SELECT transfer_id AS late FROM concert.transfer_pending(:'ann_wallet', :'revenue', 1000, 60) \gset
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.pending_transfer SET expires_at = created_at + interval '1 us' WHERE id = :'late'; COMMIT;

CREATE TEMP VIEW naive_revenue AS
    SELECT a.id AS account_id, coalesce(sum(t.amount) FILTER (WHERE t.credit_account_id = a.id), 0) AS received,
           coalesce(sum(t.amount) FILTER (WHERE t.debit_account_id = a.id), 0) AS returned
    FROM concert.account AS a LEFT JOIN concert.transfer AS t ON a.id IN (t.debit_account_id, t.credit_account_id)
    WHERE a.kind = 'revenue' GROUP BY a.id;
CREATE TEMP VIEW naive_section AS
    SELECT s.concert_date_id, s.section_id, r.currency, count(*) AS seats, sum(r.price) AS sold
    FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id WHERE r.status = 'confirmed' GROUP BY 1, 2, 3;
CREATE TEMP VIEW naive_date AS
    SELECT b.concert_date_id, t.currency, sum(CASE WHEN t.credit_account_id = a.id THEN t.amount ELSE -t.amount END) AS amount
    FROM concert.account AS a JOIN concert.transfer AS t ON a.id IN (t.debit_account_id, t.credit_account_id)
    JOIN concert.payment AS p ON p.id = t.payment_id
    JOIN (SELECT DISTINCT booking_id, concert_date_id FROM concert.reservation) AS b ON b.booking_id = p.booking_id
    WHERE a.kind = 'revenue' GROUP BY 1, 2;
CREATE TEMP VIEW naive_day AS
    SELECT a.owner_id AS concert_id, t.created_at::date AS day, t.currency,
           sum(CASE WHEN t.credit_account_id = a.id THEN t.amount ELSE -t.amount END) AS amount
    FROM concert.account AS a JOIN concert.transfer AS t ON a.id IN (t.debit_account_id, t.credit_account_id)
    WHERE a.kind = 'revenue' GROUP BY 1, 2, 3;
CREATE FUNCTION pg_temp.differ() RETURNS TABLE (report text, rows bigint) LANGUAGE sql AS $$
    SELECT 'concert', count(*) FROM concert.revenue_by_concert AS r FULL JOIN naive_revenue AS n USING (account_id)
    WHERE (r.received, r.returned, r.amount) IS DISTINCT FROM (n.received, n.returned, n.received - n.returned)
    UNION ALL
    SELECT 'section', count(*) FROM concert.revenue_by_section AS r FULL JOIN naive_section AS n USING (section_id, currency)
    WHERE (r.seats, r.sold) IS DISTINCT FROM (n.seats, n.sold)
    UNION ALL
    SELECT 'date', count(*) FROM concert.revenue_by_date AS r
    FULL JOIN (SELECT concert_date_id, currency, sum(seats) AS seats, sum(sold) AS sold FROM naive_section GROUP BY 1, 2) AS n
         USING (concert_date_id, currency)
    FULL JOIN naive_date AS m USING (concert_date_id, currency)
    WHERE (r.seats, r.sold, r.sold - r.given_back) IS DISTINCT FROM (n.seats, n.sold, r.amount)
       OR coalesce(r.amount, 0) <> coalesce(m.amount, 0)
    UNION ALL
    SELECT 'day', count(*) FROM (
        SELECT c.id AS concert_id, d.day, d.currency, d.amount
        FROM concert.concert AS c, concert.revenue_by_day(c.id, current_date - 40, current_date + 1) AS d) AS r
    FULL JOIN naive_day AS n USING (concert_id, day, currency) WHERE r.amount IS DISTINCT FROM nullif(n.amount, 0)
    UNION ALL
    SELECT 'pending', count(*) FROM concert.pending_funds AS r
    FULL JOIN (SELECT debit_account_id AS account_id, count(*) AS transfers, sum(amount) AS amount FROM concert.pending_transfer
               WHERE expires_at > now() AND id NOT IN (SELECT pending_id FROM concert.pending_resolution) GROUP BY 1) AS n
         USING (account_id) WHERE (r.transfers, r.amount) IS DISTINCT FROM (n.transfers, n.amount)
    UNION ALL
    SELECT 'wallets', count(*) FROM concert.wallet_liabilities AS r
    FULL JOIN (SELECT currency, count(*) AS wallets, sum(amount) AS amount FROM (
                   SELECT a.id, a.currency, coalesce(sum(CASE t.credit_account_id WHEN a.id THEN t.amount ELSE -t.amount END), 0) AS amount
                   FROM concert.account AS a LEFT JOIN concert.transfer AS t ON a.id IN (t.debit_account_id, t.credit_account_id)
                   WHERE a.kind = 'wallet' GROUP BY 1, 2) AS w GROUP BY 1) AS n USING (currency)
    WHERE (r.wallets, r.amount) IS DISTINCT FROM (n.wallets, n.amount)
$$;
SELECT * FROM pg_temp.differ();
SELECT currency, received, returned, amount FROM concert.revenue_by_concert WHERE concert_id = :'concert' ORDER BY 1;
SELECT section, currency, seats, sold FROM concert.revenue_by_section WHERE concert_id = :'concert' ORDER BY 1, 2;
SELECT currency, seats, sold, given_back, amount FROM concert.revenue_by_date WHERE concert_id = :'concert' ORDER BY 1, 2;
SELECT kind, transfers, amount, next_expires_at > now() AS waits FROM concert.pending_funds WHERE account_id IN (:'ann_wallet', :'revenue') ORDER BY 1;
-- money that went back without a seat, a fee, a split, money that came wrong: dates add up to their concert's
-- revenue, sections to what their date was sold for
SELECT concert.create_concert('Spring Gala') AS gala, 'acquirer ' || gen_random_uuid() AS acquirer \gset
SELECT concert.create_concert_date(:'gala', now() + interval '20 days') AS gala_day, concert.create_concert_date(:'gala', now() + interval '40 days') AS other_day \gset
SELECT concert.create_section(:'gala_day', 'Stalls', 100) AS gala_stalls, concert.create_section(:'gala_day', 'Balcony', 30) AS gala_balcony,
       concert.create_section(:'other_day', 'Stalls', 50) AS other_stalls \gset
SELECT concert.add_seats(:'gala_day', :'gala_stalls', 1, ARRAY[1, 2]) + concert.add_seats(:'gala_day', :'gala_balcony', 2, ARRAY[1, 2])
       + concert.add_seats(:'other_day', :'other_stalls', 1, ARRAY[1, 2, 3, 4]) AS added \gset
CREATE FUNCTION pg_temp.seats(date uuid, "row" int, VARIADIC cols int[]) RETURNS uuid[] LANGUAGE sql AS
    'SELECT array_agg(s.id ORDER BY s.col) FROM concert.seat AS s WHERE s.concert_date_id = date AND s."row" = $2 AND s.col = ANY (cols)';
CREATE FUNCTION pg_temp.earned(which uuid) RETURNS TABLE (nth_date int, sold text, given_back text, amount text) LANGUAGE sql AS $$
    SELECT (row_number() OVER (ORDER BY starts_at))::int, concat_ws(' = ', d.sold, (
               SELECT string_agg(s.section || ' ' || s.sold, ' + ' ORDER BY s.section) FROM concert.revenue_by_section AS s WHERE s.concert_date_id = d.concert_date_id)),
           d.given_back::text, d.amount::text
    FROM concert.revenue_by_date AS d WHERE concert_id = which
    UNION ALL
    SELECT NULL, 'the concert', NULL, (SELECT sum(amount) FROM concert.revenue_by_date WHERE concert_id = which) || ' = ' || c.amount
    FROM concert.revenue_by_concert AS c WHERE concert_id = which
    ORDER BY 1
$$;
SELECT booking_id AS booking FROM concert.reserve(:'gala_day', pg_temp.seats(:'gala_day', 1, 1, 2), :'ann') \gset
SELECT ok, payment_id AS payment FROM concert.pay(:'booking', :'ann') \gset
SELECT ok, amount, fee FROM concert.refund_payment(:'payment', 60, 'a pillar');
SELECT ok, amount, fee FROM concert.refund(:'booking', :'ann', seat_ids => pg_temp.seats(:'gala_day', 1, 2), fee => 10);
SELECT * FROM pg_temp.earned(:'gala');
SELECT booking_id AS booking FROM concert.reserve(:'gala_day', pg_temp.seats(:'gala_day', 1, 2) || pg_temp.seats(:'gala_day', 2, 1), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 70) \gset
SELECT ok, booking_status FROM concert.payment_captured(:'payment', 60, 'PTS', NULL, 'm1');
SELECT booking_id AS booking FROM concert.reserve(:'other_day', pg_temp.seats(:'other_day', 1, 1, 2), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok, booking_status FROM concert.payment_captured(:'payment', 100, 'EUR', NULL, 'm1');
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT booking_id AS booking FROM concert.reserve(:'other_day', pg_temp.seats(:'other_day', 1, 3, 4), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => pg_temp.seats(:'other_day', 1, 3));
SELECT ok, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT ok, amount, fee FROM concert.refund_payment(:'payment', 20, 'a pillar');
SELECT * FROM pg_temp.earned(:'gala');
SELECT * FROM pg_temp.differ();
SELECT ok, amount, fee FROM concert.refund(:'booking', :'ann', fee => 7);
SELECT * FROM pg_temp.earned(:'gala');
-- with checkpoints
SELECT concert.checkpoint_accounts(10000) > 0 AS summed_up;
SELECT ok FROM concert.transfer(:'bob_wallet', :'revenue', 1);
SELECT * FROM pg_temp.differ();
-- over days, in a zone where they have 23 and 25 hours, and after the clock was set back
BEGIN; SET LOCAL session_replication_role = replica;
DELETE FROM concert.account_checkpoint;
UPDATE concert.transfer SET created_at = created_at - (seq % 29) * interval '9 hours';
SELECT * FROM pg_temp.differ();
SELECT concert.checkpoint_accounts(10000) > 0 AS summed_up;
SET LOCAL TimeZone = 'Europe/Kyiv';
UPDATE concert.transfer SET created_at = '2026-10-27 12:00+00'::timestamptz - (seq % 29) * interval '9 hours';
DELETE FROM concert.account_checkpoint;
SELECT concert.checkpoint_accounts(10000) > 0 AS summed_up;
SELECT count(*) AS wrong FROM (SELECT n.* FROM naive_day AS n WHERE amount <> 0) AS n
FULL JOIN (SELECT c.id AS concert_id, d.* FROM concert.concert AS c, concert.revenue_by_day(c.id, '2026-10-01', '2026-10-31') AS d) AS r
     USING (concert_id, day, currency) WHERE n.amount IS DISTINCT FROM r.amount;
ROLLBACK;
-- who may read
GRANT concert_admin TO current_user;
SET ROLE concert_sidecar;
\set VERBOSITY sqlstate
SELECT count(*) FROM concert.revenue_by_concert;
SELECT count(*) FROM concert.revenue_by_section;
SELECT count(*) FROM concert.revenue_by_date;
SELECT count(*) FROM concert.pending_funds;
SELECT count(*) FROM concert.wallet_liabilities;
SELECT count(*) FROM concert.revenue_by_day(:'concert', current_date - 1, current_date + 1);
SELECT concert.balance_at(:'ann_wallet', now());
SET ROLE concert_admin;
SELECT count(*) FROM concert.revenue_by_concert WHERE concert_id = :'concert';
SELECT count(*) FROM concert.revenue_by_section WHERE concert_id = :'concert';
SELECT count(*) FROM concert.revenue_by_date WHERE concert_id = :'concert';
SELECT count(*) FROM concert.pending_funds WHERE account_id = :'ann_wallet';
SELECT count(*) > 0 AS has_some FROM concert.wallet_liabilities;
SELECT count(*) > 0 AS has_some FROM concert.revenue_by_day(:'concert', current_date - 1, current_date + 1);
SELECT concert.balance_at(:'ann_wallet', now()) IS NOT NULL AS as_one_account;
SELECT count(*) FROM concert.transfer;
RESET ROLE;
-- nothing, nobody
SELECT count(*) FROM concert.revenue_by_day(NULL, current_date, current_date);
SELECT count(*) FROM concert.revenue_by_day(:'nobody', current_date, current_date);
SELECT count(*) FROM concert.revenue_by_day(:'concert', NULL, current_date);
SELECT count(*) FROM concert.revenue_by_day(:'concert', current_date, NULL);
-- at most 3,660 days, of a concert or of none
SELECT count(*) > 0 AS has_some FROM concert.revenue_by_day(:'concert', current_date - 3659, current_date);
SELECT count(*) FROM concert.revenue_by_day(:'concert', current_date - 3660, current_date);
SELECT count(*) FROM concert.revenue_by_day(:'concert', current_date, current_date - 1);
SELECT count(*) FROM concert.revenue_by_day(:'concert', '-infinity', 'infinity');
SELECT count(*) FROM concert.revenue_by_day(:'concert', '-infinity', current_date);
SELECT count(*) FROM concert.revenue_by_day(:'concert', current_date, 'infinity');
SELECT count(*) FROM concert.revenue_by_day(:'concert', '-infinity', '-infinity');
SELECT count(*) FROM concert.revenue_by_day(:'concert', '4713-01-01 BC', '5874897-12-31');
SELECT count(*) FROM concert.revenue_by_day(:'nobody', '-infinity', 'infinity');
\set VERBOSITY default
SELECT count(*) FROM concert.revenue_by_day(:'concert', '2026-01-01', '2036-01-09');
SELECT count(*) FROM concert.revenue_by_day(:'concert', '2026-01-02', '2026-01-01');
SELECT count(*) FROM concert.revenue_by_day(:'concert', 'infinity', 'infinity');
