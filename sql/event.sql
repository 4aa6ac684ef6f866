-- Each change of a sale is told in one event of its own, keyed by what it is about, with all that a
-- consumer needs and the correlation id of the call; a refusal, a replay and a rollback tell nothing.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
-- The events of this hall, in order: its bookings', its date's and its fans' wallets'.
CREATE FUNCTION pg_temp.events(date uuid, after bigint) RETURNS TABLE (topic text, type text, seats text, correlation text)
LANGUAGE sql AS $$
    SELECT e.topic, e.type, pg_temp.told(e.payload->'seats'), e.headers->>'correlation_id'
    FROM concert.outbox_event AS e
    WHERE e.seq > after AND (e.payload->>'concert_date_id' = date::text OR e.topic IN ('concert.payment', 'concert.point'))
    ORDER BY e.seq
$$;
SELECT max(seq) AS mark FROM concert.outbox_event \gset

-- the life of a booking that is paid: its events have its key, so they stay in order
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a2', :'a1']::uuid[], :'ann', correlation_id => 'trace 1') \gset
SELECT ok FROM concert.extend(:'booking', :'ann', 400, correlation_id => 'trace 2');
SELECT payment_id AS payment FROM concert.pay(:'booking', :'ann', 'key', 'trace 3') \gset
SELECT topic, type, key = :'booking' AS keyed, headers, (SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(payload) AS k) AS payload
FROM concert.outbox_event WHERE key = :'booking' ORDER BY seq;
SELECT type, payload->>'booking_id' = :'booking' AS booking, payload->>'concert_date_id' = :'date' AS date,
       payload->>'user_id' = :'ann' AS "user", pg_temp.told(payload->'seats'),
       (SELECT string_agg(DISTINCT k, ' ' ORDER BY k) FROM jsonb_array_elements(payload->'seats') AS s, jsonb_object_keys(s) AS k) AS of_a_seat,
       (payload->>'expires_at')::timestamptz - created_at BETWEEN interval '200 seconds' AND interval '400 seconds' AS expires
FROM concert.outbox_event WHERE key = :'booking' AND topic = 'concert.reservation' ORDER BY seq;
SELECT payload->>'payment_id' = :'payment' AS payment, payload->>'amount' AS amount, payload->>'currency' AS currency,
       payload->>'method' AS method, payload->>'user_id' = :'ann' AS "user",
       payload->>'transfer_id' = (SELECT id::text FROM concert.transfer WHERE payment_id = :'payment') AS transfer
FROM concert.outbox_event WHERE key = :'booking' AND type = 'payment.captured';

-- a cancelled one; one that lapsed, told once by whoever retires it: for the seats retired and no others
SELECT max(seq) AS mark FROM concert.outbox_event \gset
SELECT booking_id AS given_up FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'bob') \gset
SELECT ok FROM concert.cancel(:'given_up', :'bob', correlation_id => 'trace 4');
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a3', :'a4', :'a5']::uuid[], :'bob') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT booking_id AS retaken FROM concert.reserve(:'date', ARRAY[:'a4', :'a6']::uuid[], :'ann', correlation_id => 'trace 5') \gset
SELECT concert.expire(10000) >= 2 AS expired;
SELECT * FROM pg_temp.events(:'date', :mark);
SELECT type, count(*), bool_and(key = :'lapsed') AS keyed FROM concert.outbox_event
WHERE payload->>'booking_id' = :'lapsed' GROUP BY type ORDER BY type;

-- seats blocked and given back are keyed by their date
SELECT max(seq) AS mark FROM concert.outbox_event \gset
SELECT ok FROM concert.block_seats(ARRAY[:'a5', :'a3']::uuid[], 'camera', correlation_id => 'trace 6');
SELECT ok FROM concert.unblock_seats(ARRAY[:'a5']::uuid[], 'trace 7');
SELECT * FROM pg_temp.events(:'date', :mark);
SELECT count(*) FILTER (WHERE key = :'date') AS keyed FROM concert.outbox_event WHERE seq > :mark;

-- a charge is keyed by its wallet, and says what its source said, to the letter
SELECT max(seq) AS mark FROM concert.outbox_event \gset
SELECT account_id AS wallet, transfer_id AS transfer
FROM concert.charge_points(:'carl', 70, 'EUR', E'box "office"\\\n', 'receipt ' || :'carl' || chr(8364), correlation_id => 'trace "8"') \gset
SELECT topic, type, key = :'wallet' AS keyed, headers->>'correlation_id' AS correlation, payload->>'transfer_id' = :'transfer' AS transfer,
       payload->>'account_id' = :'wallet' AS account, payload->>'user_id' = :'carl' AS "user",
       payload->>'amount' AS amount, payload->>'currency' AS currency, payload->>'source' = E'box "office"\\\n' AS source,
       payload->>'external_ref' = 'receipt ' || :'carl' || chr(8364) AS external_ref
FROM concert.outbox_event WHERE seq > :mark;

-- what costs nothing has a payment without a transfer
SELECT concert.create_section(:'date', 'Guests', 0) AS guests \gset
SELECT concert.add_seats(:'date', :'guests', 2, ARRAY[1], ARRAY['G1']) AS added \gset
SELECT seat_id AS g1 FROM concert.seat_map(:'date') WHERE label = 'G1' \gset
SELECT booking_id AS free FROM concert.reserve(:'date', ARRAY[:'g1']::uuid[], :'carl') \gset
SELECT ok FROM concert.pay(:'free', :'carl');
SELECT payload->>'amount' AS amount, payload->'transfer_id' AS transfer FROM concert.outbox_event
WHERE key = :'free' AND type = 'payment.captured';

-- refused, replayed, rolled back, raised: nothing is told
SELECT max(seq) AS mark FROM concert.outbox_event \gset
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1', :'a5']::uuid[], :'bob');
SELECT reason FROM concert.pay(:'booking', :'ann');
SELECT ok FROM concert.pay(:'booking', :'ann', 'key', 'trace 9');
SELECT reason FROM concert.cancel(:'given_up', :'bob');
SELECT reason FROM concert.extend(:'booking', :'ann', 10);
SELECT reason FROM concert.block_seats(ARRAY[:'a1']::uuid[], 'camera');
SELECT reason FROM concert.charge_points(:'bob', 5, 'PTS', 'box office', 'bob ' || :'bob');
SELECT concert.expire(10000) >= 0 AS done;
BEGIN;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob');
ROLLBACK;
BEGIN;
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a5']::uuid[], :'bob');
SAVEPOINT before;
SELECT ok FROM concert.charge_points(:'bob', 5, 'PTS', 'box office', 'undone ' || :'bob');
ROLLBACK TO before;
COMMIT;
SELECT * FROM pg_temp.events(:'date', :mark);
