# SPDX-License-Identifier: PostgreSQL
#
# P5 with a provider that tells what it likes when it likes: many sessions bring its messages in any order,
# several times, some of them late or not before the end, while bookings lapse, are cancelled, are paid by
# points as well and lose their seats to others, and money goes back; one of the servers they talk to is
# killed in the middle of it. In the end every message has come, and of each payment that took money the
# booking is confirmed, or all of it has gone back; nobody had to look after it. CONCERT_LONG=1: for longer.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	SESSIONS => 32,
	ROUNDS => $ENV{CONCERT_LONG} ? 30 : 1,
	CAPTURED_MIN => 150,
	TIMEOUT_SECONDS => 240,
	SETTLING_TURNS => 20,
};

my $node = hall_server('provider_storm');
my $dir = $node->basedir;

hall_open($node, seats => 120, fans => 40, limit => 100, points => 2000);

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# What the provider has decided about a payment, by its id alone: of ten, six are captured, one fails first and is
# captured after all, one takes one point too many, two fail. It takes the money once, whatever it says
# how often; a refund fails at first for every second.
value(<<'END');
CREATE FUNCTION dice(id uuid) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT abs(hashtext(id::text)) % 10 $$;
CREATE FUNCTION takes(p concert.payment) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN dice(p.id) < 7 THEN p.amount WHEN dice(p.id) = 7 THEN p.amount + 1 ELSE 0 END
$$;
CREATE FUNCTION fails(p concert.payment) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT dice(p.id) IN (6, 8, 9)';
-- One message of a payment, under an id that is the message's own; what is said twice is said word for word.
CREATE FUNCTION tell(p concert.payment, what int) RETURNS text LANGUAGE sql AS $$
	SELECT (CASE WHEN what = 0 THEN concert.payment_authorized(p.id, 'auth', 'authorized')
				 WHEN what <= 3 AND takes(p) > 0 THEN concert.payment_captured(p.id, takes(p), p.currency, 'cap', 'captured ' || what)
				 WHEN fails(p) THEN concert.payment_failed(p.id, 'declined', 'failed') END).status
$$;
CREATE FUNCTION tell(r concert.refund, what int) RETURNS text LANGUAGE sql AS $$
	SELECT (CASE WHEN what > 1 OR dice(r.id) % 2 = 0 THEN concert.refund_settled(r.id, 'ref', 'settled ' || what)
				 ELSE concert.refund_failed(r.id, 'try later', 'failed ' || what) END).status
$$;
CREATE FUNCTION some_payment(nth int) RETURNS SETOF concert.payment LANGUAGE sql STABLE AS $$
	SELECT * FROM concert.payment WHERE method = 'provider' ORDER BY id DESC OFFSET nth LIMIT 1
$$;
CREATE FUNCTION some_refund(nth int) RETURNS SETOF concert.refund LANGUAGE sql STABLE AS $$
	SELECT r.* FROM concert.refund AS r JOIN concert.payment AS p ON p.id = r.payment_id
	WHERE p.method = 'provider' ORDER BY r.id DESC OFFSET nth LIMIT 1
$$;
END
append_to_file("$dir/storm.pgbench", <<'END');
\set fan random(1, 40)
\set seat random(1, 106)
\set nth random(0, 60)
\set what random(1, 20)
\set message random(0, 4)
\if :what <= 5
SELECT coalesce(booking_id, gen_random_uuid()) AS booking
FROM hall, concert.reserve(date, seats(VARIADIC (ARRAY[:seat, :seat + 1])[1:1 + :nth % 2]), fan(:fan), 1 + :nth % 3) \gset
SELECT ok FROM concert.payment_begin(':booking', fan(:fan), 'acquirer', CASE WHEN :nth % 3 = 0 THEN 30 ELSE 0 END);
\elif :what <= 14
SELECT tell(p, :message) FROM some_payment(:nth) AS p;
\elif :what = 15
SELECT c.ok FROM some_payment(:nth) AS p, concert.cancel(p.booking_id, p.user_id) AS c;
\elif :what = 16
SELECT c.ok FROM some_payment(:nth / 10) AS p, concert.pay(p.booking_id, p.user_id) AS c;
\elif :what = 17
SELECT r.ok FROM some_payment(:nth) AS p, concert.refund(p.booking_id, p.user_id) AS r;
\elif :what = 18
SELECT r.ok FROM some_payment(:nth) AS p, LATERAL (SELECT seat_id FROM concert.reservation WHERE booking_id = p.booking_id LIMIT 1) AS s,
	concert.refund(p.booking_id, p.user_id, ARRAY[s.seat_id], 7) AS r;
\elif :what = 19
SELECT tell(r, :message) FROM some_refund(:nth / 4) AS r;
\else
SELECT count(*) FROM concert.payment_work(5, 1);
SELECT concert.expire(50);
\endif
END

# The oldest of all payments, of seats that nobody else wants: of these nothing is told until their time is over.
value(<<'END');
SELECT count(p.ok) FROM hall, generate_series(108, 120) AS n, concert.reserve(date, seats(n), fan(n - 100), 1) AS r,
	concert.payment_begin(r.booking_id, fan(n - 100), 'acquirer', 30) AS p
END

# All are at work until enough was captured; then, in every round, those who serve them are killed.
sub storm_over_crash
{
	my ($round) = @_;
	my $before = value("SELECT count(*) FROM concert.payment WHERE captured > 0 AND method = 'provider'");
	my $told = "$dir/told_$round";
	my $storm = IPC::Run::start([ 'pgbench', '--no-vacuum', '--client=' . SESSIONS, '--jobs=2', '--time=' . TIMEOUT_SECONDS,
			'-f', "$dir/storm.pgbench", $node->connstr('postgres') ], '>', "$told.out", '2>', $told);
	my $enough = "SELECT count(*) >= $before + " . CAPTURED_MIN . " FROM concert.payment WHERE captured > 0 AND method = 'provider'";

	ok($node->poll_query_until('postgres', $enough), "round $round: money was captured");
	my @busy = split /\n/, value(q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%tell(p,%' AND pid <> pg_backend_pid()});
	kill 'KILL', @busy;
	$node->stop('immediate', fail_ok => 1);
	$storm->kill_kill;
	hall_start_again($node, "round $round");
	unlike(slurp_file($told), qr/ERROR/, "round $round: no call met an error");
	hall_is_sound($node, "round $round, after the crash");
	return;
}

# Whatever was never told, or not taken, comes now, all of it late; what fell due is done. Turns are few, because nothing depends on
# anybody's time but a payment that is authorized and of which its provider knows nothing.
sub settle
{
	$node->poll_query_until('postgres',
		q{SELECT NOT EXISTS (SELECT FROM concert.reservation WHERE status = 'pending' AND expires_at > clock_timestamp())})
		or die 'bookings did not lapse';
	value('SELECT concert.expire(10000)');
	foreach (1 .. SETTLING_TURNS)
	{
		value("SELECT count(tell(p, m)) FROM concert.payment AS p, generate_series(0, 4) AS m WHERE p.method = 'provider' AND (p.status NOT IN ('captured', 'refunded') OR takes(p) = 0)");
		value("SELECT count(tell(r, 2)) FROM concert.refund AS r JOIN concert.payment AS p ON p.id = r.payment_id WHERE p.method = 'provider' AND r.status = 'due'");
		return if value(<<'END') eq '0|0';
SELECT (SELECT count(*) FROM concert.payment AS p WHERE p.method = 'provider' AND takes(p) > 0 AND p.status NOT IN ('captured', 'refunded')),
	(SELECT count(*) FROM concert.refund WHERE status = 'due')
END
	}
	return;
}

foreach my $round (1 .. ROUNDS)
{
	storm_over_crash($round);
	settle();
	is(value("SELECT string_agg(name || ' ' || value, ', ' ORDER BY name) FROM concert.lag() WHERE name IN ('payments_open', 'refunds_due')"),
		'payments_open 0, refunds_due 0', "round $round: every payment and every refund has come to its end");
	is(value(<<'END'), '0|0', "round $round: what the provider took is confirmed seats' price, or has gone back; no seat is confirmed without money");
SELECT count(*) FILTER (WHERE coalesce(s.price, 0) <> coalesce(m.kept, 0)),
	count(*) FILTER (WHERE m.taken <> m.told)
FROM (SELECT booking_id, sum(price) AS price FROM concert.reservation WHERE status = 'confirmed' GROUP BY booking_id) AS s
FULL JOIN (SELECT p.booking_id, sum(p.captured - p.refunded - p.fee) AS kept,
				  sum(p.captured) FILTER (WHERE method = 'provider') AS told, sum(takes(p)) FILTER (WHERE method = 'provider') AS taken
		   FROM concert.payment AS p GROUP BY p.booking_id) AS m USING (booking_id)
END
	is(value(<<'END'), 't|0', "round $round: the provider's accounts say what it took and gave back");
SELECT -b.balance = (SELECT sum(takes(p)) FROM concert.payment AS p WHERE p.method = 'provider')
	- (SELECT coalesce(sum(r.amount), 0) FROM concert.refund AS r JOIN concert.payment AS p ON p.id = r.payment_id WHERE p.method = 'provider'),
	(SELECT d.balance FROM concert.account AS a, concert.account_balance(a.id) AS d WHERE a.kind = 'refunds_payable')
FROM concert.account AS a, concert.account_balance(a.id) AS b WHERE a.kind = 'funding' AND a.name = 'acquirer'
END
	hall_is_sound($node, "round $round, in the end");
}
is(value(<<'END'), 't|t|t|t|t', 'bookings were confirmed, seats taken again, late money and that for seats went back, messages came twice');
SELECT count(*) FILTER (WHERE p.captured > p.refunded) > 0,
	EXISTS (SELECT FROM concert.reservation GROUP BY booking_id, seat_id HAVING count(*) > 1),
	EXISTS (SELECT FROM concert.refund WHERE kind = 'late'), EXISTS (SELECT FROM concert.refund WHERE kind = 'seats'),
	EXISTS (SELECT FROM concert.payment_act WHERE act = 'captured' GROUP BY payment_id HAVING count(*) > 1)
FROM concert.payment AS p WHERE p.method = 'provider'
END

$node->stop;
done_testing();
