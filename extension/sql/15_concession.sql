-- Concessions: other prices for the seats of a section, such as a student's. The seats are one pool;
-- which price a seat has is chosen when it is reserved and frozen into the reservation.

CREATE TABLE concert.concession (
    id              uuid        NOT NULL DEFAULT concert.uuid7(),
    concert_date_id uuid        NOT NULL,
    section_id      uuid        NOT NULL,
    name            text        NOT NULL,
    price           bigint      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    CONSTRAINT concession_pkey PRIMARY KEY (id),
    CONSTRAINT concession_section_fkey FOREIGN KEY (section_id, concert_date_id)
        REFERENCES concert.section (id, concert_date_id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT concession_name CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT concession_price CHECK (price BETWEEN 0 AND 1000000000000000)
);
CREATE UNIQUE INDEX concession_live_name ON concert.concession (section_id, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE concert.concession IS 'another price for the seats of a section, in minor units of the section''s currency';
SELECT pg_catalog.pg_extension_config_dump('concert.concession', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.concession
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.concession
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at)
    EXECUTE FUNCTION concert.guard_change();

-- create_concession(section_id, name, price) makes a concession of a section, returns its id. price is in
-- minor units of the section's currency; reserve() is given the name.
-- Writes concession. Locks the section's row (KEY SHARE).
-- Errors: TK001 unknown section, 22004 NULL, 22023 a bad name or price, 23505 the section has a live
-- concession of that name. Example: SELECT concert.create_concession(:section, 'student', 2500);
CREATE FUNCTION concert.create_concession(section_id uuid, name text, price bigint) RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_create_concession';
COMMENT ON FUNCTION concert.create_concession(uuid, text, bigint) IS 'makes another price for the seats of a section, returns its id';
REVOKE ALL ON FUNCTION concert.create_concession(uuid, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.create_concession(uuid, text, bigint) TO concert_admin;

-- concessions(concert_date_id) lists the concessions of a date's sections.
-- Reads only. Example: SELECT * FROM concert.concessions(:date);
CREATE FUNCTION concert.concessions(concert_date_id uuid)
    RETURNS TABLE (id uuid, section_id uuid, section text, name text, price bigint, currency text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.section_id, s.name, c.name, c.price, s.currency
    FROM concert.concession AS c
    JOIN concert.section AS s ON s.id = c.section_id
    WHERE c.concert_date_id = concessions.concert_date_id
      AND c.deleted_at IS NULL AND s.deleted_at IS NULL
    ORDER BY s.name, s.price, c.name;
END;
COMMENT ON FUNCTION concert.concessions(uuid) IS 'the concessions of a date''s sections';
REVOKE ALL ON FUNCTION concert.concessions(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.concessions(uuid) TO concert_reader;
