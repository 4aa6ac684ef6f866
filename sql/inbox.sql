-- The consumers' inbox: an event counts once for each consumer, ids that cannot be judged are turned
-- away, and an effect is of its cause, once.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
\set ECHO none
-- A version 7 id that is so many days old.
CREATE FUNCTION pg_temp.id_of_age(days numeric) RETURNS uuid LANGUAGE sql AS $$
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp() - days * interval '1 day') * 1000)::bigint), 12, '0')
            || '7' || substr(md5(random()::text), 1, 3) || 'a' || substr(md5(random()::text), 1, 15))::uuid
$$;
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID');
END
$$;
SELECT pg_temp.id_of_age(0) AS event, pg_temp.id_of_age(1) AS other, pg_temp.id_of_age(13.9) AS old \gset
\set ECHO all

-- once for each consumer
SELECT * FROM concert.inbox_accept('mailer', :'event');
SELECT * FROM concert.inbox_accept('mailer', :'event');
SELECT * FROM concert.inbox_accept('printer', :'event');
SELECT * FROM concert.inbox_accept('mailer', :'other');
SELECT * FROM concert.inbox_accept('mailer', :'old');
SELECT * FROM concert.inbox_accept('mailer', :'old');
BEGIN;
SELECT * FROM concert.inbox_accept('archive', :'event');
ROLLBACK;
SELECT * FROM concert.inbox_accept('archive', :'event');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM concert.inbox_accept('archive', :'event');
SELECT * FROM concert.inbox_accept('archive', :'other');
COMMIT;

-- too old to know whether it came before; not a version 7 id; from the future
SELECT * FROM concert.inbox_accept('mailer', pg_temp.id_of_age(22));
SELECT * FROM concert.inbox_accept('mailer', pg_temp.id_of_age(400));
SELECT * FROM concert.inbox_accept('mailer', '00000000-0000-7000-8000-000000000000');
SELECT ok, reason FROM concert.inbox_accept('mailer', pg_temp.id_of_age(-0.01));
SELECT pg_temp.attempt(format('SELECT concert.inbox_accept(%L, %L)', consumer, id)) AS refused
FROM (VALUES (NULL, :'event'), ('mailer', NULL), ('', :'event'), (repeat('c', 200), :'event'), (repeat('c', 201), :'event'),
             ('mailer', '01a20abf-b060-4b3b-a569-23e02a8722e0'), ('mailer', '01a20abf-b060-7b3b-2569-23e02a8722e0'),
             ('mailer', '00000000-0000-0000-0000-000000000000'), ('mailer', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
             ('mailer', 'ffffffff-ffff-7fff-bfff-ffffffffffff'), ('mailer', pg_temp.id_of_age(-15)::text)) AS bad (consumer, id);

-- emptying: only the table that the next period needs, and only when all in it is past
SELECT concert.inbox_rotate() >= 0 AS rotated;
SELECT concert.inbox_rotate();
SELECT floor(extract(epoch FROM clock_timestamp()) / 86400 / 7)::bigint AS period \gset
SELECT 'concert.inbox_' || (:period + 1) % 4 AS next_table \gset
BEGIN;
INSERT INTO :next_table (consumer, event_id, accepted_at) VALUES ('mailer', pg_temp.id_of_age(28), now() - interval '28 days');
SELECT concert.inbox_rotate();
SELECT count(*) FROM :next_table;
INSERT INTO :next_table (consumer, event_id, accepted_at)
VALUES ('mailer', pg_temp.id_of_age(28), now()), ('mailer', pg_temp.id_of_age(-7), now());
SELECT concert.inbox_rotate();
SELECT count(*) FROM :next_table;
ROLLBACK;
SELECT * FROM concert.inbox_accept('mailer', :'event');
SELECT * FROM concert.inbox_accept('mailer', :'old');

-- tickets: one for each seat of a confirmed booking, once, whatever comes again
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT id AS confirmed, type, payload FROM concert.outbox_event
WHERE key = :'booking' AND type = 'reservation.confirmed' \gset
SELECT id AS reserved, payload AS reserved_payload FROM concert.outbox_event
WHERE key = :'booking' AND type = 'reservation.reserved' \gset
SELECT * FROM concert.issue_tickets(:'reserved', 'reservation.reserved', :'reserved_payload');
SELECT * FROM concert.issue_tickets(:'confirmed', 'reservation.confirmed', :'payload');
SELECT * FROM concert.issue_tickets(:'confirmed', 'reservation.confirmed', :'payload');
SELECT * FROM concert.inbox_accept('ticket', :'confirmed');
SELECT * FROM concert.issue_tickets(pg_temp.id_of_age(0), 'reservation.confirmed', :'payload');
SELECT * FROM concert.issue_tickets(pg_temp.id_of_age(30), 'reservation.confirmed', :'payload');
SELECT s.label, t.booking_id = :'booking' AS of_booking, t.user_id = :'ann' AS of_ann, t.concert_date_id = :'date' AS of_date,
       t.event_id = :'confirmed' AS of_event, r.status, t.deleted_at
FROM concert.ticket AS t JOIN concert.seat AS s ON s.id = t.seat_id JOIN concert.reservation AS r ON r.id = t.reservation_id
WHERE t.concert_date_id = :'date' ORDER BY s.col;

-- no ticket for what this database does not know as confirmed
SELECT booking_id AS pending FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT payload AS pending_payload FROM concert.outbox_event WHERE key = :'pending' \gset
SELECT * FROM concert.issue_tickets(pg_temp.id_of_age(0), 'reservation.confirmed', :'pending_payload');
SELECT count(*) FROM concert.ticket WHERE booking_id = :'pending';
SELECT pg_temp.attempt(format('SELECT concert.issue_tickets(pg_temp.id_of_age(0), %L, %L)', 'reservation.confirmed', payload)) AS refused
FROM (VALUES (jsonb_set(:'payload', '{booking_id}', to_jsonb(:'pending'::text))),
             (jsonb_set(:'payload', '{user_id}', to_jsonb(:'bob'::text))),
             (jsonb_set(:'payload', '{seats,0,reservation_id}', to_jsonb(:'nobody'::text)))) AS bad (payload);

-- the ids of seat and date may have been changed since: the ticket is of those that the reservation has by now
SELECT booking_id AS moved FROM concert.reserve(:'date', ARRAY[:'a4']::uuid[], :'ann') \gset
SELECT ok FROM concert.pay(:'moved', :'ann');
SELECT id AS moved_event, payload AS moved_payload FROM concert.outbox_event WHERE key = :'moved' AND type = 'reservation.confirmed' \gset
SELECT gen_random_uuid() AS new_seat, gen_random_uuid() AS new_date \gset
UPDATE concert.seat SET id = :'new_seat' WHERE id = :'a4';
UPDATE concert.concert_date SET id = :'new_date' WHERE id = :'date';
SELECT * FROM concert.issue_tickets(:'moved_event', 'reservation.confirmed', :'moved_payload');
SELECT seat_id = :'new_seat' AS of_new_seat, concert_date_id = :'new_date' AS of_new_date FROM concert.ticket WHERE booking_id = :'moved';
UPDATE concert.concert_date SET id = :'date' WHERE id = :'new_date';
SELECT promise, detail FROM concert.inbox_violations();

-- malformed payloads keep nothing, not even the inbox row
SELECT pg_temp.attempt(format('SELECT concert.issue_tickets(%L, %L, %L)', event, type, payload)) AS refused
FROM (VALUES (NULL, 'a', '{}'), (concert.uuid7(), NULL, '{}'), (concert.uuid7(), 'a', NULL), (concert.uuid7(), '', '{}')) AS bad (event, type, payload);
SELECT pg_temp.id_of_age(0) AS poison \gset
SELECT pg_temp.attempt(format('SELECT concert.issue_tickets(%L, %L, %L)', :'poison', 'reservation.confirmed', payload)) AS refused
FROM (VALUES ('{}'), ('[]'), ('"x"'), ('null'), (:'payload'::jsonb - 'booking_id'), (:'payload'::jsonb - 'user_id'),
             (:'payload'::jsonb - 'concert_date_id'), (:'payload'::jsonb - 'seats'),
             (jsonb_set(:'payload', '{booking_id}', '17')), (jsonb_set(:'payload', '{booking_id}', '"17"')),
             (jsonb_set(:'payload', '{booking_id}', '"{01a20abf-b060-7b3b-a569-23e02a8722e0}"')),
             (jsonb_set(:'payload', '{booking_id}', '"01a20abf-b060-7b3b-a569-23e02a8722eg"')),
             (jsonb_set(:'payload', '{seats}', '[]')), (jsonb_set(:'payload', '{seats}', '{}')), (jsonb_set(:'payload', '{seats}', '7')),
             (jsonb_set(:'payload', '{seats,0}', '7')), (jsonb_set(:'payload', '{seats,0}', '[]')), (jsonb_set(:'payload', '{seats,1}', '{}')),
             (jsonb_set(:'payload', '{seats,1,seat_id}', 'null')),
             (jsonb_set(:'payload', '{seats}', (SELECT jsonb_agg(:'payload'::jsonb->'seats'->0) FROM generate_series(1, 1001))))) AS bad (payload);
SELECT * FROM concert.issue_tickets(:'poison', 'reservation.other', '[]');
SELECT concert.issue_tickets(concert.uuid7(), 'reservation.confirmed', '{"booking_id": null}');

-- charges: one record for each, once
SELECT account_id AS wallet, transfer_id AS transfer FROM concert.charge_points(:'ann', 500, 'PTS', 'box office', 'more for ' || :'ann') \gset
SELECT id AS charged, payload AS charge FROM concert.outbox_event WHERE key = :'wallet' AND payload->>'transfer_id' = :'transfer' \gset
SELECT * FROM concert.record_point_charge(:'charged', 'point.charged', :'charge');
SELECT * FROM concert.record_point_charge(:'charged', 'point.charged', :'charge');
SELECT * FROM concert.record_point_charge(pg_temp.id_of_age(0), 'point.charged', :'charge');
SELECT * FROM concert.record_point_charge(pg_temp.id_of_age(0), 'point.other', '[]');
SELECT * FROM concert.record_point_charge(pg_temp.id_of_age(30), 'point.charged', :'charge');
SELECT transfer_id = :'transfer' AS transfer, account_id = :'wallet' AS wallet, user_id = :'ann' AS ann, amount, currency, source,
       external_ref = 'more for ' || :'ann' AS ref, event_id = :'charged' AS event
FROM concert.point_charge_record WHERE account_id = :'wallet';
SELECT pg_temp.attempt(format('SELECT concert.record_point_charge(concert.uuid7(), %L, %L)', 'point.charged', payload)) AS refused
FROM (VALUES ('{}'), (:'charge'::jsonb - 'transfer_id'), (jsonb_set(:'charge', '{amount}', '501')), (jsonb_set(:'charge', '{amount}', '-500')),
             (jsonb_set(:'charge', '{amount}', '500.0')), (jsonb_set(:'charge', '{amount}', '"500"')), (jsonb_set(:'charge', '{amount}', '1e30')),
             (jsonb_set(:'charge', '{currency}', '"EUR"')), (jsonb_set(:'charge', '{currency}', 'null')), (jsonb_set(:'charge', '{source}', '"till"')),
             (jsonb_set(:'charge', '{external_ref}', '"x"')), (jsonb_set(:'charge', '{user_id}', to_jsonb(:'bob'::text))),
             (jsonb_set(:'charge', '{transfer_id}', to_jsonb(:'nobody'::text)))) AS bad (payload);
-- whatever id the wallet has by now
SELECT id AS late, key AS late_wallet, payload AS late_charge FROM concert.outbox_event
WHERE type = 'point.charged' AND payload->>'user_id' = :'bob' \gset
SELECT gen_random_uuid() AS new_wallet \gset
UPDATE concert.account SET id = :'new_wallet' WHERE id = :'late_wallet';
SELECT * FROM concert.record_point_charge(:'late', 'point.charged', :'late_charge');
SELECT account_id = :'new_wallet' AS of_new_wallet, user_id = :'bob' AS bobs FROM concert.point_charge_record WHERE event_id = :'late';
UPDATE concert.account SET id = :'late_wallet' WHERE id = :'new_wallet';
SELECT promise, detail FROM concert.inbox_violations();

-- they stay: tickets are only ever soft-deleted, records are history
SELECT pg_temp.attempt('DELETE FROM concert.ticket'), pg_temp.attempt('TRUNCATE concert.ticket');
SELECT pg_temp.attempt('DELETE FROM concert.point_charge_record'), pg_temp.attempt('TRUNCATE concert.point_charge_record'),
       pg_temp.attempt('UPDATE concert.point_charge_record SET amount = 1');

-- what is broken is found
CREATE FUNCTION pg_temp.broken() RETURNS TABLE (promise text, object text, detail text) LANGUAGE sql AS $$
    SELECT promise, regexp_replace(object, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID'), regexp_replace(detail, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID')
    FROM concert.inbox_violations() ORDER BY promise, object, detail
$$;
SELECT * FROM pg_temp.broken();
BEGIN;
UPDATE concert.ticket SET user_id = :'bob', event_id = concert.uuid7() WHERE booking_id = :'booking' AND seat_id = :'a1';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
UPDATE concert.ticket SET seat_id = CASE WHEN seat_id = :'a1' THEN :'a3'::uuid ELSE seat_id END,
                          concert_date_id = CASE WHEN seat_id = :'a2' THEN :'nobody'::uuid ELSE concert_date_id END WHERE booking_id = :'booking';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
INSERT INTO concert.ticket (reservation_id, concert_date_id, seat_id, booking_id, user_id, event_id)
SELECT id, concert_date_id, seat_id, booking_id, user_id, :'confirmed' FROM concert.reservation WHERE booking_id = :'pending';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.ticket WHERE booking_id = :'booking' AND seat_id = :'a1';
UPDATE concert.point_charge_record SET amount = 499 WHERE transfer_id = :'transfer';
SELECT * FROM pg_temp.broken();
DELETE FROM concert.point_charge_record WHERE transfer_id = :'transfer';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE concert.point_charge_record SET event_id = concert.uuid7() WHERE transfer_id = :'transfer';
SELECT * FROM pg_temp.broken();
ROLLBACK;
SELECT * FROM pg_temp.broken();

-- who may: the sidecar; nobody touches a table
SELECT r, bool_and(has_function_privilege(r, f, 'EXECUTE')) AS all_functions, bool_or(has_function_privilege(r, f, 'EXECUTE')) AS any_function,
       bool_or(has_table_privilege(r, t, 'SELECT, INSERT, UPDATE, DELETE')) AS any_table
FROM unnest(ARRAY['concert_reader', 'concert_app', 'concert_sidecar']) AS r,
     unnest(ARRAY['concert.inbox_accept(text,uuid)', 'concert.inbox_rotate()', 'concert.issue_tickets(uuid,text,jsonb)',
                  'concert.record_point_charge(uuid,text,jsonb)']) AS f,
     unnest(ARRAY['concert.inbox_0', 'concert.ticket', 'concert.point_charge_record', 'concert.inbox']) AS t
GROUP BY r ORDER BY any_function, r;
