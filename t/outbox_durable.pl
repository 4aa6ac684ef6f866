# SPDX-License-Identifier: PostgreSQL
#
# P2: what the outbox hands out is durable, on a server that is busy, idle or about to crash; prepared
# transactions keep their events and their place in the order over a restart; a standby does not relay.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
# Nobody is to move the WAL while the server is to be idle.
$node->append_conf('postgresql.conf', <<END);
fsync = on
autovacuum = off
shared_buffers = 128MB
restart_after_crash = on
max_prepared_transactions = 10
END
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION concert');
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION emit(k text, n int) RETURNS uuid LANGUAGE sql AS $$
	SELECT concert.emit('test.order', k, 'order.placed', jsonb_build_object('n', n));
$$;
-- What waits in all lanes, as a relay would read it; with deliver it is acked.
CREATE FUNCTION waiting(deliver boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	o record;
	e record;
	events text;
BEGIN
	FOR l IN 0 .. concert.outbox_lanes() - 1 LOOP
		SELECT * INTO o FROM concert.outbox_open(l);
		FOR e IN SELECT * FROM concert.outbox_read(l, o.s1, o.s2, o.seq) LOOP
			events := concat_ws(' ', events, e.payload->>'n');
		END LOOP;
		IF deliver AND e.seq IS NOT NULL THEN
			PERFORM concert.outbox_ack(l, o.epoch, e.s1, e.s2, e.seq);
		END IF;
	END LOOP;
	RETURN events;
END $$;
END

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

my $lane = q{concert.outbox_lane('test.order', 'a', concert.outbox_lanes())};
my $read = "SELECT string_agg(payload->>'n', ' ' ORDER BY seq) FROM concert.outbox_read($lane, '1:1:', '1:1:', 0)";

# A commit under synchronous_commit=off is visible before it is durable: reading flushes it. With those
# stopped who also write, and room for every page, nobody else does; their end is the server's crash.
my $their_pids = q{SELECT pid FROM pg_stat_activity WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer')};
my @writers = split /\n/, value($their_pids);
kill 'STOP', @writers;
is(value(q{SET synchronous_commit = off; DO $$BEGIN PERFORM emit('a', 1), emit('a', 2); END$$;
		   SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()}), 't', 'the commit is visible, not yet durable');
is(value("$read; SELECT pg_current_wal_flush_lsn() = pg_current_wal_insert_lsn()"), "1 2\nt", 'it is read, and durable by then');
kill 'KILL', @writers;
$node->poll_query_until('postgres', "SELECT count(*) = 3 FROM ($their_pids) AS w WHERE pid NOT IN (" . join(', ', @writers) . ')');
is(value($read), '1 2', 'it is there after a crash');

# An idle server after pg_switch_wal(): the insert position stands behind a page header, and nothing
# will ever be flushed up to it.
my ($before, $after, $in_segment);
for (1 .. 10)
{
	value(q{SELECT emit('a', 3)}) unless value("SELECT count(*) FROM concert.outbox_event WHERE payload->>'n' = '3'");
	value('SELECT pg_switch_wal()');
	$before = value('SELECT pg_current_wal_insert_lsn()');
	is(value("SET statement_timeout = '10s'; $read"), '1 2 3', 'an idle server is read after pg_switch_wal()');
	$after = value('SELECT pg_current_wal_insert_lsn()');
	$in_segment = value("SELECT ('$before'::pg_lsn - '0/0') % pg_size_bytes(current_setting('wal_segment_size'))");
	last if $before eq $after && $in_segment == 40;
}
is($after, $before, 'the server was idle');
is($in_segment, 40, 'its insert position stood behind the header of a segment');
# The same behind the header of any other page: fill it up to the end.
my $page = value('SHOW wal_block_size');
my $hit = value(<<"END");
DO \$\$
DECLARE
	room int;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		room := $page - (pg_current_wal_insert_lsn() - '0/0') % $page;
		EXIT WHEN room = $page - 24;
		-- a message record is 26 bytes of headers, its prefix and its text, aligned to 8
		PERFORM pg_logical_emit_message(false, '', repeat('x', greatest(room - 56, 0) % 200));
	END LOOP;
END \$\$;
SELECT (pg_current_wal_insert_lsn() - '0/0') % $page = 24;
END
SKIP:
{
	skip 'no record ended at the end of a page', 1 unless $hit eq 't';
	is(value("SET statement_timeout = '10s'; $read"), '1 2 3', 'an idle server is read at the end of a page');
}
is(value('SELECT waiting(true)'), '1 2 3', 'all is delivered');

# Prepared: neither delivered nor passed over, and its key is locked, also over a restart.
value(q{BEGIN; SELECT emit('a', 4); PREPARE TRANSACTION 'late'});
value(q{BEGIN; SELECT emit('c', 5); PREPARE TRANSACTION 'never'});
value(q{SELECT emit('b', 6)});
is(value('SELECT waiting(true)'), '6', 'prepared transactions are not delivered, others are');
my ($status, $stdout, $stderr) = $node->psql('postgres', q{SET lock_timeout = '100ms'; SELECT emit('a', 7)});
like($stderr, qr/lock timeout/, 'the key of a prepared transaction is locked');
$node->restart;
($status, $stdout, $stderr) = $node->psql('postgres', q{SET lock_timeout = '100ms'; SELECT emit('a', 7)});
like($stderr, qr/lock timeout/, 'the key of a prepared transaction is locked after a restart');
for my $n (8, 9, 10)
{
	is(value('SELECT ok FROM concert.outbox_rotate()'), 't', 'the ring turns');
	value("SELECT emit('b', $n)");
	is(value('SELECT waiting(true)'), $n, 'others are delivered');
}
is(value('SELECT reason FROM concert.outbox_rotate()'), 'busy', 'up to the table of the prepared transactions');
value(q{COMMIT PREPARED 'late'});
value(q{ROLLBACK PREPARED 'never'});
value(q{SELECT emit('a', 7)});
is(value('SELECT reason FROM concert.outbox_rotate()'), 'busy', 'committed but not delivered holds the ring up as well');
is(value('SELECT waiting(true)'), '4 7', 'what was prepared is delivered, in order');
is(value('SELECT ok FROM concert.outbox_rotate()'), 't', 'and the ring turns on');

# A standby reads nothing out; its statistics may be asked for.
value(q{SELECT emit('a', 12)});
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
for my $call ('outbox_open(0)', q{outbox_read(0, '1:1:', '1:1:', 0)}, q{outbox_ack(0, 1, '1:1:', '1:1:', 1)}, 'outbox_rotate()', 'outbox_reset()')
{
	($status, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT concert.$call");
	like($stderr, qr/25006/, "$call is refused on a standby");
}
is($standby->safe_psql('postgres', 'SELECT sum(unacked) FROM concert.outbox_stats()'), 1, 'the standby says what waits');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM concert.outbox_violations()'), 0, 'and that nothing is broken');
# Promoted, it is the outbox: same stamp, nothing lost, nothing delivered twice that was acked.
$standby->promote;
is($standby->safe_psql('postgres', 'SELECT waiting(true)'), '12', 'promoted, it goes on where the primary was');
$standby->stop;
$node->stop;
done_testing();
