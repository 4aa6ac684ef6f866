# SPDX-License-Identifier: PostgreSQL
#
# A dump holds everything: restored into another cluster, every table of concert has every row and each
# sequence its value, no promise is broken, and the sale goes on. The outbox says that it is another's
# until outbox_reset(); then the relay's functions deliver what had not been acked, and only that. The same
# rows come back by several jobs into a database that has the schema; what the triggers' states are then
# is told to nobody, and so sessions keep nothing of prices and rules until these are ALWAYS again.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $origin = hall_server('origin');
hall_open($origin, seats => 200, fans => 20);

# Something in every table: also answers kept, places, tickets, records, cursors, a skipped event.
$origin->safe_psql('postgres', <<'END');
SELECT concert.pay(r.booking_id, fan(1), 'key') FROM hall, concert.reserve(date, seats(1, 2), fan(1), idempotency_key => 'key') AS r;
SELECT concert.create_concession(section_id, 'student', 50) FROM hall, concert.availability(date);
SELECT concert.reserve(date, seats(3), fan(2), 900, concessions => ARRAY['student']) FROM hall;
SELECT concert.cancel(r.booking_id, fan(3), 'key') FROM hall, concert.reserve(date, seats(4), fan(3)) AS r;
SELECT concert.block_seats(seats(5), 'caméra', now() + interval '1 hour');
SELECT concert.soft_delete('seat', (seats(200))[1]);
SELECT concert.charge_points(fan(1), 50, 'EUR', 'hall', 'euros', 'key');
SELECT t.ok FROM concert.account AS w, concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees') AS fees, generate_series(1, 1000) AS n,
	concert.transfer(fees, w.id, n) AS t WHERE w.owner_id = fan(5) AND w.currency = 'PTS';
SELECT concert.checkpoint_accounts(1);
SELECT (concert.transfer_post(p.transfer_id, 4)).ok FROM concert.account AS w, concert.account AS fees,
	concert.transfer_pending(w.id, fees.id, 10, 600) AS p WHERE w.owner_id = fan(5) AND fees.name = 'fees';
SELECT p.ok FROM concert.account AS w, concert.account AS fees, concert.transfer_pending(w.id, fees.id, 7, 600) AS p
WHERE w.owner_id = fan(5) AND fees.name = 'fees';
SELECT c.ok FROM hall, concert.reserve(date, seats(8), fan(6)) AS r, concert.payment_begin(r.booking_id, fan(6), 'acquirer', 10) AS b,
	concert.payment_captured(b.payment_id, 1, 'PTS', NULL, 'too little') AS c;
SELECT concert.lease_places(date, 1000) FROM hall;
SELECT concert.record_admission(date, 1, 10, 7) FROM hall;
DO $$
DECLARE
	o record;
	e record;
	n int := 0;
BEGIN
	FOR l IN 0 .. concert.outbox_lanes() - 1 LOOP
		SELECT * INTO o FROM concert.outbox_open(l);
		FOR e IN SELECT * FROM concert.outbox_read(l, o.s1, o.s2, o.seq) LOOP
			PERFORM concert.issue_tickets(e.id, e.type, e.payload), concert.record_point_charge(e.id, e.type, e.payload);
		END LOOP;
		IF e.seq IS NOT NULL THEN
			PERFORM concert.outbox_ack(l, o.epoch, e.s1, e.s2, e.seq);
		END IF;
	END LOOP;
END $$;
SELECT concert.outbox_rotate();
SELECT concert.emit('concert.notification', 'poisoned', 'test.told', '{}') AS poisoned \gset
SELECT concert.outbox_skip(concert.outbox_lane('concert.notification', 'poisoned', concert.outbox_lanes()), :'poisoned');
SELECT concert.pay(r.booking_id, fan(4)) FROM hall, concert.reserve(date, seats(6, 7), fan(4)) AS r;
SELECT concert.emit('concert.notification', 'last', 'test.told', '{"n": 1}', '{"correlation_id": "trace"}');
END

# Every row of every table of concert, as one digest for each table; and what each sequence would give.
my $contents = <<'END';
SELECT c.relname, CASE c.relkind
	WHEN 'S' THEN (xpath('/row/v/text()', query_to_xml(format('SELECT last_value || '' '' || is_called AS v FROM concert.%I', c.relname), false, true, '')))[1]::text
	ELSE (xpath('/row/v/text()', query_to_xml(format(
		'SELECT count(*) || '' '' || coalesce(md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")), '''') AS v FROM concert.%I AS t %s',
		c.relname, CASE c.relname WHEN 'outbox_state' THEN 'WHERE stamp <> concert.outbox_stamp() OR cardinality(ARRAY(SELECT stamp FROM concert.outbox_state)) = 1' ELSE '' END), false, true, '')))[1]::text END
FROM pg_class AS c WHERE c.relnamespace = 'concert'::regnamespace AND c.relkind IN ('r', 'p', 'S') ORDER BY c.relname
END

sub contents
{
	my ($node, $database) = @_;
	return map { split /\|/, $_, 2 } split /\n/, $node->safe_psql($database // 'postgres', $contents);
}

# The ids of the events that wait, lane by lane in order; with ack they are delivered.
sub waiting
{
	my ($node, $ack) = @_;
	my $deliver = $ack ? 'true' : 'false';

	return $node->safe_psql('postgres', <<"END");
CREATE TEMP TABLE waiting (o serial, lane int, id uuid, xid text);
DO \$\$
DECLARE
	o record;
	e record;
BEGIN
	FOR l IN 0 .. concert.outbox_lanes() - 1 LOOP
		SELECT * INTO o FROM concert.outbox_open(l);
		FOR e IN SELECT * FROM concert.outbox_read(l, o.s1, o.s2, o.seq) LOOP
			INSERT INTO waiting (lane, id) VALUES (l, e.id);
		END LOOP;
		IF $deliver AND e.seq IS NOT NULL THEN
			PERFORM concert.outbox_ack(l, o.epoch, e.s1, e.s2, e.seq);
		END IF;
	END LOOP;
END \$\$;
SELECT lane, id FROM waiting ORDER BY o
END
}

my %before = contents($origin);
my @empty = grep { $before{$_} =~ /^0 / && !/^(request|inbox|outbox_event|outbox_cursor)_\d$/ } sort keys %before;
is("@empty", '', 'every table has something to lose');
cmp_ok(scalar(grep { $before{$_} !~ /^0 / } grep {/^(request|inbox|outbox_event|outbox_cursor)_\d$/} keys %before), '>=', 5, 'so has every ring');

my $dump = $origin->basedir . '/concert.dump';
$origin->command_ok([ 'pg_dump', '--format=custom', '--file', $dump, '-d', $origin->connstr('postgres') ], 'dump');
my %dumped = contents($origin);
is_deeply(\%dumped, \%before, 'nothing moved while it was dumped');
my $unacked = waiting($origin, 0);
isnt($unacked, '', 'events wait to be delivered');

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init;
$restored->start;
# Another cluster's transaction ids are other ones, here far ahead.
$restored->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
$restored->command_ok([ 'pg_restore', '--exit-on-error', '-d', $restored->connstr('postgres'), $dump ], 'restore');

my %after = contents($restored);
is_deeply(\%after, \%before, 'every table has every row back, each sequence its value');

# Selling needs no relay.
is($restored->safe_psql('postgres', <<'END'), "f|sold\nf|held\nf|blocked\nf|unknown\nt|", 'what is taken is taken in the restored hall');
SELECT r.ok, r.reason FROM unnest(ARRAY[1, 3, 5, 200, 4]) AS n, hall, concert.reserve(date, seats(n), fan(5)) AS r
END
is($restored->safe_psql('postgres', 'SELECT concert.balance(fan(1)), concert.balance(fan(1), $$EUR$$)'), '800|50', 'wallets hold what they held');
is($restored->safe_psql('postgres', q{SELECT (concert.charge_points(fan(1), 50, 'EUR', 'hall', 'euros', 'key')).ok}), 't', 'an answer kept is given again');
is($restored->safe_psql('postgres', q{SELECT (concert.charge_points(fan(1), 50, 'EUR', 'hall', 'euros')).reason}), 'already_resolved', 'a reference is still good once only');
is($restored->safe_psql('postgres', 'SELECT (concert.lease_places(date, 1)).from_number FROM hall'), '1001', 'places go on');
hall_is_sound($restored, 'restored');

# The relay stands until somebody says that this outbox is its own.
foreach my $call ('outbox_open(0)', q{outbox_read(0, '1:1:', '1:1:', 0)}, q{outbox_ack(0, 1, '1:1:', '1:1:', 1)}, 'outbox_rotate()')
{
	my ($status, $stdout, $stderr) = $restored->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT concert.$call");

	like($stderr, qr{ERROR:  TK008$}, "$call waits for outbox_reset()");
}
$restored->safe_psql('postgres', 'SELECT concert.outbox_reset()');
my $since = $restored->safe_psql('postgres', 'SELECT lane, id FROM concert.outbox_unacked');
my %old = map { $_ => 1 } split /\n/, $unacked;
my @delivered = split /\n/, waiting($restored, 1);
is(join("\n", grep { $old{$_} } @delivered), $unacked, 'what had not been acked is delivered after the reset, in its order');
is(join("\n", sort @delivered), join("\n", sort split /\n/, $since), 'with what was emitted since, and nothing that had been acked');
is(waiting($restored, 0), '', 'once');
is($restored->safe_psql('postgres', 'SELECT (concert.outbox_rotate()).ok'), 't', 'the ring turns');
hall_is_sound($restored, 'in the end');

# By several jobs: the schema with its keys first, then the data past them. The reversal lies before its charge.
$origin->safe_psql('postgres', <<'END');
SELECT concert.reverse(id) FROM concert.transfer WHERE kind = 'charge' LIMIT 1;
UPDATE concert.account SET id = gen_random_uuid() WHERE owner_id IS NOT NULL;
END
my %later = contents($origin);
$origin->command_ok([ 'pg_dump', '--format=directory', '--file', "$dump.d", '-d', $origin->connstr('postgres') ], 'dump of the data for several jobs');
$restored->safe_psql('postgres', 'CREATE DATABASE by_jobs');
my @into = ('pg_restore', '--exit-on-error', '-d', $restored->connstr('by_jobs'));
$restored->command_ok([ @into, '--schema-only', "$dump.d" ], 'the schema');
$restored->command_ok([ @into, '--data-only', '--disable-triggers', '--jobs=4', "$dump.d" ], 'the data by four jobs');
is_deeply({ contents($restored, 'by_jobs') }, \%later, 'every table has every row back, each sequence its value');
is($restored->safe_psql('by_jobs', 'SELECT * FROM concert.check_integrity()'), '', 'no promise is broken');
$restored->safe_psql('by_jobs', 'SELECT concert.outbox_reset()');
is($restored->safe_psql('by_jobs', q{SELECT count(*) FROM pg_trigger WHERE tgname = 'forget_kept' AND tgenabled <> 'A'}), 3, 'the triggers are no longer ALWAYS');

my $seller = $restored->background_psql('by_jobs');
my $apply = 'BEGIN; SET LOCAL session_replication_role = replica; UPDATE concert.section SET price = %d; COMMIT';
my $price = q{SELECT r.ok, r.seats->0->>'price' FROM hall, concert.reserve(date, seats(%d), fan(10)) AS r};
is($seller->query(sprintf $price, 10), 't|100', 'a session sells');
$restored->safe_psql('by_jobs', sprintf $apply, 70);
is($seller->query(sprintf $price, 11), 't|70', 'and sells at the price that came by replication');
$restored->safe_psql('by_jobs', "ALTER TABLE concert.$_ ENABLE ALWAYS TRIGGER forget_kept") for 'concert_date', 'section', 'outbox_state';
is($seller->query(sprintf $price, 12), 't|70', 'so it does when the triggers are ALWAYS again');
$restored->safe_psql('by_jobs', sprintf $apply, 60);
is($seller->query(sprintf $price, 13), 't|60', 'and at the next price');
$seller->quit;

$origin->stop;
$restored->stop;
done_testing();
