-- The outbox from one session: what may be emitted, in which order it is read, what an ack is worth,
-- how tables are emptied, who may do what, and an outbox that came from elsewhere.
\set ECHO none
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset null -
-- Delivers whatever waits in every lane, in this session.
CREATE FUNCTION pg_temp.drain() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    place record;
    epoch bigint;
    read record;
    delivered bigint := 0;
    got boolean;
BEGIN
    FOR lane IN 0 .. concert.outbox_lanes() - 1 LOOP
        SELECT * INTO STRICT place FROM concert.outbox_open(lane);
        epoch := place.epoch;
        LOOP
            got := false;
            FOR read IN SELECT * FROM concert.outbox_read(lane, place.s1, place.s2, place.seq) LOOP
                place.s1 := read.s1;
                place.s2 := read.s2;
                place.seq := read.seq;
                got := true;
                delivered := delivered + 1;
            END LOOP;
            EXIT WHEN NOT got;
            IF NOT (SELECT ok FROM concert.outbox_ack(lane, epoch, place.s1, place.s2, place.seq)) THEN
                RAISE 'not acked';
            END IF;
        END LOOP;
    END LOOP;
    RETURN delivered;
END
$$;
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION pg_temp.place(n integer) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN concert.emit('test.order', 'order 1', 'order.placed', jsonb_build_object('n', n)) IS NOT NULL
                THEN 'placed ' || n END
$$;
-- A rotation may meet autovacuum for a moment.
CREATE FUNCTION pg_temp.rotate() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 20 LOOP
        IF (SELECT ok FROM concert.outbox_rotate()) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
SELECT pg_temp.drain() >= 0 AS drained \gset
\set ECHO all

-- emit: an event is what it was made of, with a version 7 id; one key is one lane
SELECT count(DISTINCT id) AS ids, bool_and(substr(id::text, 15, 1) = '7') AS version_7
FROM (SELECT concert.emit('test.order', 'order 1', 'order.placed', jsonb_build_object('n', n)) AS id
      FROM generate_series(1, 3) AS n) AS e;
SELECT concert.emit('test.order', 'order 1', 'order.paid', '{"n": 4, "to": "Zoë"}',
                    '{"correlation_id": "c-1", "traceparent": "00-ab"}') AS id4 \gset
SELECT DISTINCT lane FROM concert.outbox_event WHERE topic = 'test.order' \gset
SELECT * FROM concert.outbox_open(:lane) \gset
SELECT topic, key, type, headers, payload, id = :'id4' AS is_4, created_at <= clock_timestamp() AS past
FROM concert.outbox_read(:lane, :'s1', :'s2', :seq);

-- emit: what could not be published is refused here
SELECT pg_temp.attempt(format('SELECT concert.emit(%L, %L, %L, %L)', topic, key, type, payload)) AS refused
FROM (VALUES (NULL, 'k', 'a.b', '{}'), ('t', NULL, 'a.b', '{}'), ('t', 'k', NULL, '{}'), ('t', 'k', 'a.b', NULL),
             ('', 'k', 'a.b', '{}'), ('Topic', 'k', 'a.b', '{}'), ('1topic', 'k', 'a.b', '{}'), ('a b', 'k', 'a.b', '{}'),
             ('tópico', 'k', 'a.b', '{}'), (repeat('t', 100), 'k', 'a.b', '{}'), (repeat('t', 101), 'k', 'a.b', '{}'),
             ('t', '', 'a.b', '{}'), ('t', repeat('é', 200), 'a.b', '{}'), ('t', repeat('é', 201), 'a.b', '{}'),
             ('t', 'k', 'a b', '{}'), ('t', 'k', '', '{}'),
             ('t', 'k', 'a.b', '[]'), ('t', 'k', 'a.b', '"x"'), ('t', 'k', 'a.b', 'null'), ('t', 'k', 'a.b', 'nothing'),
             ('t', 'k', 'a.b', '{"nul": "\u0000"}')) AS bad (topic, key, type, payload);
SELECT pg_temp.attempt(format('SELECT concert.emit(%L, %L, %L, %L, %L)', 't', 'k', 'a.b', '{}', headers)) AS refused
FROM (VALUES (NULL), ('[]'), ('"x"'), ('{"n": 1}'), ('{"n": null}'), ('{"n": {"a": "b"}}'), ('{"N": "x"}'), ('{"": "x"}'),
             ('{"a": "x", "b-2": "", "c_3": "é"}')) AS bad (headers);
SELECT concert.emit('t', 'k', 'a.b', '{}', '{"n": []}');
-- concert's own events are nobody else's to emit, not even a superuser's: its topics and its types
SELECT pg_temp.attempt(format('SELECT concert.emit(%L, %L, %L, %L)', topic, 'k', type, '{}')) AS refused
FROM (VALUES ('concert.reservation', 'a.b'), ('concert.point', 'point.charged'), ('concert.notification.dlq', 'a.b'), ('concert.', 'a.b'),
             ('concert.notification', 'reservation.confirmed'), ('test.order', 'payment.captured'), ('t', 'point.charged'),
             ('t', 'admission'), ('t', 'seat.'), ('t', 'ticket.issued.again'),
             ('concert.notification', 'reservations.told'), ('concerts', 'my.reservation'), ('concert', 'pay.ment')) AS foreign_event (topic, type);
-- the size is that of the text, not of the jsonb: here a few bytes are 100,000 digits
SET concert.max_event_bytes = '2kB';
SELECT pg_temp.attempt(format('SELECT concert.emit(%L, %L, %L, %L, %L)', 't', 'k', 'a.b', payload, headers)) AS refused
FROM (VALUES (jsonb_build_object('n', repeat('x', 2048 - 11)), '{}'), (jsonb_build_object('n', repeat('x', 2048 - 10)), '{}'),
             ('{"n": 1e100000}', '{}'), ('{}', jsonb_build_object('n', repeat('é', 1024)))) AS bad (payload, headers);
RESET concert.max_event_bytes;
SELECT pg_temp.drain() > 0 AS delivered;

-- what rolls back was never emitted; what a savepoint keeps was
SELECT * FROM concert.outbox_open(:lane) \gset
BEGIN;
SELECT pg_temp.place(5);
ROLLBACK;
BEGIN;
SELECT pg_temp.place(6);
SAVEPOINT one;
SELECT pg_temp.place(7);
ROLLBACK TO one;
SELECT pg_temp.place(8);
-- not even this transaction reads what is not committed, neither now nor when later ones are finished
SELECT count(*) FROM concert.outbox_read(:lane, :'s1', :'s2', :seq);
COMMIT;
SELECT payload FROM concert.outbox_read(:lane, :'s1', :'s2', :seq);

-- at every isolation level
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.place(9);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pg_temp.place(10);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) AS read FROM concert.outbox_read(:lane, :'s1', :'s2', :seq);
COMMIT;
BEGIN READ ONLY;
SELECT count(*) AS read FROM concert.outbox_read(:lane, :'s1', :'s2', :seq);
SELECT concert.emit('test.order', 'order 1', 'order.placed', '{}');
ROLLBACK;

-- slices: the position after a row goes on with the next one; reading again reads the same
SELECT payload->'n' AS n FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 2);
SELECT payload->'n' AS n FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 2);
SELECT s1 AS after_s1, s2 AS after_s2, seq AS after_seq, payload->'n' AS n
FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 2) OFFSET 1 \gset
SELECT pg_temp.place(11);
SELECT payload->'n' AS n, s2::text = :'after_s2' AS same_difference
FROM concert.outbox_read(:lane, :'after_s1', :'after_s2', :after_seq);
SELECT s1 AS end_s1, s2 AS end_s2, seq AS end_seq
FROM concert.outbox_read(:lane, :'after_s1', :'after_s2', :after_seq) ORDER BY seq DESC LIMIT 1 \gset
SELECT payload->'n' AS n, s1::text = :'end_s2' AS next_difference
FROM concert.outbox_read(:lane, :'end_s1', :'end_s2', :end_seq);
SELECT s1 AS new_s1, s2 AS new_s2, seq AS new_seq FROM concert.outbox_read(:lane, :'end_s1', :'end_s2', :end_seq) \gset
SELECT count(*) AS nothing_new FROM concert.outbox_read(:lane, :'new_s1', :'new_s2', :new_seq);

-- bad positions and bounds
SELECT pg_temp.attempt(format('SELECT * FROM concert.outbox_read(%L, %L, %L, %L, %L)', lane, s1, s2, seq, max_rows)) AS refused
FROM (VALUES (NULL, '1:1:', '1:1:', '0', '1'), ('0', NULL, '1:1:', '0', '1'), ('0', '1:1:', NULL, '0', '1'),
             ('0', '1:1:', '1:1:', NULL, '1'), ('0', '1:1:', '1:1:', '0', NULL), ('-1', '1:1:', '1:1:', '0', '1'),
             ('4', '1:1:', '1:1:', '0', '1'), ('0', '1:1:', '1:1:', '0', '0'), ('0', '1:1:', '1:1:', '0', '10001'),
             ('0', 'x', '1:1:', '0', '1'), ('0', '1:1:', '1:9999999999999:', '0', '1'),
             ('0', '1:1:', '1:1:', '-5', '1'), ('0', '1:1:', '1:1:', '9223372036854775807', '1')) AS bad (lane, s1, s2, seq, max_rows);

-- acks: forward within a difference and to the next one, never backwards, never twice, and
-- only to an event that is there
SELECT pg_temp.attempt(format('SELECT * FROM concert.outbox_ack(%L, %L, %L, %L, %L)', lane, epoch, s1, s2, seq)) AS refused
FROM (VALUES (NULL, '1', '1:1:', '1:1:', '0'), ('0', NULL, '1:1:', '1:1:', '0'), ('0', '1', NULL, '1:1:', '0'),
             ('0', '1', '1:1:', NULL, '0'), ('0', '1', '1:1:', '1:1:', NULL), ('-1', '1', '1:1:', '1:1:', '0'),
             ('4', '1', '1:1:', '1:1:', '0')) AS bad (lane, epoch, s1, s2, seq);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'after_s1', :'after_s2', :after_seq);
\set VERBOSITY sqlstate
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'after_s1', :'after_s2', :after_seq);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'after_s1', :'after_s2', :after_seq - 1);
SELECT * FROM concert.outbox_ack(:lane, :epoch, '1:1:', :'after_s2', :end_seq);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'end_s1', :'end_s2', :end_seq + 1000);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'end_s2', '1:9999999999999:', :end_seq);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'new_s1', :'new_s2', :new_seq);
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'end_s1', :'end_s2', :end_seq);
\set VERBOSITY default

-- a new epoch goes on from the newest cursor and fences the old one
SELECT ok, reason, epoch = :epoch + 1 AS next_epoch, s1::text = :'new_s1' AND s2::text = :'new_s2' AND seq = :new_seq AS same_position
FROM concert.outbox_open(:lane);
SELECT pg_temp.place(12);
SELECT a.* FROM concert.outbox_read(:lane, :'new_s1', :'new_s2', :new_seq) AS r,
       concert.outbox_ack(:lane, :epoch, r.s1, r.s2, r.seq) AS a;
SELECT a.* FROM concert.outbox_read(:lane, :'new_s1', :'new_s2', :new_seq) AS r,
       concert.outbox_ack(:lane, :epoch + 1, r.s1, r.s2, r.seq) AS a;
SELECT a.* FROM concert.outbox_ack(:lane, :epoch + 2, :'new_s1', :'new_s2', :new_seq) AS a;
SELECT pg_temp.attempt('SELECT concert.outbox_open(' || coalesce(lane, 'NULL') || ')') AS refused
FROM (VALUES (NULL), ('-1'), ('4')) AS bad (lane);

-- acking and reading on in one transaction
SELECT * FROM concert.outbox_open(:lane) \gset
SELECT count(concert.emit('test.order', 'order 1', 'order.placed', jsonb_build_object('n', n))) FROM generate_series(13, 15) AS n;
BEGIN;
SELECT s1, s2, seq, payload->'n' AS n FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 1) \gset
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'s1', :'s2', :seq);
SELECT :n AS read, payload->'n' AS read_on FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 2);
SELECT pg_temp.place(16);
SELECT payload->'n' AS read_on FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 3);
COMMIT;
SELECT s1, s2, seq FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 2) ORDER BY seq DESC LIMIT 1 \gset
SELECT payload->'n' AS read_on FROM concert.outbox_read(:lane, :'s1', :'s2', :seq, 3);

-- skipping: only the next event of the lane, and it is recorded
SELECT id AS id14 FROM concert.outbox_event WHERE topic = 'test.order' AND payload->>'n' = '14' \gset
SELECT id AS id15 FROM concert.outbox_event WHERE topic = 'test.order' AND payload->>'n' = '15' \gset
SELECT * FROM concert.outbox_skip(:lane, :'id15');
SELECT * FROM concert.outbox_skip(:lane, :'id14');
SELECT * FROM concert.outbox_skip(:lane, :'id14');
SELECT pg_temp.attempt('SELECT concert.outbox_skip(9, NULL)') AS refused, pg_temp.attempt('SELECT concert.outbox_skip(9, concert.uuid7())') AS refused;
SELECT topic, key, type, skipped_by = session_user AS by_me FROM concert.outbox_skipped WHERE event_id = :'id14';
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'s1', :'s2', :seq);
SELECT payload->'n' AS n FROM concert.outbox_open(:lane) AS o, concert.outbox_read(:lane, o.s1, o.s2, o.seq) AS r;
SELECT sum(unacked) AS waiting, bool_or(oldest_unacked_seconds > 0) AS since FROM concert.outbox_stats();
SELECT pg_temp.drain();
SELECT sum(unacked) AS waiting, max(oldest_unacked_seconds) AS since FROM concert.outbox_stats();
SELECT * FROM concert.outbox_skip(:lane, :'id15');
SELECT lane, epoch > 0 AS opened, n >= epoch AS counted FROM concert.outbox_stats();

-- large payloads make a slice shorter, not the delivery: 40 of 250 kB are more than 8 MiB
SELECT count(concert.emit('test.large', 'large', 'order.placed', jsonb_build_object('x', repeat('x', 250000)))) FROM generate_series(1, 40);
SELECT count(*) BETWEEN 30 AND 39 AS shorter
FROM concert.outbox_position AS p, concert.outbox_read(p.lane, p.s1, p.s2, p.seq)
WHERE p.lane = concert.outbox_lane('test.large', 'large', concert.outbox_lanes());
SELECT pg_temp.drain();
SELECT pg_temp.attempt($$SELECT concert.outbox_lane('t', 'k', 0)$$), pg_temp.attempt($$SELECT concert.outbox_lane('t', 'k', 65)$$);

-- rotation: round and round with events in every table; an unacked one stops it when its table is next
SELECT pg_temp.rotate();
SELECT pg_temp.place(17);
SELECT pg_temp.rotate();
SELECT pg_temp.place(18);
SELECT pg_temp.rotate();
SELECT pg_temp.place(19);
SELECT pg_temp.rotate();
SELECT pg_temp.place(20);
SELECT * FROM concert.outbox_rotate();
SELECT r.payload->'n' AS n FROM concert.outbox_open(:lane) AS o, concert.outbox_read(:lane, o.s1, o.s2, o.seq) AS r;
SELECT r.s1, r.s2, r.seq, o.epoch FROM concert.outbox_open(:lane) AS o, concert.outbox_read(:lane, o.s1, o.s2, o.seq, 1) AS r \gset
SELECT * FROM concert.outbox_ack(:lane, :epoch, :'s1', :'s2', :seq);
SELECT pg_temp.rotate();
SELECT * FROM concert.outbox_rotate();
SELECT count(*) FROM concert.outbox_event WHERE topic = 'test.order' AND payload->>'n' = '17';
SELECT r.payload->'n' AS n FROM concert.outbox_open(:lane) AS o, concert.outbox_read(:lane, o.s1, o.s2, o.seq) AS r;
SELECT pg_temp.drain();
-- an empty table is as good as a fresh one
SELECT event_table FROM concert.outbox_state \gset
SELECT * FROM concert.outbox_rotate();
SELECT * FROM concert.outbox_rotate();
SELECT event_table = :event_table AS still FROM concert.outbox_state;
-- only with a fresh snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM concert.outbox_rotate();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT concert.outbox_reset();
ROLLBACK;
SHOW lock_timeout;

-- nothing else changes a row, not even the superuser
SELECT t, pg_temp.attempt(format('UPDATE concert.%I SET created_at = now()', t)) AS updating,
       pg_temp.attempt(format('DELETE FROM concert.%I', t)) AS deleting, pg_temp.attempt(format('TRUNCATE concert.%I', t)) AS truncating
FROM unnest(ARRAY['outbox_event_0', 'outbox_event_1', 'outbox_event_2', 'outbox_event_3', 'outbox_cursor_0', 'outbox_cursor_1']) AS t;
SELECT pg_temp.attempt('UPDATE concert.outbox_skipped SET key = key'), pg_temp.attempt('DELETE FROM concert.outbox_skipped'),
       pg_temp.attempt('TRUNCATE concert.outbox_skipped');

-- what is broken is found: a cursor that goes back, one with an old number, an event that comes twice,
-- one in a lane that nobody reads, one from the future
CREATE FUNCTION pg_temp.broken() RETURNS TABLE (promise text, object text, detail text) LANGUAGE sql AS $$
    SELECT promise, regexp_replace(object, '[0-9a-f]{8}-[0-9a-f-]{27}|\d+', 'N', 'g'), detail
    FROM concert.outbox_violations() ORDER BY promise, object, detail
$$;
SELECT pg_temp.place(21);
SELECT * FROM pg_temp.broken();
BEGIN;
INSERT INTO concert.outbox_cursor_0
SELECT lane, n + 1, epoch + 1, '1:1:', '1:1:', 0, '0/0', 1, now() FROM concert.outbox_position WHERE lane = :lane;
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
INSERT INTO concert.outbox_cursor_0
SELECT lane, n, epoch + 1, s1, s2, seq, '0/0', 1, now() FROM concert.outbox_position WHERE lane = :lane;
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
INSERT INTO concert.outbox_event_2 (seq, xid, created_at, id, lane, topic, key, type, headers, payload)
SELECT seq, xid, created_at, id, lane, topic, key, type, headers, payload FROM concert.outbox_event WHERE payload->>'n' = '21';
SELECT * FROM pg_temp.broken();
ROLLBACK;
BEGIN;
INSERT INTO concert.outbox_event_2 (seq, xid, created_at, id, lane, topic, key, type, headers, payload)
SELECT seq, '9999999999999', created_at, concert.uuid7(), 64, topic, key, type, headers, payload FROM concert.outbox_event WHERE payload->>'n' = '21';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- an outbox from elsewhere: a second stamp beside our own stops reading, not emitting; so does a
-- stamp of an old cluster alone, as pg_upgrade leaves it
SELECT concert.outbox_reset() AS nothing_to_do;
BEGIN;
INSERT INTO concert.outbox_state (stamp, event_table, cursor_table, lanes) VALUES ('elsewhere', 2, 1, 8);
SELECT pg_temp.place(22);
SELECT pg_temp.attempt('SELECT concert.outbox_open(0)') AS opening,
       pg_temp.attempt($$SELECT * FROM concert.outbox_read(0, '1:1:', '1:1:', 0)$$) AS reading,
       pg_temp.attempt($$SELECT concert.outbox_ack(0, 1, '1:1:', '1:1:', 0)$$) AS acking,
       pg_temp.attempt('SELECT concert.outbox_rotate()') AS rotating,
       pg_temp.attempt('SELECT concert.outbox_skip(0, concert.uuid7())') AS skipping;
SELECT sum(unacked) AS waiting FROM concert.outbox_stats();
SELECT * FROM pg_temp.broken();
SELECT concert.outbox_reset() AS kept;
SELECT concert.outbox_lanes() AS lanes, count(*) FROM concert.outbox_state;
SELECT payload->'n' AS n FROM concert.outbox_unacked ORDER BY seq;
SELECT concert.outbox_reset() AS nothing_to_do;
ROLLBACK;
SELECT concert.outbox_lanes();
BEGIN;
UPDATE concert.outbox_state SET stamp = 'old cluster';
SELECT pg_temp.place(22);
SELECT pg_temp.attempt('SELECT concert.outbox_open(0)') AS opening;
SELECT concert.outbox_reset() AS kept;
SELECT payload->'n' AS n FROM concert.outbox_unacked ORDER BY seq;
SELECT * FROM pg_temp.broken();
ROLLBACK;
SELECT pg_temp.drain();

-- who may: an app emits, the sidecar reads and acks, an admin resets and skips; nobody touches a table
SELECT r, has_function_privilege(r, 'concert.emit(text,text,text,jsonb,jsonb)', 'EXECUTE') AS emit,
       has_function_privilege(r, 'concert.outbox_read(integer,pg_snapshot,pg_snapshot,bigint,integer)', 'EXECUTE') AS read,
       has_function_privilege(r, 'concert.outbox_ack(integer,bigint,pg_snapshot,pg_snapshot,bigint)', 'EXECUTE') AS ack,
       has_function_privilege(r, 'concert.outbox_rotate()', 'EXECUTE') AS rotate,
       has_function_privilege(r, 'concert.outbox_reset()', 'EXECUTE') AS reset,
       has_function_privilege(r, 'concert.outbox_skip(integer,uuid)', 'EXECUTE') AS skip,
       has_table_privilege(r, 'concert.outbox_event_0', 'SELECT') OR has_table_privilege(r, 'concert.outbox_state', 'SELECT') AS tables
FROM unnest(ARRAY['concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin']) AS r;
SET ROLE concert_app;
SELECT pg_temp.place(23);
SELECT * FROM concert.outbox_read(0, '1:1:', '1:1:', 0);
SET ROLE concert_sidecar;
SELECT r.payload->'n' AS n FROM concert.outbox_open(:lane) AS o, concert.outbox_read(:lane, o.s1, o.s2, o.seq) AS r;
SELECT concert.outbox_reset();
RESET ROLE;
SELECT pg_temp.drain();
SELECT * FROM pg_temp.broken();
