-- Concerts, dates and sections are made as asked or not at all; nothing is ever deleted but softly,
-- and nothing that live rows depend on is.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- what is made, is listed
SELECT concert.create_concert('Spring Gala') AS gala \gset
SELECT name FROM concert.concerts() WHERE id = :'gala';
SELECT concert.create_concert_date(:'gala', '2999-12-24 20:00+00') AS eve \gset
SELECT concert.create_concert_date(:'gala', '2999-12-23 20:00+00', 'Europe/Oslo', '2999-01-01 00:00+00',
                                   '2999-12-23 19:00+00', 900, 1000, 'required', 1, 1, 1, 1) AS day_before \gset
SELECT id = :'eve' AS eve, starts_at = '2999-12-24 20:00+00' AS starts, time_zone,
       sale_opens_at <= now() AS open, sale_closes_at = starts_at AS closes_at_start,
       pending_seconds, seats_per_user_max, admission
FROM concert.concert_dates(:'gala');
SELECT admission_cap, admission_rate, claim_seconds, pass_seconds
FROM concert.concert_date WHERE concert_id = :'gala' ORDER BY starts_at;
SELECT concert.create_section(:'eve', 'Stalls', 0) AS stalls \gset
SELECT concert.create_section(:'eve', 'Stalls', 5000) IS NOT NULL AS same_name_other_price,
       concert.create_section(:'eve', 'Floor', 1000000000000000, 'EUR', 'standing') IS NOT NULL AS dearest;
SELECT section, kind, price, currency, seats FROM concert.availability(:'eve');

-- one revenue account for each currency that the concert is sold in
SELECT currency, floor FROM concert.account WHERE owner_id = :'gala' ORDER BY currency;

-- bad input: create_concert
SELECT concert.create_concert(NULL);
SELECT concert.create_concert('');
SELECT concert.create_concert(repeat('x', 201));
SELECT concert.create_concert(repeat(chr(248), 200)) IS NOT NULL AS counted_in_characters;
SELECT concert.create_concert(E'\xff');
\set VERBOSITY terse
SELECT concert.create_concert(42);
\set VERBOSITY default

-- bad input: create_concert_date
SELECT concert.create_concert_date(:'nobody', '2999-01-01');
SELECT concert.create_concert_date(NULL, '2999-01-01');
SELECT concert.create_concert_date(:'gala', NULL);
SELECT concert.create_concert_date(:'gala', 'infinity');
SELECT concert.create_concert_date(:'gala', '2999-01-01', sale_closes_at => 'infinity');
SELECT concert.create_concert_date(:'gala', '2999-01-01', NULL);
SELECT concert.create_concert_date(:'gala', '2999-01-01', 'Mars/Olympus');
SELECT concert.create_concert_date(:'gala', '2999-01-01', 'Mars5');
SELECT concert.create_concert_date(:'gala', '2999-01-01', '<+99>-99');
SELECT concert.create_concert_date(:'gala', '2999-01-01', 'right/UTC');
SELECT concert.create_concert_date(:'gala', '2999-01-01', 'CEST');
SELECT concert.create_concert_date(:'gala', '2999-01-01', admission => 'closed');
SELECT concert.create_concert_date(:'gala', '2999-01-01', pending_seconds => NULL);
SELECT concert.create_concert_date(:'gala', '2999-01-01', pending_seconds => 0);
SELECT concert.create_concert_date(:'gala', '2999-01-01', pending_seconds => 901);
SELECT concert.create_concert_date(:'gala', '2999-01-01', seats_per_user_max => -1);
SELECT concert.create_concert_date(:'gala', '2999-01-01', admission_cap => 1000001);
SELECT concert.create_concert_date(:'gala', '2999-01-01', admission_rate => 0);
SELECT concert.create_concert_date(:'gala', '2999-01-01', claim_seconds => 3601);
SELECT concert.create_concert_date(:'gala', '2999-01-01', pass_seconds => 86401);
\set VERBOSITY terse
SELECT concert.create_concert_date('gala', '2999-01-01');
-- a sale that would close before it opens, also by default: the date is over
SELECT concert.create_concert_date(:'gala', '2999-01-01', sale_opens_at => '2999-01-02', sale_closes_at => '2999-01-02');
\set VERBOSITY sqlstate
SELECT concert.create_concert_date(:'gala', now() - interval '1 second');
\set VERBOSITY default

-- bad input: create_section
SELECT concert.create_section(:'nobody', 'Stalls', 1);
SELECT concert.create_section(NULL, 'Stalls', 1);
SELECT concert.create_section(:'eve', NULL, 1);
SELECT concert.create_section(:'eve', '', 1);
SELECT concert.create_section(:'eve', 'Stalls', NULL);
SELECT concert.create_section(:'eve', 'Stalls', 1, NULL);
SELECT concert.create_section(:'eve', 'Stalls', -1);
SELECT concert.create_section(:'eve', 'Stalls', 1000000000000001);
\set VERBOSITY sqlstate
SELECT concert.create_section(:'eve', 'Stalls', 99999999999999999999);
\set VERBOSITY default
SELECT concert.create_section(:'eve', 'Stalls', 1, 'pts');
SELECT concert.create_section(:'eve', 'Stalls', 1, 'EURO');
SELECT concert.create_section(:'eve', 'Stalls', 1, kind => 'lying');
\set VERBOSITY terse
SELECT concert.create_section(:'eve', 'Stalls', 0);
\set VERBOSITY sqlstate
SELECT concert.create_section(:'eve', 'Stalls', 0);

-- soft delete goes from the leaves to the root
SELECT concert.soft_delete('concert', :'concert');
SELECT concert.soft_delete('concert_date', :'date');
SELECT concert.soft_delete('section', :'section');
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann') \gset
SELECT concert.soft_delete('seat', :'a1');
SELECT ok FROM concert.cancel(:'booking', :'ann');
SELECT count(concert.soft_delete('seat', id::uuid)) AS deleted
FROM unnest(ARRAY[:'a1', :'a2', :'a3', :'a4', :'a5', :'a6']) AS id;
SELECT count(*) FROM concert.seat_map(:'date');
SELECT concert.soft_delete('section', :'section');
SELECT count(*) FROM concert.availability(:'date');
SELECT concert.soft_delete('concert_date', :'date');
SELECT count(*) FROM concert.concert_dates(:'concert');
SELECT concert.soft_delete('concert', :'concert');
SELECT count(*) FROM concert.concerts() WHERE id = :'concert';

-- what is deleted is unknown from then on, also to soft_delete
SELECT reason FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann');
SELECT concert.soft_delete('concert', :'concert');
SELECT concert.create_concert_date(:'concert', '2999-01-01');
SELECT concert.create_section(:'date', 'Stalls', 1);
SELECT concert.add_seats(:'date', :'section', 9, ARRAY[1]);
-- a section of the same name and price may be made again
SELECT concert.create_section(:'eve', 'Balcony', 1) AS balcony \gset
SELECT concert.soft_delete('section', :'balcony');
SELECT concert.create_section(:'eve', 'Balcony', 1) IS NOT NULL AS again;

-- bad input: soft_delete
\set VERBOSITY default
SELECT concert.soft_delete('concert', :'nobody');
SELECT concert.soft_delete('seats', :'nobody');
SELECT concert.soft_delete(NULL, :'nobody');
SELECT concert.soft_delete('seat', NULL);
