# SPDX-License-Identifier: PostgreSQL
#
# What calls leave behind. One that loses, to a seat that is sold or to a sale that is still open, leaves nothing: no
# transaction number, no WAL, and it waits for nobody. A sale leaves no dead row; one of a seat whose pending is past its
# time leaves one, the version of the reservation that it ended.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use Test::More;

my $calls = 200;

# What the server writes by itself meanwhile: a snapshot of the running transactions now and then.
my $idle_wal_bytes_max = 2048;

my $node = hall_server('traces');
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->restart;
hall_open($node, seats => 100, fans => 100);

my $value = sub { $node->safe_psql('postgres', $_[0]) };
my $next_xid = 'SELECT pg_snapshot_xmax(pg_current_snapshot())';

# So many calls, each a transaction, lose a seat without a trace.
my $lose = sub {
	my ($n, $reason) = @_;
	my $call = "SELECT r.ok, r.reason FROM hall, concert.reserve(date, seats($n), fan(9)) AS r";

	is($value->("SET lock_timeout = '1ms'; BEGIN; $call; SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT"),
		"f|$reason\nt", "$reason: refused, in a transaction without a number");
	my ($xid, $lsn) = ($value->($next_xid), $value->('SELECT pg_current_wal_insert_lsn()'));
	$node->pgbench("--no-vacuum --client=4 --transactions=" . $calls / 4, 0, [qr{processed: $calls/$calls}], [qr{^$}],
		"$reason: nobody waits", { "lose_$reason.sql" => "SET lock_timeout = '1ms';\n$call;\n" });
	is($value->($next_xid), $xid, "$reason: $calls calls take no transaction number");
	cmp_ok($value->("SELECT pg_current_wal_insert_lsn() - '$lsn'"), '<=', $idle_wal_bytes_max, "$reason: and write no WAL");
	return;
};

my $take = sub { $value->("SELECT bool_and((concert.reserve(date, seats(n), fan(n))).ok) FROM hall, generate_series(11, 60) AS n") };
# What sessions leave they tell when they end, which is a moment after their clients do.
my $dead = sub {
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'});
	return $value->(q{SELECT string_agg(relname || ' ' || n_dead_tup, ', ') FROM pg_stat_user_tables WHERE schemaname = 'concert' AND n_dead_tup > 0});
};

$value->('SELECT concert.pay((concert.reserve(date, seats(1), fan(1))).booking_id, fan(1)) FROM hall');
# Reading prunes pages on which rows died; nothing else did than what made the hall.
$value->('VACUUM');
$lose->(1, 'sold');
my $seller = $node->background_psql('postgres');
$seller->query_safe("BEGIN;\nSELECT concert.reserve(date, seats(2), fan(2)) FROM hall");
$lose->(2, 'busy');
$seller->query_safe('COMMIT');
$seller->quit;
$lose->(2, 'held');

$value->('VACUUM');
is($dead->(), '', 'no row is dead');
is($take->(), 't', 'fifty seats are sold');
is($dead->(), '', 'that leaves no dead row');
$value->('UPDATE concert.reservation SET expires_at = created_at');
$value->('VACUUM');
is($take->(), 't', 'past their time they are sold anew');
is($dead->(), 'reservation 50', 'that leaves one dead version of each reservation that ended');

$node->stop;
done_testing();
