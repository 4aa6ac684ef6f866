-- The life of a booking after reserve(): it is extended, cancelled, expired as a whole and by its
-- owner only, and what is over stays over.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall
SELECT concert.expire(10000) IS NOT NULL AS others_tidied;

-- extend: until that many seconds from now, never shorter, never beyond 900 from its making
SELECT booking_id AS booking FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', 100) \gset
SELECT seconds, ok, reason, round(remaining_ms / 1000.0, -1) AS remaining,
       round(extract(epoch FROM expires_at - now()), -1) AS expires_in
FROM unnest(ARRAY[1, 200, 50, 900, 900]) AS seconds, concert.extend(:'booking', :'ann', seconds);
UPDATE concert.reservation SET expires_at_max = expires_at WHERE booking_id = :'booking';
SELECT ok, e.expires_at = r.expires_at_max AS at_its_cap
FROM concert.extend(:'booking', :'ann', 900) AS e, concert.reservation AS r WHERE r.booking_id = :'booking';

-- cancel: the seats are free at once, for whoever comes
SELECT ok, reason, pg_temp.told(seats) FROM concert.cancel(:'booking', :'ann');
SELECT pg_temp.booked(:'booking'), pg_temp.taken(:'date');
SELECT ok, booking_id AS bobs FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'bob') \gset
SELECT pg_temp.booked(:'bobs'), pg_temp.taken(:'date');
-- and what Ann no longer has she cannot give back, nor anything else, twice
SELECT ok, reason, seats FROM concert.cancel(:'booking', :'ann');
SELECT ok, reason, expires_at, remaining_ms FROM concert.extend(:'booking', :'ann', 10);
SELECT ok, reason, payment_id, amount, currency FROM concert.pay(:'booking', :'ann');
SELECT pg_temp.booked(:'bobs');

-- somebody else's, unknown
SELECT ok, reason, seats FROM concert.cancel(:'bobs', :'ann');
SELECT ok, reason FROM concert.extend(:'bobs', :'ann', 10);
SELECT ok, reason, seats FROM concert.cancel(:'nobody', :'ann');
SELECT ok, reason FROM concert.extend(:'nobody', :'ann', 10);

-- a paid booking is neither cancelled nor extended
SELECT ok FROM concert.pay(:'bobs', :'bob');
SELECT ok, reason, seats FROM concert.cancel(:'bobs', :'bob');
SELECT ok, reason FROM concert.extend(:'bobs', :'bob', 10);

-- its time being over, a booking is over, before expire() has written it down and after
SELECT booking_id AS lapsed FROM concert.reserve(:'date', ARRAY[:'a3', :'a4']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'lapsed');
SELECT pg_temp.taken(:'date');
SELECT ok, reason FROM concert.extend(:'lapsed', :'ann', 10);
SELECT ok, reason FROM concert.cancel(:'lapsed', :'ann');
SELECT concert.expire();
SELECT pg_temp.booked(:'lapsed');
SELECT count(*) AS resolved FROM concert.reservation
WHERE booking_id = :'lapsed' AND resolved_at IS NOT NULL AND deleted_at = resolved_at;
SELECT concert.expire();
SELECT ok, reason FROM concert.extend(:'lapsed', :'ann', 10);
SELECT ok, reason FROM concert.cancel(:'lapsed', :'ann');

-- expire(n) takes the oldest first, whole bookings together
SELECT booking_id AS young FROM concert.reserve(:'date', ARRAY[:'a3']::uuid[], :'ann') \gset
SELECT booking_id AS old FROM concert.reserve(:'date', ARRAY[:'a4', :'a5']::uuid[], :'ann') \gset
SELECT booking_id AS alive FROM concert.reserve(:'date', ARRAY[:'a6']::uuid[], :'ann') \gset
SELECT pg_temp.lapse(:'old');
SELECT pg_temp.lapse(:'young');
SELECT concert.expire(1);
SELECT pg_temp.booked(:'young') AS young, pg_temp.booked(:'old') AS old;
SELECT concert.expire(1);
SELECT pg_temp.booked(:'young') AS young, pg_temp.booked(:'alive') AS alive;

-- cancel frees every counter: the limit of four stands open again
SELECT ok FROM concert.cancel(:'alive', :'ann');
SELECT ok, pg_temp.told(seats) FROM concert.reserve(:'date', ARRAY[:'a3', :'a4', :'a5', :'a6']::uuid[], :'ann');

-- bad input
SELECT ok FROM concert.extend(NULL, :'ann', 10);
SELECT ok FROM concert.extend(:'alive', NULL, 10);
SELECT ok FROM concert.extend(:'alive', :'ann', NULL);
SELECT ok FROM concert.extend(:'alive', :'ann', 0);
SELECT ok FROM concert.extend(:'alive', :'ann', -2147483648);
SELECT ok FROM concert.extend(:'alive', :'ann', 901);
SELECT ok FROM concert.extend(:'alive', :'ann', 10, '');
SELECT ok FROM concert.cancel(NULL, :'ann');
SELECT ok FROM concert.cancel(:'alive', NULL);
SELECT ok FROM concert.cancel(:'alive', :'ann', '');
SELECT ok FROM concert.cancel(:'alive', :'ann', repeat('x', 201));
SELECT ok FROM concert.cancel(:'alive', :'ann', 'key', '');
SELECT concert.expire(NULL);
SELECT concert.expire(0);
SELECT concert.expire(-1);
SELECT concert.expire(10001);
\set VERBOSITY terse
SELECT ok FROM concert.cancel('alive', :'ann');
