-- SPDX-License-Identifier: PostgreSQL
--
-- The rivals. insert_reservation is a bare table with the columns, checks, indexes and the foreign key of
-- concert.reservation: one prepared INSERT into it is the least that a sale with these guarantees can cost.
-- rival.reserve() is the same work as concert.reserve(), as well as PL/pgSQL does it: losers are answered by one
-- query before anything is locked, locks are only tried where a loser would wait, nothing is raised and caught, all
-- statements take sets, and the event and the idempotency key are kept as concert keeps them. Without the generic plans
-- asked for, unnest() of a parameter would have its statements planned anew in every call: a fifth of the speed.
CREATE TABLE rival.insert_reservation (LIKE concert.reservation INCLUDING ALL,
    FOREIGN KEY (seat_id, concert_date_id) REFERENCES rival.seat (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT);
CREATE TABLE rival.reservation (LIKE concert.reservation INCLUDING ALL,
    FOREIGN KEY (seat_id, concert_date_id) REFERENCES rival.seat (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT);
CREATE TABLE rival.event (LIKE concert.outbox_event_0 INCLUDING ALL);
CREATE TABLE rival.request (LIKE concert.request_0 INCLUDING ALL);
CREATE SEQUENCE rival.event_seq;

CREATE FUNCTION rival.emit(key uuid, type text, payload jsonb, correlation_id text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('concert.reservation/' || key, 2));
    INSERT INTO rival.event (seq, xid, created_at, id, lane, topic, key, type, headers, payload)
    VALUES (nextval('rival.event_seq'), pg_current_xact_id(), clock_timestamp(), concert.uuid7(), 0, 'concert.reservation',
            key::text, type, jsonb_strip_nulls(jsonb_build_object('correlation_id', correlation_id)), payload);
END
$$;

CREATE FUNCTION rival.reserve(concert_date_id uuid, seat_ids uuid[], user_id uuid, pending_seconds integer DEFAULT NULL,
    pass text DEFAULT NULL, fence bigint DEFAULT NULL, idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.reserve_answer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    now_at timestamptz;
    digest bytea;
    past record;
    rules record;
    probe record;
    answer concert.reserve_answer;
BEGIN
    IF idempotency_key IS NOT NULL THEN
        digest := sha256(convert_to(concat_ws('|', concert_date_id, seat_ids, pending_seconds, pass, fence), 'UTF8'));
        PERFORM pg_advisory_xact_lock(hashtextextended(user_id || idempotency_key, 3));
        SELECT r.digest, r.result INTO past FROM rival.request AS r
        WHERE r.user_id = user_id AND r.operation = 'reserve' AND r.key = idempotency_key;
        IF FOUND THEN
            IF past.digest <> digest THEN
                RAISE EXCEPTION 'idempotency key was used for another request' USING ERRCODE = 'TK002';
            END IF;
            RETURN jsonb_populate_record(NULL::concert.reserve_answer, past.result);
        END IF;
    END IF;

    now_at := clock_timestamp();
    SELECT d.sale_opens_at <= now_at AND now_at < d.sale_closes_at AS is_on_sale, d.admission,
           coalesce(pending_seconds, d.pending_seconds) AS pending_seconds, d.seats_per_user_max INTO rules
    FROM concert.concert_date AS d JOIN concert.concert AS c ON c.id = d.concert_id
    WHERE d.id = concert_date_id AND d.deleted_at IS NULL AND c.deleted_at IS NULL;
    IF NOT FOUND THEN
        answer.reason := 'unknown';
    ELSIF NOT rules.is_on_sale THEN
        answer.reason := 'not_on_sale';
    ELSIF rules.admission <> 'open' THEN
        answer.reason := 'no_pass';
    END IF;

    -- The seats are judged twice by the same statement: before their locks, for the losers, and under them.
    FOR attempt IN 1..2 LOOP
        EXIT WHEN answer.reason IS NOT NULL;
        IF attempt = 2 THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(concert_date_id::text || user_id, 0));
            IF NOT (SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended(id::text, 1)))
                    FROM (SELECT id FROM unnest(seat_ids) AS id ORDER BY id) AS ordered) THEN
                answer.reason := 'busy';
                EXIT;
            END IF;
            now_at := clock_timestamp();
            IF cardinality(seat_ids) + (SELECT count(*) FROM rival.reservation AS r
                    WHERE r.user_id = user_id AND r.concert_date_id = concert_date_id AND r.deleted_at IS NULL
                      AND (r.status = 'confirmed' OR r.expires_at > now_at)) > rules.seats_per_user_max THEN
                answer.reason := 'limit';
                EXIT;
            END IF;
        END IF;
        SELECT jsonb_agg(jsonb_build_object('seat_id', seat.asked, 'reason', seat.reason) ORDER BY seat.place)
                   FILTER (WHERE seat.reason IS NOT NULL) AS refused,
               coalesce(bool_or(seat.has_expired), false) AS has_expired INTO probe
        FROM (SELECT asked.id AS asked, asked.place, live.expires_at <= now_at AND live.status = 'pending' AS has_expired,
                     CASE WHEN s.id IS NULL THEN 'unknown'
                          WHEN s.concert_date_id <> concert_date_id THEN 'other_date'
                          WHEN s.blocked_reason IS NOT NULL AND coalesce(s.blocked_until > now_at, true) THEN 'blocked'
                          WHEN live.status = 'confirmed' THEN 'sold'
                          WHEN live.expires_at > now_at THEN 'held'
                          WHEN fence <= (SELECT max(h.fence) FROM rival.reservation AS h WHERE h.seat_id = s.id)
                              THEN 'stale_fence' END AS reason
              FROM unnest(seat_ids) WITH ORDINALITY AS asked (id, place)
              LEFT JOIN rival.seat AS s ON s.id = asked.id AND s.deleted_at IS NULL
              LEFT JOIN rival.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL) AS seat;
        answer.reason := probe.refused -> 0 ->> 'reason';
    END LOOP;

    answer.ok := answer.reason IS NULL;
    IF answer.ok THEN
        IF probe.has_expired THEN
            PERFORM rival.emit(gone.booking_id, 'reservation.expired', jsonb_build_object('seats', gone.seats), correlation_id)
            FROM rival.retire(seat_ids, now_at) AS gone;
        END IF;
        answer.booking_id := concert.uuid7();
        answer.expires_at := now_at + make_interval(secs => rules.pending_seconds);
        WITH made AS (
            INSERT INTO rival.reservation AS r (id, booking_id, concert_date_id, seat_id, user_id, status, price, currency,
                                                fence, created_at, expires_at, expires_at_max)
            SELECT concert.uuid7(), answer.booking_id, concert_date_id, s.id, user_id, 'pending', section.price,
                   section.currency,
                   coalesce(fence, (SELECT h.fence FROM rival.reservation AS h WHERE h.seat_id = s.id
                                    ORDER BY h.fence DESC LIMIT 1) + 1, 1),
                   now_at, answer.expires_at, now_at + interval '900 seconds'
            FROM rival.seat AS s JOIN concert.section AS section ON section.id = s.section_id
            WHERE s.id = ANY (seat_ids) ORDER BY s.id
            RETURNING r.id, r.seat_id, r.price, r.currency, r.fence)
        SELECT jsonb_agg(jsonb_build_object('seat_id', seat_id, 'reservation_id', id, 'price', price, 'currency', currency,
                                            'fence', made.fence, 'remaining_ms', rules.pending_seconds * 1000))
        INTO answer.seats FROM made;
        PERFORM rival.emit(answer.booking_id, 'reservation.reserved',
                           jsonb_build_object('booking_id', answer.booking_id, 'concert_date_id', concert_date_id,
                                              'user_id', user_id, 'seats', answer.seats, 'expires_at', answer.expires_at),
                           correlation_id);
    ELSE
        answer.seats := coalesce(probe.refused, '[]');
    END IF;

    IF idempotency_key IS NOT NULL AND answer.reason IS DISTINCT FROM 'busy' THEN
        INSERT INTO rival.request (user_id, operation, key, digest, result, created_at)
        VALUES (user_id, 'reserve', idempotency_key, digest, to_jsonb(answer), now_at);
    END IF;
    RETURN answer;
END
$$;

-- Ends pending reservations of these seats whose time is over.
CREATE FUNCTION rival.retire(seat_ids uuid[], now_at timestamptz) RETURNS TABLE (booking_id uuid, seats jsonb)
LANGUAGE sql AS $$
    WITH gone AS (
        UPDATE rival.reservation AS r SET status = 'expired', resolved_at = now_at, deleted_at = now_at
        WHERE r.seat_id = ANY (seat_ids) AND r.deleted_at IS NULL AND r.status = 'pending' AND r.expires_at <= now_at
        RETURNING r.booking_id, r.seat_id)
    SELECT gone.booking_id, jsonb_agg(jsonb_build_object('seat_id', gone.seat_id)) FROM gone GROUP BY gone.booking_id
$$;
