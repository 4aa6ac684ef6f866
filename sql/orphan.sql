-- The orphan rule: a single empty seat may be left only where no other choice of as many seats in that
-- row and section avoids it, the run of free seats first. It holds for every way of taking seats, by the state under their locks.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- three dates with one row of seats each, A1 to A8, under each of the rules
CREATE FUNCTION pg_temp.row_of(concert uuid, rule text, fill integer DEFAULT 100, hours integer DEFAULT 0) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE date uuid := concert.create_concert_date(concert, now() + interval '30 days', seats_per_user_max => 100,
                                                 orphan_rule => rule, orphan_relax_fill_percent => fill, orphan_relax_hours => hours);
BEGIN
    PERFORM concert.add_seats(date, concert.create_section(date, 'Stalls', 100), 1, ARRAY[1,2,3,4,5,6,7,8],
                              ARRAY['A1','A2','A3','A4','A5','A6','A7','A8']);
    RETURN date;
END $$;
SELECT pg_temp.row_of(:'concert', 'off') AS off, pg_temp.row_of(:'concert', 'warn') AS warn,
       pg_temp.row_of(:'concert', 'enforce') AS enforce \gset

-- asks for seats by label; tells who is refused, what would do, and what is warned of
CREATE FUNCTION pg_temp.take(date uuid, VARIADIC labels text[]) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('; ', coalesce(r.reason, 'ok'),
        'refused ' || (SELECT string_agg(s.label || ' ' || (e->>'reason'), ', ' ORDER BY s.label) FROM jsonb_array_elements(r.seats) AS e
                       JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid WHERE e ? 'reason'),
        'rather ' || (SELECT string_agg(DISTINCT s.label, ' ') FROM jsonb_array_elements(r.seats) AS e, jsonb_array_elements_text(e->'alternative') AS a
                      JOIN concert.seat AS s ON s.id = a::uuid),
        'warned of ' || (SELECT string_agg(s.label || ' ' || (e->>'warning'), ', ' ORDER BY s.label) FROM jsonb_array_elements(r.seats) AS e
                         JOIN concert.seat AS s ON s.id = (e->>'seat_id')::uuid WHERE e ? 'warning'))
    FROM concert.reserve(date, (SELECT array_agg(s.seat_id ORDER BY ord) FROM unnest(labels) WITH ORDINALITY AS w (label, ord)
                                JOIN concert.seat_map(date) AS s USING (label)), gen_random_uuid()) AS r
$$;
CREATE FUNCTION pg_temp.give_back(date uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count((concert.cancel(b.booking_id, b.user_id)).ok)
    FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE concert_date_id = date AND status = 'pending') AS b
$$;

-- A1 would be left alone: allowed, told, refused
SELECT pg_temp.take(:'off', 'A2', 'A3');
SELECT pg_temp.take(:'warn', 'A2', 'A3');
SELECT pg_temp.take(:'enforce', 'A2', 'A3');
SELECT pg_temp.taken(:'off'), pg_temp.taken(:'warn'), pg_temp.taken(:'enforce');
-- the event of the warned booking is as any other
SELECT payload->'seats'->0 ? 'warning' AS warning_in_event FROM concert.outbox_event_0 WHERE payload->>'concert_date_id' = :'warn'
UNION SELECT payload->'seats'->0 ? 'warning' FROM concert.outbox_event_1 WHERE payload->>'concert_date_id' = :'warn'
UNION SELECT payload->'seats'->0 ? 'warning' FROM concert.outbox_event_2 WHERE payload->>'concert_date_id' = :'warn'
UNION SELECT payload->'seats'->0 ? 'warning' FROM concert.outbox_event_3 WHERE payload->>'concert_date_id' = :'warn';

-- the same on the right, between two of the choice, and one seat alone; the alternative leaves none
SELECT pg_temp.take(:'enforce', 'A6', 'A7');
SELECT pg_temp.take(:'enforce', 'A1', 'A3');
SELECT pg_temp.take(:'enforce', 'A7');
SELECT pg_temp.take(:'enforce', 'A2', 'A4', 'A5', 'A7');
-- all of these leave nobody alone
SELECT pg_temp.take(:'enforce', 'A3', 'A4');
-- now A1 A2 are left of it, A5 to A8 right: three of four leave one in any case, and no other run has three
SELECT pg_temp.take(:'enforce', 'A5', 'A6', 'A7');
-- one of two would as well, but the row has another choice of one: the single seat that is left
SELECT pg_temp.take(:'enforce', 'A2');
SELECT pg_temp.take(:'enforce', 'A8');
-- without another choice it may be
SELECT pg_temp.take(:'enforce', 'A2');
SELECT pg_temp.take(:'enforce', 'A1');
SELECT pg_temp.give_back(:'enforce');

-- what was single before is nobody's fault; two runs in one choice are judged apart
SELECT pg_temp.take(:'enforce', 'A3', 'A4');
SELECT ok FROM concert.block_seats((SELECT array_agg(seat_id) FROM concert.seat_map(:'enforce') WHERE label = 'A7'), 'camera');
SELECT pg_temp.take(:'enforce', 'A5', 'A6');
SELECT pg_temp.give_back(:'enforce');
SELECT pg_temp.take(:'enforce', 'A8');
SELECT pg_temp.take(:'enforce', 'A1', 'A5');
SELECT pg_temp.take(:'enforce', 'A1', 'A2', 'A4', 'A5');
-- blocked, pending and sold count as taken, a lapsed pending and a block that is over as free
SELECT pg_temp.take(:'enforce', 'A5', 'A6');
SELECT booking_id AS pending FROM concert.reservation WHERE concert_date_id = :'enforce' AND status = 'pending'
    AND seat_id = (SELECT seat_id FROM concert.seat_map(:'enforce') WHERE label = 'A5') \gset
SELECT pg_temp.take(:'enforce', 'A2', 'A3');
SELECT pg_temp.lapse(:'pending');
SELECT pg_temp.take(:'enforce', 'A4', 'A5');
SELECT pg_temp.give_back(:'enforce');
UPDATE concert.seat SET blocked_until = clock_timestamp() - interval '1 second' WHERE concert_date_id = :'enforce' AND blocked_reason IS NOT NULL;
SELECT pg_temp.take(:'enforce', 'A7', 'A8');
SELECT pg_temp.give_back(:'enforce');

-- seats that cannot be had are named as ever, before the rule
SELECT pg_temp.take(:'enforce', 'A1', 'A2');
SELECT pg_temp.take(:'enforce', 'A2', 'A4');
SELECT pg_temp.give_back(:'enforce');
-- an aisle is the end of a run, and so is another row, a standing section, a deleted seat
SELECT section_id AS stalls FROM concert.seat_map(:'enforce') LIMIT 1 \gset
SELECT concert.create_section(:'enforce', 'Floor', 100, kind => 'standing') AS floor \gset
SELECT concert.add_seats(:'enforce', :'stalls', 3, ARRAY[1,2,3,5,6,7], ARRAY['B1','B2','B3','B5','B6','B7'])
     + concert.add_seats(:'enforce', :'floor', 3, ARRAY[8,9,10], ARRAY['S8','S9','S10'])
     + concert.add_seats(:'enforce', :'stalls', 4, ARRAY[1,2,3,4,5], ARRAY['C1','C2','C3','C4','C5']) AS added;
SELECT pg_temp.take(:'enforce', 'B1', 'B2');
SELECT pg_temp.take(:'enforce', 'B6');
SELECT pg_temp.take(:'enforce', 'S9');
SELECT concert.soft_delete('seat', seat_id) AS gone FROM concert.seat_map(:'enforce') WHERE label = 'C4';
SELECT pg_temp.take(:'enforce', 'C2');
SELECT pg_temp.take(:'enforce', 'C3');
-- seats of two sections side by side are neighbours
SELECT concert.create_section(:'enforce', 'Side', 100) AS side \gset
SELECT concert.add_seats(:'enforce', :'stalls', 6, ARRAY[1,2], ARRAY['D1','D2']) + concert.add_seats(:'enforce', :'side', 6, ARRAY[3,4], ARRAY['D3','D4']) AS added;
SELECT pg_temp.take(:'enforce', 'D1');
SELECT pg_temp.take(:'enforce', 'D3');

-- the rule is relaxed within hours of the start, and in a section that is nearly full
SELECT pg_temp.row_of(:'concert', 'enforce', hours => 719) AS day_before, pg_temp.row_of(:'concert', 'enforce', hours => 721) AS late,
       pg_temp.row_of(:'concert', 'enforce', fill => 24) AS fuller \gset
SELECT pg_temp.take(:'day_before', 'A2');
SELECT pg_temp.take(:'late', 'A2');
SELECT pg_temp.take(:'fuller', 'A2');
SELECT pg_temp.take(:'fuller', 'A1');
SELECT pg_temp.take(:'fuller', 'A3');
SELECT pg_temp.take(:'fuller', 'A8');
SELECT pg_temp.take(:'fuller', 'A6');

-- the same under a key: the refusal and its alternative are remembered
SELECT array_agg(seat_id) AS a7 FROM concert.seat_map(:'enforce') WHERE label = 'A7' \gset
SELECT seats AS first FROM concert.reserve(:'enforce', :'a7', :'ann', idempotency_key => 'seven') \gset
SELECT reason, seats = :'first' AS same FROM concert.reserve(:'enforce', :'a7', :'ann', idempotency_key => 'seven');

-- reserve_best() keeps the rule too: A2, the accessible one, may not be had alone while the section is not full
SELECT pg_temp.row_of(:'concert', 'enforce') AS best, pg_temp.row_of(:'concert', 'enforce', fill => 10) AS best_fuller \gset
UPDATE concert.seat SET accessible = true WHERE concert_date_id IN (:'best', :'best_fuller') AND label = 'A2';
SELECT ok, reason, step, seats FROM concert.reserve_best(:'best', 1, :'carl', accessible_count => 1);
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve_best(:'best', 2, :'carl', accessible_count => 1);
SELECT ok, reason FROM concert.reserve_best(:'best_fuller', 1, :'carl', accessible_count => 1);
SELECT pg_temp.take(:'best_fuller', 'A8');
SELECT ok, reason, pg_temp.told(seats) FROM concert.reserve_best(:'best_fuller', 1, :'carl', accessible_count => 1);

-- misuse
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_rule => 'sometimes');
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_rule => NULL);
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_relax_fill_percent => 101);
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_relax_fill_percent => 0);
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_relax_fill_percent => NULL);
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_relax_hours => -1);
SELECT concert.create_concert_date(:'concert', '2999-01-01', orphan_relax_hours => 8761);
SELECT * FROM concert.check_integrity();
