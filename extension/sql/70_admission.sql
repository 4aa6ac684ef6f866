-- Admission: what PostgreSQL remembers of the waiting room in Redis, so that one that comes back
-- empty goes on where it was, and never admits a place twice.

CREATE TABLE concert.place_lease (
    concert_date_id uuid        NOT NULL,
    from_number     bigint      NOT NULL,
    to_number       bigint      NOT NULL,
    leased_at       timestamptz NOT NULL,
    CONSTRAINT place_lease_pkey PRIMARY KEY (concert_date_id, to_number),
    CONSTRAINT place_lease_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT place_lease_range CHECK (from_number > 0 AND to_number >= from_number)
);
COMMENT ON TABLE concert.place_lease IS 'ranges of places that a waiting room may give out';

CREATE TABLE concert.admission_batch (
    concert_date_id uuid        NOT NULL,
    from_number     bigint      NOT NULL,
    to_number       bigint      NOT NULL,
    admitted        integer     NOT NULL,
    issued_at       timestamptz NOT NULL,
    CONSTRAINT admission_batch_pkey PRIMARY KEY (concert_date_id, to_number),
    CONSTRAINT admission_batch_concert_date_fkey FOREIGN KEY (concert_date_id)
        REFERENCES concert.concert_date (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT admission_batch_range CHECK (from_number > 0 AND to_number >= from_number),
    CONSTRAINT admission_batch_admitted CHECK (admitted BETWEEN 0 AND to_number - from_number + 1)
);
CREATE INDEX admission_batch_issued ON concert.admission_batch (concert_date_id, issued_at);
COMMENT ON TABLE concert.admission_batch IS 'ranges of places that were admitted together, written before their passes go out';

SELECT pg_catalog.pg_extension_config_dump('concert.place_lease', '');
SELECT pg_catalog.pg_extension_config_dump('concert.admission_batch', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.place_lease
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.admission_batch
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

CREATE TYPE concert.lease_answer AS (from_number bigint, to_number bigint);
COMMENT ON TYPE concert.lease_answer IS 'the answer of lease_places(): the range, both ends in it';
CREATE TYPE concert.admission_answer AS (ok boolean, reason text, issued_at_ms bigint);
COMMENT ON TYPE concert.admission_answer IS 'the answer of record_admission(): when the batch was issued, Unix milliseconds';

-- lease_places(concert_date_id, count) gives the waiting room of a date the next count numbers;
-- none is ever given twice. Writes place_lease. Locks the date's admission (waiting).
-- Errors: TK001 unknown date, 22004 NULL, 22023 count out of 1..1000000.
-- Example: SELECT * FROM concert.lease_places(:date, 10000);
CREATE FUNCTION concert.lease_places(concert_date_id uuid, count integer) RETURNS concert.lease_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_lease_places';
COMMENT ON FUNCTION concert.lease_places(uuid, integer) IS 'leases the next range of waiting-room numbers';
REVOKE ALL ON FUNCTION concert.lease_places(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lease_places(uuid, integer) TO concert_sidecar;

-- record_admission(concert_date_id, from_number, to_number, admitted) writes down that the places
-- of a range were admitted, `admitted` of them being present, before their passes go out. A range
-- that reaches back into an earlier one is refused: stale_fence.
-- Writes admission_batch. Locks the date's admission (waiting).
-- Errors: TK001 unknown date, 22004 NULL, 22023 an empty range or more people than places.
-- Example: SELECT * FROM concert.record_admission(:date, 1, 100, 93);
CREATE FUNCTION concert.record_admission(concert_date_id uuid, from_number bigint, to_number bigint,
    admitted integer) RETURNS concert.admission_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_record_admission';
COMMENT ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) IS 'writes down a batch of admitted places before its passes go out';
REVOKE ALL ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.record_admission(uuid, bigint, bigint, integer) TO concert_sidecar;

-- admission_state(concert_date_id) is what a cold waiting room needs: the highest number leased and
-- the highest admitted, and the batches whose passes still live, with what is left of their times.
-- Reads only. Example: SELECT * FROM concert.admission_state(:date);
CREATE FUNCTION concert.admission_state(concert_date_id uuid,
    OUT leased_to bigint, OUT served_to bigint, OUT batches jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT max(l.to_number) FROM concert.place_lease AS l
                     WHERE l.concert_date_id = admission_state.concert_date_id), 0),
           coalesce((SELECT max(b.to_number) FROM concert.admission_batch AS b
                     WHERE b.concert_date_id = admission_state.concert_date_id), 0),
           coalesce((SELECT jsonb_agg(jsonb_build_object(
                         'from', b.from_number, 'to', b.to_number, 'admitted', b.admitted,
                         'issued_at_ms', floor(extract(epoch FROM b.issued_at) * 1000)::bigint,
                         'pass_remaining_ms', floor(extract(epoch FROM
                             b.issued_at + d.pass_seconds * interval '1 second' - statement_timestamp()) * 1000)::bigint,
                         'claim_remaining_ms', greatest(0, floor(extract(epoch FROM
                             b.issued_at + d.claim_seconds * interval '1 second' - statement_timestamp()) * 1000)::bigint))
                         ORDER BY b.to_number)
                     FROM concert.admission_batch AS b
                     JOIN concert.concert_date AS d ON d.id = b.concert_date_id
                     WHERE b.concert_date_id = admission_state.concert_date_id
                       AND b.issued_at > statement_timestamp() - d.pass_seconds * interval '1 second'), '[]');
END;
COMMENT ON FUNCTION concert.admission_state(uuid) IS 'what a cold waiting room needs to go on';
REVOKE ALL ON FUNCTION concert.admission_state(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.admission_state(uuid) TO concert_sidecar;

-- sale_dates() lists the dates whose sale is open or opens within a day, with the rules that the
-- sidecar enforces; opens_in_ms is not above 0 once it is open. Reads only.
-- Example: SELECT * FROM concert.sale_dates();
CREATE FUNCTION concert.sale_dates()
    RETURNS TABLE (concert_date_id uuid, opens_in_ms bigint, closes_in_ms bigint, admission text,
                   admission_cap integer, admission_rate integer, claim_seconds integer,
                   pass_seconds integer)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.id,
           floor(extract(epoch FROM d.sale_opens_at - statement_timestamp()) * 1000)::bigint,
           floor(extract(epoch FROM d.sale_closes_at - statement_timestamp()) * 1000)::bigint,
           d.admission, d.admission_cap, d.admission_rate, d.claim_seconds, d.pass_seconds
    FROM concert.concert_date AS d
    JOIN concert.concert AS c ON c.id = d.concert_id
    WHERE d.deleted_at IS NULL AND c.deleted_at IS NULL
      AND d.sale_opens_at < statement_timestamp() + interval '1 day'
      AND d.sale_closes_at > statement_timestamp();
END;
COMMENT ON FUNCTION concert.sale_dates() IS 'dates whose sale is open or opens within a day';
REVOKE ALL ON FUNCTION concert.sale_dates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.sale_dates() TO concert_sidecar;
