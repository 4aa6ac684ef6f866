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
    SELECT 'P4', 'account ' || a.id,
           'balance row says debits ' || coalesce(b.debits::text, 'none') || ', credits '
           || coalesce(b.credits::text, 'none') || '; transfers say ' || t.debits || ', ' || t.credits
    FROM concert.account AS a
    LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT sum(amount) FROM concert.transfer WHERE debit_account_id = a.id), 0) AS debits,
               coalesce((SELECT sum(amount) FROM concert.transfer WHERE credit_account_id = a.id), 0) AS credits) AS t
    WHERE a.floor IS NOT NULL AND (b.debits, b.credits) IS DISTINCT FROM (t.debits, t.credits)
UNION ALL
    SELECT 'P4', 'account ' || a.id, 'stands below its floor: ' || (b.credits - b.debits)
    FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id
    WHERE b.credits - b.debits < a.floor
UNION ALL
    SELECT 'P4', 'transfer ' || t.id, 'its currency is not that of both accounts'
    FROM concert.transfer AS t
    JOIN concert.account AS d ON d.id = t.debit_account_id
    JOIN concert.account AS c ON c.id = t.credit_account_id
    WHERE t.currency <> d.currency OR t.currency <> c.currency
UNION ALL
    SELECT 'P4', 'payment ' || p.id, 'took ' || p.amount || ', its transfers moved ' || coalesce(t.amount, 0)
    FROM concert.payment AS p
    LEFT JOIN (SELECT payment_id, currency, sum(amount) AS amount FROM concert.transfer
               WHERE payment_id IS NOT NULL GROUP BY payment_id, currency) AS t
         ON t.payment_id = p.id AND t.currency = p.currency
    WHERE p.amount <> coalesce(t.amount, 0)
UNION ALL
    SELECT 'P5', 'booking ' || b.booking_id,
           b.confirmed || ' of ' || b.seats || ' seats confirmed for ' || b.price
           || ', payments captured ' || b.payments || ' for ' || b.paid
    FROM (SELECT coalesce(r.booking_id, p.booking_id) AS booking_id,
                 coalesce(r.seats, 0) AS seats, coalesce(r.confirmed, 0) AS confirmed,
                 coalesce(r.price, 0) AS price, coalesce(p.payments, 0) AS payments,
                 coalesce(p.paid, 0) AS paid
          FROM (SELECT booking_id, count(*) FILTER (WHERE status <> 'cancelled') AS seats,
                       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       sum(price) FILTER (WHERE status = 'confirmed') AS price
                FROM concert.reservation GROUP BY booking_id) AS r
          FULL JOIN (SELECT booking_id, count(*) AS payments, sum(amount) AS paid
                     FROM concert.payment WHERE status = 'captured' GROUP BY booking_id) AS p
               ON p.booking_id = r.booking_id) AS b
    WHERE b.confirmed NOT IN (0, b.seats)
       OR b.payments <> (CASE WHEN b.confirmed > 0 THEN 1 ELSE 0 END)
       OR b.paid <> b.price
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
--   P4  debits equal credits, no account is below its floor
--   P5  paid means confirmed
--   P7  no place of a waiting room is admitted twice
--   P8  the outbox's cursors only move forward
-- It reads everything: on a large database use a standby.
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
-- reservations without their ticket, charges without their record, pendings past their time.
-- Reads only. Example: SELECT * FROM concert.lag();
CREATE FUNCTION concert.lag() RETURNS TABLE (name text, value bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
    SELECT 'pendings_expired', count(*) FROM concert.reservation AS r
    WHERE r.status = 'pending' AND r.expires_at <= statement_timestamp();
END;
COMMENT ON FUNCTION concert.lag() IS 'what is under way, counted';
REVOKE ALL ON FUNCTION concert.lag() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lag() TO concert_sidecar;
