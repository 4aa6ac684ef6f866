-- check_integrity() names every kind of broken promise with its object. Each is broken here behind
-- the functions' back, as only a superuser can, shown, and mended by rolling back.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT booking_id AS paid FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT payment_id AS payment FROM concert.pay(:'paid', :'ann') \gset
SELECT booking_id AS pending FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT ok FROM concert.record_admission(:'date', 1, 10, 5);
SELECT ok FROM concert.record_admission(:'date', 11, 20, 5);
-- What is wrong, without ids.
CREATE FUNCTION pg_temp.broken() RETURNS TABLE (promise text, object text, detail text) LANGUAGE sql AS $$
    SELECT promise, regexp_replace(object, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID'),
           regexp_replace(detail, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID')
    FROM concert.check_integrity() ORDER BY 1, 2, 3
$$;

-- all is well
SELECT * FROM pg_temp.broken();

-- P1: two live reservations of one seat
BEGIN;
DROP INDEX concert.reservation_live_seat;
INSERT INTO concert.reservation
SELECT concert.uuid7(), concert.uuid7(), concert_date_id, seat_id, :'ann', 'pending', price, currency, fence + 1,
       created_at, expires_at, expires_at_max
FROM concert.reservation WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P1: a status that the soft delete does not follow
BEGIN;
ALTER TABLE concert.reservation DROP CONSTRAINT reservation_live;
UPDATE concert.reservation SET status = 'cancelled', resolved_at = now() WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P1: a reservation whose seat is gone, or of another date
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.seat SET deleted_at = now() WHERE id = :'a3';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET concert_date_id = gen_random_uuid() WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P1: blocked and sold at once, or held; a block whose time is over is none, nor a pending whose time is
BEGIN;
UPDATE concert.seat SET blocked_reason = 'camera' WHERE id IN (:'a1', :'a3');
UPDATE concert.seat SET blocked_reason = 'camera', blocked_until = now() WHERE id = :'a2';
SELECT * FROM pg_temp.broken();
UPDATE concert.seat SET blocked_until = now() WHERE id = :'a1';
SELECT pg_temp.lapse(:'pending');
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- programme: something live under something deleted, in each generation; a section of another date
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.section SET deleted_at = now() WHERE id = :'section';
SELECT * FROM pg_temp.broken();
UPDATE concert.concert_date SET deleted_at = now() WHERE id = :'date';
UPDATE concert.seat SET deleted_at = now() WHERE section_id = :'section' AND id NOT IN (:'a1', :'a2', :'a3');
SELECT * FROM pg_temp.broken();
UPDATE concert.section SET deleted_at = NULL WHERE id = :'section';
UPDATE concert.concert SET deleted_at = now() WHERE id = :'concert';
SELECT * FROM pg_temp.broken();
UPDATE concert.concert_date SET deleted_at = NULL WHERE id = :'date';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.section SET concert_date_id = gen_random_uuid() WHERE id = :'section';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- price: below nothing
BEGIN;
ALTER TABLE concert.section DROP CONSTRAINT section_price;
UPDATE concert.section SET price = -1 WHERE id = :'section';
ALTER TABLE concert.concession DROP CONSTRAINT concession_price;
INSERT INTO concert.concession (section_id, concert_date_id, name, price) VALUES (:'section', :'date', 'student', -1);
ALTER TABLE concert.reservation DROP CONSTRAINT reservation_price;
UPDATE concert.reservation SET price = -1 WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- pending: a cap above 900 seconds, a time after the cap
BEGIN;
ALTER TABLE concert.reservation DROP CONSTRAINT IF EXISTS reservation_expires_max;
UPDATE concert.reservation SET expires_at_max = created_at + interval '900.001 seconds' WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ALTER TABLE concert.reservation DROP CONSTRAINT reservation_expires;
UPDATE concert.reservation SET expires_at = expires_at_max + interval '1 millisecond' WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- booking: seats of two users, dates or currencies under one booking
SELECT booking_id AS mixed FROM concert.reservation WHERE booking_id = :'paid' GROUP BY booking_id HAVING count(*) > 1 \gset
BEGIN;
UPDATE concert.reservation SET user_id = gen_random_uuid() WHERE ctid = (SELECT min(ctid) FROM concert.reservation WHERE booking_id = :'mixed');
SELECT * FROM pg_temp.broken() WHERE promise = 'booking';
ROLLBACK;
BEGIN;
UPDATE concert.reservation SET currency = 'EUR' WHERE ctid = (SELECT min(ctid) FROM concert.reservation WHERE booking_id = :'mixed');
SELECT * FROM pg_temp.broken() WHERE promise = 'booking';
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.reservation SET concert_date_id = gen_random_uuid() WHERE ctid = (SELECT min(ctid) FROM concert.reservation WHERE booking_id = :'mixed');
SELECT * FROM pg_temp.broken() WHERE promise = 'booking';
ROLLBACK;

-- limit: more seats than the date ever allowed; not so when the limit was lowered since, whoever did it
BEGIN;
UPDATE concert.concert_date SET seats_per_user_max = 1 WHERE id = :'date';
SELECT * FROM pg_temp.broken();
SELECT gen_random_uuid() AS second_date, gen_random_uuid() AS third_date \gset
UPDATE concert.concert_date SET id = :'second_date' WHERE id = :'date';
UPDATE concert.concert_date SET id = :'third_date' WHERE id = :'second_date';
SELECT * FROM pg_temp.broken();
UPDATE concert.concert_date SET id = :'date' WHERE id = :'third_date';
SET LOCAL session_replication_role = replica;
DELETE FROM concert.history WHERE action = 'limit_lowered';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- history: a reservation, its payment, its end without an act; an act without its reservation
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.history WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.history WHERE booking_id = :'paid' AND action = 'confirmed';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
UPDATE concert.reservation SET status = 'cancelled', resolved_at = now(), deleted_at = now() WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.reservation WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- an id that changed is no reason to complain
BEGIN;
UPDATE concert.seat SET id = concert.uuid7() WHERE id IN (:'a1', :'a3');
UPDATE concert.concert_date SET id = concert.uuid7() WHERE id = :'date';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- P4: money out of nothing, a balance row that is gone
BEGIN;
UPDATE concert.account_balance SET credits = credits + 1
WHERE account_id = (SELECT id FROM concert.account WHERE owner_id = :'ann');
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.account_balance
WHERE account_id = (SELECT id FROM concert.account WHERE owner_id = :'ann');
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P4: history that was changed, or is gone
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.transfer SET amount = 150 WHERE payment_id = :'payment';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.transfer WHERE payment_id = :'payment';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET currency = 'EUR' WHERE id = :'payment';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P4: below the floor
BEGIN;
UPDATE concert.account SET floor = 801 WHERE owner_id = :'ann';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P4: another currency than its accounts
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.transfer SET currency = 'EUR' WHERE payment_id = :'payment';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- P5: confirmed and not paid; paid and not confirmed; half confirmed; paid twice; paid too little
BEGIN;
UPDATE concert.reservation SET status = 'confirmed', resolved_at = now() WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
UPDATE concert.reservation SET status = 'cancelled', deleted_at = resolved_at WHERE booking_id = :'paid';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
UPDATE concert.reservation SET status = 'expired', deleted_at = resolved_at WHERE booking_id = :'paid' AND seat_id = :'a1';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
INSERT INTO concert.payment (booking_id, user_id, method, status, amount, currency, created_at, captured)
SELECT booking_id, user_id, method, status, amount, currency, created_at, captured
FROM concert.payment WHERE id = :'payment';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
UPDATE concert.reservation SET price = price + 1 WHERE booking_id = :'paid';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- P4, P5: a provider's payment and its refunds against their transfers, acts and what was set aside
SELECT booking_id AS split FROM concert.reserve(:'date', ARRAY[:'a5', :'a6']::uuid[], :'ann') \gset
SELECT payment_id AS provided FROM concert.payment_begin(:'split', :'ann', 'acquirer', 50) \gset
SELECT ok FROM concert.payment_captured(:'provided', 150, 'PTS', NULL, 'm1');
SELECT ok, amount, fee FROM concert.refund(:'split', :'ann', ARRAY[:'a5']::uuid[], 10);
SELECT id AS due FROM concert.refund WHERE payment_id = :'provided' \gset
SELECT * FROM pg_temp.broken();
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET captured = captured + 1 WHERE id = :'provided';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET refunded = refunded + 1 WHERE id = :'provided';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET fee = fee - 1 WHERE id = :'provided';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.refund SET kind = 'late' WHERE id = :'due';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.refund SET status = 'settled', settled_at = now(), next_attempt_at = NULL WHERE id = :'due';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.refund WHERE id = :'due';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET status = 'refunded' WHERE id = :'provided';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.pending_resolution WHERE pending_id = (SELECT pending_id FROM concert.payment WHERE id = :'provided');
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.refund SET kind = 'goodwill' WHERE id = :'due';
UPDATE concert.reservation SET status = 'confirmed', deleted_at = NULL WHERE booking_id = :'split';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- P4: a payment that nobody would ask for, that no act tells of, that is another user's, whose points are others; a
-- refund of another booking
SELECT payment_id AS open FROM concert.payment_begin(:'pending', :'bob', 'acquirer') \gset
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET next_attempt_at = NULL WHERE id = :'open';
SELECT * FROM pg_temp.broken();
UPDATE concert.payment SET status = 'authorized' WHERE id = :'open';
DELETE FROM concert.payment_act WHERE payment_id = :'open';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET points = points + 1 WHERE id = :'provided';
SELECT * FROM pg_temp.broken();
UPDATE concert.payment SET points = 0, pending_id = NULL WHERE id = :'provided';
UPDATE concert.payment SET points = 7, pending_id = gen_random_uuid() WHERE id = :'open';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.payment SET user_id = :'bob' WHERE id = :'payment';
UPDATE concert.refund SET booking_id = :'paid' WHERE id = :'due';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P4: money of another currency than came first, and nothing gives it back
SELECT ok FROM concert.payment_captured(:'provided', 9, 'EUR', 'euros', 'm2');
SELECT * FROM pg_temp.broken();
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.refund WHERE payment_id = :'provided' AND currency = 'EUR';
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- P4: a transfer from an account to itself, and of nothing; more let go than was set aside
BEGIN;
SET LOCAL session_replication_role = replica;
ALTER TABLE concert.transfer DROP CONSTRAINT transfer_two_accounts, DROP CONSTRAINT transfer_amount;
INSERT INTO concert.transfer (debit_account_id, credit_account_id, amount, currency, kind, created_at, effective_at)
SELECT debit_account_id, CASE n WHEN 1 THEN debit_account_id ELSE credit_account_id END, CASE n WHEN 1 THEN 5 ELSE 0 END, currency, 'transfer', now(), now()
FROM concert.transfer, generate_series(1, 2) AS n WHERE payment_id = :'payment';
SELECT * FROM pg_temp.broken() WHERE object LIKE 'transfer%';
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
ALTER TABLE concert.pending_resolution DROP CONSTRAINT pending_resolution_transfer;
UPDATE concert.pending_resolution SET outcome = 'voided', transfer_id = NULL, amount = 51 WHERE pending_id = (SELECT pending_id FROM concert.payment WHERE id = :'provided');
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- P7: one place admitted twice
BEGIN;
UPDATE concert.admission_batch SET from_number = 10 WHERE concert_date_id = :'date' AND to_number = 20;
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- all is well again
SELECT * FROM pg_temp.broken();
