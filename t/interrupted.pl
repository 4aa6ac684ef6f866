# SPDX-License-Identifier: PostgreSQL
#
# A reservation that ends in the middle leaves nothing: savepoints, prepared transactions, statement_timeout
# and a cancel, on both ways to the tables, while the call waits for a lock and while it writes. What was
# prepared holds its seats over a restart, for nobody to wait on, until it is committed or rolled back.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hall_server('interrupted');
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$node->restart;
hall_open($node, seats => 50, fans => 20);

# Half-way through its rows a call meets a constraint of the app's that waits for somebody: it is in the middle
# of its second row then, whichever way that row goes in. No others than fan 7 wait.
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION gate(user_id uuid, seat_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF user_id = public.fan(7) AND seat_id = (SELECT max(id::text)::uuid FROM public.seat WHERE n IN (1, 2)) THEN
		PERFORM pg_advisory_lock_shared(7);
		PERFORM pg_advisory_unlock_shared(7);
	END IF;
	RETURN true;
END $$;
ALTER TABLE concert.reservation ADD CONSTRAINT gate CHECK (gate(user_id, seat_id)) NOT VALID;
END

my $reserve = q{SELECT r.ok, r.reason FROM hall, concert.reserve(date, seats(1, 2), fan(7), idempotency_key => 'key') AS r};
my $left = <<'END';
SELECT (SELECT count(*) FROM concert.reservation WHERE user_id = fan(7)),
	   (SELECT count(*) FROM concert.history WHERE user_id = fan(7)),
	   (SELECT count(*) FROM concert.outbox_event WHERE payload->>'user_id' = fan(7)::text AND type <> 'point.charged'),
	   (SELECT count(*) FROM concert.request_0) + (SELECT count(*) FROM concert.request_1)
	   + (SELECT count(*) FROM concert.request_2) + (SELECT count(*) FROM concert.request_3),
	   (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid > 100)
END
is($node->safe_psql('postgres', $left), '0|0|0|0|0', 'nothing at first');

# A session that sells, and one that stands in its way.
my $seller = $node->background_psql('postgres', on_error_stop => 0);
my $seller_pid = $seller->query_safe('SELECT pg_backend_pid()');
my $blocker = $node->background_psql('postgres', on_error_stop => 0);

# The two places where a call is held up: before its locks are all had, and in the middle of writing.
my %places = (
	'waiting for a lock' => {
		# Somebody else's transaction of the same user is at the same date.
		close => "BEGIN; SELECT r.ok FROM hall, concert.reserve(date, seats(10), fan(7)) AS r",
		open => 'ROLLBACK',
	},
	'writing' => { close => 'SELECT pg_advisory_lock(7)', open => 'SELECT pg_advisory_unlock(7)' },
);

sub wait_until_held
{
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $seller_pid AND wait_event_type = 'Lock'")
	  or die 'the call is not held up';
	return;
}

sub is_clean
{
	my ($what) = @_;

	is($seller->query($left), '0|0|0|0|0', "$what: no rows, no locks");
	return;
}

foreach my $direct (qw(on off))
{
	$seller->query_safe("SET concert.direct_access = $direct");
	foreach my $place (sort keys %places)
	{
		foreach my $end (qw(timeout cancel savepoint))
		{
			my $what = "$end while $place, direct access $direct";

			$blocker->query_safe($places{$place}{close});
			$seller->query_safe('BEGIN; SAVEPOINT before') if $end eq 'savepoint';
			$seller->query_safe(q{SET statement_timeout = '200ms'}) if $end eq 'timeout';
			$seller->query_until(qr/sent/, "\\echo sent\n$reserve;\n");
			if ($end ne 'timeout')
			{
				wait_until_held();
				$node->safe_psql('postgres', "SELECT pg_cancel_backend($seller_pid)");
			}
			$seller->query('\\echo over');
			like($seller->{stderr}, qr/canceling statement due to (statement timeout|user request)/, $what);
			$seller->{stderr} = '';
			$seller->query_safe('RESET statement_timeout') if $end eq 'timeout';
			$seller->query_safe('ROLLBACK TO SAVEPOINT before') if $end eq 'savepoint';
			$blocker->query_safe($places{$place}{open});
			is_clean($what);

			# The same session, the same transaction and the same key go on.
			$seller->query_safe('SAVEPOINT sale') if $end eq 'savepoint';
			$seller->query_safe('BEGIN') if $end ne 'savepoint';
			is($seller->query($reserve), 't|', "$what: it can be had again");
			$seller->query_safe('ROLLBACK');
			is_clean("$what and rolled back");
		}
	}
}
$seller->quit;
$blocker->quit;

# A sale that is prepared: its seats are busy, nobody waits, over a restart too.
my $prepare = "BEGIN; SELECT r.ok FROM hall, concert.reserve(date, seats(%s), fan(%d)) AS r; PREPARE TRANSACTION '%s'";
my $ask = "SET statement_timeout = '10s'; SELECT r.ok, r.reason FROM hall, concert.reserve(date, seats(%s), fan(20)) AS r";

foreach my $direct (qw(on off))
{
	my $set = "SET concert.direct_access = $direct; ";

	is($node->safe_psql('postgres', $set . sprintf($prepare, '11, 12', 11, 'kept')), 't', "prepared, direct access $direct");
	is($node->safe_psql('postgres', $set . sprintf($prepare, '13', 12, 'dropped')), 't', 'and another');
	is($node->safe_psql('postgres', $set . sprintf($ask, '12, 13')), 'f|busy', 'its seats are busy');
	my ($status, $out, $change) = $node->psql('postgres', "SET lock_timeout = '100ms'; UPDATE concert.seat AS s SET id = concert.uuid7() FROM seat WHERE seat.n = 11 AND s.id = seat.id");
	like($change, qr/canceling statement due to lock timeout/, 'and keep their ids');
	$node->restart;
	is($node->safe_psql('postgres', $set . sprintf($ask, '11, 13')), 'f|busy', 'after a restart too');
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'dropped'");
	is($node->safe_psql('postgres', $set . sprintf($ask, '13')), 't|', 'rolled back: the seat is free');
	$node->safe_psql('postgres', "COMMIT PREPARED 'kept'");
	is($node->safe_psql('postgres', $set . sprintf($ask, '11')), 'f|held', 'committed: it is held');
	is($node->safe_psql('postgres', "SELECT count(*) FROM concert.reservation WHERE user_id = fan(11) AND status = 'pending'"), 2, 'as a whole');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_locks WHERE locktype = \'advisory\''), 0, 'no lock is left');
	$node->safe_psql('postgres', <<'END');
SELECT concert.cancel(b.booking_id, b.user_id)
FROM (SELECT DISTINCT booking_id, user_id FROM concert.reservation WHERE status = 'pending') AS b
END
}
is($node->safe_psql('postgres', <<'END'), '4|4', 'the prepared sales that were committed have their events, in whichever lane');
SELECT count(*), count(DISTINCT id) FROM concert.outbox_event WHERE payload->>'user_id' = fan(11)::text AND type <> 'point.charged'
END
# Choosing the true best among very many ways, which would take hours, ends when it is told to.
$node->safe_psql('postgres', <<'END');
CREATE TABLE vast AS SELECT concert.create_concert_date(concert.create_concert('Vast'), now() + interval '1 year', seats_per_user_max => 1000) AS date;
SELECT count(concert.add_seats(date, section, n, ARRAY(SELECT generate_series(1, 999)), accessible => ARRAY[1]))
FROM (SELECT date, concert.create_section(date, 'Vast', 100) AS section FROM vast) AS s, generate_series(1, 51) AS n;
END
$node->append_conf('postgresql.conf', 'concert.max_seats_per_booking = 1000');
$node->restart;
foreach my $direct (qw(on off))
{
	my ($status, $out, $err) = $node->psql('postgres',
		"SET concert.direct_access = $direct; SET statement_timeout = '3s';
		SELECT r.* FROM vast, concert.reserve_best(date, 1000, fan(1), policy => 'strict') AS r",
		timeout => $PostgreSQL::Test::Utils::timeout_default);
	like($err, qr/canceling statement due to statement timeout/, "choosing ends at its timeout, direct access $direct");
}
hall_is_sound($node, 'in the end');

$node->stop;
done_testing();
