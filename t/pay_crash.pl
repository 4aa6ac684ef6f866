# SPDX-License-Identifier: PostgreSQL
#
# P5 and P6 over a kill -9 at any point of pay(): while many pay, some lose their connection and the processes
# that serve them are killed, again and again. Whatever the moment, nobody has paid without a seat and no seat is confirmed without
# money; whoever asks again with the same key is told once and for all how it went: what was told before
# is told again, and what was never told is done once. CONCERT_LONG=1: many times.

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
	CLERKS => 8,
	BOOKINGS => 40,         # of a clerk in a round
	PAID_MAX => 30,         # what a fan has is enough for so many of them
	PRICE => 100,
	ROUNDS => $ENV{CONCERT_LONG} ? 60 : 3,
	TIMEOUT_SECONDS => 60,
	POLL_USECONDS => 1000,
};

my $node = hall_server('pay_crash');
my $dir = $node->basedir;

hall_open($node, seats => CLERKS * BOOKINGS * ROUNDS, fans => 0, limit => BOOKINGS);
$node->safe_psql('postgres', 'CREATE TABLE due (round int, clerk int, n int, booking_id uuid, PRIMARY KEY (round, clerk, n))');

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Every clerk serves a fan of each round, who has bookings, and the money for most of them.
sub prepare
{
	my ($round) = @_;
	my ($clerks, $bookings, $points) = (CLERKS, BOOKINGS, PAID_MAX * PRICE);
	my $first = ($round - 1) * $clerks * $bookings;

	value(<<"END");
SELECT count(concert.charge_points(fan($round * $clerks + c), $points, 'PTS', 'round', '$round ' || c)) FROM generate_series(1, $clerks) AS c;
INSERT INTO due SELECT $round, c, n, r.booking_id FROM hall, generate_series(1, $clerks) AS c, generate_series(1, $bookings) AS n,
	concert.reserve(date, seats($first + (c - 1) * $bookings + n), fan($round * $clerks + c), 900) AS r;
END
	return;
}

# A clerk asks for each payment under a key of its own and notes what it is told, as far as it comes.
sub start_clerk
{
	my ($round, $clerk, $told) = @_;
	my $fan = $round * CLERKS + $clerk;
	my $script = "$dir/clerk_${round}_$clerk.sql";

	append_to_file($script, join '', map { <<"END" } 1 .. BOOKINGS) unless -e $script;
SELECT 'told', n, p::text FROM due, concert.pay(booking_id, fan($fan), 'pay ' || n) AS p WHERE (round, clerk, n) = ($round, $clerk, $_);
END
	return IPC::Run::start([ 'psql', '-XAtq', '-F', ' ', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $script ],
		'>', $told, '2>', "$told.err");
}

# What was told, by clerk and booking; a line that was cut off was not told.
sub read_told
{
	my ($run, $round) = @_;
	my %told;

	foreach my $clerk (1 .. CLERKS)
	{
		my $file = "$dir/${run}_${round}_$clerk";
		next unless -e $file;
		my $text = slurp_file($file);
		$told{"$clerk $1"} = $2 while $text =~ /^told (\d+) (.*)\n/mg;
	}
	return %told;
}

# Half of the clerks vanish while they wait for an answer. Then all processes that pay are killed, or one of them, which
# takes the server with it.
sub crash
{
	my ($round, @clerks) = @_;
	my @payers = split /\n/, value(<<'END');
SELECT pid FROM pg_stat_activity WHERE query LIKE '%concert.pay(%' AND pid <> pg_backend_pid() ORDER BY state = 'active' DESC, random()
END

	$_->signal('KILL') foreach grep { $_->pumpable } @clerks[ CLERKS / 2 .. CLERKS - 1 ];
	kill 'KILL', @payers ? ($round % 2 ? @payers : $payers[0]) : ();
	return $node->kill9 if $round % 2;
	$node->stop('immediate', fail_ok => 1);
	return;
}

# By the tables alone: bookings that are paid, and their seats.
sub check_paid
{
	my ($when) = @_;

	is(value(<<'END'), '0', "$when: nobody has paid without a seat, no seat is confirmed without money");
SELECT count(*) FROM due LEFT JOIN concert.reservation AS r USING (booking_id)
LEFT JOIN concert.payment AS p USING (booking_id) LEFT JOIN concert.transfer AS t ON t.payment_id = p.id
WHERE (r.status IS NOT DISTINCT FROM 'confirmed') <> (t.id IS NOT NULL) OR (p.id IS NULL) <> (t.id IS NULL) OR t.amount <> r.price
END
	hall_is_sound($node, $when);
	return;
}

my $in_doubt = 0;
foreach my $round (1 .. ROUNDS)
{
	my $enough = int rand(CLERKS * BOOKINGS * 0.8);
	my $deadline = time + TIMEOUT_SECONDS;

	prepare($round);
	my @clerks = map { start_clerk($round, $_, "$dir/before_${round}_$_") } 1 .. CLERKS;
	usleep(POLL_USECONDS) while keys %{ { read_told('before', $round) } } < $enough && time < $deadline;
	crash($round, @clerks);
	$_->finish foreach @clerks;
	hall_start_again($node, "crash $round");
	check_paid("crash $round");

	my %before = read_told('before', $round);
	my $done = value("SELECT count(*) FROM concert.payment JOIN due USING (booking_id) WHERE round = $round");
	$in_doubt += $done - grep { /^\(t,/ } values %before;
	$_->finish foreach map { start_clerk($round, $_, "$dir/after_${round}_$_") } 1 .. CLERKS;
	my %after = read_told('after', $round);
	is(scalar keys %after, CLERKS * BOOKINGS, "crash $round: whoever asks again is told");
	is_deeply([ grep { $after{$_} ne $before{$_} } sort keys %before ], [], "crash $round: with the same key, what was told before");
	is(scalar(grep { /^\(t,/ } values %after), CLERKS * PAID_MAX, "crash $round: and what the money was enough for is paid, once");
	check_paid("after crash $round");
}
note("$in_doubt payments were done and not told before a crash");
$node->stop;
done_testing();
