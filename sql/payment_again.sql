-- Money that a provider captures beside what it captured before goes back in full, whatever became of the payment; the same
-- capture told again is none.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT 'acquirer ' || gen_random_uuid() AS acquirer \gset
SELECT set_config('test.acquirer', :'acquirer', false) IS NOT NULL AS set \gset
CREATE FUNCTION pg_temp.paid(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s of %s, back %s%s, booking %s', p.status, p.captured, p.amount, p.refunded,
                  coalesce(' ' || s.refund_status, ''), s.booking_status)
    FROM concert.payment AS p, concert.payment_state(payment, NULL) AS s WHERE p.id = payment
$$;
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s', a.kind, b.balance, a.currency), ', ' ORDER BY a.kind, a.currency DESC)
    FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.name = current_setting('test.acquirer')
$$;
CREATE FUNCTION pg_temp.refunds(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', kind, status, amount, currency, cause), ', ' ORDER BY created_at, id)
    FROM concert.refund WHERE payment_id = payment
$$;
CREATE FUNCTION pg_temp.acts(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', act, provider_ref, amount, '(' || coalesce(from_status, '-') || ' > ' || to_status || ')', cause), ', ' ORDER BY n)
    FROM concert.payment_act WHERE payment_id = payment
$$;
-- The newest refund of a payment is done.
CREATE FUNCTION pg_temp.settle(payment uuid, message text) RETURNS text LANGUAGE sql AS $$
    SELECT (concert.refund_settled((SELECT id FROM concert.refund WHERE payment_id = payment ORDER BY created_at DESC, id DESC LIMIT 1), NULL, message)).status
$$;

-- in two parts, neither of which is what was asked for: both go back
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok, status FROM concert.payment_captured(:'payment', 60, 'PTS', 'cap 1', 'm1');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 40, 'PTS', 'cap 2', 'm2');
SELECT pg_temp.paid(:'payment'), pg_temp.refunds(:'payment'), pg_temp.books();
-- either told again, under whichever id, or a capture without a name: nothing more
SELECT ok, status FROM concert.payment_captured(:'payment', 40, 'PTS', 'cap 2', 'm2');
SELECT ok, status FROM concert.payment_captured(:'payment', 40, 'PTS', 'cap 2', 'm3');
SELECT ok, status FROM concert.payment_captured(:'payment', 60, 'PTS', 'cap 1', 'm4');
SELECT ok, status FROM concert.payment_captured(:'payment', 60, 'PTS', NULL, 'm5');
SELECT pg_temp.paid(:'payment'), pg_temp.books(), pg_temp.acts(:'payment');
-- what is asked of the provider names the capture that is to go back
SELECT kind, w.provider_ref, amount, currency FROM concert.payment_work(1000, 30, :'acquirer') AS w ORDER BY amount;
SELECT * FROM concert.check_integrity();

-- twice all of it, the second under the name that its authorization had: the booking stays confirmed, one of them goes back
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2', :'a3']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 50) \gset
SELECT ok, status FROM concert.payment_authorized(:'payment', 'd2', 'm0');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 150, 'PTS', 'd1', 'm1');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 150, 'PTS', 'd2', 'm2');
SELECT pg_temp.paid(:'payment'), pg_temp.refunds(:'payment');
SELECT type, payload->>'amount' AS amount, payload->>'cause' AS cause FROM concert.outbox_event
WHERE key = :'booking' AND type LIKE 'payment.%' ORDER BY seq;
SELECT pg_temp.settle(:'payment', 'm3'), pg_temp.paid(:'payment');
-- of the seats, what they cost goes back, and no more
SELECT ok, amount FROM concert.refund(:'booking', :'ann');
SELECT pg_temp.settle(:'payment', 'm4'), pg_temp.paid(:'payment');
-- a payment of which all has gone back captures again: that is due, and then it is refunded again
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 150, 'PTS', 'd1', 'm5');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 7, 'PTS', 'd3', 'm6');
SELECT pg_temp.paid(:'payment');
SELECT pg_temp.settle(:'payment', 'm7'), pg_temp.paid(:'payment');
-- in another currency than before: the payment's sums are of the first, the refund says the rest
SELECT ok, status FROM concert.payment_captured(:'payment', 9, 'EUR', 'd4', 'm8');
SELECT pg_temp.paid(:'payment'), pg_temp.refunds(:'payment'), pg_temp.books();
SELECT * FROM concert.check_integrity();
SELECT pg_temp.settle(:'payment', 'm9'), pg_temp.books();

-- while the provider's accounts are frozen nothing is taken, and it comes again
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
-- a name for what came without one, told with the same sum
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', 'e1', 'm2');
SELECT pg_temp.paid(:'payment');
SELECT concert.freeze_account(id) FROM concert.account WHERE name = :'acquirer' AND currency = 'PTS' AND kind = 'funding';
SELECT ok, reason FROM concert.payment_captured(:'payment', 100, 'PTS', 'e2', 'm3');
SELECT concert.unfreeze_account(id) FROM concert.account WHERE name = :'acquirer' AND currency = 'PTS' AND kind = 'funding';
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', 'e2', 'm3');
SELECT pg_temp.paid(:'payment');
-- what came without a name, and then another sum under one: another capture
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT ok, status FROM concert.payment_captured(:'payment', 30, 'PTS', 'f1', 'm2');
SELECT pg_temp.paid(:'payment'), pg_temp.refunds(:'payment');
-- late money in two parts
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer') \gset
SELECT ok, status FROM concert.payment_failed(:'payment', 'declined', 'm1');
SELECT ok FROM concert.cancel(:'booking', :'carl');
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', 'g1', 'm2');
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', 'g2', 'm3');
SELECT pg_temp.paid(:'payment'), pg_temp.refunds(:'payment');
SELECT pg_temp.books();
SELECT * FROM concert.check_integrity();

-- a message id is good for what it said, of each kind of message; nothing is written by what says something else
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'carl') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer') \gset
CREATE FUNCTION pg_temp.told(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE format('SELECT status FROM concert.%s', call) INTO answer;
    RETURN answer;
EXCEPTION WHEN SQLSTATE 'TK002' THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID');
END $$;
SELECT call, pg_temp.told(replace(call, '(', format('(%L, ', :'payment')))
FROM unnest(ARRAY['payment_authorized(''h1'', ''m1'')', 'payment_authorized(''h1'', ''m1'')', 'payment_authorized(''h2'', ''m1'')',
                  'payment_authorized(NULL, ''m1'')', 'payment_failed(''declined'', ''m1'')', 'payment_failed(''declined'', ''m1'')',
                  'payment_failed(''too late'', ''m1'')', 'payment_captured(60, ''PTS'', ''h1'', ''m1'')',
                  'payment_captured(60, ''PTS'', ''h1'', ''m1'')', 'payment_captured(100, ''PTS'', ''h1'', ''m1'')',
                  'payment_captured(60, ''EUR'', ''h1'', ''m1'')', 'payment_captured(60, ''PTS'', ''h2'', ''m1'')',
                  'payment_captured(60, ''PTS'', NULL, ''m1'')']) WITH ORDINALITY AS said (call, n) ORDER BY n;
SELECT id AS refund FROM concert.refund WHERE payment_id = :'payment' \gset
SELECT call, pg_temp.told(replace(call, '(', format('(%L, ', :'refund')))
FROM unnest(ARRAY['refund_failed(''try later'', ''m1'')', 'refund_failed(''try later'', ''m1'')', 'refund_failed(''never'', ''m1'')',
                  'refund_settled(''r1'', ''m1'')', 'refund_settled(''r1'', ''m1'')', 'refund_settled(''r2'', ''m1'')'])
     WITH ORDINALITY AS said (call, n) ORDER BY n;
SELECT pg_temp.acts(:'payment'), pg_temp.paid(:'payment');
