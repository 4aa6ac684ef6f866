-- A payment by a provider: what it tells comes in any order, twice and late, and each message is good once. Money
-- that comes confirms the booking, takes its seats again, or goes back by itself.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT 'acquirer ' || gen_random_uuid() AS acquirer, gen_random_uuid() AS key \gset
SELECT set_config('test.acquirer', :'acquirer', false) IS NOT NULL AS set \gset

-- 'captured 80 of 80, back 0, booking confirmed': how a payment stands.
CREATE FUNCTION pg_temp.paid(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s of %s, back %s%s, booking %s', p.status, p.captured, p.amount, p.refunded,
                  coalesce(' ' || s.refund_status, ''), s.booking_status)
    FROM concert.payment AS p, concert.payment_state(payment, NULL) AS s WHERE p.id = payment
$$;
-- 'funding -80, refunds_payable 0': what the provider's accounts hold.
CREATE FUNCTION pg_temp.books(currency text DEFAULT 'PTS') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(a.kind || ' ' || b.balance, ', ' ORDER BY a.kind)
    FROM concert.account AS a, concert.account_balance(a.id) AS b
    WHERE a.name = current_setting('test.acquirer') AND a.currency = books.currency
$$;
CREATE FUNCTION pg_temp.revenue(concert uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT b.balance FROM concert.account AS a, concert.account_balance(a.id) AS b
    WHERE a.owner_id = concert AND a.kind = 'revenue' AND a.currency = 'PTS'
$$;
-- The events of a booking, in order, without those of its reservations that were told before the payment.
CREATE FUNCTION pg_temp.told_of(booking uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(type || coalesce(' ' || (payload->>'amount'), '') || coalesce(' ' || (payload->>'cause'), ''), ', ' ORDER BY seq)
    FROM concert.outbox_event WHERE key = booking::text AND type <> 'reservation.reserved'
$$;
CREATE FUNCTION pg_temp.acts(payment uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', act, amount, '(' || coalesce(from_status, '-') || ' > ' || to_status || ')', cause), ', ' ORDER BY n)
    FROM concert.payment_act WHERE payment_id = payment
$$;

-- begun, authorized, captured: the booking is confirmed
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok, reason, payment_id AS payment, amount, currency, points FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT :'ok' AS ok, :amount AS amount, :'currency' AS currency, :points AS points, pg_temp.paid(:'payment');
SELECT ok, reason FROM concert.payment_begin(:'booking', :'ann', :'acquirer');
SELECT ok, reason, status, booking_status, refund_id FROM concert.payment_authorized(:'payment', 'auth 1', 'm1');
SELECT ok, reason, status, booking_status, refund_id FROM concert.payment_captured(:'payment', 200, 'PTS', 'cap 1', 'm2');
SELECT pg_temp.booked(:'booking'), pg_temp.paid(:'payment'), pg_temp.books(), pg_temp.revenue(:'concert');
SELECT pg_temp.told_of(:'booking');
-- the same again, another message of the same, and what comes out of order: nothing more
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 200, 'PTS', 'cap 1', 'm2');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 200, 'PTS', 'cap 1', 'm3');
SELECT ok, status, booking_status FROM concert.payment_authorized(:'payment', 'auth 1', 'm1');
SELECT ok, status, booking_status FROM concert.payment_authorized(:'payment', 'auth 1', 'm4');
SELECT ok, status, booking_status FROM concert.payment_failed(:'payment', 'card declined', 'm5');
-- an id that came with another kind of message is another message
SELECT ok, status, booking_status FROM concert.payment_failed(:'payment', 'card declined', 'm2');
SELECT pg_temp.acts(:'payment');
SELECT pg_temp.paid(:'payment'), pg_temp.books(), pg_temp.revenue(:'concert'), provider_ref FROM concert.payment WHERE id = :'payment';
SELECT ok, reason FROM concert.payment_begin(:'booking', :'ann', :'acquirer');
SELECT ok, reason FROM concert.pay(:'booking', :'ann');

-- captured without a word before; a begin under a key is the same payment
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 0, 'b' || :'key') \gset
SELECT ok, payment_id = :'payment' AS same FROM concert.payment_begin(:'booking', :'bob', :'acquirer', 0, 'b' || :'key');
SELECT ok, reason, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');

-- failed: the booking stays pending, another payment may begin; the first one captures after all
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok, status, booking_status FROM concert.payment_failed(:'payment', 'card declined', 'm1');
SELECT ok, payment_id AS second FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT ok, status, booking_status FROM concert.payment_captured(:'second', 100, 'PTS', NULL, 'm1');
SELECT ok, status, booking_status, refund_id AS refund FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm2') \gset
SELECT :'ok' AS ok, :'status' AS status, pg_temp.paid(:'second') AS second, pg_temp.paid(:'payment') AS first;
SELECT pg_temp.told_of(:'booking');
SELECT kind, status, amount, currency, cause, attempts FROM concert.refund WHERE id = :'refund';
SELECT pg_temp.books(), pg_temp.revenue(:'concert');
-- the refund is done, once
SELECT ok, status, booking_status, refund_id = :'refund' AS same FROM concert.refund_failed(:'refund', 'try later', 'm3');
SELECT status, attempts, next_attempt_at > clock_timestamp() AS later FROM concert.refund WHERE id = :'refund';
SELECT ok, status, booking_status, refund_id = :'refund' AS same FROM concert.refund_settled(:'refund', 'ref 1', 'm4');
SELECT ok, status, booking_status FROM concert.refund_settled(:'refund', 'ref 1', 'm4');
SELECT ok, status, booking_status FROM concert.refund_settled(:'refund', 'ref 1', 'm5');
SELECT ok, status, booking_status FROM concert.refund_failed(:'refund', 'try later', 'm6');
SELECT status, provider_ref, settled_at IS NOT NULL AS settled FROM concert.refund WHERE id = :'refund';
SELECT pg_temp.books(), pg_temp.acts(:'payment');
SELECT ok, status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm7');

-- late money, the seats still free: they are taken again, whether the reaper came by or not
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'carl') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer') \gset
SELECT pg_temp.lapse(:'booking');
SELECT ok, status, booking_status, refund_id FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm1');
SELECT status, count(*), count(DISTINCT seat_id) FROM concert.reservation WHERE booking_id = :'booking' GROUP BY status ORDER BY status;
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking');
SELECT action, count(*), max(detail) AS detail FROM concert.history_of_booking(:'booking') GROUP BY action ORDER BY action;
SELECT ok, reason FROM concert.pay(:'booking', :'carl');
SELECT ok, reason FROM concert.cancel(:'booking', :'carl');
SELECT * FROM concert.check_integrity();

-- late money, one seat of another by now: all of it goes back, and the other seat stays free
SELECT concert.create_concert_date(:'concert', now() + interval '30 days') AS day \gset
SELECT concert.create_section(:'day', 'Stalls', 100) AS stalls \gset
SELECT concert.add_seats(:'day', :'stalls', 1, ARRAY[1,2,3,4,5,6,7,8,9,10,11,12],
    ARRAY['B1','B2','B3','B4','B5','B6','B7','B8','B9','B10','B11','B12']) AS added \gset
CREATE FUNCTION pg_temp.seats(VARIADIC ns int[]) RETURNS uuid[] LANGUAGE sql AS $$
    SELECT array_agg(s.id ORDER BY col) FROM concert.seat AS s
    WHERE s.concert_date_id = current_setting('test.day')::uuid AND s.col = ANY (ns)
$$;
SELECT set_config('test.day', :'day', false) IS NOT NULL AS set \gset
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(1, 2), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT pg_temp.lapse(:'booking');
SELECT ok FROM concert.reserve(:'day', pg_temp.seats(1), :'bob');
SELECT ok, status, booking_status, refund_id IS NOT NULL AS refunded FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking'), pg_temp.taken(:'day');
-- blocked since
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(3), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT pg_temp.lapse(:'booking'), concert.expire(10000) > 0 AS expired, (concert.block_seats(pg_temp.seats(3), 'camera')).ok AS blocked;
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking');
-- cancelled by its owner: never taken again
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(4), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok FROM concert.cancel(:'booking', :'ann');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking');
-- a part cancelled: the rest is confirmed, in time or late, and the difference goes back
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(4, 5), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => pg_temp.seats(4));
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.booked(:'booking'), pg_temp.told_of(:'booking');
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(6, 7), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT ok FROM concert.cancel(:'booking', :'ann', seat_ids => pg_temp.seats(6));
SELECT pg_temp.lapse(:'booking');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 200, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment');
SELECT s.label, r.status FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id
WHERE booking_id = :'booking' ORDER BY s.label, r.status;
-- the user's limit counts, once he holds others
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(8), :'ann') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'ann', :'acquirer') \gset
SELECT pg_temp.lapse(:'booking'), seats_per_user_max FROM concert.concert_date WHERE id = :'day';
SELECT ok FROM concert.reserve(:'day', pg_temp.seats(9, 10), :'ann');
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking');
-- what was set aside lapsed, and the account that it was for is closed: the money goes back all the same
SELECT concert.create_concert('Spring Gala') AS gala \gset
SELECT concert.create_concert_date(:'gala', now() + interval '30 days') AS gala_day \gset
SELECT concert.create_section(:'gala_day', 'Stalls', 100) AS gala_stalls \gset
SELECT concert.add_seats(:'gala_day', :'gala_stalls', 1, ARRAY[1], ARRAY['C1']) AS added,
       concert.charge_points(:'carl', 30, 'PTS', 'box office', 'carl ' || :'carl') AS charged \gset
SELECT booking_id AS booking FROM concert.reserve(:'gala_day', (SELECT array_agg(seat_id) FROM concert.seat_map(:'gala_day')), :'carl') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'carl', :'acquirer', 30) \gset
SELECT pg_temp.lapse(:'booking');
BEGIN; SET LOCAL session_replication_role = replica;
UPDATE concert.pending_transfer AS t SET expires_at = clock_timestamp() FROM concert.payment AS p
WHERE p.id = :'payment' AND t.id = p.pending_id;
UPDATE concert.account SET deleted_at = clock_timestamp() WHERE owner_id = :'gala'; COMMIT;
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 70, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.told_of(:'booking');
-- the sale's window does not count, that the concert has begun does
SELECT booking_id AS booking FROM concert.reserve(:'day', pg_temp.seats(11), :'bob') \gset
SELECT payment_id AS payment FROM concert.payment_begin(:'booking', :'bob', :'acquirer') \gset
SELECT booking_id AS other FROM concert.reserve(:'day', pg_temp.seats(12), :'carl') \gset
SELECT payment_id AS too_late FROM concert.payment_begin(:'other', :'carl', :'acquirer') \gset
SELECT pg_temp.lapse(:'booking'), pg_temp.lapse(:'other');
UPDATE concert.concert_date SET sale_closes_at = sale_opens_at + interval '1 microsecond' WHERE id = :'day';
SELECT ok, status, booking_status FROM concert.payment_captured(:'payment', 100, 'PTS', NULL, 'm1');
UPDATE concert.concert_date SET starts_at = clock_timestamp() WHERE id = :'day';
SELECT ok, status, booking_status FROM concert.payment_captured(:'too_late', 100, 'PTS', NULL, 'm1');
SELECT pg_temp.paid(:'payment'), pg_temp.paid(:'too_late'), pg_temp.told_of(:'other');
SELECT * FROM concert.check_integrity();
