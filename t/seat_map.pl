# SPDX-License-Identifier: PostgreSQL
#
# Seat maps while everybody sells: on the primary and on a streaming replica a client that applies the
# changes it is told to an old packed map has, at every step, the map that is packed there now, and that is the
# one seat_map() tells row by row. The sale rolls back, to savepoints too, stays open, is prepared and lapses.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant STEPS => 300;

my $primary = hall_server('primary', allows_streaming => 1);
$primary->append_conf('postgresql.conf', "max_prepared_transactions = 10\n");
$primary->restart;
hall_open($primary, seats => 203, fans => 50, limit => 1000);
$primary->safe_psql('postgres', <<'SQL');
CREATE FUNCTION packed_letters(p concert.seat_map_packed_answer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT string_agg(substr('fpsb', 1 + (get_byte(p.states, i / 4) >> (i % 4 * 2) & 3), 1), '' ORDER BY i)
	FROM generate_series(0, p.seats - 1) AS i
$$;
CREATE FUNCTION map_letters(date uuid) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(left(state, 1), '' ORDER BY "row", col) FROM concert.seat_map(date)
$$;

-- A client's step: asks for the changes since its version and applies them, all under one snapshot; what it finds
-- to be wrong is kept. Where packed maps are not read, the backend keeps none from which changes could be told.
CREATE FUNCTION client_step(date uuid, is_packed boolean, INOUT version text, INOUT letters text, INOUT told int, INOUT anew int,
							INOUT wrong text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	before text := version;
	c concert.seat_map_changes_answer := concert.seat_map_changes(date, version);
	p concert.seat_map_packed_answer;
	change record;
BEGIN
	IF is_packed OR c.anew THEN
		p := concert.seat_map_packed(date);
	END IF;
	IF c.anew THEN
		letters := packed_letters(p);
		anew := anew + 1;
	END IF;
	FOR change IN SELECT s.n, x.state FROM jsonb_to_recordset(c.seats) AS x (seat_id uuid, state text) JOIN seat AS s ON s.id = x.seat_id LOOP
		letters := overlay(letters PLACING left(change.state, 1) FROM change.n::int FOR 1);
		told := told + 1;
	END LOOP;
	version := CASE WHEN c.anew THEN p.version ELSE c.version END;
	IF letters <> map_letters(date) AND wrong = 'nothing' THEN
		wrong := format('the changes since %s made %s of %s', before, letters, map_letters(date));
	END IF;
	IF packed_letters(p) <> map_letters(date) AND wrong = 'nothing' THEN
		wrong := format('%s was packed of %s', packed_letters(p), map_letters(date));
	END IF;
END
$$;

-- One act of the sale; a deadlock of two transactions of many acts undoes one of them.
CREATE FUNCTION act() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	date uuid := (SELECT h.date FROM hall AS h);
	n int := 1 + random() * 200;
	dice float := random();
	lucky uuid := (SELECT booking_id FROM concert.reservation WHERE status = 'pending' ORDER BY random() LIMIT 1);
	who uuid := (SELECT user_id FROM concert.reservation WHERE booking_id = lucky LIMIT 1);
BEGIN
	IF dice < 0.5 THEN
		PERFORM concert.reserve(date, seats(n, n + 1, n + 2), fan(1 + n % 50), pending_seconds => 1 + n % 3);
	ELSIF dice < 0.65 THEN
		PERFORM concert.cancel(lucky, who) WHERE lucky IS NOT NULL;
	ELSIF dice < 0.68 THEN
		PERFORM concert.pay(lucky, who) WHERE lucky IS NOT NULL;
	ELSIF dice < 0.75 THEN
		PERFORM concert.extend(lucky, who, 3) WHERE lucky IS NOT NULL;
	ELSIF dice < 0.8 THEN
		PERFORM concert.expire(20);
	ELSIF dice < 0.9 THEN
		PERFORM concert.block_seats(seats(n), 'storm', CASE WHEN n % 3 > 0 THEN clock_timestamp() + interval '1 second' END);
	ELSE
		PERFORM concert.unblock_seats(seats(n));
	END IF;
EXCEPTION WHEN deadlock_detected OR foreign_key_violation THEN
	NULL;
END
$$;
SQL
$primary->backup('base');
my $replica = PostgreSQL::Test::Cluster->new('replica');
$replica->init_from_backup($primary, 'base', has_streaming => 1);
$replica->append_conf('postgresql.conf', "hot_standby_feedback = on\n");
$replica->start;
$primary->wait_for_catchup($replica);

my $old = $primary->safe_psql('postgres', q{SELECT p.version || ' ' || packed_letters(p) FROM hall, concert.seat_map_packed(date) AS p});
my ($version, $letters) = split / /, $old;
my $begin_changes = <<"END";
SELECT date, false AS is_packed, '$version' AS version, '$letters' AS letters, 0 AS told, 0 AS anew, 'nothing' AS wrong FROM hall \\gset
END
my $begin = <<'END';
SELECT date, true AS is_packed, p.version, packed_letters(p) AS letters, 0 AS told, 0 AS anew, 'nothing' AS wrong FROM hall, concert.seat_map_packed(date) AS p \gset
END
my $step = "SELECT * FROM client_step(:'date', :'is_packed', :'version', :'letters', :told, :anew, :'wrong') \\gset\n";
my $end = "\\echo :told :anew :wrong\n";

# A client that only reads; now and then under one snapshot for a while.
my $reader = '';
foreach my $n (1 .. STEPS)
{
	$reader .= $step;
	$reader .= "BEGIN ISOLATION LEVEL REPEATABLE READ;\n${step}SELECT pg_sleep(0.02) \\g /dev/null\n${step}COMMIT;\n" if $n % 10 == 0;
}
$reader .= $end;
my $reader_changes = $begin_changes . $reader;
$reader = $begin . $reader;

# One that also writes, and looks at what it has done before it undoes it.
my $writer = $begin;
foreach my $n (1 .. STEPS / 6)
{
	my $look = ($step =~ s/\\gset/\\gset own_/r) . "\\set wrong :own_wrong\n";
	my $commit = $n % 2 ? 'COMMIT' : 'ROLLBACK';

	$writer .= "BEGIN;\nSELECT act() \\g /dev/null\nSAVEPOINT s;\nSELECT act() \\g /dev/null\n${look}ROLLBACK TO s;\n${look}$commit;\n$step";
}
$writer .= $end;

my %storm = (
	autocommit => "SELECT act();\n",
	undone => "BEGIN;\nSELECT act();\nSAVEPOINT a;\nSELECT act();\nROLLBACK TO a;\nSELECT act();\nSELECT pg_sleep(random() / 5);\nCOMMIT;\n",
	given_up => "BEGIN;\nSELECT act();\nSELECT pg_sleep(random() / 10);\nROLLBACK;\n",
	prepared => "BEGIN;\nSELECT act();\nSELECT act();\nPREPARE TRANSACTION 'storm :client_id';\nSELECT pg_sleep(random() / 10);\nCOMMIT PREPARED 'storm :client_id';\n",
);
my @storm = ('pgbench', '--no-vacuum', '--client=5', '--jobs=2', '--time=600', '--max-tries=100');
foreach my $name (sort keys %storm)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/storm_$name.sql";

	append_to_file($file, $storm{$name});
	push @storm, "--file=$file";
}

my %clients = (
	primary => [ $primary, $reader ], replica => [ $replica, $reader ], writer => [ $primary, $writer ],
	primary_changes => [ $primary, $reader_changes ], replica_changes => [ $replica, $reader_changes ]);
my %out;
my $storm_log = '';
my $storm = IPC::Run::start([ @storm, $primary->connstr('postgres') ], '<', \undef, '>&', \$storm_log);
my %runs = map {
	my ($node, $script) = @{ $clients{$_} };
	$out{$_} = '';
	($_ => IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
			'<', \$script, '>&', \$out{$_}));
} sort keys %clients;
foreach my $name (sort keys %runs)
{
	ok($runs{$name}->finish, "$name: every step is answered") or diag $out{$name};
	like($out{$name}, qr{^\d+ 0 nothing$}, "$name: nothing is wrong at any step, and nothing is read anew");
	my ($told) = $out{$name} =~ /^(\d+)/;
	cmp_ok($told, '>', STEPS / 6, "$name: there were changes");
}
ok($storm->pumpable, 'the storm went on all the time') or diag $storm_log;
$storm->signal('INT');
$storm->finish;
$primary->safe_psql('postgres', "ROLLBACK PREPARED '$_'")
  foreach split /\n/, $primary->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');

# A version of one server is good on the other.
$primary->wait_for_catchup($replica);
foreach my $node ($primary, $replica)
{
	is($node->safe_psql('postgres', qq{SELECT told > 0, anew, wrong FROM hall, client_step(date, true, '$version', '$letters', 0, 0, 'nothing')}),
		't|0|nothing', 'what has changed since an old map of the primary is told by the ' . $node->name);
}

# A failover: ids of transactions may be given out again, so every map is read anew, once.
$primary->stop('immediate');
$replica->promote;
is($replica->safe_psql('postgres', qq{SELECT anew, wrong FROM hall, client_step(date, true, '$version', '$letters', 0, 0, 'nothing')}),
	'1|nothing', 'after a failover an old version is read anew');
is($replica->safe_psql('postgres', q{SELECT s.anew, s.wrong FROM hall, concert.seat_map_packed(date) AS p,
	client_step(date, true, p.version, packed_letters(p), 0, 0, 'nothing') AS s}), '0|nothing', 'and a new one is gone on from');
hall_is_sound($replica, 'after the storm');

$replica->stop;
done_testing();
