-- Idempotency: what was answered to a request that carried a key.
--
-- Four tables, each for a period of 3.5 days, used in turn: the current period's and the two
-- before it hold at least seven days; the fourth is emptied meanwhile. No unique index can span
-- them, so request.c takes the key's lock, looks in every table and then acts. Nobody may delete from
-- them: without its answer a delayed duplicate would book again.

DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE pg_catalog.format($f$
            CREATE TABLE concert.request_%1$s (
                user_id    uuid        NOT NULL,
                operation  text        NOT NULL,
                key        text        NOT NULL,
                digest     bytea       NOT NULL,
                result     jsonb       NOT NULL,
                created_at timestamptz NOT NULL
            )$f$, i);
        EXECUTE pg_catalog.format(
            'CREATE INDEX request_%1$s_key ON concert.request_%1$s (user_id, operation, key)', i);
        EXECUTE pg_catalog.format($f$
            COMMENT ON TABLE concert.request_%1$s IS 'answers given under an idempotency key, one part of a ring of four'$f$, i);
        PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('concert.request_%s', i), '');
        EXECUTE pg_catalog.format('CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.request_%s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete(%L)', i,
            'Use concert.request_rotate(): it empties what is past seven days.');
    END LOOP;
END
$$;

-- request_rotate() empties those tables of the ring whose answers are all older than seven days.
-- Returns how many it emptied; a table that is in use is left for the next call.
-- Writes request_N. Locks request_N (ACCESS EXCLUSIVE, without waiting).
-- Errors: none of its own. Example: SELECT concert.request_rotate();
CREATE FUNCTION concert.request_rotate() RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_request_rotate';
COMMENT ON FUNCTION concert.request_rotate() IS 'empties the tables of the request ring that are past seven days';
REVOKE ALL ON FUNCTION concert.request_rotate() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.request_rotate() TO concert_sidecar;
