-- SPDX-License-Identifier: PostgreSQL
-- concert: the install script is made of extension/sql/NN_noun.sql, joined in order by make.
\echo Use "CREATE EXTENSION concert" to load this file. \quit

-- Roles are the cluster's, not the database's: they stay when the extension goes. Each is a
-- member of the one before it: a reader reads, an app also sells, the sidecar also relays and
-- admits, an admin also sets up and takes down.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['concert_reader', 'concert_app', 'concert_sidecar', 'concert_admin']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$$;
GRANT concert_reader TO concert_app;
GRANT concert_app TO concert_sidecar;
GRANT concert_sidecar TO concert_admin;
GRANT USAGE ON SCHEMA concert TO concert_reader;

-- uuid7() makes a version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, then randomness, so
-- that ids made one after another lie side by side in an index.
-- Writes nothing, locks nothing.
-- Example: SELECT concert.uuid7();
CREATE FUNCTION concert.uuid7() RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_uuid7';
COMMENT ON FUNCTION concert.uuid7() IS 'a new time-ordered UUID (version 7)';

-- Triggers that keep what must never go: refuse_delete() stands on tables whose rows are never
-- removed (TK005), refuse_change() on history (TK006); the latter lets through exactly the cascade
-- of a changed account id, to the account's own rows. Both let through what purge(), the functions
-- that rotate a ring and those that change a payment do to their table, but not what a trigger does
-- meanwhile. A trigger's argument is the error's hint.
CREATE FUNCTION concert.refuse_delete() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_refuse_delete';
COMMENT ON FUNCTION concert.refuse_delete() IS 'trigger: DELETE and TRUNCATE raise TK005';
REVOKE ALL ON FUNCTION concert.refuse_delete() FROM PUBLIC;

CREATE FUNCTION concert.refuse_change() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_refuse_change';
COMMENT ON FUNCTION concert.refuse_change() IS 'trigger: UPDATE, DELETE and TRUNCATE of history raise TK006';
REVOKE ALL ON FUNCTION concert.refuse_change() FROM PUBLIC;

-- guard_change() is the trigger on the programme's tables and on account that stands for what
-- reserving and paying do not lock: a change of an id, of a seat's date or of deleted_at takes the lock
-- of the seat (or account), of the old and the new id, waiting. What something live depends on cannot be
-- deleted (TK007), nothing can be restored under something deleted (TK015), by whatever statement.
CREATE FUNCTION concert.guard_change() RETURNS trigger
    LANGUAGE c SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_guard_change';
COMMENT ON FUNCTION concert.guard_change() IS 'trigger: changes of ids and of deleted_at take the locks of reserving; TK007, TK015';
REVOKE ALL ON FUNCTION concert.guard_change() FROM PUBLIC;

-- forget_kept() stands on tables whose rows backends keep, because every sale reads them and hardly
-- anything changes them: a change makes them read again, from its commit on. It is a row trigger and
-- ENABLE ALWAYS, so that it sees what logical replication applies too, and what is written under
-- session_replication_role replica. While it is anything but ALWAYS, as after ENABLE TRIGGER ALL, backends
-- keep nothing: each sale reads the rows, until the trigger is made ALWAYS again.
CREATE FUNCTION concert.forget_kept() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'concert_forget_kept';
COMMENT ON FUNCTION concert.forget_kept() IS 'trigger: backends forget what they keep of the table''s rows';
REVOKE ALL ON FUNCTION concert.forget_kept() FROM PUBLIC;
