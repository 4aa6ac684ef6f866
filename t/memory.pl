# SPDX-License-Identifier: PostgreSQL
#
# A backend does not grow with its calls: ten kinds of them in turn, won and lost, with a key and without, best seats,
# seat maps, cancelled. What its memory contexts hold after the first thousands is what they hold twenty times later. Nor
# does it read more and more: its plans, made while the tables were empty and never again, find rows by their keys.
# The same calls, a million of them, are the benchmark "memory".

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use Test::More;

my $calls_per_turn = 10;
my $calls_few = 2_000;
my $calls_many = 40_000;

# A plan that is made late takes a block or two, a cache that fills up one more; a leak of eight bytes in one call of ten is more.
my $growth_bytes_max = 24576;

# Rows that a scan of an index may read. Of a seat's past it reads all: every turn adds to that of two seats.
my $rows_per_scan_max = 20;
my $index_of_a_seats_past = 'reservation_seat_fence';

my $folder = "$FindBin::RealBin/../bench/memory";
my $node = hall_server('memory');
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->restart;
$node->safe_psql('postgres', "DROP EXTENSION concert;\n\\i $folder/setup.sql");
my $date = $node->safe_psql('postgres', 'SELECT date FROM bench.hall');

my $each = $calls_few / $calls_per_turn;
my $turns = $calls_many / $calls_per_turn + 1;
$node->command_ok(
	[
		'pgbench', '--no-vacuum', '--protocol=prepared', '--client=1', "--transactions=$turns",
		"--file=$folder/mix.pgbench", '--define=i=-1', "--define=each=$each", "--define=date=$date"
	],
	'every call is answered as it should be');

my $bytes = sub { $node->safe_psql('postgres', "SELECT context_bytes FROM bench.footprint WHERE calls = $_[0]") };
cmp_ok($bytes->($calls_many), '<=', $bytes->($calls_few) + $growth_bytes_max,
	"a backend holds after $calls_many calls what it held after $calls_few");

is( $node->safe_psql('postgres', <<END), '', 'and it never came to read what it does not need');
SELECT indexrelname, idx_tup_read / idx_scan FROM pg_stat_user_indexes
WHERE schemaname = 'concert' AND idx_scan > 1000 AND idx_tup_read > idx_scan * $rows_per_scan_max
  AND indexrelname <> '$index_of_a_seats_past'
END

$node->stop;
done_testing();
