-- The promises, checked: check_integrity() returns one row for each that is broken, none when all is
-- well. What is merely under way is counted apart, by lag().

CREATE VIEW concert.violation AS
    SELECT 'P1'::text AS promise, 'seat ' || seat_id AS object,
           'has ' || count(*) || ' live reservations' AS detail
    FROM concert.reservation WHERE deleted_at IS NULL
    GROUP BY seat_id HAVING count(*) > 1
UNION ALL
    SELECT 'P1', 'reservation ' || id, 'status ' || status || ' disagrees with its soft delete'
    FROM concert.reservation
    WHERE (status IN ('pending', 'confirmed')) <> (deleted_at IS NULL)
UNION ALL
    SELECT 'P1', 'reservation ' || r.id, 'its seat is of another date or deleted'
    FROM concert.reservation AS r
    LEFT JOIN concert.seat AS s ON s.id = r.seat_id AND s.concert_date_id = r.concert_date_id
    WHERE s.id IS NULL OR (r.deleted_at IS NULL AND s.deleted_at IS NOT NULL)
UNION ALL
    SELECT 'P1', 'seat ' || s.id, 'is blocked, and its reservation ' || r.id || ' is ' || r.status
    FROM concert.seat AS s JOIN concert.live_reservation AS r ON r.seat_id = s.id
    WHERE s.blocked_reason IS NOT NULL AND coalesce(s.blocked_until > statement_timestamp(), true)
UNION ALL
    SELECT 'programme', 'concert ' || c.id, 'is deleted, but ' || count(*) || ' of its dates are not'
    FROM concert.concert AS c JOIN concert.live_concert_date AS d ON d.concert_id = c.id
    WHERE c.deleted_at IS NOT NULL GROUP BY c.id
UNION ALL
    SELECT 'programme', 'concert date ' || d.id, 'is deleted, but ' || count(*) || ' of its sections are not'
    FROM concert.concert_date AS d JOIN concert.live_section AS s ON s.concert_date_id = d.id
    WHERE d.deleted_at IS NOT NULL GROUP BY d.id
UNION ALL
    SELECT 'programme', 'section ' || section.id, 'is deleted, but ' || count(*) || ' of its seats are not'
    FROM concert.section AS section JOIN concert.live_seat AS s ON s.section_id = section.id
    WHERE section.deleted_at IS NOT NULL GROUP BY section.id
UNION ALL
    SELECT 'programme', 'section ' || s.section_id, 'is of another date than ' || count(*) || ' of its seats'
    FROM concert.seat AS s
    LEFT JOIN concert.section AS section
         ON section.id = s.section_id AND section.concert_date_id = s.concert_date_id
    WHERE section.id IS NULL GROUP BY s.section_id
UNION ALL
    SELECT 'price', 'section ' || id, 'costs ' || price FROM concert.section WHERE price < 0
UNION ALL
    SELECT 'price', 'concession ' || id, 'costs ' || price FROM concert.concession WHERE price < 0
UNION ALL
    SELECT 'price', 'reservation ' || id, 'costs ' || price FROM concert.reservation WHERE price < 0
UNION ALL
    SELECT 'pending', 'reservation ' || id,
           CASE WHEN expires_at > expires_at_max THEN 'expires after its own cap'
                ELSE 'has a cap of more than 900 seconds' END
    FROM concert.reservation
    WHERE expires_at > expires_at_max OR expires_at_max > created_at + interval '900 seconds'
UNION ALL
    SELECT 'booking', 'booking ' || booking_id,
           format('is of %s users, %s dates and %s currencies',
                  count(DISTINCT user_id), count(DISTINCT concert_date_id), count(DISTINCT currency))
    FROM concert.reservation GROUP BY booking_id
    HAVING count(DISTINCT user_id) > 1 OR count(DISTINCT concert_date_id) > 1 OR count(DISTINCT currency) > 1
UNION ALL
    SELECT 'limit', 'user ' || r.user_id,
           'has ' || r.seats || ' seats of date ' || d.id || ', which never allowed more than '
           || greatest(d.seats_per_user_max, lowered.from_max)
    FROM (SELECT user_id, concert_date_id, count(*) AS seats
          FROM concert.live_reservation GROUP BY user_id, concert_date_id) AS r
    JOIN concert.concert_date AS d ON d.id = r.concert_date_id
    LEFT JOIN (WITH RECURSIVE lowered (date_id, at, from_max) AS (
                   SELECT concert_date_id, at, substring(detail FROM '[0-9]+$')::integer
                   FROM concert.history WHERE action = 'limit_lowered'
                   UNION
                   SELECT split_part(h.detail, ' ', 1)::uuid, h.at, l.from_max
                   FROM lowered AS l
                   JOIN concert.history AS h ON h.concert_date_id = l.date_id AND h.at >= l.at
                   WHERE h.action = 'renamed' AND h.seat_ids = '{}')
               SELECT date_id, max(from_max) AS from_max FROM lowered GROUP BY date_id) AS lowered
         ON lowered.date_id = d.id
    WHERE r.seats > greatest(d.seats_per_user_max, lowered.from_max)
UNION ALL
    SELECT 'history', 'booking ' || booking_id,
           format('has %s reservations, %s confirmed, %s cancelled, %s expired; its history says %s, %s, %s, %s',
                  reserved, confirmed, cancelled, expired,
                  told_reserved, told_confirmed, told_cancelled, told_expired)
    FROM (SELECT booking_id,
                 coalesce(r.reserved, 0) AS reserved, coalesce(h.reserved, 0) AS told_reserved,
                 coalesce(r.confirmed, 0) AS confirmed, coalesce(h.confirmed, 0) AS told_confirmed,
                 coalesce(r.cancelled, 0) AS cancelled, coalesce(h.cancelled, 0) AS told_cancelled,
                 coalesce(r.expired, 0) AS expired, coalesce(h.expired, 0) AS told_expired
          FROM (SELECT booking_id, count(*) AS reserved,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
                       count(*) FILTER (WHERE status = 'expired') AS expired
                FROM concert.reservation GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'reserved') AS reserved,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'confirmed') AS confirmed,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'cancelled') AS cancelled,
                            sum(cardinality(seat_ids)) FILTER (WHERE action = 'expired') AS expired
                     FROM concert.history WHERE booking_id IS NOT NULL GROUP BY booking_id) AS h
               USING (booking_id)) AS told
    WHERE (reserved, cancelled, expired) <> (told_reserved, told_cancelled, told_expired)
       OR told_confirmed NOT BETWEEN confirmed AND confirmed + cancelled
UNION ALL
    SELECT 'P4', object, detail FROM concert.verify_ledger()
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'took ' || p.captured || ', its transfers moved ' || coalesce(t.amount, 0)
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.transfer
               WHERE kind = 'payment' GROUP BY payment_id, currency) AS t
         ON t.payment_id = p.id AND t.currency = coalesce(p.captured_currency, p.currency)
    WHERE p.captured <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id,
           format('gave back %s with a fee of %s, its refunds %s, transfers of fees %s',
                  p.refunded, p.fee, coalesce(r.amount, 0), coalesce(f.amount, 0))
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.refund
               GROUP BY payment_id, currency) AS r
         ON r.payment_id = p.id AND r.currency = coalesce(p.captured_currency, p.currency)
    LEFT JOIN (SELECT payment_id, sum(amount) AS amount FROM concert.transfer
               WHERE kind = 'fee' GROUP BY payment_id) AS f ON f.payment_id = p.id
    WHERE (p.refunded, p.fee) <> (coalesce(r.amount, 0), coalesce(f.amount, 0))
UNION ALL
    SELECT 'P4', 'refund ' || r.id, CASE WHEN r.booking_id <> p.booking_id THEN 'is of another booking than its payment'
                                         ELSE 'its transfers are not what it says' END
    FROM concert.refund AS r
    JOIN concert.payment AS p ON p.id = r.payment_id
    LEFT JOIN concert.transfer AS t ON t.id = r.transfer_id
    LEFT JOIN concert.transfer AS s ON s.id = r.settled_transfer_id
    WHERE r.booking_id <> p.booking_id
       OR (t.payment_id, t.amount, t.currency, t.kind)
          IS DISTINCT FROM (p.id, r.amount, r.currency, CASE WHEN r.kind IN ('late', 'excess') THEN 'payment' ELSE 'refund' END)
       OR (p.provider IS NOT NULL AND r.status = 'settled') <> (s.id IS NOT NULL)
       OR (s.id IS NOT NULL AND (s.payment_id, s.amount, s.currency, s.kind, s.debit_account_id)
                                IS DISTINCT FROM (p.id, r.amount, r.currency, 'refund', t.credit_account_id))
UNION ALL
    SELECT 'P4', 'transfer ' || t.id, 'gives money of payment ' || t.payment_id || ' back, and no refund says so'
    FROM concert.transfer AS t JOIN concert.payment AS p ON p.id = t.payment_id
    WHERE (t.kind = 'refund' OR (t.kind = 'payment' AND p.provider IS NOT NULL
                                 AND t.currency <> coalesce(p.captured_currency, p.currency))) AND NOT EXISTS (
        SELECT FROM concert.refund AS r
        WHERE r.payment_id = t.payment_id AND t.id IN (r.transfer_id, r.settled_transfer_id))
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', its last act says ' || coalesce(a.to_status, 'nothing')
    FROM concert.payment AS p
    LEFT JOIN LATERAL (SELECT to_status FROM concert.payment_act
                       WHERE payment_id = p.id ORDER BY n DESC LIMIT 1) AS a ON true
    WHERE coalesce(a.to_status, CASE WHEN p.provider IS NULL THEN p.status END) IS DISTINCT FROM p.status
UNION ALL
    SELECT 'P4', 'payment ' || id, 'is ' || status || ', and its provider is never asked'
    FROM concert.payment WHERE status IN ('begun', 'authorized') AND next_attempt_at IS NULL
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is beside ' || p.points || ' points, of which ' || coalesce(t.amount, 0) || ' were set aside'
    FROM concert.payment AS p LEFT JOIN concert.pending_transfer AS t ON t.id = p.pending_id
    WHERE p.points <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is of another user than its booking'
    FROM concert.payment AS p
    WHERE EXISTS (SELECT FROM concert.reservation AS r WHERE r.booking_id = p.booking_id AND r.user_id <> p.user_id)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', with ' || p.captured - p.refunded - p.fee || ' left and '
           || d.due || ' refunds due'
    FROM concert.payment AS p
    CROSS JOIN LATERAL (SELECT count(*) AS due FROM concert.refund AS r
                        WHERE r.payment_id = p.id AND r.status = 'due') AS d
    WHERE (p.status = 'refunded') <> (p.captured > 0 AND p.captured - p.refunded = p.fee AND d.due = 0)
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'is ' || p.status || ', and what was set aside for it is not let go'
    FROM concert.payment AS p JOIN concert.pending_transfer AS t ON t.id = p.pending_id
    WHERE p.status NOT IN ('begun', 'authorized') AND t.expires_at > statement_timestamp()
      AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)
UNION ALL
    SELECT 'P5', 'booking ' || b.booking_id,
           format('%s of %s seats confirmed for %s, of %s payments %s is left, and %s was goodwill',
                  b.confirmed, b.seats, b.price, b.payments, b.paid, b.goodwill)
    FROM (SELECT coalesce(r.booking_id, p.booking_id) AS booking_id,
                 coalesce(r.seats, 0) AS seats, coalesce(r.confirmed, 0) AS confirmed,
                 coalesce(r.price, 0) AS price, coalesce(p.payments, 0) AS payments,
                 coalesce(p.paid, 0) AS paid, coalesce(g.amount, 0) AS goodwill
          FROM (SELECT booking_id, count(*) FILTER (WHERE status <> 'cancelled' AND NOT taken_again) AS seats,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       sum(price) FILTER (WHERE status = 'confirmed') AS price
                FROM (SELECT booking_id, status, price, status = 'expired'
                             AND count(*) OVER (PARTITION BY booking_id, seat_id) > 1 AS taken_again
                      FROM concert.reservation) AS seat
                GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id, count(*) AS payments, sum(captured - refunded - fee) AS paid
                     FROM concert.payment WHERE status IN ('captured', 'refunded') GROUP BY booking_id) AS p
               ON p.booking_id = r.booking_id
          LEFT JOIN (SELECT booking_id, sum(amount) AS amount FROM concert.refund
                     WHERE kind = 'goodwill' GROUP BY booking_id) AS g
               ON g.booking_id = coalesce(r.booking_id, p.booking_id)) AS b
    WHERE b.confirmed NOT IN (0, b.seats)
       OR (b.confirmed > 0 AND b.payments = 0)
       OR b.paid > b.price OR b.paid + b.goodwill < b.price
UNION ALL
    SELECT 'P7', 'admission of date ' || concert_date_id, 'place ' || from_number || ' was admitted twice'
    FROM (SELECT concert_date_id, from_number,
                 lag(to_number) OVER (PARTITION BY concert_date_id ORDER BY to_number) AS before
          FROM concert.admission_batch) AS b
    WHERE from_number <= before
UNION ALL
    SELECT promise, object, detail FROM concert.outbox_violations()
UNION ALL
    SELECT promise, object, detail FROM concert.inbox_violations();
COMMENT ON VIEW concert.violation IS 'one row for each broken promise; empty when all is well';

-- check_integrity() lists every broken promise with the object and what is wrong with it; no row when
-- all is well. The promises that a database alone can judge:
--   P1  a seat has at most one live reservation
--   P2  an event in the outbox is one that will reach Kafka
--   P3  an event's effects in this database happen once, and have their cause
--   P4  debits equal credits, no account is below its floor (verify_ledger())
--   P5  paid means confirmed or given back, and confirmed means paid: what is left of a booking's payments is
--       what its confirmed seats cost, less what was given back as goodwill
--   P7  no place of a waiting room is admitted twice
--   P8  the outbox's cursors only move forward
-- and, by name, the rules of the sale:
--   programme  what lives hangs on what lives: seats on sections on dates on concerts, of the same date
--   price      nothing costs less than nothing
--   pending    a pending reservation never lives longer than 900 seconds
--   booking    a booking's seats are one user's, of one date and in one currency
--   limit      a user's seats of a date; a limit that was lowered counts as the highest it was, for what
--              was taken under it stays (history keeps that)
--   history    each reservation, and how it ended, has its act; counted by booking, as ids may change
-- It reads everything: on a large database use a standby. As outbox_violations(), it is for no parallel query.
-- Reads only, one snapshot. Example: SELECT * FROM concert.check_integrity();
CREATE FUNCTION concert.check_integrity() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    SELECT v.promise, v.object, v.detail FROM concert.violation AS v;
END;
COMMENT ON FUNCTION concert.check_integrity() IS 'one row for each broken promise; none when all is well';
REVOKE ALL ON FUNCTION concert.check_integrity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.check_integrity() TO concert_sidecar;

-- lag() counts what is under way and will come right by itself: events not yet acked, confirmed
-- reservations without their ticket, charges without their record, transfers and reservations past their time,
-- payments that are open and refunds that are due.
-- Reads only. Example: SELECT * FROM concert.lag();
CREATE FUNCTION concert.lag() RETURNS TABLE (name text, value bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    SELECT 'events_unacked'::text, coalesce(sum(s.unacked), 0)::bigint FROM concert.outbox_stats() AS s
    UNION ALL
    SELECT 'tickets_missing', count(*) FROM concert.reservation AS r
    WHERE r.status = 'confirmed'
      AND NOT EXISTS (SELECT FROM concert.ticket AS t WHERE t.reservation_id = r.id)
    UNION ALL
    SELECT 'charge_records_missing', count(*) FROM concert.transfer AS t
    WHERE t.kind = 'charge'
      AND NOT EXISTS (SELECT FROM concert.point_charge_record AS p WHERE p.transfer_id = t.id)
    UNION ALL
    SELECT 'transfers_lapsed', count(*) FROM concert.pending_transfer AS p
    JOIN concert.account_balance AS b ON b.account_id = p.debit_account_id
    WHERE p.expires_at > b.lapsed_through AND p.expires_at <= statement_timestamp()
      AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)
    UNION ALL
    SELECT 'pendings_expired', count(*) FROM concert.reservation AS r
    WHERE r.status = 'pending' AND r.expires_at <= statement_timestamp()
    UNION ALL
    SELECT 'payments_open', count(*) FROM concert.payment AS p WHERE p.status IN ('begun', 'authorized')
    UNION ALL
    SELECT 'refunds_due', count(*) FROM concert.refund AS r WHERE r.next_attempt_at IS NOT NULL;
END;
COMMENT ON FUNCTION concert.lag() IS 'what is under way, counted';
REVOKE ALL ON FUNCTION concert.lag() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lag() TO concert_sidecar;
