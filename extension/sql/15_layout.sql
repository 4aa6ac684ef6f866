-- Layouts: a whole hall in one document (docs/layout.md has both forms and an example), and the same
-- hall for another date.

-- import_layout(concert_date_id, layout, prices) adds the sections and seats of a document to a date,
-- all or nothing, and returns how many seats. layout is of our own form ("sections") or a pretix seating
-- plan ("zones"); for the latter, prices has each category's price in minor units and currency (PTS
-- without one). A section that the date has already (same name, price and currency) gets the seats; a
-- date on sale may be added to. Nothing that is there changes.
-- Writes section, account, seat, history ('added'). Locks the date's row (FOR NO KEY UPDATE: waits for
-- who has added seats or sections to it and is not done) and its sections' (KEY SHARE).
-- Errors: TK014 a layout that is not as it should be, with the path to the mistake; TK001 unknown date,
-- 22004 NULL (of prices too, for a plan).
-- Example: SELECT concert.import_layout(:date, '{"sections": [{"name": "Stalls", "price": 5000,
--     "rows": [{"label": "A", "seats": "1-18"}]}]}');
CREATE FUNCTION concert.import_layout(concert_date_id uuid, layout jsonb, prices jsonb DEFAULT NULL)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_import_layout';
COMMENT ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) IS 'adds a document''s sections and seats to a date, all or nothing';
REVOKE ALL ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.import_layout(uuid, jsonb, jsonb) TO concert_admin;

-- export_layout(concert_date_id) returns the live sections and seats of a date as a layout of our own
-- form: into an empty date it imports the same sections, grid, labels, prices, focal points and
-- accessible seats. House blocks, concessions and reservations are no part of it.
-- Reads only. Errors: TK001 unknown date, 22004 NULL.
-- Example: SELECT jsonb_pretty(concert.export_layout(:date));
CREATE FUNCTION concert.export_layout(concert_date_id uuid) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_export_layout';
COMMENT ON FUNCTION concert.export_layout(uuid) IS 'a date''s sections and seats as a layout';
REVOKE ALL ON FUNCTION concert.export_layout(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.export_layout(uuid) TO concert_admin;

-- copy_layout(from_date, to_date) gives a date without seats the live sections, concessions and seats of
-- another one, of any concert, and returns how many seats. House blocks and reservations are not copied.
-- Writes section, concession, account, seat, history ('added'). Locks the row of to_date (FOR NO KEY UPDATE:
-- waits for who has added seats or sections to it and is not done), that of from_date and the sections of both (KEY SHARE).
-- Errors: TK014 to_date has seats (soft-deleted ones count) or a section of the same name, price and
-- currency but another kind or focal point; TK001 unknown date, 22004 NULL.
-- Example: SELECT concert.copy_layout(:first_night, :second_night);
CREATE FUNCTION concert.copy_layout(from_date uuid, to_date uuid) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_copy_layout';
COMMENT ON FUNCTION concert.copy_layout(uuid, uuid) IS 'gives a date without seats the sections and seats of another';
REVOKE ALL ON FUNCTION concert.copy_layout(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.copy_layout(uuid, uuid) TO concert_admin;
