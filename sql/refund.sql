-- Money that goes back: of a paid booking or seats of it, less a fee, newest payment first; as goodwill; never more than is
-- left. And what a payment sets aside beside it: moved with it, or let go.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT 'acquirer ' || gen_random_uuid() AS acquirer, gen_random_uuid() AS key \gset
SELECT set_config('test.acquirer', :'acquirer', false) IS NOT NULL AS set,
       set_config('test.concert', :'concert', false) IS NOT NULL AS set \gset

-- 'captured 60 of 60, back 0 + 0': how the payments of a booking stand, in order.
CREATE FUNCTION pg_temp.payments(booking uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s of %s, back %s + fee %s', method, status, captured, amount, refunded, fee), '; ' ORDER BY method DESC, created_at)
    FROM concert.payment WHERE booking_id = booking
$$;
-- 'fees 10, funding -60, …': the accounts of the provider and of the concert.
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(a.kind || ' ' || b.balance, ', ' ORDER BY a.kind)
    FROM concert.account AS a, concert.account_balance(a.id) AS b
    WHERE a.name = current_setting('test.acquirer') OR a.owner_id = current_setting('test.concert')::uuid
$$;
CREATE FUNCTION pg_temp.wallet(fan uuid) RETURNS text LANGUAGE sql AS $$
    SELECT b.balance || ', ' || b.available || ' available'
    FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.owner_id = fan AND a.kind = 'wallet' AND a.currency = 'PTS'
$$;
-- 'points 40 settled, provider 60 due': the refunds of an answer.
CREATE FUNCTION pg_temp.back(refunds jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', r->>'method', r->>'amount', r->>'currency', r->>'status'), ', ' ORDER BY n)
    FROM jsonb_array_elements(refunds) WITH ORDINALITY AS e (r, n)
$$;
CREATE FUNCTION pg_temp.told_of(booking uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(type || coalesce(' ' || (payload->>'amount'), '') || coalesce(' + ' || (payload->>'points'), '')
                      || coalesce(' ' || (payload->>'cause'), ''), ', ' ORDER BY seq)
    FROM concert.outbox_event WHERE key = booking::text AND type <> 'reservation.reserved'
$$;
CREATE FUNCTION pg_temp.settle(booking uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(concert.refund_settled(id, NULL, 'settled ' || id)) FROM concert.refund WHERE booking_id = booking AND status = 'due'
$$;

-- a split: points are set aside, then moved with the capture
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok, amount, points, payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 80) \gset
SELECT :amount AS amount, :points AS points, pg_temp.wallet(:'ann');
SELECT t.expires_at = r.expires_at_max AS to_the_last_moment FROM concert.payment AS p
JOIN concert.pending_transfer AS t ON t.id = p.pending_id
JOIN (SELECT DISTINCT booking_id, expires_at_max FROM concert.reservation) AS r USING (booking_id) WHERE p.id = :'payment';
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 120, 'PTS', 'cap', 'm1');
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'ann'), pg_temp.books();
SELECT pg_temp.told_of(:'booking');
-- its tickets, and one seat back with a fee: of the points first
SELECT id AS event, payload FROM concert.outbox_event WHERE key = :'booking' AND type = 'reservation.confirmed' \gset
SELECT ok FROM concert.issue_tickets(:'event', 'reservation.confirmed', :'payload');
SELECT ok, reason, amount, fee, currency, pg_temp.back(refunds) FROM concert.refund(:'booking', :'ann', ARRAY[:'a1']::uuid[], 10, 'ill', 'r' || :'key');
SELECT ok, amount, fee, pg_temp.back(refunds) FROM concert.refund(:'booking', :'ann', ARRAY[:'a1']::uuid[], 10, 'ill', 'r' || :'key');
SELECT pg_temp.booked(:'booking'), pg_temp.payments(:'booking'), pg_temp.wallet(:'ann'), pg_temp.books();
SELECT s.label, t.deleted_at IS NOT NULL AS void FROM concert.ticket AS t JOIN concert.seat AS s ON s.id = t.seat_id WHERE t.booking_id = :'booking' ORDER BY label;
SELECT pg_temp.told_of(:'booking');
-- that seat again, another, the rest; then nothing is left
SELECT ok, reason, amount FROM concert.refund(:'booking', :'ann', ARRAY[:'a1']::uuid[]);
SELECT ok, reason, amount FROM concert.refund(:'booking', :'ann', ARRAY[:'a3']::uuid[]);
SELECT ok, reason, amount, pg_temp.back(refunds) FROM concert.refund(:'booking', :'ann');
SELECT ok, reason, amount FROM concert.refund(:'booking', :'ann');
SELECT pg_temp.payments(:'booking'), pg_temp.settle(:'booking') AS settled;
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'ann'), pg_temp.books();
SELECT * FROM pg_temp.wallet(:'ann'), concert.seat_map(:'date') AS m WHERE m.state <> 'free';
-- an event that comes late makes no ticket of what was given back
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a3']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT ok, amount, pg_temp.back(refunds) FROM concert.refund(:'booking', :'ann', ARRAY[:'a3']::uuid[]);
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'ann');
SELECT id AS event, payload FROM concert.outbox_event WHERE key = :'booking' AND type = 'reservation.confirmed' \gset
SELECT ok, amount, pg_temp.back(refunds) FROM concert.refund(:'booking', NULL, cause => 'stage extended');
SELECT ok FROM concert.issue_tickets(:'event', 'reservation.confirmed', :'payload');
SELECT count(*) AS tickets FROM concert.ticket WHERE booking_id = :'booking';
SELECT action, actor IS NOT NULL AS by_operator, detail FROM concert.history_of_booking(:'booking') WHERE action = 'cancelled';
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'ann');

-- goodwill leaves the seats, and what is left is all that ever goes back
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok, reason FROM concert.refund_payment(:'payment', 1, 'too early');
SELECT ok, reason FROM concert.refund(:'booking', :'bob');
SELECT ok FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm1');
SELECT ok, reason, amount, fee, pg_temp.back(refunds) FROM concert.refund_payment(:'payment', 150, 'lift', 'g' || :'key');
SELECT ok, reason, amount, fee, pg_temp.back(refunds) FROM concert.refund_payment(:'payment', 150, 'lift', 'g' || :'key');
SELECT ok, reason FROM concert.refund_payment(:'payment', 51, 'lift');
SELECT * FROM concert.check_integrity();
SELECT ok, reason, amount FROM concert.refund(:'booking', :'bob', ARRAY[:'a1']::uuid[], 51);
SELECT ok, reason, amount, fee FROM concert.refund(:'booking', :'bob', ARRAY[:'a1']::uuid[], 50);
SELECT ok, reason, amount, fee, pg_temp.back(refunds) FROM concert.refund(:'booking', :'bob');
SELECT ok, reason FROM concert.refund_payment(:'payment', 1, 'lift');
SELECT pg_temp.settle(:'booking') AS settled, pg_temp.payments(:'booking'), pg_temp.books();
-- what costs nothing is cancelled too
SELECT concert.add_seats(:'date', concert.create_section(:'date', 'Guests', 0), 2, ARRAY[1], ARRAY['G1']) AS added \gset
SELECT seat_id AS g1 FROM concert.seat_map(:'date') WHERE label = 'G1' \gset
SELECT booking_id AS free FROM concert.reserve(:'date', ARRAY[:'g1']::uuid[], :'carl') \gset
\set VERBOSITY sqlstate
SELECT ok FROM concert.payment_begin(:'free', :'carl', :'acquirer');
\set VERBOSITY default
SELECT ok FROM concert.pay(:'free', :'carl');
SELECT ok, reason, amount, fee, currency, refunds FROM concert.refund(:'free', :'carl', fee => 1);
SELECT ok, reason, amount, fee, currency, refunds FROM concert.refund(:'free', :'carl');

-- what was set aside is let go: when the payment fails, the booking is cancelled, its time is over
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment, points FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 150) \gset
SELECT pg_temp.wallet(:'bob');
SELECT ok, status FROM concert.payment_failed(:'payment', 'card declined', 'm1');
SELECT pg_temp.wallet(:'bob');
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 150) \gset
SELECT ok FROM concert.cancel(:'booking', :'bob', seat_ids => ARRAY[:'a4']::uuid[]);
SELECT pg_temp.wallet(:'bob');
-- of a booking that costs less by now, less than was set aside is moved, and the provider's first
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 50, 'PTS', NULL, 'm1');
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'bob');
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 99) \gset
SELECT ok FROM concert.cancel(:'booking', :'bob');
SELECT pg_temp.wallet(:'bob'), pg_temp.payments(:'booking');
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 99) \gset
SELECT pg_temp.lapse(:'booking'), pg_temp.wallet(:'bob');
SELECT concert.expire(10000) > 0 AS expired, pg_temp.wallet(:'bob');
-- its money comes late: seat and points are there
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 1, 'PTS', NULL, 'm1');
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'bob');
-- late, and the points are not there any more: all of it goes back, the seat stays free
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 99) \gset
SELECT pg_temp.lapse(:'booking'), concert.expire(10000) > 0 AS expired;
SELECT t.ok FROM concert.account AS a, concert.account_balance(a.id) AS b,
    concert.transfer(a.id, concert.open_account(NULL, 'PTS', 'fees', NULL, 'elsewhere'), b.available) AS t
WHERE a.owner_id = :'bob' AND a.kind = 'wallet';
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 1, 'PTS', NULL, 'm1');
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'bob'), pg_temp.told_of(:'booking');
-- in time, and the wallet is frozen: the same, and what was set aside is let go
SELECT ok FROM concert.charge_points(:'bob', 100, 'PTS', 'box office', 'more ' || :'bob');
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 99) \gset
SELECT id AS bobs FROM concert.account WHERE owner_id = :'bob' AND kind = 'wallet' \gset
SELECT concert.freeze_account(:'bobs');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 1, 'PTS', NULL, 'm1');
SELECT concert.unfreeze_account(:'bobs');
SELECT pg_temp.payments(:'booking'), pg_temp.wallet(:'bob'), pg_temp.told_of(:'booking');
SELECT ok, reason FROM concert.pay(:'booking', :'bob');
-- a split that nobody else may end; too many points, none, of another currency
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'ann') \gset
SELECT ok, reason FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 100);
SELECT ok, reason FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 9223372036854775807);
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer', 10) \gset
SELECT pending_id AS pending FROM concert.payment WHERE id = :'payment' \gset
\set VERBOSITY sqlstate
SELECT ok FROM concert.transfer_post(:'pending');
SELECT ok FROM concert.transfer_void(:'pending');
\set VERBOSITY default
-- pay() by points while a provider's payment is open: what the provider captures then goes back
SELECT ok, reason FROM concert.pay(:'booking', :'ann');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 90, 'PTS', NULL, 'm1');
SELECT pg_temp.payments(:'booking'), pg_temp.told_of(:'booking');
SELECT pg_temp.settle(:'booking') AS settled, pg_temp.payments(:'booking');
SELECT * FROM concert.check_integrity();

-- the provider's accounts frozen: the message may come again; the concert's: it goes back at once
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT concert.freeze_account(id) FROM concert.account WHERE name = :'acquirer' AND kind = 'funding';
SELECT ok, reason, status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT count(*) AS heard FROM concert.payment_act WHERE payment_id = :'payment' AND act = 'captured';
SELECT concert.unfreeze_account(id) FROM concert.account WHERE name = :'acquirer' AND kind = 'funding';
SELECT concert.freeze_account(id) FROM concert.account WHERE owner_id = :'concert' AND kind = 'revenue';
SELECT ok, reason, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT concert.unfreeze_account(id) FROM concert.account WHERE owner_id = :'concert' AND kind = 'revenue';
SELECT pg_temp.payments(:'booking'), pg_temp.told_of(:'booking');
-- refunds are refused while an account is frozen
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT id AS anns FROM concert.account WHERE owner_id = :'ann' AND kind = 'wallet' \gset
SELECT concert.freeze_account(:'anns');
SELECT ok, reason FROM concert.refund(:'booking', :'ann');
SELECT concert.unfreeze_account(:'anns');
SELECT pg_temp.booked(:'booking');

-- another amount, another currency, the largest: all of it goes back
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'ann') \gset
SELECT payment_id AS p1 FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok, status, booking_status FROM concert.payment_captured(:'p1', 99, 'PTS', NULL, 'm1');
SELECT payment_id AS p2 FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok, status, booking_status FROM concert.payment_captured(:'p2', 100, 'EUR', NULL, 'm1');
SELECT payment_id AS p3 FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok, status, booking_status FROM concert.payment_captured(:'p3', 9223372036854775807, 'PTS', NULL, 'm1');
SELECT p.captured, p.captured_currency, r.kind, r.amount, r.currency, r.cause FROM concert.payment AS p
JOIN concert.refund AS r ON r.payment_id = p.id WHERE p.booking_id = :'booking' ORDER BY r.created_at, r.id;
SELECT pg_temp.settle(:'booking') AS settled, pg_temp.payments(:'booking');
SELECT a.kind, a.currency, b.balance FROM concert.account AS a, concert.account_balance(a.id) AS b
WHERE a.name = :'acquirer' ORDER BY a.currency, a.kind;
SELECT * FROM concert.check_integrity();

-- others', unknown, and bad input
SELECT ok, reason FROM concert.refund(:'booking', :'bob');
SELECT ok, reason FROM concert.refund(:'nobody', :'bob');
SELECT ok, reason FROM concert.refund(:'booking', :'ann');
SELECT pg_temp.lapse(:'booking');
SELECT ok, reason FROM concert.refund(:'booking', :'ann');
SELECT ok, reason FROM concert.refund_payment(:'nobody', 1, 'none');
SELECT ok, reason, payment_id FROM concert.payment_authorized(:'nobody', NULL, 'm');
SELECT ok, reason, payment_id FROM concert.payment_captured(:'nobody', 1, 'PTS', NULL, 'm');
SELECT ok, reason, payment_id FROM concert.payment_failed(:'nobody', 'none', 'm');
SELECT ok, reason, payment_id FROM concert.refund_settled(:'nobody', NULL, 'm');
SELECT ok, reason, payment_id FROM concert.refund_failed(:'nobody', 'none', 'm');
SELECT ok, reason FROM concert.payment_begin(:'nobody', :'ann', :'acquirer');
SELECT ok, reason FROM concert.payment_begin(:'booking', :'bob', :'acquirer');
SELECT ok, reason FROM concert.payment_begin(:'booking', :'ann', :'acquirer');
-- another provider's payment and refund; his own
SELECT ok, reason FROM concert.payment_captured(:'p1', 100, 'PTS', NULL, 'm9', provider => 'another');
SELECT ok, reason FROM concert.payment_authorized(:'p1', NULL, 'm9', provider => 'another');
SELECT ok, reason FROM concert.payment_failed(:'p1', 'none', 'm9', provider => 'another');
SELECT ok, reason FROM concert.refund_settled((SELECT id FROM concert.refund WHERE payment_id = :'p1'), NULL, 'm9', provider => 'another');
SELECT ok, reason FROM concert.refund_failed((SELECT id FROM concert.refund WHERE payment_id = :'p1'), 'none', 'm9', provider => 'another');
SELECT ok, status FROM concert.payment_authorized(:'p1', NULL, 'm9', provider => :'acquirer');
-- a payment by points hears no provider
SELECT id AS points FROM concert.payment WHERE method = 'points' AND user_id = :'ann' LIMIT 1 \gset
SELECT ok, reason FROM concert.payment_captured(:'points', 100, 'PTS', NULL, 'm');
SELECT ok, reason FROM concert.refund_settled((SELECT r.id FROM concert.refund AS r JOIN concert.payment AS p ON p.id = r.payment_id WHERE p.method = 'points' LIMIT 1), NULL, 'm');
SELECT count(*) FROM concert.payment_state(:'p1', :'ann');
SELECT count(*) FROM concert.payment_state(:'p1', :'bob');
SELECT count(*) FROM concert.payment_state(:'nobody', NULL);
SELECT count(*) FROM concert.payment_state(NULL, NULL);
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2']::uuid[], :'carl') \gset
SELECT ok, reason FROM concert.payment_begin(:'booking', :'carl', :'acquirer', 50);
SELECT ok FROM concert.charge_points(:'carl', 50, 'EUR', 'box office', 'euros ' || :'carl');
SELECT ok, reason FROM concert.payment_begin(:'booking', :'carl', :'acquirer', 50);
\set VERBOSITY sqlstate
SELECT ok FROM concert.payment_begin(NULL, :'carl', :'acquirer');
SELECT ok FROM concert.payment_begin(:'booking', NULL, :'acquirer');
SELECT ok FROM concert.payment_begin(:'booking', :'carl', NULL);
SELECT ok FROM concert.payment_begin(:'booking', :'carl', '');
SELECT ok FROM concert.payment_begin(:'booking', :'carl', repeat('x', 201));
SELECT ok FROM concert.payment_begin(:'booking', :'carl', :'acquirer', NULL);
SELECT ok FROM concert.payment_begin(:'booking', :'carl', :'acquirer', -1);
SELECT ok FROM concert.payment_begin(:'booking', :'carl', :'acquirer', 0, '');
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer', 0, 'k' || :'key') \gset
SELECT ok FROM concert.payment_begin(:'booking', :'carl', 'another', 0, 'k' || :'key');
SELECT ok FROM concert.payment_authorized(NULL, NULL, 'm');
SELECT ok FROM concert.payment_authorized(:'payment', NULL, NULL);
SELECT ok FROM concert.payment_authorized(:'payment', '', 'm');
SELECT ok FROM concert.payment_authorized(:'payment', NULL, repeat('x', 201));
SELECT ok FROM concert.payment_authorized(:'payment', NULL, 'm', provider => '');
SELECT ok FROM concert.payment_captured(NULL, 100, 'PTS', NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', NULL, 'PTS', NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', 0, 'PTS', NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', -9223372036854775808, 'PTS', NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', 100, NULL, NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', 100, 'pts', NULL, 'm');
SELECT ok FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, NULL);
SELECT ok FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm', '');
SELECT ok FROM concert.payment_failed(:'payment', NULL, 'm');
SELECT ok FROM concert.payment_failed(:'payment', '', 'm');
SELECT ok FROM concert.payment_failed(:'payment', 'none', '');
SELECT ok FROM concert.refund(NULL, :'carl');
SELECT ok FROM concert.refund(:'booking', :'carl', '{}');
SELECT ok FROM concert.refund(:'booking', :'carl', ARRAY[NULL]::uuid[]);
SELECT ok FROM concert.refund(:'booking', :'carl', ARRAY[:'a2', :'a2']::uuid[]);
SELECT ok FROM concert.refund(:'booking', :'carl', fee => -1);
SELECT ok FROM concert.refund(:'booking', :'carl', fee => NULL);
SELECT ok FROM concert.refund(:'booking', :'carl', cause => '');
SELECT ok FROM concert.refund_payment(NULL, 1, 'none');
SELECT ok FROM concert.refund_payment(:'payment', NULL, 'none');
SELECT ok FROM concert.refund_payment(:'payment', 0, 'none');
SELECT ok FROM concert.refund_payment(:'payment', 1, NULL);
SELECT ok FROM concert.refund_settled(NULL, NULL, 'm');
SELECT ok FROM concert.refund_settled(:'nobody', NULL, NULL);
SELECT ok FROM concert.refund_failed(:'nobody', NULL, 'm');
SELECT ok FROM concert.refund_failed(:'nobody', 'none', NULL);
\set VERBOSITY default
-- a concert that has begun: not by its owner any more, but by an operator
SELECT concert.create_concert_date(:'concert', now() + interval '30 days') AS tonight \gset
SELECT concert.create_section(:'tonight', 'Stalls', 100) AS tonights \gset
SELECT concert.add_seats(:'tonight', :'tonights', 1, ARRAY[1], ARRAY['D1']) AS added,
       concert.charge_points(:'bob', 100, 'PTS', 'box office', 'tonight ' || :'bob') AS charged \gset
SELECT booking_id AS booking FROM concert.reserve(:'tonight', (SELECT array_agg(seat_id) FROM concert.seat_map(:'tonight')), :'bob') \gset
SELECT ok FROM concert.pay(:'booking', :'bob');
UPDATE concert.concert_date SET starts_at = clock_timestamp() WHERE id = :'tonight';
SELECT ok, reason, refunds FROM concert.refund(:'booking', :'bob');
SELECT ok, reason, amount FROM concert.refund(:'booking', NULL);
-- nobody changes any of it by hand
UPDATE concert.payment SET status = 'captured' WHERE id = :'payment';
UPDATE concert.refund SET amount = 1;
DELETE FROM concert.refund;
UPDATE concert.payment_act SET at = now();
TRUNCATE concert.payment_act;
