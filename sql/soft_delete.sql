-- What lives hangs on what lives: nothing is deleted while something live depends on it, nothing restored
-- under something deleted, by the functions or by any UPDATE; whoever changed it, history, the event and
-- the seat map tell.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
-- What a statement ends in, without ids.
CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN regexp_replace(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, '')),
                          '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g');
END
$$;
CREATE FUNCTION pg_temp.soft_delete(kind text, id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.attempt(format('SELECT concert.soft_delete(%L, %L)', kind, id))
$$;
CREATE FUNCTION pg_temp.restore(kind text, id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.attempt(format('SELECT concert.restore(%L, %L)', kind, id))
$$;
-- The house's acts on a date, oldest first.
CREATE FUNCTION pg_temp.acts(date uuid) RETURNS TABLE (action text, actor boolean, detail text, seats text) LANGUAGE sql AS $$
    SELECT h.action, h.actor = session_user, split_part(h.detail, ' ', 1),
           (SELECT string_agg(s.label, ', ') FROM concert.seat AS s WHERE s.id = ANY (h.seat_ids))
    FROM concert.history AS h WHERE h.concert_date_id = date AND h.booking_id IS NULL ORDER BY h.at, h.xid
$$;

-- what depends is named, each with its id
SELECT pg_temp.soft_delete('section', :'section');
SELECT concert.add_seats(:'date', :'section', 2, ARRAY[1,2,3,4,5,6]);
SELECT pg_temp.soft_delete('section', :'section');
SELECT pg_temp.soft_delete('concert_date', :'date');
SELECT pg_temp.soft_delete('concert', :'concert') LIKE 'TK007 | % | Live dates: % (ID).' AS refused;
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann') \gset
SELECT pg_temp.soft_delete('seat', :'a1');
SELECT ok FROM concert.pay(:'booking', :'ann');
SELECT pg_temp.soft_delete('seat', :'a2');

-- a pending whose time is over reads as free: it ends, and the seat goes
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'bob') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT pg_temp.soft_delete('seat', :'a3'), pg_temp.booked(:'lapsed');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a3', :'a5']::uuid[], :'bob');
SELECT label, state FROM concert.seat_map(:'date') WHERE "row" = 1;
SELECT state, user_id, remaining_ms FROM concert.seat_states(:'date', ARRAY[:'a3']::uuid[]);
SELECT ok, reason FROM concert.pay(:'lapsed', :'bob');

-- deleted, restored, reserved
SELECT pg_temp.soft_delete('seat', :'a3'), pg_temp.restore('seat', :'a4'), pg_temp.restore('seat', :'a3'), pg_temp.restore('seat', :'a3');
SELECT state, user_id, remaining_ms FROM concert.seat_states(:'date', ARRAY[:'a3']::uuid[]);
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a3', :'a5']::uuid[], :'bob');
SELECT * FROM pg_temp.acts(:'date');
SELECT action, booking_id IS NULL AS the_house FROM concert.history_of_seat(:'a3');
SELECT type, key = :'date' AS of_the_date, payload->'seats'->0->>'seat_id' = :'a3' AS of_the_seat
FROM concert.outbox_event WHERE type IN ('seat.deleted', 'seat.restored') AND key = :'date' ORDER BY seq;

-- from the leaves to the root, and back from the root to the leaves
SELECT concert.create_concert('Spring Gala') AS gala \gset
SELECT concert.create_concert_date(:'gala', '2999-12-24') AS eve \gset
SELECT concert.create_section(:'eve', 'Stalls', 5) AS stalls \gset
SELECT concert.add_seats(:'eve', :'stalls', 1, ARRAY[1], ARRAY['S1']);
SELECT seat_id AS s1 FROM concert.seat_map(:'eve') \gset
SELECT pg_temp.soft_delete('seat', :'s1'), pg_temp.soft_delete('section', :'stalls'),
       pg_temp.soft_delete('concert_date', :'eve'), pg_temp.soft_delete('concert', :'gala');
SELECT pg_temp.restore('seat', :'s1');
SELECT pg_temp.restore('section', :'stalls');
SELECT pg_temp.restore('concert_date', :'eve');
SELECT count(*) AS violations FROM concert.check_integrity();
SELECT pg_temp.restore('concert', :'gala'), pg_temp.restore('concert_date', :'eve'),
       pg_temp.restore('section', :'stalls'), pg_temp.restore('seat', :'s1');
SELECT section, label, state FROM concert.seat_map(:'eve');
SELECT * FROM pg_temp.acts(:'eve');

-- a section whose name, price and currency a live one has meanwhile stays deleted
SELECT concert.create_section(:'eve', 'Balcony', 5) AS balcony \gset
SELECT pg_temp.soft_delete('section', :'balcony');
SELECT concert.create_section(:'eve', 'Balcony', 5) AS again \gset
SELECT pg_temp.restore('section', :'balcony');
SELECT pg_temp.attempt(format('UPDATE concert.section SET deleted_at = NULL WHERE id = %L', :'balcony'));
SELECT pg_temp.attempt(format('UPDATE concert.section SET deleted_at = NULL, price = 6 WHERE id = %L', :'balcony'));

-- a concession is nobody's parent
SELECT concert.create_concession(:'stalls', 'student', 3) AS student \gset
SELECT pg_temp.soft_delete('concession', :'student');
SELECT concert.create_concession(:'stalls', 'student', 2) AS other_student \gset
SELECT pg_temp.restore('concession', :'student');
SELECT pg_temp.soft_delete('concession', :'other_student'), pg_temp.restore('concession', :'student');
SELECT name, price FROM concert.live_concession WHERE section_id = :'stalls';

-- the same rules for every UPDATE, as superuser too
SELECT pg_temp.attempt(format('UPDATE concert.seat SET deleted_at = now() WHERE id = %L', :'a1'));
SELECT pg_temp.attempt(format('UPDATE concert.section SET deleted_at = now() WHERE id = %L', :'stalls'));
SELECT pg_temp.attempt(format('UPDATE concert.concert_date SET deleted_at = now() WHERE id = %L', :'eve'));
SELECT pg_temp.attempt(format('UPDATE concert.concert SET deleted_at = now() WHERE id = %L', :'gala')) LIKE 'TK007%' AS refused;
SELECT pg_temp.attempt(format('UPDATE concert.seat SET deleted_at = now() WHERE id = %L', :'s1'));
SELECT pg_temp.attempt(format('UPDATE concert.section SET deleted_at = now() WHERE concert_date_id = %L', :'eve'));
SELECT pg_temp.attempt(format('UPDATE concert.seat SET deleted_at = NULL WHERE id = %L', :'s1'));
-- also what another trigger makes of the row
CREATE FUNCTION pg_temp.end_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.deleted_at := now(); RETURN new; END $$;
CREATE TRIGGER own BEFORE UPDATE ON concert.seat FOR EACH ROW EXECUTE FUNCTION pg_temp.end_it();
SELECT pg_temp.attempt(format('UPDATE concert.seat SET label = ''mine'' WHERE id = %L', :'a1'));
DROP TRIGGER own ON concert.seat;
-- which locks the seat as reserving does, by its old and by its new id; other changes lock nothing
CREATE FUNCTION pg_temp.locked_as_by_reserve(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    locks bigint;
BEGIN
    EXECUTE statement;
    SELECT count(*) INTO locks FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 105;
    RAISE EXCEPTION USING MESSAGE = locks;
EXCEPTION WHEN raise_exception THEN
    RETURN SQLERRM;
END
$$;
SELECT pg_temp.locked_as_by_reserve(format('SELECT concert.reserve(%L, ARRAY[%L]::uuid[], %L)', :'date', :'a6', :'ann')) AS reserve,
       pg_temp.locked_as_by_reserve(format('UPDATE concert.seat SET deleted_at = now() WHERE id = %L', :'a6')) AS deleted,
       pg_temp.locked_as_by_reserve(format('UPDATE concert.seat SET id = concert.uuid7() WHERE id = %L', :'a6')) AS id,
       pg_temp.locked_as_by_reserve(format('UPDATE concert.concert_date SET id = concert.uuid7() WHERE id = %L', :'date')) AS date,
       pg_temp.locked_as_by_reserve(format('UPDATE concert.section SET id = concert.uuid7() WHERE id = %L', :'section')) AS section,
       pg_temp.locked_as_by_reserve(format('UPDATE concert.seat SET label = %L WHERE id = %L', 'x', :'a6')) AS label;

-- whoever keeps a map of the date learns of it, also of a bare statement's doing and of another id
SELECT version AS v, layout AS before FROM concert.seat_map_packed(:'date') \gset
UPDATE concert.seat SET deleted_at = now() WHERE id = :'a6';
SELECT anew FROM concert.seat_map_changes(:'date', :'v');
SELECT version AS v, layout <> :'before' AS another_layout FROM concert.seat_map_packed(:'date') \gset
UPDATE concert.seat SET deleted_at = NULL WHERE id = :'a6';
SELECT anew FROM concert.seat_map_changes(:'date', :'v');
SELECT version AS v, layout = :'before' AS same_layout FROM concert.seat_map_packed(:'date') \gset
SELECT :'another_layout' AS another_layout, :'same_layout' AS same_layout;
UPDATE concert.seat SET id = concert.uuid7() WHERE id = :'a6' RETURNING id AS new_a6 \gset
SELECT anew FROM concert.seat_map_changes(:'date', :'v');
SELECT layout <> :'before' AS another_layout FROM concert.seat_map_packed(:'date');
SELECT action, array_position(seat_ids, :'a6') AS old, array_position(seat_ids, :'new_a6') AS new
FROM concert.history WHERE seat_ids @> ARRAY[:'a6']::uuid[] AND booking_id IS NULL ORDER BY at;
UPDATE concert.seat SET id = :'a6' WHERE id = :'new_a6';

-- the views of live rows
SELECT (SELECT count(*) FROM concert.live_concert WHERE id IN (:'concert', :'gala')) AS concerts,
       (SELECT count(*) FROM concert.live_concert_date WHERE concert_id IN (:'concert', :'gala')) AS dates,
       (SELECT string_agg(name || ' ' || price, ', ' ORDER BY name, price) FROM concert.live_section WHERE concert_date_id = :'eve') AS sections,
       (SELECT count(*) FROM concert.live_seat WHERE concert_date_id IN (:'date', :'eve')) AS seats;
SELECT s.label, r.status FROM concert.live_reservation AS r JOIN concert.seat AS s ON s.id = r.seat_id
WHERE r.concert_date_id = :'date' ORDER BY s.label;

-- bad input: restore
SELECT concert.restore('concert', :'nobody');
SELECT pg_temp.restore('seat', :'a6');
SELECT concert.restore('reservation', :'nobody');
SELECT concert.restore(NULL, :'nobody');
SELECT concert.restore('seat', NULL);
SELECT pg_temp.attempt('SELECT concert.guard_change()');
SELECT count(*) AS violations FROM concert.check_integrity();
