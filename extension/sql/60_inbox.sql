-- The consumers' inbox and their effects. An event is accepted once by each consumer, in the same
-- transaction as its effect.
--
-- Four tables, used in turn, each for the events of a period of seven days by the time inside their own
-- version 7 ids, so that a duplicate always meets its first in the same table. The key begins with the
-- event: ids are dense in time for all consumers together, all rows of an event lie side by side, and
-- whether a table holds anything that is not past is one probe.

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.inbox_%1$s (
                consumer    text        NOT NULL,
                event_id    uuid        NOT NULL,
                accepted_at timestamptz NOT NULL,
                CONSTRAINT inbox_%1$s_pkey PRIMARY KEY (event_id, consumer)
            )$f$, i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.inbox_%1$s IS 'events that a consumer has had, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.inbox_%s', i), '');
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.inbox_%s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete(%L)', i,
            'Use concert.inbox_rotate(): it empties what is past.');
    END LOOP;
END
$$;

-- What admits to the concert, one for each confirmed reservation.
CREATE TABLE concert.ticket (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    reservation_id  uuid        NOT NULL,
    concert_date_id uuid        NOT NULL,
    seat_id         uuid        NOT NULL,
    booking_id      uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    event_id        uuid        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT ticket_pkey PRIMARY KEY (id),
    CONSTRAINT ticket_of_reservation UNIQUE (reservation_id),
    CONSTRAINT ticket_reservation_fkey FOREIGN KEY (reservation_id)
        REFERENCES concert.reservation (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
COMMENT ON TABLE concert.ticket IS 'what admits to the concert: one for each confirmed reservation';

-- What consumers wrote down of each charge; reconciled with the transfers themselves.
CREATE TABLE concert.point_charge_record (
    id           uuid        NOT NULL DEFAULT concert.uuid7(),
    transfer_id  uuid        NOT NULL,
    account_id   uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    amount       bigint      NOT NULL,
    currency     text        NOT NULL,
    source       text        NOT NULL,
    external_ref text        NOT NULL,
    event_id     uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT point_charge_record_pkey PRIMARY KEY (id),
    CONSTRAINT point_charge_record_of_transfer UNIQUE (transfer_id),
    CONSTRAINT point_charge_record_transfer_fkey FOREIGN KEY (transfer_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
COMMENT ON TABLE concert.point_charge_record IS 'a charge of points as its event told it; append-only';

SELECT pg_catalog.pg_extension_config_dump('concert.ticket', '');
SELECT pg_catalog.pg_extension_config_dump('concert.point_charge_record', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.ticket
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.point_charge_record
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change();
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.point_charge_record
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change();

-- inbox_accept(consumer, event_id) records that a consumer has an event; ok: for the first time.
-- Refusals: already_resolved (it came before), too_late (older than the oldest period that is kept,
-- 14 days or more: for the dead-letter topic).
-- Writes inbox_N. Waits for an open transaction that accepts the same event for the same consumer.
-- Errors: 22004 NULL, 22023 a consumer's name of no or too many characters, TK011 an id that is no
-- version 7 UUID or more than a period ahead of this database's clock.
-- Example: SELECT * FROM concert.inbox_accept('mailer', :event);
CREATE FUNCTION concert.inbox_accept(consumer text, event_id uuid) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_inbox_accept';
COMMENT ON FUNCTION concert.inbox_accept(text, uuid) IS 'records that a consumer has an event: yes for the first time';
REVOKE ALL ON FUNCTION concert.inbox_accept(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.inbox_accept(text, uuid) TO concert_sidecar;

-- inbox_rotate() empties the table that the next period will need, once all in it is past. Returns how many
-- it emptied; a table that is in use is left for the next call.
-- Writes inbox_N. Locks inbox_N (ACCESS EXCLUSIVE, without waiting).
-- Errors: none of its own. Example: SELECT concert.inbox_rotate();
CREATE FUNCTION concert.inbox_rotate() RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_inbox_rotate';
COMMENT ON FUNCTION concert.inbox_rotate() IS 'empties the table of the inbox ring that is past';
REVOKE ALL ON FUNCTION concert.inbox_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.inbox_rotate() TO concert_sidecar;

-- issue_tickets(event_id, type, payload) is the consumer 'ticket': inbox_accept(), and for a
-- reservation.confirmed one ticket for each of its reservations that is confirmed in this database and
-- has none, with the ids of seat and date that the reservation has by now. Other types get the inbox row alone.
-- Writes inbox_N, ticket. Locks the reservations' rows (SHARE). Refusals: as inbox_accept().
-- Errors: those of inbox_accept(), 22023 a malformed payload, TK001 a reservation that does not exist, or not of
-- this booking and user; then nothing is kept.
-- Example: SELECT * FROM concert.issue_tickets(:event, 'reservation.confirmed', :payload);
CREATE FUNCTION concert.issue_tickets(event_id uuid, type text, payload jsonb) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_issue_tickets';
COMMENT ON FUNCTION concert.issue_tickets(uuid, text, jsonb) IS 'applies an event for the consumer ''ticket''';
REVOKE ALL ON FUNCTION concert.issue_tickets(uuid, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.issue_tickets(uuid, text, jsonb) TO concert_sidecar;

-- record_point_charge(event_id, type, payload) is the consumer 'point-charge': inbox_accept(), and for a
-- point.charged the record of that charge, with the id that the account has by now. Other types get the inbox
-- row alone. Writes inbox_N, point_charge_record. Locks the wallet (shared, waiting), the transfer's row (KEY SHARE).
-- Refusals: as inbox_accept().
-- Errors: those of inbox_accept(), 22023 a malformed payload, TK001 a charge that does not exist as the
-- payload says, its account's id aside; then nothing is kept.
-- Example: SELECT * FROM concert.record_point_charge(:event, 'point.charged', :payload);
CREATE FUNCTION concert.record_point_charge(event_id uuid, type text, payload jsonb) RETURNS concert.answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_record_point_charge';
COMMENT ON FUNCTION concert.record_point_charge(uuid, text, jsonb) IS 'applies an event for the consumer ''point-charge''';
REVOKE ALL ON FUNCTION concert.record_point_charge(uuid, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.record_point_charge(uuid, text, jsonb) TO concert_sidecar;

-- Internal: all that consumers have had.
CREATE VIEW concert.inbox AS
    SELECT * FROM concert.inbox_0 UNION ALL SELECT * FROM concert.inbox_1
    UNION ALL SELECT * FROM concert.inbox_2 UNION ALL SELECT * FROM concert.inbox_3;
COMMENT ON VIEW concert.inbox IS 'internal: the inbox rows of all four tables';

-- inbox_violations() is the inbox's part of check_integrity(), all of it P3: a ticket or a record that
-- does not agree with its cause, but for ids that have been changed since, an effect without its inbox row (of
-- the last 14 days), an inbox row whose event is still in the outbox without its effect. Reads everything.
CREATE FUNCTION concert.inbox_violations() RETURNS TABLE (promise text, object text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'P3'::text, 'ticket ' || t.id, 'its reservation is not confirmed as the ticket says'
    FROM concert.ticket AS t JOIN concert.reservation AS r ON r.id = t.reservation_id
    WHERE t.deleted_at IS NULL
      AND ((r.status, r.booking_id, r.user_id) <> ('confirmed', t.booking_id, t.user_id)
           OR (r.seat_id <> t.seat_id AND NOT EXISTS (
               SELECT FROM concert.history AS h
               WHERE h.booking_id IS NULL AND h.seat_ids @> ARRAY[t.seat_id] AND h.action = 'renamed'))
           OR (r.concert_date_id <> t.concert_date_id AND NOT EXISTS (
               SELECT FROM concert.history AS h
               WHERE h.concert_date_id = t.concert_date_id AND h.action = 'renamed' AND h.seat_ids = '{}')))
    UNION ALL
    SELECT 'P3', 'point charge record ' || c.id, 'its transfer is not the charge that the record says'
    FROM concert.point_charge_record AS c JOIN concert.transfer AS t ON t.id = c.transfer_id
    WHERE (t.kind, t.amount, t.currency, t.external_ref)
          IS DISTINCT FROM ('charge', c.amount, c.currency, c.external_ref)
    UNION ALL
    SELECT 'P3', 'ticket ' || t.id, 'its event is not in the inbox'
    FROM concert.ticket AS t
    WHERE t.created_at > statement_timestamp() - interval '14 days'
      AND NOT EXISTS (SELECT FROM concert.inbox AS i WHERE i.event_id = t.event_id AND i.consumer = 'ticket')
    UNION ALL
    SELECT 'P3', 'point charge record ' || c.id, 'its event is not in the inbox'
    FROM concert.point_charge_record AS c
    WHERE c.created_at > statement_timestamp() - interval '14 days'
      AND NOT EXISTS (SELECT FROM concert.inbox AS i
                      WHERE i.event_id = c.event_id AND i.consumer = 'point-charge')
    UNION ALL
    SELECT 'P3', 'event ' || e.id, 'was applied without a ticket for reservation ' || r.id
    FROM concert.outbox_event AS e
    JOIN concert.inbox AS i ON i.event_id = e.id AND i.consumer = 'ticket'
    CROSS JOIN LATERAL jsonb_array_elements(e.payload -> 'seats') AS told (seat)
    JOIN concert.reservation AS r ON r.id = (told.seat ->> 'reservation_id')::uuid
    WHERE e.topic = 'concert.reservation' AND e.type = 'reservation.confirmed' AND r.status = 'confirmed'
      AND NOT EXISTS (SELECT FROM concert.ticket AS t WHERE t.reservation_id = r.id)
    UNION ALL
    SELECT 'P3', 'event ' || e.id, 'was applied without its point charge record'
    FROM concert.outbox_event AS e
    JOIN concert.inbox AS i ON i.event_id = e.id AND i.consumer = 'point-charge'
    WHERE e.topic = 'concert.point' AND e.type = 'point.charged'
      AND NOT EXISTS (SELECT FROM concert.point_charge_record AS c
                      WHERE c.transfer_id = (e.payload ->> 'transfer_id')::uuid);
END;
COMMENT ON FUNCTION concert.inbox_violations() IS 'internal: what is broken in the inbox and its effects, for check_integrity()';
REVOKE ALL ON FUNCTION concert.inbox_violations() FROM PUBLIC;
