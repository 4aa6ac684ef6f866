# SPDX-License-Identifier: PostgreSQL
#
# expire() where the lock table is as small as it can be: hundreds of bookings past their time are retired
# in batches that leave room for everybody else, several at it at once, while the sale goes on and nobody
# who sells ever waits for them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use Test::More;

my $bookings = 600;
my $node = hall_server('expire');
$node->append_conf('postgresql.conf', "max_connections = 20\nmax_locks_per_transaction = 10\nmax_prepared_transactions = 0\nautovacuum = off\n");
$node->restart;
hall_open($node, seats => 2 * $bookings + 10, fans => 10, limit => 1000);

# Two seats each, past their time, made over several commits, as sales are.
my $steps = 100;
for (my $first = 1; $first <= $bookings; $first += $steps)
{
	my $last = $first + $steps - 1;

	$node->safe_psql('postgres', join "\n", map { "SELECT concert.reserve(date, seats(2 * $_ - 1, 2 * $_), fan(1000 + $_)) FROM hall;" } $first .. $last);
}
$node->safe_psql('postgres', 'UPDATE concert.reservation SET expires_at = created_at');

# One transaction expires and stays open: how much it took, and what others still can do.
my $reaper = $node->background_psql('postgres');
my $retired = $reaper->query_safe("BEGIN;\nSELECT concert.expire(10000)");
$retired =~ s/\D//g;
cmp_ok($retired, '>', 0, 'a batch retires some');
cmp_ok($retired, '<', $bookings, 'and leaves most: the lock table is small');
my $slots = $node->safe_psql('postgres', q{SELECT current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)});
my $held = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'});
cmp_ok($held, '<=', $slots / 4, 'its locks are a small part of the table');
cmp_ok($held, '>=', $retired / 2, 'one booking at least for each two seats');

my $sale = $node->safe_psql('postgres', <<END);
SET lock_timeout = '1ms';
SELECT r.ok FROM hall, concert.reserve(date, seats(2 * $bookings + 1), fan(1)) AS r;
END
is($sale, 't', 'a free seat is sold meanwhile, without a wait');
# The oldest are being retired: asking for one is answered at once. The youngest are not.
is($node->safe_psql('postgres', "SET lock_timeout = '1ms'; SELECT r.ok, r.reason FROM hall, concert.reserve(date, seats(1), fan(2)) AS r"),
	'f|busy', 'a seat that is being retired is busy, not waited for');
is($node->safe_psql('postgres', "SET lock_timeout = '1ms'; SELECT r.ok FROM hall, concert.reserve(date, seats(2 * $bookings), fan(2)) AS r"),
	't', 'one that is past its time and not in the batch is taken over');
$reaper->query_safe('ROLLBACK');
$reaper->quit;
is($node->safe_psql('postgres', q{SELECT r.ok FROM hall, concert.reserve(date, seats(1), fan(2)) AS r}), 't', 'rolled back, it may be had');

# Several at once, each batch a transaction, then one alone until nothing is due.
$node->pgbench('--no-vacuum --client=4 --transactions=20', 0, [qr{processed: 80/80}], [qr{^$}], 'four expire at once',
	{ 'expire.sql' => "SELECT concert.expire(10000);\n" });
my $batches = 0;
$batches++ while $batches < $bookings && $node->safe_psql('postgres', 'SELECT concert.expire(10000)') ne '0';
cmp_ok($batches, '<', $bookings, 'batch by batch nothing is left');
is($node->safe_psql('postgres', q{SELECT status, count(*) FROM concert.reservation GROUP BY status ORDER BY status}),
	"expired|" . (2 * $bookings) . "\npending|3", 'every seat past its time is retired once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM concert.history AS h, unnest(seat_ids) WHERE action = 'expired'}), 2 * $bookings, 'and told once');
hall_is_sound($node, 'in the end');

$node->stop;
done_testing();
