-- Nothing of a date that requires admission is reserved without a pass of its own: signed by a key
-- of the key file, for this date and this user, not expired. The keys come from the file alone, and
-- a new file counts from the next call on.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

-- A pass as the waiting room makes it: 60 bytes (kind, key id, class, 0, date, user, number, issued,
-- expires; big-endian) and their HMAC-SHA256, together in base64url.
CREATE FUNCTION pg_temp.xor64(key bytea, pad int) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    block bytea := key || decode(repeat('00', 64 - length(key)), 'hex');
BEGIN
    FOR i IN 0..63 LOOP
        block := set_byte(block, i, get_byte(block, i) # pad);
    END LOOP;
    RETURN block;
END
$$;
CREATE FUNCTION pg_temp.hmac(key bytea, message bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT sha256(pg_temp.xor64(key, 92) || sha256(pg_temp.xor64(key, 54) || message))
$$;
CREATE FUNCTION pg_temp.pass(key_id int, key text, date uuid, holder uuid, lives interval DEFAULT '1 minute',
                             kind text DEFAULT 'P') RETURNS text LANGUAGE sql AS $$
    SELECT rtrim(translate(encode(payload || pg_temp.hmac(decode(key, 'hex'), payload), 'base64'), E'+/\n', '-_'), '=')
    FROM (SELECT convert_to(kind, 'SQL_ASCII') || set_byte('\x00', 0, key_id) || '\x0000' || uuid_send(date)
                 || uuid_send(holder) || int8send(17) || int8send(floor(extract(epoch FROM now()))::bigint)
                 || int8send(floor(extract(epoch FROM now() + lives))::bigint) AS payload) AS p
$$;
-- RFC 4231, test case 2
SELECT encode(pg_temp.hmac('Jefe', 'what do ya want for nothing?'), 'hex') = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843' AS hmac_is_right;

-- The server reads its settings again while it waits for the next statement, so that is how a test
-- waits for them: many short statements until one of them sees the new value.
SELECT current_setting('data_directory') || '/concert_pass_test' AS file,
       repeat('11', 32) AS key1, repeat('22', 32) AS key2, repeat('33', 32) AS key3 \gset
SELECT format('ALTER SYSTEM SET concert.pass_key_file = %L', :'file') AS set_file,
       format('DO $do$BEGIN IF current_setting(''concert.pass_key_file'') <> %L THEN PERFORM pg_sleep(0.01); END IF; END$do$', :'file') AS wait_set,
       'DO $do$BEGIN IF current_setting(''concert.pass_key_file'') <> '''' THEN PERFORM pg_sleep(0.01); END IF; END$do$' AS wait_reset \gset
SELECT concert.create_concert_date(:'concert', now() + interval '30 days', admission => 'required',
                                   seats_per_user_max => 1000) AS queued \gset
SELECT concert.create_section(:'queued', 'Stalls', 100) AS queued_section \gset
SELECT concert.add_seats(:'queued', :'queued_section', 1, ARRAY[1,2], ARRAY['Q1','Q2']) AS added \gset
SELECT min(seat_id::text) AS q1, max(seat_id::text) AS q2 FROM concert.seat_map(:'queued') \gset
-- What a pass is good for; whatever it takes it gives back.
CREATE FUNCTION pg_temp.admits(date uuid, seat uuid, holder uuid, pass text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer concert.reserve_answer;
BEGIN
    answer := concert.reserve(date, ARRAY[seat], holder, pass => pass);
    IF answer.ok THEN
        PERFORM concert.cancel(answer.booking_id, holder);
    END IF;
    RETURN CASE WHEN answer.ok THEN 'admitted' ELSE answer.reason || ' ' || answer.seats::text END;
END
$$;

-- without a key file a date that requires a pass sells nothing, and one that does not sells on
\set VERBOSITY terse
SELECT ok FROM concert.reserve(:'queued', ARRAY[:'q1']::uuid[], :'ann', pass => 'any');
\set VERBOSITY sqlstate
SELECT ok FROM concert.reserve(:'queued', ARRAY[:'q1']::uuid[], :'ann');
\set VERBOSITY default
SELECT ok FROM concert.reserve(:'date', ARRAY[:'a1']::uuid[], :'ann', pass => 'any');

-- with two keys in it, both are good
COPY (VALUES ('# for the test'), ('1 ' || repeat('11', 32)), (''), ('200 ' || repeat('22', 32))) TO :'file';
:set_file;
SELECT pg_reload_conf();
\set ECHO none
SELECT :'wait_set' FROM generate_series(1, 1000) \gexec
\set ECHO all
SELECT pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key1', :'queued', :'ann')) AS first_key,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(200, :'key2', :'queued', :'ann')) AS second_key;

-- and nothing else is
SELECT pg_temp.admits(:'queued', :'q1', :'ann', NULL) AS none,
       pg_temp.admits(:'queued', :'q1', :'ann', '') AS empty,
       pg_temp.admits(:'queued', :'q1', :'ann', repeat('A', 123)) AS zeros,
       pg_temp.admits(:'queued', :'q1', :'ann', repeat('A', 1000000)) AS huge;
SELECT pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key3', :'queued', :'ann')) AS foreign_key,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key2', :'queued', :'ann')) AS other_keys_id,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(3, :'key1', :'queued', :'ann')) AS unknown_key_id,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key1', :'queued', :'ann', kind => 'Q')) AS a_place;
SELECT pg_temp.admits(:'queued', :'q1', :'bob', pg_temp.pass(1, :'key1', :'queued', :'ann')) AS somebody_elses,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key1', :'date', :'ann')) AS other_dates,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key1', :'queued', :'ann', '-1 second')) AS expired,
       pg_temp.admits(:'queued', :'q1', :'ann', pg_temp.pass(1, :'key1', :'queued', :'ann', '0')) AS just_expired;
-- any character changed, one more, one less, none of the alphabet
SELECT count(*) AS changed, count(*) FILTER (WHERE verdict = 'no_pass []') AS refused
FROM (SELECT pg_temp.pass(1, :'key1', :'queued', :'ann') AS good OFFSET 0) AS p,
     generate_series(1, 123) AS n,
     pg_temp.admits(:'queued', :'q1', :'ann',
                    overlay(good PLACING CASE substr(good, n, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM n)) AS verdict;
SELECT pg_temp.admits(:'queued', :'q1', :'ann', good || 'A') AS one_more,
       pg_temp.admits(:'queued', :'q1', :'ann', left(good, -1)) AS one_less,
       pg_temp.admits(:'queued', :'q1', :'ann', good || '=') AS padded,
       pg_temp.admits(:'queued', :'q1', :'ann', overlay(good PLACING '+' FROM 5)) AS foreign_character,
       pg_temp.admits(:'queued', :'q1', :'ann', overlay(good PLACING chr(233) FROM 5)) AS not_ascii
FROM pg_temp.pass(1, :'key1', :'queued', :'ann') AS good;

-- a pass does not make a held seat free, and it is good more than once
SELECT pg_temp.pass(1, :'key1', :'queued', :'bob') AS bobs_pass \gset
SELECT ok FROM concert.reserve(:'queued', ARRAY[:'q2']::uuid[], :'bob', pass => :'bobs_pass');
SELECT ok, reason, pg_temp.told(seats)
FROM concert.reserve(:'queued', ARRAY[:'q2']::uuid[], :'ann', pass => pg_temp.pass(1, :'key1', :'queued', :'ann'));
SELECT ok FROM concert.reserve(:'queued', ARRAY[:'q1']::uuid[], :'bob', pass => :'bobs_pass');
-- an explanation judges it by the same rule
SELECT e.holds, e.reason FROM unnest(ARRAY[NULL, :'bobs_pass']) AS pass,
     concert.explain_reserve(:'queued', ARRAY[:'q1']::uuid[], :'bob', pass => pass) AS e WHERE e.rule = 'pass is valid';

-- rotation: the new file counts at once, in this very session
COPY (VALUES ('3 ' || repeat('33', 32)), ('1 ' || repeat('11', 32))) TO :'file';
SELECT pg_temp.admits(:'queued', :'q2', :'ann', pg_temp.pass(3, :'key3', :'queued', :'ann')) LIKE 'held%' AS new_key,
       pg_temp.admits(:'queued', :'q2', :'ann', pg_temp.pass(1, :'key1', :'queued', :'ann')) LIKE 'held%' AS kept_key,
       pg_temp.admits(:'queued', :'q2', :'ann', pg_temp.pass(200, :'key2', :'queued', :'ann')) AS retired_key;

-- a file that cannot be used is named, and admits nobody
CREATE FUNCTION pg_temp.why(date uuid, seat uuid, holder uuid, file text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN concert.reserve(date, ARRAY[seat], holder, pass => 'any');
EXCEPTION WHEN SQLSTATE 'TK010' THEN
    RETURN SQLSTATE || ' ' || replace(SQLERRM, file, 'FILE');
END
$$;
COPY (SELECT '' WHERE false) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS empty;
COPY (VALUES ('1 ' || repeat('11', 32)), ('2 ' || repeat('22', 31))) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS short_key;
COPY (VALUES ('256 ' || repeat('11', 32))) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS id_too_high;
COPY (VALUES ('1 ' || repeat('1g', 32))) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS no_hex_digit;
COPY (VALUES ('1 ' || repeat('11', 32)), ('1 ' || repeat('22', 32))) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS same_id_twice;
COPY (SELECT n || ' ' || repeat('11', 32) FROM generate_series(1, 3) AS n) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS three_keys;
COPY (SELECT repeat('# much ado', 1000)) TO :'file';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS too_long;
\set lock 'cat; chmod 0 ' :file
COPY (SELECT '') TO PROGRAM :'lock';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS unreadable;
\set remove 'cat; rm -f ' :file
COPY (SELECT '') TO PROGRAM :'remove';
SELECT pg_temp.why(:'queued', :'q1', :'ann', :'file') AS gone;

ALTER SYSTEM RESET concert.pass_key_file;
SELECT pg_reload_conf();
\set ECHO none
SELECT :'wait_reset' FROM generate_series(1, 1000) \gexec
\set ECHO all
SHOW concert.pass_key_file;
