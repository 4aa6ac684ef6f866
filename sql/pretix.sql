-- A pretix seating plan becomes a hall in which neighbours in the grid are neighbours in the plan: seats
-- and rows are placed by their positions, aisles stay empty. What is wrong in a plan is named with its path.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/layout.psql'
\i :hall
\set ECHO none
-- A row of seats at x, y, dx, dy; the numbers in the order of the plan, "-" leaves a seat out.
CREATE FUNCTION pg_temp."row"(name text, x float, y float, dx float, dy float, numbers text, category text DEFAULT 'normal', guids text DEFAULT '')
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('row_number', name, 'position', jsonb_build_object('x', x, 'y', y), 'seats',
        coalesce(jsonb_agg(jsonb_build_object('seat_guid', concat_ws('/', guids, name, x, y, n), 'seat_number', number, 'category', category,
                                     'position', jsonb_build_object('x', (n - 1) * dx, 'y', (n - 1) * dy)) ORDER BY n)
                 FILTER (WHERE number <> '-'), '[]'))
    FROM unnest(string_to_array(numbers, ' ')) WITH ORDINALITY AS s (number, n)
$$;
CREATE FUNCTION pg_temp.zone(name text, x float, y float, VARIADIC rows jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('name', name, 'position', jsonb_build_object('x', x, 'y', y), 'rows', to_jsonb(rows))
$$;
CREATE FUNCTION pg_temp.plan(VARIADIC zones jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('name', 'Plan', 'size', '{"width": 1000, "height": 1000}'::jsonb, 'zones', to_jsonb(zones), 'categories',
                              '[{"name": "normal", "color": "#aaa"}, {"name": "best"}, {"name": "unused"}]'::jsonb)
$$;
-- The grid as one sees it: a line for each row, a dot for each empty col.
CREATE FUNCTION pg_temp.seen(layout jsonb) RETURNS TABLE ("row" int, sections text, seats text) LANGUAGE plpgsql AS $$
DECLARE
    date uuid := pg_temp.new_date();
BEGIN
    PERFORM concert.import_layout(date, layout, '{"normal": {"price": 100, "currency": "EUR"}, "best": {"price": 250}}');
    RETURN QUERY
    SELECT t."row", string_agg(DISTINCT concat_ws(' ', s.name, s.price, s.currency), ', '),
           (SELECT string_agg(coalesce((SELECT label FROM concert.seat WHERE concert_date_id = date AND seat."row" = t."row" AND col = c), '.'),
                              ' ' ORDER BY c) FROM generate_series(1, max(t.col)) AS c)
    FROM concert.seat AS t JOIN concert.section AS s ON s.id = t.section_id WHERE t.concert_date_id = date GROUP BY t."row" ORDER BY t."row";
END
$$;
CREATE FUNCTION pg_temp.wrong_plan(plan jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.wrong(plan, '{"normal": {"price": 100}, "best": {"price": 250}}')
$$;
-- The plan with something else at a place of it.
CREATE FUNCTION pg_temp.wrong_at(path text[], item jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.wrong_plan(jsonb_set(pg_temp.plan(pg_temp.zone('Main', 0, 0, pg_temp."row"('A', 0, 0, 30, 0, '1 2'))), path, item))
$$;
\set ECHO all

-- two blocks with an aisle between and an aisle across; rows of the right block come in any order, B's
-- numbers from right to left; the front row has a price of its own, and the zones stay apart
SELECT * FROM pg_temp.seen(pg_temp.plan(
    pg_temp.zone('Main', 100, 50,
        pg_temp."row"('A', 0, 0, 30, 0, '1 2 3', 'best'), pg_temp."row"('B', 0, 30, 30, 0, '3 2 1'),
        pg_temp."row"('C', 0, 60, 30, 0, '1 2 3'), pg_temp."row"('D', 0, 120, 30, 0, '1 2 3'),
        pg_temp."row"('D', 150, 121, 30, 0, '4 5'), pg_temp."row"('C', 150, 59, 30, 0, '4 5'),
        pg_temp."row"('A', 150, 2, 30, 0, '4 5', 'best'), pg_temp."row"('B', 150, 31, 30, 0, '4 5')),
    pg_temp.zone('Balcony', 0, 500, pg_temp."row"('', 0, 0, 30, 0, '1 2 - - 3 4 5'))));
-- the order of the plan is not that of the hall: odd numbers first, rows from behind
SELECT * FROM pg_temp.seen(pg_temp.plan(pg_temp.zone('Main', 0, 0,
    pg_temp."row"('2', 0, -30, 60, 0, '1 3 5'), pg_temp."row"('2', 30, -30, 60, 0, '2 4'), pg_temp."row"('1', 0, -60, 30, 0, '1 2 3 4 5'))));
-- rows that run downwards, and across; no name: the category's
SELECT * FROM pg_temp.seen(pg_temp.plan(
    pg_temp.zone('', 0, 0, pg_temp."row"('L', 0, 0, 0, 25, '1 2 3 - 4'), pg_temp."row"('M', -40, 0, 0, 25, '1 2 3 - 4')),
    pg_temp.zone('Wing', 0, 0, pg_temp."row"('W', 0, 0, 20, 20, '1 2 3'), pg_temp."row"('V', 20, -20, 20, 20, '1 2 3 - 4'))));
-- a bow; pairs with gaps; rows that are indented; few seats, where the zone says what is usual
SELECT * FROM pg_temp.seen(pg_temp.plan(
    pg_temp.zone('Bow', 0, 0, jsonb_build_object('row_number', 'A', 'seats', (
        SELECT jsonb_agg(jsonb_build_object('seat_guid', 'bow ' || n, 'seat_number', n::text, 'category', 'normal', 'position',
                         jsonb_build_object('x', 200 * sin(n * 0.15), 'y', 200 * cos(n * 0.15)))) FROM generate_series(-5, 5) AS n))),
    pg_temp.zone('Pairs', 0, 0, pg_temp."row"('P', 0, 0, 20, 0, '1 2 - 3 4 - 5 6'), pg_temp."row"('Q', 40, 20, 20, 0, '1 2'), pg_temp."row"('R', 0, 40, 20, 0, '1 - - 2')),
    pg_temp.zone('Singles', 0, 0, pg_temp."row"('S', 0, 0, 0, 0, '1'), pg_temp."row"('S', 50, 0, 0, 0, '2'), pg_temp."row"('T', 0, 50, 0, 0, '1'))));
-- keys that are known and not used
SELECT pg_temp.wrong_plan(jsonb_set(jsonb_set(jsonb_set(pg_temp.plan(pg_temp.zone('Main', 0.5, -7.25, pg_temp."row"('A', 0, 0, 30, 0, '1 2'))),
    '{zones,0,areas}', '[{"shape": "circle", "text": {"text": "Stage"}}]'),
    '{zones,0,rows,0,row_number_position}', '"both"'), '{zones,0,rows,0,seats,0,radius}', '10'));

-- bad input: the plan, its categories and their prices
SELECT concert.import_layout(:'date', pg_temp.plan(pg_temp.zone('Main', 0, 0, pg_temp."row"('A', 0, 0, 30, 0, '1'))));
SELECT pg_temp.wrong_at(v.path, v.item) FROM (VALUES
    (1, '{zones}'::text[], '[]'::jsonb), (2, '{zones}', '{}'), (3, '{zones,0}', '7'), (4, '{zones,0,rows}', '[]'), (5, '{zones,0,rows}', 'null'), (6, '{zones,0,rows,0,seats}', '[]'),
    (7, '{zones,0,zoom}', '2'), (8, '{zones,0,name}', '5'), (9, '{zones,0,position}', '[0, 0]'), (10, '{zones,0,position}', '{"x": 1}'),
    (11, '{zones,0,position,x}', '1e7'), (12, '{zones,0,position,y}', '-1e400'), (13, '{zones,0,position,x}', '"4"'), (14, '{zones,0,position,z}', '4'),
    (15, '{zones,0,rows,0,row_number}', '7'), (16, '{zones,0,rows,0,row_numbr}', '"7"'), (17, '{zones,0,rows,0,row_number}', to_jsonb(repeat('9', 100))),
    (18, '{zones,0,rows,0,seats,1,seat_number}', '7'), (19, '{zones,0,rows,0,seats,1,seat_number}', '""'), (20, '{zones,0,rows,0,seats,1,seat_number}', '"1"'),
    (21, '{zones,0,rows,0,seats,1,seat_guid}', '"/A/0/0/1"'), (22, '{zones,0,rows,0,seats,1,seat_guid}', '""'), (23, '{zones,0,rows,0,seats,1,position}', '{"x": 0, "y": 0}'),
    (24, '{zones,0,rows,0,seats,1,position}', '{"x": 1e6, "y": 0}'), (25, '{zones,0,rows,0,seats,1,category}', '"normal "'), (26, '{zones,0,rows,0,seats,1,category}', '"unused"'),
    (27, '{zones,0,rows,0,seats,1,category}', '1'), (28, '{zones,0,rows,0,seats,1,colour}', '1'), (29, '{zones,0,rows,0,seats,1}', '{}'), (30, '{zones,0,rows,0,seats,1}', '[]'),
    (31, '{categories}', '[{"name": "normal"}, {"name": "best"}, {"name": "normal"}]'), (32, '{categories}', '[{"name": ""}]'), (33, '{categories}', '["normal"]'), (34, '{categories}', '{"normal": 1}'),
    (35, '{categories,0,price}', '100'), (36, '{colour}', '"red"'), (37, '{sections}', '[]')) AS v (n, path, item) ORDER BY v.n;
SELECT pg_temp.wrong(pg_temp.plan(pg_temp.zone('Main', 0, 0, pg_temp."row"('A', 0, 0, 30, 0, '1'))), v.prices) FROM (VALUES
    (1, '{}'::jsonb), (2, '[]'), (3, '100'), (4, '{"normal": 100}'), (5, '{"normal": {}}'), (6, '{"normal": {"price": -1}}'), (7, '{"normal": {"price": 100, "currency": "EURO"}}'),
    (8, '{"normal": {"price": 100}, "no such": {"price": 100}}'), (9, '{"normal": {"price": 100, "vat": 7}}'), (10, '{"normal": {"price": 0}}')) AS v (n, prices) ORDER BY v.n;
SELECT pg_temp.wrong(jsonb_build_object('zones', '[]'::jsonb, 'categories', (SELECT jsonb_agg(jsonb_build_object('name', n::text)) FROM generate_series(1, 1001) AS n)), '{}');
SELECT pg_temp.wrong_plan(pg_temp.plan(jsonb_build_object('position', '{"x": 0, "y": 0}'::jsonb, 'rows', (SELECT jsonb_agg('{"row_number": "", "seats": []}'::jsonb) FROM generate_series(1, 10001)))));
-- the same label in two zones of one name
SELECT pg_temp.wrong_plan(pg_temp.plan(pg_temp.zone('Main', 0, 0, pg_temp."row"('A', 0, 0, 30, 0, '1 2')), pg_temp.zone('Main', 0, 400, pg_temp."row"('A', 0, 0, 30, 0, '2 3', 'best', 'other'))));
