-- A layout becomes sections and seats, all of them or none; whatever is wrong in it is named with its
-- path. What is exported imports the same hall again, and a date gets another's hall by a copy.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/layout.psql'
\i :hall
\set ECHO none
-- 'Stalls 6500 EUR seated [1,9]: 1: 1=A-1 2=A-2*': the sections of a date, their rows and seats; * is accessible.
CREATE FUNCTION pg_temp.hall(date uuid) RETURNS TABLE (section text, "row" int, seats text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', s.name, s.price, s.currency, s.kind, '[' || s.focal_row || ',' || s.focal_col || ']'), t."row",
           string_agg(t.col || '=' || t.label || CASE WHEN t.accessible THEN '*' ELSE '' END, ' ' ORDER BY t.col)
    FROM concert.section AS s LEFT JOIN concert.seat AS t ON t.section_id = s.id AND t.deleted_at IS NULL
    WHERE s.concert_date_id = date GROUP BY s.id, t."row" ORDER BY s.id, t."row"
$$;
CREATE FUNCTION pg_temp.wrong_section(section jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.wrong(jsonb_build_object('sections', jsonb_build_array('{"name": "S", "price": 1}' || section)))
$$;
CREATE FUNCTION pg_temp.wrong_seats(seats jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.wrong_section(jsonb_build_object('rows', jsonb_build_array(jsonb_build_object('label', 'A', 'seats', seats))))
$$;
\set ECHO all

-- the example of docs/layout.md
\set example `awk '/^\140\140\140json/ { on = 1; next } /^\140\140\140/ { on = 0 } on' "$PG_ABS_SRCDIR/docs/layout.md"`
SELECT pg_temp.new_date() AS example_date \gset
SELECT concert.import_layout(:'example_date', :'example');
SELECT section, "row", left(seats, 70) AS seats FROM pg_temp.hall(:'example_date');
SELECT jsonb_array_elements(concert.export_layout(:'example_date')->'sections') AS exported;
-- the act in the date's history, and the wallet that the sale needs
SELECT action, detail, seat_ids FROM concert.history WHERE concert_date_id = :'example_date';
SELECT count(*) FROM concert.account WHERE kind = 'revenue' AND currency = 'EUR' AND owner_id = :'concert';
-- and it sells
SELECT seat_id AS seat FROM concert.seat_map(:'example_date') WHERE label = 'C left' \gset
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'example_date', ARRAY[:'seat']::uuid[], :'ann');

-- import(export(x)) is x, and so is a copy
SELECT pg_temp.new_date() AS again, pg_temp.new_date() AS copy \gset
SELECT concert.import_layout(:'again', concert.export_layout(:'example_date'));
SELECT concert.copy_layout(:'example_date', :'copy');
SELECT count(*) AS rows, count(DISTINCT h) AS distinct_rows
FROM (SELECT h::text FROM pg_temp.hall(:'example_date') AS h UNION ALL SELECT h::text FROM pg_temp.hall(:'again') AS h
      UNION ALL SELECT h::text FROM pg_temp.hall(:'copy') AS h) AS three (h);
SELECT action, detail FROM concert.history WHERE concert_date_id = :'copy';
-- whose best seats are known to be there at once, though the hall was looked at before
SELECT pg_temp.new_date() AS best \gset
SELECT ok, reason FROM concert.reserve_best(:'best', 2, :'ann');
SELECT concert.copy_layout(:'example_date', :'best');
SELECT ok FROM concert.reserve_best(:'best', 2, :'ann', max_price => 6500);

-- concessions go with the sections, those that are there already stay as they are
SELECT concert.create_concession(:'section', 'student', 50) AS student, concert.create_concession(:'section', 'child', 0) AS child,
       pg_temp.new_date() AS copy \gset
SELECT concert.create_concession(concert.create_section(:'copy', 'Stalls', 100), 'child', 10) AS other_child \gset
SELECT concert.copy_layout(:'date', :'copy');
SELECT section, name, price FROM concert.concessions(:'copy');

-- a house block, what is sold and what is soft-deleted stay behind
SELECT ok FROM concert.block_seats(ARRAY[:'a2']::uuid[], 'camera');
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann');
SELECT concert.soft_delete('seat', :'a4');
SELECT pg_temp.new_date() AS copy, pg_temp.new_date() AS again \gset
SELECT concert.copy_layout(:'date', :'copy'), concert.import_layout(:'again', concert.export_layout(:'date'));
SELECT count(*) AS seats, count(blocked_reason) AS blocked,
       count(DISTINCT label) AS labels FROM concert.seat WHERE concert_date_id IN (:'copy', :'again') AND label <> 'A4';
-- of any shape: seats by hand in a standing section, labels twice (a copy takes them), spots in a corner
SELECT pg_temp.new_date() AS odd, pg_temp.new_date() AS copy, pg_temp.new_date() AS again \gset
SELECT concert.create_section(:'odd', 'Pit', 7, 'EUR', 'standing') AS pit, concert.create_section(:'odd', 'Pit', 8, 'EUR', 'standing') AS pit_2,
       concert.create_section(:'odd', 'Box "é"', 9) AS box \gset
SELECT concert.add_seats(:'odd', :'pit', 1000000, ARRAY[1000000, 5], ARRAY['x', 'x']),
       concert.add_seats(:'odd', :'pit_2', 2, ARRAY[2, 3], ARRAY['1', '2']),
       concert.add_seats(:'odd', :'box', 3, ARRAY[1, 2, 4, 7, 8], NULL, ARRAY[4]),
       concert.add_seats(:'odd', :'box', 4, ARRAY[1, 2], ARRAY['A-1', 'B-2']),
       concert.add_seats(:'odd', :'box', 5, ARRAY[1, 2], ARRAY['-1', '-2']),
       concert.add_seats(:'odd', :'box', 6, ARRAY[1, 2, 12], ARRAY['R-1', 'R-2', 'R-12']);
SELECT concert.export_layout(:'odd');
SELECT concert.copy_layout(:'odd', :'copy'), concert.import_layout(:'again', concert.export_layout(:'odd'));
SELECT concert.export_layout(:'odd') = concert.export_layout(:'again') AS imported,
       concert.export_layout(:'odd') = concert.export_layout(:'copy') AS copied;

-- generated halls: what was exported exports the same again
SET jit = off;
DO $$
DECLARE
    layout jsonb;
    date uuid;
    exported jsonb;
BEGIN
    PERFORM setseed(0.5);
    FOR run IN 1 .. 100 LOOP
        SELECT jsonb_build_object('currency', 'EUR', 'sections', jsonb_agg(section ORDER BY s)) INTO layout
        FROM generate_series(1, 1 + (random() * 4)::int) AS s, LATERAL (
            SELECT jsonb_build_object('name', 'S' || s % 3, 'price', s) ||
                CASE WHEN random() < 0.3 THEN '{"focal": [3, 4]}'::jsonb ELSE '{}'::jsonb END ||
                CASE WHEN random() < 0.2 THEN jsonb_build_object('kind', 'standing', 'capacity', 1 + (random() * 20)::int)
                ELSE jsonb_build_object('rows', (
                    SELECT jsonb_agg(jsonb_build_object('label', s || chr(64 + r)) || jsonb_build_object('seats',
                        CASE WHEN random() < 0.5 THEN to_jsonb((1 + s) || '-' || (9 + s) || ',' || 20 + r)
                        ELSE (SELECT jsonb_agg(jsonb_build_object('col', c * 2 - c / 3) ||
                              CASE WHEN random() < 0.3 THEN jsonb_build_object('label', format('%s/%s/%s', s, r, c)) ELSE '{}'::jsonb END ||
                              CASE WHEN random() < 0.2 THEN '{"accessible": true}'::jsonb ELSE '{}'::jsonb END)
                              FROM generate_series(1, 1 + (random() * 8)::int) AS c) END) ||
                        CASE WHEN random() < 0.2 THEN jsonb_build_object('row', s * 100 + r * 3) ELSE '{}'::jsonb END)
                    FROM generate_series(1, 1 + (random() * 5)::int) AS r)) END AS section) AS one;
        date := pg_temp.new_date();
        PERFORM concert.import_layout(date, layout);
        exported := concert.export_layout(date);
        date := pg_temp.new_date();
        PERFORM concert.import_layout(date, exported);
        IF concert.export_layout(date) <> exported THEN
            RAISE 'another hall: %', layout;
        END IF;
    END LOOP;
END
$$;

-- where people stand, 1000 of them fill a row
SELECT pg_temp.new_date() AS pit, pg_temp.new_date() AS again \gset
SELECT concert.import_layout(:'pit', '{"sections": [{"name": "Pit", "price": 0, "kind": "standing", "row": 7, "capacity": 1001}]}');
SELECT concert.import_layout(:'again', concert.export_layout(:'pit'));
SELECT "row", min(col), max(col), count(*), count(DISTINCT label) FROM concert.seat WHERE concert_date_id IN (:'pit', :'again') GROUP BY "row" ORDER BY 1;

-- bad input: the document
SELECT concert.import_layout(NULL, '{}');
SELECT concert.import_layout(:'date', NULL);
SELECT concert.import_layout(:'date', 'null');
SELECT pg_temp.wrong(v.layout) FROM (VALUES
    (1, '"sections"'::jsonb), (2, '1'), (3, '[]'), (4, '{}'), (5, '{"sections": [], "zones": []}'), (6, '{"sections": []}'),
    (7, '{"sections": {}}'), (8, '{"sections": null}'), (9, '{"sections": [1]}'), (10, '{"sections": [{}]}'),
    (11, '{"sections": [], "colour": "red"}'), (12, '{"sections": [], "my key\n": 1}'), (13, '{"sections": [], "currency": "euro"}'),
    (14, '{"sections": [], "currency": "eur"}'), (15, '{"sections": [], "currency": 978}'),
    (16, ('{"sections": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb)) AS v (n, layout) ORDER BY v.n;
SELECT pg_temp.wrong(jsonb_build_object('sections', '[]'::jsonb, repeat('é', 100), 1));
SELECT pg_temp.wrong('{"sections": [{"name": "S", "price": 1, "rows": []}]}', '{}');
SELECT pg_temp.wrong(jsonb_build_object('sections', (
    SELECT jsonb_agg(jsonb_build_object('name', n::text, 'price', 1, 'rows', '[]'::jsonb)) FROM generate_series(1, 2001) AS n)));
\set VERBOSITY sqlstate
SELECT concert.import_layout(:'nobody', '{"sections": [{"name": "S", "price": 1, "rows": []}]}');
SELECT concert.export_layout(:'nobody');
SELECT concert.copy_layout(:'nobody', :'date');
SELECT concert.copy_layout(:'date', :'nobody');
SELECT concert.import_layout(:'date', '{"sections": []}');
\set VERBOSITY default
SELECT concert.export_layout(NULL);
SELECT concert.copy_layout(NULL, :'date');
SELECT concert.copy_layout(:'date', NULL);

-- bad input: sections
SELECT pg_temp.wrong_section(v.section) FROM (VALUES
    (1, '{"rows": []}'::jsonb), (2, '{}'), (3, '{"rows": [], "name": ""}'), (4, '{"rows": [], "name": 7}'), (5, '{"rows": [], "price": -1}'),
    (6, '{"rows": [], "price": 1.5}'), (7, '{"rows": [], "price": "1"}'), (8, '{"rows": [], "price": 1000000000000001}'),
    (9, '{"rows": [], "price": 1e1000}'), (10, '{"rows": [], "price": 1.0}'), (11, '{"rows": [], "currency": null}'),
    (12, '{"rows": [], "kind": "lying"}'), (13, '{"rows": [], "focal": []}'), (14, '{"rows": [], "focal": [1]}'),
    (15, '{"rows": [], "focal": [1, 2, 3]}'), (16, '{"rows": [], "focal": [1, "2"]}'), (17, '{"rows": [], "focal": [0, 1]}'),
    (18, '{"rows": [], "focal": [1, 1000001]}'), (19, '{"rows": [], "capacity": 5}'), (20, '{"rows": [], "capacity": 5, "kind": "standing"}'),
    (21, '{"kind": "standing"}'), (22, '{"kind": "standing", "capacity": 0}'), (23, '{"kind": "standing", "capacity": 1000001}'),
    (24, '{"kind": "standing", "capacity": -5}'), (25, '{"kind": "standing", "capacity": "5"}'),
    (26, '{"kind": "standing", "capacity": 1001, "row": 1000000}'), (27, '{"rows": [], "row": 4}'), (28, '{"rows": "1-18"}'),
    (29, '{"rows": [1]}'), (30, '{"rows": [{}]}'), (31, '{"rows": [], "rowz": []}')) AS v (n, section) ORDER BY v.n;
SELECT pg_temp.wrong_section(jsonb_build_object('rows', '[]'::jsonb, 'name', repeat('x', 201)));
SELECT pg_temp.wrong('{"sections": [{"name": "S", "price": 1, "rows": []}, {"name": "S", "price": 2, "rows": []}, {"name": "S", "price": 1, "kind": "standing", "rows": []}]}');

-- bad input: rows and seats
SELECT pg_temp.wrong_section(jsonb_build_object('rows', v.rows)) FROM (VALUES
    (1, '[{"row": 0, "seats": "1"}]'::jsonb), (2, '[{"row": -1, "seats": "1"}]'), (3, '[{"row": 1000001, "seats": "1"}]'), (4, '[{"row": 2147483648, "seats": "1"}]'),
    (5, '[{"row": 9223372036854775808, "seats": "1"}]'), (6, '[{"row": 1.25, "seats": "1"}]'), (7, '[{"row": "1", "seats": "1"}]'),
    (8, '[{"row": 1000000, "seats": "1"}, {"seats": "1"}]'), (9, '[{"label": "", "seats": "1"}]'), (10, '[{"label": 1, "seats": "1"}]'),
    (11, '[{"seats": "1"}, {"row": 1, "seats": "2"}]'), (12, '[{"row": 1, "seats": "1"}, {"row": 1, "seats": "1"}]'), (13, '[{"seats": "1", "x": {"y": 1}}]'),
    (14, '[{"label": "A", "seats": "1"}, {"label": "A", "seats": "1"}]'), (15, '[{"label": "A", "seats": "3"}, {"seats": [{"col": 2}, {"col": 1, "label": "A-3"}]}]')) AS v (n, rows) ORDER BY v.n;
SELECT pg_temp.wrong_seats(v.seats) FROM (VALUES
    (1, '""'::jsonb), (2, '"A"'), (3, '"0"'), (4, '"1-"'), (5, '"-3"'), (6, '"3-1"'), (7, '"1,,2"'), (8, '"1,2,"'), (9, '"1;2"'), (10, '"1 - 2"'),
    (11, '"1-1000001"'), (12, '"99999999999999999999"'), (13, '"1-3,3-5"'), (14, '"1-18 é"'), (15, '12'), (16, 'null'), (17, '{}'), (18, '[]'), (19, '[1]'),
    (20, '[{}]'), (21, '[{"col": "1"}]'), (22, '[{"col": 0}]'), (23, '[{"col": 1.5}]'), (24, '[{"col": -2}]'), (25, '[{"col": 4294967297}]'),
    (26, '[{"col": 1, "label": ""}]'), (27, '[{"col": 1, "label": null}]'), (28, '[{"col": 1, "accessible": "yes"}]'), (29, '[{"col": 1, "seat": 1}]'),
    (30, '[{"col": 1}, {"col": 2}, {"col": 1, "label": "other"}]'), (31, '[{"col": 1}, {"col": 2, "label": "A-1"}]'), (32, '"000001"'), (33, '"1-1000000,1"')) AS v (n, seats) ORDER BY v.n;
SELECT pg_temp.wrong_section(jsonb_build_object('rows', jsonb_build_array(jsonb_build_object('label', repeat('x', 199), 'seats', '7,8-10'))));
SELECT pg_temp.wrong_seats(jsonb_build_array(jsonb_build_object('col', 1, 'label', repeat('x', 201))));
-- one printed name at two prices is one section to whoever reads a ticket
SELECT pg_temp.wrong('{"sections": [{"name": "S", "price": 1, "rows": [{"label": "A", "seats": "1-4"}]}, {"name": "S", "price": 2, "rows": [{"label": "A", "seats": "4-8"}]}]}');
SELECT pg_temp.wrong('{"sections": [{"name": "S", "price": 1, "rows": [{"row": 1, "label": "A", "seats": "1-4"}]}, {"name": "S", "price": 2, "rows": [{"row": 1, "label": "A", "seats": "5-8"}]}]}');

-- into a date that has seats and is on sale: only new spots and labels; nothing of a refused layout stays
SELECT concert.import_layout(:'date', '{"sections": [{"name": "Stalls", "price": 100, "rows": [{"row": 1, "label": "A", "seats": "7-9"}, {"label": "B", "seats": "1-2"}]}]}');
SELECT * FROM pg_temp.hall(:'date');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "New", "price": 1, "rows": [{"seats": "1"}, {"row": 1, "seats": "10,9"}]}]}');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "New", "price": 1, "rows": [{"row": 1, "seats": "4"}]}]}');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "Stalls", "price": 101, "rows": [{"seats": [{"col": 1, "label": "A5"}]}]}]}');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "Stalls", "price": 100, "kind": "standing", "rows": []}]}');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "Stalls", "price": 100, "focal": [1, 1], "rows": []}]}');
SELECT count(*) AS rows FROM pg_temp.hall(:'date');
SELECT pg_temp.taken(:'date');
-- whoever follows the seat map is told to read it anew
SELECT version FROM concert.seat_map_packed(:'date') \gset
SELECT anew FROM concert.seat_map_changes(:'date', :'version');
SELECT concert.import_layout(:'date', '{"sections": [{"name": "Gallery", "price": 1, "rows": [{"seats": "1"}]}]}');
SELECT max("row") FROM concert.seat WHERE concert_date_id = :'date';
SELECT anew FROM concert.seat_map_changes(:'date', :'version');
SELECT packed.seats = map.seats AS all_there FROM concert.seat_map_packed(:'date') AS packed,
       (SELECT count(*) AS seats FROM concert.seat_map(:'date')) AS map;

-- copying: only to where no seat is; sections that are there are used
SELECT pg_temp.new_date() AS part, pg_temp.new_date() AS other_kind, pg_temp.new_date() AS gone \gset
SELECT concert.create_section(:'part', 'Stalls', 100) AS part_section, concert.create_section(:'other_kind', 'Stalls', 100, 'PTS', 'standing') AS other_section,
       concert.create_section(:'gone', 'Stalls', 100) AS gone_section \gset
SELECT concert.copy_layout(:'date', :'part');
SELECT count(DISTINCT section) FROM pg_temp.hall(:'part');
SELECT concert.add_seats(:'gone', :'gone_section', 1, ARRAY[1]);
SELECT concert.soft_delete('seat', (SELECT id FROM concert.seat WHERE concert_date_id = :'gone'));
CREATE FUNCTION pg_temp.refused_copy(from_date uuid, to_date uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'copied ' || concert.copy_layout(from_date, to_date);
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || regexp_replace(sqlerrm, '[0-9a-f-]{36}', 'ID');
END
$$;
SELECT pg_temp.refused_copy(:'date', d.date) FROM (VALUES (1, :'gone'::uuid), (2, :'part'), (3, :'date'), (4, :'other_kind')) AS d (n, date) ORDER BY d.n;
SELECT pg_temp.refused_copy(pg_temp.new_date(), pg_temp.new_date());

-- an export is what the statement's snapshot shows, in any worker
SELECT provolatile, proparallel FROM pg_proc WHERE oid = 'concert.export_layout(uuid)'::regprocedure;
SELECT pg_temp.new_date() AS fresh \gset
SELECT concert.copy_layout(:'date', :'fresh') > 0 AS copied, concert.export_layout(:'fresh') AS before;

-- for admins alone
SET ROLE concert_sidecar;
SELECT concert.import_layout(:'date', '{}');
SELECT concert.export_layout(:'date');
SELECT concert.copy_layout(:'date', :'date');
RESET ROLE;
SET ROLE concert_admin;
SELECT concert.import_layout(:'date', '{}');
RESET ROLE;
SELECT * FROM concert.check_integrity();
