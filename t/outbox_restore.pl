# SPDX-License-Identifier: PostgreSQL
#
# P2 over a dump: an outbox that was restored elsewhere, where its transaction ids mean something else,
# hands out nothing until outbox_reset(), and then exactly what was not acked, in order and under the same
# ids, followed by what was emitted meanwhile. The same for a copy of the database and after pg_upgrade.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %node;
for my $name ('old', 'new')
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init;
	$node{$name}->append_conf('postgresql.conf', "max_prepared_transactions = 10\n");
	$node{$name}->start;
}

sub value
{
	my ($name, $database, $sql) = @_;
	return $node{$name}->safe_psql($database, $sql);
}

sub sqlstate
{
	my ($name, $database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node{$name}->psql($database, "\\set VERBOSITY sqlstate\n$sql");
	return $stderr =~ /ERROR:\s+(\w+)/ ? $1 : "none: $stdout";
}

# What a relay would get now, acked: the events of each key, in order.
sub delivered
{
	my ($name, $database) = @_;
	my %events;
	for (split /\n/, value($name, $database, 'SELECT deliver(1000)'))
	{
		my ($key, $event) = /^(\w+): (.*)$/;
		push @{ $events{$key} }, $event;
	}
	return \%events;
}

# deliver() acks at most so many slices of two events in each lane and returns the events in order.
my $helpers = <<'END';
CREATE FUNCTION emit(k text, n int) RETURNS uuid LANGUAGE sql AS $$
	SELECT concert.emit('test.order', k, 'order.placed', jsonb_build_object('n', n), '{"correlation_id": "c"}');
$$;
CREATE FUNCTION deliver(slices int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	o record;
	p record;
	e record;
	got boolean;
BEGIN
	CREATE TEMPORARY TABLE got_now (o serial, key text, event text);
	FOR l IN 0 .. concert.outbox_lanes() - 1 LOOP
		SELECT * INTO o FROM concert.outbox_open(l);
		p := o;
		FOR i IN 1 .. slices LOOP
			got := false;
			FOR e IN SELECT * FROM concert.outbox_read(l, p.s1, p.s2, p.seq, 2) LOOP
				got := true;
				p.s1 := e.s1;
				p.s2 := e.s2;
				p.seq := e.seq;
				INSERT INTO got_now (key, event) VALUES (e.key, concat_ws(' ', e.payload->>'n', e.id, e.headers, e.created_at));
			END LOOP;
			EXIT WHEN NOT got;
			PERFORM concert.outbox_ack(l, o.epoch, p.s1, p.s2, p.seq);
		END LOOP;
	END LOOP;
	RETURN QUERY SELECT key || ': ' || event FROM got_now AS g ORDER BY g.o;
	DROP TABLE got_now;
END $$;
END

value('old', 'postgres', 'CREATE EXTENSION concert');
value('old', 'postgres', $helpers);
# Old transaction ids are high, new ones are low.
value('old', 'postgres', 'DO $$BEGIN FOR i IN 1 .. 3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$');
for my $n (1 .. 5)
{
	value('old', 'postgres', "SELECT emit('k' || k, $n) FROM generate_series(1, 12) AS k");
}
# One that was running while later ones were acked.
value('old', 'postgres', "BEGIN; SELECT emit('late', 1); PREPARE TRANSACTION 'late'");
value('old', 'postgres', "SELECT deliver(100)");
for my $n (6 .. 10)
{
	value('old', 'postgres', "SELECT emit('k' || k, $n) FROM generate_series(1, 12) AS k");
}
is(value('old', 'postgres', 'SELECT ok FROM concert.outbox_rotate()'), 't', 'the ring has turned');
value('old', 'postgres', 'SELECT deliver(1)');
value('old', 'postgres', "COMMIT PREPARED 'late'");
value('old', 'postgres', "SELECT emit('k' || k, 11) FROM generate_series(1, 12) AS k");
my $waiting = value('old', 'postgres', 'SELECT sum(unacked) FROM concert.outbox_stats()');
cmp_ok($waiting, '>', 12, 'some events wait');
cmp_ok($waiting, '<', 73, 'and some of their difference do not');
my $epoch = value('old', 'postgres', 'SELECT max(epoch) FROM concert.outbox_stats()');

# Dump and restore.
my $dump = $node{old}->basedir . '/dump';
$node{old}->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node{old}->connstr('postgres') ], 'dumped');
value('new', 'postgres', 'CREATE DATABASE restored');
$node{new}->command_ok([ 'pg_restore', '-d', $node{new}->connstr('restored'), $dump ], 'restored');
cmp_ok(value('new', 'restored', 'SELECT min(xid::text::bigint) FROM concert.outbox_event'), '>',
	value('new', 'restored', 'SELECT pg_current_xact_id()::text::bigint'), 'the restored transaction ids lie in the future');

is(sqlstate('new', 'restored', "SELECT concert.$_"), 'TK008', "$_ is refused until the reset")
  for 'outbox_open(0)', q{outbox_read(0, '1:1:', '1:1:', 0)}, q{outbox_ack(0, 1, '1:1:', '1:1:', 1)}, 'outbox_rotate()';
is(value('new', 'restored', 'SELECT sum(unacked) FROM concert.outbox_stats()'), $waiting, 'as many events wait as before');
is(value('new', 'restored', 'SELECT count(*) FROM concert.check_integrity()'), 0, 'nothing is broken');
value('new', 'restored', "SELECT emit('k1', 12), emit('new', 1)");
is(value('new', 'restored', 'SELECT sum(unacked) FROM concert.outbox_stats()'), $waiting + 2, 'those emitted meanwhile wait too');

# A dump of that state restores as well.
$node{new}->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.again", $node{new}->connstr('restored') ], 'dumped once more');
value('new', 'postgres', 'CREATE DATABASE again');
$node{new}->command_ok([ 'pg_restore', '-d', $node{new}->connstr('again'), "$dump.again" ], 'restored once more');

is(value('new', $_, 'SELECT concert.outbox_reset()'), $waiting + 2, "$_: the reset keeps what waits") for 'restored', 'again';
is(value('new', 'restored', 'SELECT concert.outbox_reset()'), 0, 'a second one has nothing to do');
is(value('new', 'restored', 'SELECT count(*) FROM concert.outbox_event'), $waiting + 2, 'and only that is left');
is(value('new', 'restored', 'SELECT min(epoch) > 0 AND max(epoch) > ' . $epoch . ' FROM concert.outbox_stats()'), 't', 'epochs go on');
value('new', $_, "SELECT emit('k1', 13)") for 'restored', 'again';
is(value('new', 'restored', 'SELECT count(*) FROM concert.check_integrity()'), 0, 'nothing is broken after the reset');

my $expected = delivered('old', 'postgres');
for my $database ('restored', 'again')
{
	my $got = delivered('new', $database);
	my @since = splice @{ $got->{k1} }, -2;
	like("@since", qr/^12 \S+ .* 13 \S+ /, "$database: what was emitted since comes last");
	is(scalar @{ delete $got->{new} }, 1, "$database: in other keys too");
	is_deeply($got, $expected, "$database: before it all that waited, same ids, same order");
}
is(value('new', 'restored', 'SELECT sum(unacked) FROM concert.outbox_stats()'), 0, 'all is acked');
is(value('new', 'restored', 'SELECT ok FROM concert.outbox_rotate()'), 't', 'and the ring turns');

# A copy within the cluster is not the original either.
value('old', 'postgres', "SELECT emit('k1', 14)");
value('old', 'template1', 'CREATE DATABASE copy TEMPLATE postgres');
is(sqlstate('old', 'copy', 'SELECT concert.outbox_open(0)'), 'TK008', 'a copy needs a reset');
like(sqlstate('old', 'postgres', 'SELECT concert.outbox_open(0)'), qr/^none: \(t,/, 'its original does not');
is(value('old', 'copy', 'SELECT concert.outbox_reset()'), 1, 'the copy keeps what waits');

# pg_upgrade carries the tables over as they are, the stamp of the old cluster with them.
$node{old}->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
$upgraded->append_conf('postgresql.conf', "max_prepared_transactions = 10\n");
my $bin = $node{old}->config_data('--bindir');
chdir $upgraded->basedir or die "cannot change to " . $upgraded->basedir;
command_ok([ 'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $node{old}->data_dir, '-D', $upgraded->data_dir,
		'-p', $node{old}->port, '-P', $upgraded->port, '-s', $upgraded->host ], 'upgraded');
$upgraded->start;
is($upgraded->safe_psql('postgres', 'SELECT count(*) FROM concert.outbox_state WHERE stamp = concert.outbox_stamp()'), 0, 'only the old stamp is there');
$upgraded->safe_psql('postgres', "SELECT emit('k1', 15)");
is($upgraded->safe_psql('postgres', 'SELECT concert.outbox_reset()'), 2, 'the reset keeps what waits');
like($upgraded->safe_psql('postgres', 'SELECT deliver(1000)'), qr/^k1: 14 .*\nk1: 15 .*$/, 'and it is delivered in order');

$upgraded->stop;
$node{new}->stop;
done_testing();
