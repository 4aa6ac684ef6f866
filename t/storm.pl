# SPDX-License-Identifier: PostgreSQL
#
# What goes wrong only when many ask at once (P1, P4, P6): the last ticket in many windows, 300
# identical charges, the limit passed by parallel requests, baskets in opposite order, one wallet for
# many bookings, and a sale in which everybody does everything. Nothing raises, nothing deadlocks.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hall_server('storm');
hall_open($node, seats => 500, fans => 200);

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# The last ticket.
hall_storm($node, 'last_ticket', '--client=40 --transactions=10', <<'END');
SELECT ok FROM hall, concert.reserve(date, seats(500), fan(1 + :client_id));
END
is(value("SELECT count(*) FROM concert.reservation WHERE seat_id = (seats(500))[1]"), '1', 'the last ticket is sold once');
is(value('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'nothing deadlocked on the hot seat');

# 300 identical charges: the reference makes them one; a key gives them one answer too.
hall_storm($node, 'identical_charges', '--client=30 --transactions=10', <<'END');
SELECT ok FROM concert.charge_points(fan(1001), 100, 'PTS', 'hall', 'the same');
END
is(value("SELECT concert.balance(fan(1001))"), '100', '300 identical charges are one');
hall_storm($node, 'identical_keyed_charges', '--client=30 --transactions=10', <<'END');
SELECT 1 / ok::int AS first_answer FROM concert.charge_points(fan(1002), 100, 'PTS', 'hall', 'keyed', 'key');
END
is(value("SELECT concert.balance(fan(1002))"), '100', '300 identical charges with a key are one, all of them told yes');

# A double click each time: the same key from two windows.
hall_storm($node, 'double_clicks', '--client=20 --transactions=10', <<'END');
\set booking :client_id / 2 * 10 + 1
SELECT 1 / ok::int AS same_answer FROM hall, concert.reserve(date, seats(:booking), fan(:booking), idempotency_key => 'click');
END
is(value("SELECT count(*), count(DISTINCT seat_id) FROM concert.reservation WHERE seat_id = ANY (seats(1, 11, 21, 31, 41, 51, 61, 71, 81, 91))"),
	'10|10', 'a double click is one booking');

# The limit.
hall_storm($node, 'limit', '--client=40 --transactions=5', <<'END');
\set seat 101 + :client_id
SELECT ok FROM hall, concert.reserve(date, seats(:seat), fan(101));
END
is(value("SELECT count(*) FROM concert.reservation WHERE user_id = fan(101)"), '4', 'parallel requests do not pass the limit');

# Baskets in opposite order.
hall_storm($node, 'baskets', '--client=20 --transactions=50', <<'END');
\set forward :client_id % 2
\set fan 150 + :client_id
\if :forward
SELECT r.ok FROM hall, concert.reserve(date, seats(201, 202, 203), fan(:fan)) AS r, concert.cancel(r.booking_id, fan(:fan)) AS c WHERE r.ok;
\else
SELECT r.ok FROM hall, concert.reserve(date, seats(203, 202, 201), fan(:fan)) AS r, concert.cancel(r.booking_id, fan(:fan)) AS c WHERE r.ok;
\endif
END
is(value("SELECT count(*) FROM concert.reservation WHERE seat_id = ANY (seats(201, 202, 203)) AND deleted_at IS NULL"), '0',
	'baskets in opposite order are given back whole');

# One wallet: four bookings of 100 on a balance of 200, each paid from five windows at once.
value(<<'END');
SELECT concert.charge_points(fan(1003), 200, 'PTS', 'hall', 'two hundred');
CREATE TABLE due AS SELECT n, r.booking_id FROM hall, generate_series(1, 4) AS n, concert.reserve(date, seats(480 + n), fan(1003)) AS r;
END
hall_storm($node, 'one_wallet', '--client=20 --transactions=1', <<'END');
\set n 1 + :client_id / 5
SELECT p.ok FROM due, concert.pay(booking_id, fan(1003)) AS p WHERE n = :n;
END
is(value("SELECT count(*), concert.balance(fan(1003)) FROM due JOIN concert.payment USING (booking_id)"), '2|0',
	'a wallet pays for what it holds, each booking once');

# A sale beside a transaction that has kept its snapshot since before: seats change hands often, are
# refused, retaken and given back, and nobody waits for it.
my $auditor = $node->background_psql('postgres');
$auditor->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM concert.reservation');
hall_storm($node, 'old_snapshot', '--client=10 --transactions=50', <<'END');
\set seat 461 + :client_id / 2
\set fan 170 + :client_id
SELECT r.ok FROM hall, concert.reserve(date, seats(:seat), fan(:fan)) AS r, concert.cancel(r.booking_id, fan(:fan)) AS c WHERE r.ok;
END
is(value("SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) > 50 FROM concert.reservation WHERE seat_id = ANY (seats(461, 462, 463, 464, 465))"),
	'0|t', 'beside an old snapshot seats are sold and given back all the same');
$auditor->quit;

# Everybody does everything: short pendings that lapse and are retaken, payments, cancels, expire().
hall_storm($node, 'sale', '--client=16 --time=8', <<'END');
\set fan random(1, 200)
\set seat random(301, 420)
\set next :seat + 1
\set seconds random(1, 3)
\set what random(1, 10)
SELECT coalesce(booking_id, gen_random_uuid()) AS booking
FROM hall, concert.reserve(date, seats(:seat, :next), fan(:fan), :seconds) \gset
\if :what <= 4
SELECT ok FROM concert.pay(':booking', fan(:fan));
\elif :what <= 6
SELECT ok FROM concert.cancel(':booking', fan(:fan));
\elif :what = 7
SELECT concert.expire(50);
\elif :what = 8
SELECT ok FROM concert.extend(':booking', fan(:fan), 2);
\elif :what = 9
SELECT ok FROM concert.charge_points(fan(:fan), 10, 'PTS', 'hall', ':booking');
\endif
END
cmp_ok(value("SELECT count(*) FROM concert.reservation WHERE status = 'confirmed'"), '>', 50, 'the sale sold seats');
cmp_ok(value("SELECT count(*) FROM concert.reservation WHERE status = 'expired'"), '>', 0, 'pendings lapsed in it');
is(value('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'nothing deadlocked');
hall_is_sound($node, 'after the storm');

$node->stop;
done_testing();
