# SPDX-License-Identifier: PostgreSQL
#
# The best seats asked for by many at once, until nothing is left: a hall of rows and a standing floor
# are sold to the last seat exactly, no seat twice, and who was refused for good would find no fitting
# seats in what is left. Also while bookings are cancelled, rolled back, left to lapse and paid, so that
# what every backend remembers of the hall must follow.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hall_server('best');
my $hall_seats = 24 * 17;
my $floor_seats = 300;

# Rows of 17 seats with an aisle after the eighth; the second half of the rows stands apart.
$node->safe_psql('postgres', <<END);
CREATE TABLE hall AS
	SELECT concert.create_concert_date(concert.create_concert('Hall'), now() + interval '1 day', pending_seconds => 900) AS date;
ALTER TABLE hall ADD seated uuid, ADD standing uuid;
UPDATE hall SET seated = concert.create_section(date, 'Hall', 100),
	   standing = concert.create_section(date, 'Floor', 100, kind => 'standing');
SELECT concert.add_seats(date, seated, r + 10 * (r > 12)::int, (SELECT array_agg(c + (c > 8)::int) FROM generate_series(1, 17) AS c))
FROM hall, generate_series(1, 24) AS r;
SELECT concert.add_seats(date, standing, 1000, (SELECT array_agg(c) FROM generate_series(1, $floor_seats) AS c)) FROM hall;
CREATE TABLE answer (section uuid, count integer, split boolean, ok boolean, reason text, step text);
END

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# What is free, side by side: the same as runs of free seats, counted by SQL alone.
my $runs = <<'END';
	(SELECT s.section_id AS section, row, min(col) AS low, max(col) AS high, count(*) AS seats
	 FROM (SELECT *, col - row_number() OVER (PARTITION BY row ORDER BY col) AS island
		   FROM hall, concert.seat_map(date) WHERE state = 'free' AND section_id = seated) AS s
	 GROUP BY s.section_id, row, island)
END

# A third of the rows' seats, here and there, are not for sale: what is left are short runs.
value("SELECT (concert.block_seats(array_agg(seat_id), 'stage')).ok FROM hall, concert.seat_map(date) WHERE section_id = seated AND md5(label) < '6'");

# Nobody cancels here, and nobody wants a single seat: who was refused for good was so by what is left now.
hall_storm($node, 'sale', '--client=16 --transactions=60', <<'END');
\set count random(2, 4)
\set standing random(0, 2)
\set strict random(0, 3)
\set split random(0, 1)
INSERT INTO answer SELECT section, :count, :split = 1, r.ok, r.reason, r.step
FROM (SELECT date, CASE WHEN :standing = 0 THEN standing ELSE seated END AS section FROM hall) AS h,
	 concert.reserve_best(date, :count, concert.uuid7(), ARRAY[section], CASE WHEN :strict = 0 THEN 'strict' ELSE 'spread' END,
						  allow_split => :split = 1) AS r;
END
is(value("SELECT string_agg(DISTINCT reason, ' ' ORDER BY reason) FROM answer WHERE NOT ok AND reason <> 'busy'"), 'held',
	'the sale ended in refusals, for seats that are held');
cmp_ok(value("SELECT count(DISTINCT step) FROM answer WHERE ok"), '>=', 3, 'several steps were needed');
is(value("SELECT sum(count) FROM answer WHERE ok"), value('SELECT count(*) FROM concert.reservation'),
	'as many seats as were promised are reserved');
is(value(<<END), '0', 'no block is left that would have fitted somebody refused');
SELECT count(*) FROM answer AS a, $runs AS r WHERE NOT a.ok AND a.reason <> 'busy' AND a.section = r.section AND r.seats >= a.count
END
is(value(<<END), '0', 'nor two groups in neighbouring rows');
SELECT count(*) FROM answer AS a, $runs AS front JOIN $runs AS back
	ON back.row = front.row + 1 AND back.low <= front.high AND front.low <= back.high
WHERE NOT a.ok AND a.reason <> 'busy' AND a.section = front.section AND a.count > 1 AND front.seats + back.seats >= a.count
END
is(value(<<END), '0', 'nor groups of two where they would have done');
SELECT count(*) FROM answer AS a WHERE NOT a.ok AND a.reason <> 'busy' AND a.split AND a.section = (SELECT seated FROM hall) AND a.count = 4
AND (SELECT count(*) FROM $runs AS r WHERE r.seats >= 2) >= 2
END
is(value(<<END), '0', 'nor enough standing seats');
SELECT count(*) FROM answer AS a, hall AS h WHERE NOT a.ok AND a.reason <> 'busy' AND a.section = h.standing
AND a.count <= (SELECT free FROM concert.availability(h.date) AS v WHERE v.section_id = h.standing)
END
hall_is_sound($node, 'after the sale');

# Everybody does everything, each backend with its own memory of the hall.
value(<<'END');
SELECT count((concert.cancel(booking_id, user_id)).ok) FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation) AS b;
SELECT count(concert.charge_points(md5('fan ' || n)::uuid, 1000000, 'PTS', 'hall', n::text)) FROM generate_series(1, 16) AS n;
UPDATE concert.concert_date SET seats_per_user_max = 1000;
END
hall_storm($node, 'confusion', '--client=16 --time=6', <<'END');
\set fan 1 + :client_id
\set count random(1, 4)
\set what random(1, 12)
\set seconds random(1, 3)
BEGIN;
SELECT coalesce(booking_id, gen_random_uuid()) AS booking FROM hall, concert.reserve_best(date, :count, md5('fan ' || :fan)::uuid, pending_seconds => :seconds) \gset
\if :what <= 2
ROLLBACK;
\else
COMMIT;
\endif
\if :what <= 3
SELECT ok FROM concert.pay(':booking', md5('fan ' || :fan)::uuid);
\elif :what <= 7
SELECT ok FROM concert.cancel(':booking', md5('fan ' || :fan)::uuid);
\elif :what = 8
SELECT concert.expire(50);
\elif :what = 9
SELECT ok FROM concert.extend(':booking', md5('fan ' || :fan)::uuid, 2);
\endif
END
hall_is_sound($node, 'after the confusion');

# And in the end, when the short pendings are over, it is sold to the last seat, whatever each backend believed.
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM concert.reservation WHERE status = 'pending' AND expires_at > now())")
	or die 'pendings do not lapse';
hall_storm($node, 'rest', '--client=16 --transactions=100', <<'END');
SELECT ok FROM hall, concert.reserve_best(date, 1, concert.uuid7());
END
is(value(<<'END'), $hall_seats + $floor_seats, 'the hall is sold to the last seat');
SELECT count(*) FROM hall, concert.seat_map(date) WHERE state <> 'free'
END
is(value('SELECT r.reason FROM hall, concert.reserve_best(date, 1, concert.uuid7()) AS r'), 'held', 'and the next one is told so');
is(value('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'nothing deadlocked');
hall_is_sound($node, 'in the end');

$node->stop;
done_testing();
