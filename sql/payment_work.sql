-- What providers are to be asked is claimed for a lease, comes again if nothing was heard, later each time, and ends by
-- itself; and the table by which messages are judged is the one that the guide prints.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT 'acquirer ' || gen_random_uuid() AS acquirer \gset
SELECT set_config('test.acquirer', :'acquirer', false) IS NOT NULL AS set \gset

-- 'payment 200 PTS attempt 1': what is claimed of this test's provider.
CREATE FUNCTION pg_temp.work(lease integer DEFAULT 30) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s attempt %s', kind, amount, currency, attempt), ', ' ORDER BY kind, amount)
    FROM concert.payment_work(1000, lease) WHERE provider = current_setting('test.acquirer')
$$;
-- In how many seconds the payments and refunds come again.
CREATE FUNCTION pg_temp.comes_again() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(round(extract(epoch FROM next_attempt_at - statement_timestamp()) / 10)::text, ', ' ORDER BY next_attempt_at)
    FROM (SELECT p.next_attempt_at FROM concert.payment AS p WHERE p.provider = current_setting('test.acquirer')
          UNION ALL SELECT r.next_attempt_at FROM concert.refund AS r JOIN concert.payment AS p ON p.id = r.payment_id
          WHERE p.provider = current_setting('test.acquirer')) AS due
    WHERE next_attempt_at IS NOT NULL
$$;
-- Lets what was claimed, or the beginning, be that long ago.
CREATE FUNCTION pg_temp.lease_over() RETURNS void LANGUAGE sql AS $$
    SET LOCAL session_replication_role = replica;
    UPDATE concert.payment SET next_attempt_at = clock_timestamp()
    WHERE next_attempt_at IS NOT NULL AND provider = current_setting('test.acquirer');
    UPDATE concert.refund SET next_attempt_at = clock_timestamp()
    WHERE next_attempt_at IS NOT NULL AND payment_id IN (SELECT id FROM concert.payment WHERE provider = current_setting('test.acquirer'));
    SET LOCAL session_replication_role = origin;
$$;
CREATE FUNCTION pg_temp.older(which uuid, by interval) RETURNS void LANGUAGE sql AS $$
    SET LOCAL session_replication_role = replica;
    UPDATE concert.payment SET created_at = created_at - by, next_attempt_at = clock_timestamp() WHERE id = which;
    SET LOCAL session_replication_role = origin;
$$;
CREATE FUNCTION pg_temp.status(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT p.status || coalesce(': ' || (SELECT cause FROM concert.payment_act WHERE payment_id = p.id ORDER BY n DESC LIMIT 1), '')
    FROM concert.payment AS p WHERE id = payment
$$;

-- begun: claimed once, then again when the lease is over, with the same id; later and later
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', 900) \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer', correlation_id => 'the call') \gset
-- by nobody who asks another provider
SELECT count(*) FROM concert.payment_work(1000, 30, 'another');
SELECT kind, payment_id = :'payment' AS this, refund_id, provider_ref, amount, currency, booking_id = :'booking' AS of_it, attempt,
       correlation_id
FROM concert.payment_work(1000, 30, :'acquirer');
SELECT pg_temp.work() AS nothing;
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again() AS in_tens_of_seconds;
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
-- five attempts without a word: from now on it is asked about
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
SELECT pg_temp.lease_over(), pg_temp.work(3600), pg_temp.comes_again();
-- authorized: asked about after a minute
SELECT ok, pg_temp.comes_again() FROM concert.payment_authorized(:'payment', 'auth', 'm1');
SELECT pg_temp.work() AS nothing;
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
-- captured: no more; what is refunded is due at once, until it is settled
SELECT ok FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm2');
SELECT pg_temp.lease_over(), pg_temp.work() AS nothing;
SELECT ok FROM concert.refund(:'booking', :'ann');
SELECT pg_temp.work(), pg_temp.comes_again();
SELECT pg_temp.work() AS nothing;
SELECT id AS refund FROM concert.refund WHERE payment_id = :'payment' \gset
SELECT ok, pg_temp.comes_again() FROM concert.refund_failed(:'refund', 'try later', 'm3');
SELECT pg_temp.lease_over(), pg_temp.work(), pg_temp.comes_again();
SELECT ok, status FROM concert.refund_settled(:'refund', NULL, 'm4');
SELECT pg_temp.lease_over(), pg_temp.work() AS nothing;

-- a booking that can no longer be paid: no provider is asked to pay it. Never asked, it fails at once, its points are let go
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 30) \gset
SELECT pg_temp.lapse(:'booking');
SELECT pg_temp.work() AS nothing, pg_temp.status(:'payment');
SELECT b.available FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.owner_id = :'bob';
SELECT type, payload->>'cause' AS cause FROM concert.outbox_event WHERE key = :'booking' AND type LIKE 'payment%' ORDER BY seq;
-- asked before: asked about for a day, then it fails; a capture that comes after all is late money
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT pg_temp.work();
SELECT pg_temp.lapse(:'booking'), pg_temp.lease_over();
SELECT pg_temp.work(), pg_temp.status(:'payment');
SELECT pg_temp.older(:'payment', interval '23 hours');
SELECT pg_temp.work(), pg_temp.status(:'payment');
SELECT pg_temp.older(:'payment', interval '61 minutes');
SELECT pg_temp.work() AS nothing, pg_temp.status(:'payment');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
-- authorized: asked about for thirty days
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok FROM concert.payment_authorized(:'payment', 'auth', 'm1');
SELECT pg_temp.lapse(:'booking'), pg_temp.older(:'payment', interval '29 days');
SELECT pg_temp.work(), pg_temp.status(:'payment');
SELECT pg_temp.older(:'payment', interval '25 hours');
SELECT pg_temp.work() AS nothing, pg_temp.status(:'payment');
-- a booking that was paid by points meanwhile
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 10) \gset
SELECT ok FROM concert.pay(:'booking', :'bob');
SELECT pg_temp.work() AS nothing, pg_temp.status(:'payment');
SELECT name, value >= 0 AS counted FROM concert.lag() WHERE name IN ('payments_open', 'refunds_due');
SELECT * FROM concert.check_integrity();
-- no more than asked for, refunds first
SELECT pg_temp.lease_over();
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'carl') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer') \gset
SELECT count(*) FROM concert.payment_work(1, 30);

-- bad input
\set VERBOSITY sqlstate
SELECT * FROM concert.payment_work(NULL, 30);
SELECT * FROM concert.payment_work(1, NULL);
SELECT * FROM concert.payment_work(0, 30);
SELECT * FROM concert.payment_work(1001, 30);
SELECT * FROM concert.payment_work(1, 0);
SELECT * FROM concert.payment_work(1, 3601);
\set VERBOSITY default

-- the table, and that docs/ledger.md prints it
SELECT * FROM concert.payment_transitions();
SELECT format('| %s | %s | %s | %s |', status, message, becomes, action) AS missing_in_the_guide FROM concert.payment_transitions()
EXCEPT SELECT line FROM string_to_table(pg_read_file(:'source' || '/docs/ledger.md'), E'\n') AS line;
SELECT count(*) AS in_the_guide FROM string_to_table(pg_read_file(:'source' || '/docs/ledger.md'), E'\n') AS line
WHERE line ~ '^\| (begun|authorized|captured|refunded|failed) \| ';
