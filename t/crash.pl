# SPDX-License-Identifier: PostgreSQL
#
# P1, P2, P4, P5 over a crash: while many reserve, pay and cancel, the server is stopped dead, twice; once
# by a kill -9. Whatever was acknowledged is there after recovery, each fact with its event and
# no event without its fact, no promise is broken, and the sale goes on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant {
	CLERKS => 4,
	TURNS_MAX => 2000,
	ACKED_MIN => 300,
	TIMEOUT_SECONDS => 60,
	POLL_USECONDS => 20_000,
};

my $node = hall_server('crash');
hall_open($node, seats => 1000, fans => 100, limit => 1000, points => 100_000);
$node->safe_psql('postgres', 'CREATE TABLE acked (what text, id uuid)');

my $dir = $node->basedir;
my $storm = "$dir/storm.pgbench";
append_to_file($storm, <<'END');
\set fan random(1, 50)
\set seat random(1, 999)
\set what random(1, 10)
SELECT coalesce(booking_id, gen_random_uuid()) AS booking
FROM hall, concert.reserve(date, seats(:seat, :seat + 1), fan(:fan), 2) \gset
\if :what <= 3
SELECT ok FROM concert.pay(':booking', fan(:fan));
\elif :what <= 6
SELECT ok FROM concert.cancel(':booking', fan(:fan));
\elif :what = 7
SELECT concert.expire(50);
\endif
END

# A clerk serves one fan statement by statement, each of them a commit, and notes what it was told.
sub clerk_script
{
	my ($round, $clerk) = @_;
	my $fan = 50 + $clerk;
	my $pending = "SELECT booking_id FROM concert.reservation WHERE user_id = fan($fan) AND status = 'pending' LIMIT 1";

	return join '', map { <<END } 1 .. TURNS_MAX;
SELECT 'charged', transfer_id FROM concert.charge_points(fan($fan), 10, 'PTS', 'clerk', '$round $clerk $_') WHERE ok;
SELECT 'reserved', booking_id FROM hall, concert.reserve(date, seats(1 + (random() * 999)::int), fan($fan), 900) WHERE ok;
SELECT 'reserved', booking_id FROM hall, concert.reserve(date, seats(1 + (random() * 999)::int), fan($fan), 900) WHERE ok;
SELECT 'paid', p.payment_id FROM ($pending) AS b, concert.pay(b.booking_id, fan($fan)) AS p WHERE p.ok;
SELECT 'cancelled', b.booking_id FROM ($pending) AS b, concert.cancel(b.booking_id, fan($fan)) AS c WHERE c.ok;
END
}

sub start_clerk
{
	my ($round, $clerk) = @_;
	my $script = "$dir/clerk_${round}_$clerk.sql";
	my $told = "$dir/told_${round}_$clerk";

	append_to_file($script, clerk_script($round, $clerk));
	return {
		told => $told,
		run => IPC::Run::start(
			[ 'psql', '-XAtq', '-F', ' ', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $script ],
			'>', $told, '2>', "$told.err"),
	};
}

sub told_lines
{
	return map { -e $_->{told} ? grep { /\n\z/ } do { open my $in, '<', $_->{told} or die $!; <$in> } : () } @_;
}

# Everybody at work, until enough was acknowledged; then the crash in the middle of it.
sub crash_under_load
{
	my ($round, $crash) = @_;
	my $output = '';
	my $pgbench = IPC::Run::start([ 'pgbench', '--no-vacuum', '--client=8', '--jobs=2', '--time=' . TIMEOUT_SECONDS,
			'-f', $storm, '-d', $node->connstr('postgres') ], '>&', \$output);
	my @clerks = map { start_clerk($round, $_) } 1 .. CLERKS;
	my $deadline = time + TIMEOUT_SECONDS;

	usleep(POLL_USECONDS) while told_lines(@clerks) < ACKED_MIN && time < $deadline;
	$crash->();
	$_->{run}->finish foreach @clerks;
	$pgbench->finish;
	return told_lines(@clerks);
}

sub check_acked
{
	my ($when, @told) = @_;

	cmp_ok(scalar @told, '>=', ACKED_MIN, "$when: much was acknowledged before");
	$node->safe_psql('postgres', "INSERT INTO acked VALUES " . join ', ', map { m/(\w+) (\S+)/ ? "('$1', '$2')" : () } @told);
	is($node->safe_psql('postgres', <<'END'), '', "$when: nothing that was acknowledged is lost");
SELECT a.what, count(*) FROM acked AS a
WHERE NOT CASE a.what
	WHEN 'charged' THEN EXISTS (SELECT FROM concert.transfer WHERE id = a.id)
	WHEN 'reserved' THEN EXISTS (SELECT FROM concert.reservation WHERE booking_id = a.id)
	WHEN 'paid' THEN EXISTS (SELECT FROM concert.payment AS p JOIN concert.reservation AS r USING (booking_id)
							 WHERE p.id = a.id AND r.status = 'confirmed')
	WHEN 'cancelled' THEN EXISTS (SELECT FROM concert.reservation WHERE booking_id = a.id AND status = 'cancelled') END
GROUP BY a.what
END
	is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT what, ' ' ORDER BY what) FROM acked"),
		'cancelled charged paid reserved', "$when: of every kind");
	return;
}

# Every booking, payment and charge has its one event; every event tells of one that is there.
sub check_events
{
	my ($when) = @_;

	is($node->safe_psql('postgres', <<'END'), '', "$when: each fact has its event, each event its fact");
WITH fact AS (
	SELECT DISTINCT 'reservation.reserved' AS type, booking_id AS id FROM concert.reservation
	UNION ALL SELECT DISTINCT 'reservation.confirmed', booking_id FROM concert.reservation WHERE status = 'confirmed'
	UNION ALL SELECT DISTINCT 'reservation.cancelled', booking_id FROM concert.reservation WHERE status = 'cancelled'
	UNION ALL SELECT 'payment.captured', id FROM concert.payment
	UNION ALL SELECT 'point.charged', id FROM concert.transfer WHERE kind = 'charge'),
event AS (
	SELECT type, CASE type WHEN 'payment.captured' THEN payload->>'payment_id' WHEN 'point.charged' THEN payload->>'transfer_id'
				 ELSE payload->>'booking_id' END::uuid AS id
	FROM concert.outbox_event WHERE type <> 'reservation.expired')
(SELECT 'without event', * FROM fact EXCEPT ALL SELECT 'without event', * FROM event)
UNION ALL
(SELECT 'without fact', * FROM event EXCEPT ALL SELECT 'without fact', * FROM fact)
LIMIT 10
END
	return;
}

my @told = crash_under_load(1, sub { $node->stop('immediate') });
hall_start_again($node, 'after the first crash');
check_acked('after the first crash', @told);
check_events('after the first crash');
hall_is_sound($node, 'after the first crash');

@told = crash_under_load(2, sub { $node->kill9 });
hall_start_again($node, 'after the kill -9');
check_acked('after the kill -9', @told);
check_events('after the kill -9');
hall_is_sound($node, 'after the kill -9');

# The sale goes on.
$node->pgbench('--no-vacuum --client=4 --transactions=25', 0, [qr{processed: 100/100}], [qr{^(?!.*ERROR)}s], 'the sale goes on',
	{ storm_after => slurp_file($storm) });
check_events('in the end');
hall_is_sound($node, 'in the end');

$node->stop;
done_testing();
