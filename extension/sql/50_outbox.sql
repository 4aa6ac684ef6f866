-- The transactional outbox. An event is appended in the transaction whose fact it tells; lanes share
-- the keys out among relays; a relay reads the difference of two snapshots in order of seq, publishes
-- it and appends a cursor. No row is ever updated or deleted: what every lane has acked leaves by
-- TRUNCATE, table by table.
--
-- The four event tables are used in turn, and so are the two cursor tables; readers always merge all
-- of them, so whoever still writes into the last one does no harm. Their indexes begin with what grows,
-- so that an event, whatever its lane, goes to their right ends; who reads one lane passes over the
-- others' entries.

CREATE SEQUENCE concert.outbox_seq CACHE 1;
COMMENT ON SEQUENCE concert.outbox_seq IS 'the order of events; drawn under the lock of the event''s key';

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.outbox_event_%1$s (
                seq        bigint      NOT NULL,
                xid        xid8        NOT NULL,
                created_at timestamptz NOT NULL,
                id         uuid        NOT NULL,
                lane       integer     NOT NULL,
                topic      text        NOT NULL,
                key        text        NOT NULL,
                type       text        NOT NULL,
                headers    jsonb       NOT NULL,
                payload    jsonb       NOT NULL
            )$f$, i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_xid ON concert.outbox_event_%1$s (xid, seq, lane)', i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX outbox_event_%1$s_seq ON concert.outbox_event_%1$s (seq, lane)', i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.outbox_event_%1$s IS 'events, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.outbox_event_%s', i), '');
    END LOOP;
    FOR i IN 0..1 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.outbox_cursor_%1$s (
                lane       integer     NOT NULL,
                n          bigint      NOT NULL,
                epoch      bigint      NOT NULL,
                s1         pg_snapshot NOT NULL,
                s2         pg_snapshot NOT NULL,
                seq        bigint      NOT NULL,
                lsn        pg_lsn      NOT NULL,
                timeline   integer     NOT NULL,
                created_at timestamptz NOT NULL,
                CONSTRAINT outbox_cursor_%1$s_pkey PRIMARY KEY (lane, epoch, n)
            )$f$, i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.outbox_cursor_%1$s IS 'how far each lane is delivered, one part of a ring of two'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.outbox_cursor_%s', i), '');
    END LOOP;
END
$$;

-- Which tables are current, and how many lanes there are. stamp tells this outbox from every other
-- (system identifier, database, event table): the install script's row is ours; a restore puts the
-- dumped one beside it, an upgrade by pg_upgrade leaves only the old one. Then transaction ids mean
-- nothing here until outbox_reset().
CREATE TABLE concert.outbox_state (
    stamp        text        NOT NULL,
    event_table  integer     NOT NULL,
    cursor_table integer     NOT NULL,
    lanes        integer     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT outbox_state_pkey PRIMARY KEY (stamp),
    CONSTRAINT outbox_state_event_table CHECK (event_table BETWEEN 0 AND 3),
    CONSTRAINT outbox_state_cursor_table CHECK (cursor_table BETWEEN 0 AND 1),
    CONSTRAINT outbox_state_lanes CHECK (lanes BETWEEN 1 AND 64)
);
COMMENT ON TABLE concert.outbox_state IS 'the outbox''s current tables and its lanes, under the stamp of its database';

CREATE TABLE concert.outbox_skipped (
    event_id   uuid        NOT NULL,
    lane       integer     NOT NULL,
    seq        bigint      NOT NULL,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    type       text        NOT NULL,
    skipped_by text        NOT NULL,
    skipped_at timestamptz NOT NULL,
    CONSTRAINT outbox_skipped_pkey PRIMARY KEY (event_id)
);
COMMENT ON TABLE concert.outbox_skipped IS 'events that an operator had passed over, never to be published';

SELECT pg_catalog.pg_extension_config_dump('concert.outbox_seq', '');
SELECT pg_catalog.pg_extension_config_dump('concert.outbox_state', '');
SELECT pg_catalog.pg_extension_config_dump('concert.outbox_skipped', '');

DO $$
DECLARE
    ring_table text;
BEGIN
    FOREACH ring_table IN ARRAY ARRAY['outbox_event_0', 'outbox_event_1', 'outbox_event_2', 'outbox_event_3',
                                      'outbox_cursor_0', 'outbox_cursor_1']
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change(%L)', ring_table,
            'Use concert.outbox_rotate(): it empties what is acked.');
    END LOOP;
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON concert.outbox_skipped
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.outbox_state
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete('Use concert.outbox_reset().');
CREATE TRIGGER forget_kept AFTER INSERT OR UPDATE OR DELETE ON concert.outbox_state
    FOR EACH ROW EXECUTE FUNCTION concert.forget_kept();
ALTER TABLE concert.outbox_state ENABLE ALWAYS TRIGGER forget_kept;

-- Internal: the stamp of this database's outbox, and the lane of a key.
CREATE FUNCTION concert.outbox_stamp() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_outbox_stamp';
COMMENT ON FUNCTION concert.outbox_stamp() IS 'internal: what tells this outbox from a copy of it';
REVOKE ALL ON FUNCTION concert.outbox_stamp() FROM PUBLIC;

CREATE FUNCTION concert.outbox_lane(topic text, key text, lanes integer) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_outbox_lane';
COMMENT ON FUNCTION concert.outbox_lane(text, text, integer) IS 'internal: the lane of a key';
REVOKE ALL ON FUNCTION concert.outbox_lane(text, text, integer) FROM PUBLIC;

INSERT INTO concert.outbox_state (stamp, event_table, cursor_table, lanes)
VALUES (concert.outbox_stamp(), 0, 0, 4);

-- Internal: whether all that is visible in a is visible in b too.
CREATE FUNCTION concert.snapshot_within(a pg_snapshot, b pg_snapshot) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_snapshot_xmax(a) <= pg_snapshot_xmax(b)
    AND NOT EXISTS (SELECT FROM pg_snapshot_xip(b) AS running (xid)
                    WHERE pg_visible_in_snapshot(running.xid, a));
COMMENT ON FUNCTION concert.snapshot_within(pg_snapshot, pg_snapshot) IS 'internal: whether one snapshot sees all that the other sees';
REVOKE ALL ON FUNCTION concert.snapshot_within(pg_snapshot, pg_snapshot) FROM PUBLIC;

-- Internal: whether a position comes after another one: further in the same difference, or in a
-- difference that begins where that one ends, or later.
CREATE FUNCTION concert.outbox_is_forward(from_s1 pg_snapshot, from_s2 pg_snapshot, from_seq bigint,
    to_s1 pg_snapshot, to_s2 pg_snapshot, to_seq bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN to_s1::text = from_s1::text AND to_s2::text = from_s2::text THEN to_seq > from_seq
            ELSE concert.snapshot_within(from_s2, to_s1) AND concert.snapshot_within(to_s1, to_s2) END;
COMMENT ON FUNCTION concert.outbox_is_forward(pg_snapshot, pg_snapshot, bigint, pg_snapshot, pg_snapshot, bigint)
    IS 'internal: whether a position comes after another';
REVOKE ALL ON FUNCTION concert.outbox_is_forward(pg_snapshot, pg_snapshot, bigint, pg_snapshot, pg_snapshot, bigint) FROM PUBLIC;

-- Internal: all events; each lane's newest cursor (the position before everything where there is
-- none); the events that no cursor has passed: what its s2 does not see, and the rest of its
-- difference. A lane below zero holds what was emitted while outbox_reset() is due. The ORDER BY in
-- outbox_unacked has events looked up lane by lane, by xid and by seq: joined in another order, all that
-- was acked would be read to find the few that were not.
CREATE VIEW concert.outbox_event AS
    SELECT 0 AS event_table, * FROM concert.outbox_event_0
    UNION ALL SELECT 1, * FROM concert.outbox_event_1
    UNION ALL SELECT 2, * FROM concert.outbox_event_2
    UNION ALL SELECT 3, * FROM concert.outbox_event_3;
COMMENT ON VIEW concert.outbox_event IS 'internal: the events of all four tables';

CREATE VIEW concert.outbox_position AS
    SELECT lanes.lane, coalesce(c.epoch, 0) AS epoch, coalesce(c.n, 0) AS n,
           coalesce(c.s1, '1:1:') AS s1, coalesce(c.s2, '1:1:') AS s2, coalesce(c.seq, 0) AS seq
    FROM (SELECT generate_series(0, max(s.lanes) - 1) AS lane
          FROM (SELECT lanes FROM concert.outbox_state ORDER BY stamp) AS s) AS lanes
    LEFT JOIN LATERAL (
        SELECT * FROM (
            (SELECT * FROM concert.outbox_cursor_0 WHERE lane = lanes.lane
             ORDER BY epoch DESC, n DESC LIMIT 1)
            UNION ALL
            (SELECT * FROM concert.outbox_cursor_1 WHERE lane = lanes.lane
             ORDER BY epoch DESC, n DESC LIMIT 1)) AS newest_of_each
        ORDER BY epoch DESC, n DESC LIMIT 1) AS c ON true;
COMMENT ON VIEW concert.outbox_position IS 'internal: each lane''s newest cursor';

CREATE VIEW concert.outbox_unacked AS
    SELECT e.lane, e.seq, e.id, e.topic, e.key, e.type, e.headers, e.payload, e.created_at
    FROM concert.outbox_position AS p
    CROSS JOIN LATERAL (
        SELECT * FROM concert.outbox_event
        WHERE lane = p.lane AND (xid, seq) > (pg_snapshot_xmin(p.s2), 0)
          AND NOT pg_visible_in_snapshot(xid, p.s2) ORDER BY xid, seq) AS e
    UNION ALL
    SELECT e.lane, e.seq, e.id, e.topic, e.key, e.type, e.headers, e.payload, e.created_at
    FROM concert.outbox_position AS p
    CROSS JOIN LATERAL (
        SELECT * FROM concert.outbox_event
        WHERE lane = p.lane AND seq > p.seq
          AND pg_visible_in_snapshot(xid, p.s2) AND NOT pg_visible_in_snapshot(xid, p.s1)
        ORDER BY seq) AS e
    UNION ALL
    SELECT lane, seq, id, topic, key, type, headers, payload, created_at
    FROM concert.outbox_event
    WHERE lane < 0 AND EXISTS (SELECT FROM concert.outbox_state WHERE stamp <> concert.outbox_stamp());
COMMENT ON VIEW concert.outbox_unacked IS 'internal: the events that no cursor has passed';

CREATE TYPE concert.answer AS (ok boolean, reason text);
COMMENT ON TYPE concert.answer IS 'yes, or no and why';
CREATE TYPE concert.outbox_open_answer AS (
    ok boolean, reason text, epoch bigint, s1 pg_snapshot, s2 pg_snapshot, seq bigint);
COMMENT ON TYPE concert.outbox_open_answer IS 'the answer of outbox_open(): the epoch, and the position to read on from';

-- emit(topic, key, type, payload, headers) appends an event in this transaction and returns its id.
-- Events of one (topic, key) are delivered in the order in which their transactions commit: emit
-- waits for an open transaction that has emitted for the same key.
-- topic and type are names such as order.paid, key has 1 to 200 characters, payload is a JSON object,
-- headers a JSON object of strings; payload and headers together are at most concert.max_event_bytes.
-- concert's own events nobody else can emit: of the topics concert.* only concert.notification is open, and no
-- type may begin with the word admission, payment, point, reservation, seat or ticket.
-- Writes outbox_event_N. Locks (topic, key), waiting: the last in the lock order.
-- Errors: 22004 NULL, TK009 an event that could not be published, or that is concert's own.
-- Example: SELECT concert.emit('concert.notification', 'user 17', 'mail.wanted', '{"to": "a@b.c"}');
CREATE FUNCTION concert.emit(topic text, key text, type text, payload jsonb, headers jsonb DEFAULT '{}')
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_emit';
COMMENT ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) IS 'appends an event in this transaction, returns its id';
REVOKE ALL ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.emit(text, text, text, jsonb, jsonb) TO concert_app;

-- outbox_lanes() is the number of lanes; they are counted from 0. Reads only, under the latest snapshot,
-- so not in a parallel query.
-- Example: SELECT concert.outbox_lanes();
CREATE FUNCTION concert.outbox_lanes() RETURNS integer
    LANGUAGE c STABLE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_outbox_lanes';
COMMENT ON FUNCTION concert.outbox_lanes() IS 'the number of lanes';
REVOKE ALL ON FUNCTION concert.outbox_lanes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_lanes() TO concert_sidecar;

-- outbox_open(lane) takes a lane for this session and begins a new epoch, which fences every earlier
-- one; returns the position to read on from. The lane is free again when the session ends: use a
-- connection of its own, none of a pooler's. Refusals: busy (another session has the lane).
-- Writes outbox_cursor_N. Locks the lane (of the session, without waiting).
-- Errors: 22004 NULL, 22023 no such lane, 25006 on a standby, TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_open(0);
CREATE FUNCTION concert.outbox_open(lane integer) RETURNS concert.outbox_open_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_open';
COMMENT ON FUNCTION concert.outbox_open(integer) IS 'takes a lane for this session, returns epoch and position';
REVOKE ALL ON FUNCTION concert.outbox_open(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_open(integer) TO concert_sidecar;

-- outbox_read(lane, s1, s2, seq, max_rows) returns the slice that follows a position, in order: at
-- most max_rows (1..10000), fewer when payloads are large. The slice's s1 and s2 with a row's seq are
-- the position after that row. When the difference of s2 and s1 is used up, s1 becomes the old s2 and s2
-- a fresh snapshot, and the local WAL is flushed first: what is returned is durable. No row means that
-- nothing is new: keep the position. Reading changes nothing and takes no lane.
-- Locks no row; waits only for a rotation. Its settings keep the plan a walk of the indexes, made when the
-- tables may have been empty.
-- Errors: 22004 NULL, 22023 no such lane, bad max_rows, an s2 from the future, 25006 on a standby,
-- TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_read(0, '1:1:', '1:1:', 0);
CREATE FUNCTION concert.outbox_read(lane integer, s1 pg_snapshot, s2 pg_snapshot, seq bigint,
    max_rows integer DEFAULT 500)
    RETURNS TABLE (s1 pg_snapshot, s2 pg_snapshot, seq bigint, id uuid, topic text, key text,
                   type text, headers jsonb, payload jsonb, created_at timestamptz)
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_read';
COMMENT ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer)
    IS 'the events that follow a position of a lane, in order';
REVOKE ALL ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_read(integer, pg_snapshot, pg_snapshot, bigint, integer) TO concert_sidecar;

-- outbox_ack(lane, epoch, s1, s2, seq) appends the cursor that says: all up to the event of that number
-- is delivered. s1, s2 and seq are those of a row of outbox_read(), the last one delivered.
-- Refusals: stale_fence (this session does not have the lane, or a newer epoch has begun).
-- Writes outbox_cursor_N. Locks the lane's newest cursor for a moment.
-- Errors: 22004 NULL, 22023 no such lane or no such event in that difference, 25006 on a standby,
-- TK008 outbox_reset() is due, TK012 the position is the newest cursor's or before it.
-- Example: SELECT * FROM concert.outbox_ack(0, 1, '1:1:', '750:750:', 17);
CREATE FUNCTION concert.outbox_ack(lane integer, epoch bigint, s1 pg_snapshot, s2 pg_snapshot, seq bigint)
    RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_ack';
COMMENT ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint)
    IS 'appends a lane''s cursor: all up to that event is delivered';
REVOKE ALL ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_ack(integer, bigint, pg_snapshot, pg_snapshot, bigint) TO concert_sidecar;

-- outbox_skip(lane, event_id) passes over the next event of a lane, which then is never published: for
-- one that Kafka refuses for ever. It is recorded; the new epoch fences a relay that stands before it,
-- which must open the lane again. Refusals: unknown (it is not the next event of the lane).
-- Writes outbox_skipped, outbox_cursor_N. Locks the lane's newest cursor.
-- Errors: 22004 NULL, 22023 no such lane, 25006 on a standby, TK008 outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_skip(0, :event);
CREATE FUNCTION concert.outbox_skip(lane integer, event_id uuid) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET enable_bitmapscan = off SET jit = off
    AS 'MODULE_PATHNAME', 'concert_outbox_skip';
COMMENT ON FUNCTION concert.outbox_skip(integer, uuid) IS 'passes over the next event of a lane for ever';
REVOKE ALL ON FUNCTION concert.outbox_skip(integer, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_skip(integer, uuid) TO concert_admin;

-- outbox_rotate() empties the event table and the cursor table that are next in their rings and makes
-- them current; nothing is done while the current event table is empty. How often it is called decides
-- how long acked events are kept: three rotations.
-- Refusals: busy (the next table holds an event that is not acked, or somebody uses it).
-- Writes outbox_event_N, outbox_cursor_N, outbox_state. Locks outbox_state (SHARE ROW EXCLUSIVE), the next
-- event table and the cursor tables (ACCESS EXCLUSIVE), each within 50 ms.
-- Errors: 25006 on a standby, TK008 outbox_reset() is due, TK013 at REPEATABLE READ and above.
-- Example: SELECT * FROM concert.outbox_rotate();
CREATE FUNCTION concert.outbox_rotate() RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET enable_bitmapscan = off SET jit = off SET lock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'concert_outbox_rotate';
COMMENT ON FUNCTION concert.outbox_rotate() IS 'empties the next event table if all of it is acked, and uses it from now on';
REVOKE ALL ON FUNCTION concert.outbox_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_rotate() TO concert_sidecar;

-- outbox_reset() makes a restored outbox this database's own: after a restore from a dump, a copy made
-- by CREATE DATABASE or pg_upgrade. Events that were acked there are dropped; the others, and those
-- emitted here since, become one transaction with new numbers, their ids and their order kept. Returns how
-- many were kept; 0 and nothing done when no reset is due.
-- Writes and locks (ACCESS EXCLUSIVE, waiting) outbox_event_N, outbox_cursor_N, outbox_state.
-- Errors: 25006 on a standby, TK013 at REPEATABLE READ and above.
-- Example: SELECT concert.outbox_reset();
CREATE FUNCTION concert.outbox_reset() RETURNS bigint
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_outbox_reset';
COMMENT ON FUNCTION concert.outbox_reset() IS 'makes a restored outbox this database''s own, returns how many events wait';
REVOKE ALL ON FUNCTION concert.outbox_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_reset() TO concert_admin;

-- outbox_stats() says for each lane where its newest cursor is and how many events wait behind it,
-- the oldest since when. Reads only, also on a standby and while outbox_reset() is due.
-- Example: SELECT * FROM concert.outbox_stats();
CREATE FUNCTION concert.outbox_stats()
    RETURNS TABLE (lane integer, epoch bigint, n bigint, seq bigint, unacked bigint,
                   oldest_unacked_seconds double precision)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
BEGIN ATOMIC
    SELECT p.lane, p.epoch, p.n, p.seq, coalesce(u.events, 0),
           greatest(extract(epoch FROM clock_timestamp() - u.oldest_at), 0)::double precision
    FROM concert.outbox_position AS p
    LEFT JOIN (SELECT greatest(lane, -1 - lane) AS lane, count(*) AS events, min(created_at) AS oldest_at
               FROM concert.outbox_unacked GROUP BY 1) AS u ON u.lane = p.lane
    ORDER BY p.lane;
END;
COMMENT ON FUNCTION concert.outbox_stats() IS 'each lane''s newest cursor and what waits behind it';
REVOKE ALL ON FUNCTION concert.outbox_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.outbox_stats() TO concert_sidecar;

-- outbox_violations() is the outbox's part of check_integrity(): cursors of a lane only move forward
-- (P8), every event is in a lane that somebody reads and in this database's own time (P2), no id
-- occurs twice (P3). Reads everything. It asks for the transaction's own id, which the server's rules let
-- no parallel query do.
CREATE FUNCTION concert.outbox_violations() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH cursors AS (
        SELECT * FROM concert.outbox_cursor_0 UNION ALL SELECT * FROM concert.outbox_cursor_1),
    steps AS (
        SELECT c.*, lag(epoch) OVER w AS old_epoch, lag(n) OVER w AS old_n, lag(s1) OVER w AS old_s1,
               lag(s2) OVER w AS old_s2, lag(seq) OVER w AS old_seq
        FROM cursors AS c WINDOW w AS (PARTITION BY lane ORDER BY epoch, n))
    SELECT 'P8'::text, 'cursor ' || n || ' of lane ' || lane, 'its number is not above that of the cursor before it'
    FROM steps WHERE n <= old_n
    UNION ALL
    SELECT 'P8', 'cursor ' || n || ' of lane ' || lane, 'it stands before the cursor before it'
    FROM steps
    WHERE NOT concert.outbox_is_forward(old_s1, old_s2, old_seq, s1, s2, seq)
      AND NOT (epoch > old_epoch AND (s1::text, s2::text, seq) = (old_s1::text, old_s2::text, old_seq))
    UNION ALL
    SELECT 'P2', 'event ' || id, 'it is in lane ' || lane || ', which nobody reads'
    FROM concert.outbox_event WHERE lane >= (SELECT max(lanes) FROM concert.outbox_state)
    UNION ALL
    SELECT 'P2', 'event ' || id, 'its transaction id lies in the future'
    FROM concert.outbox_event
    WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
      AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
      AND NOT EXISTS (SELECT FROM concert.outbox_state WHERE stamp <> concert.outbox_stamp())
    UNION ALL
    SELECT 'P3', 'event ' || id, 'its id occurs ' || count(*) || ' times'
    FROM concert.outbox_event GROUP BY id HAVING count(*) > 1;
END;
COMMENT ON FUNCTION concert.outbox_violations() IS 'internal: what is broken in the outbox, for check_integrity()';
REVOKE ALL ON FUNCTION concert.outbox_violations() FROM PUBLIC;
