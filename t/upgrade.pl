# SPDX-License-Identifier: PostgreSQL
#
# ALTER EXTENSION UPDATE from the version before: a sale that the old library made goes on under the new
# one with its seats, money, answers and events; the upgraded schema is, catalog for catalog, that of a
# fresh install. Until the update the new library reads and relays, and refuses to sell. A dump of the
# old version becomes the new one by the same update. Wants CONCERT_PREVIOUS (scripts/previous-version).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $previous = $ENV{CONCERT_PREVIOUS};
plan skip_all => 'the history has no version before this one' unless $previous;

my $library = qx{pg_config --pkglibdir};
chomp $library;

# What the library of this stage is found by; the last line of the file counts.
sub use_stage
{
	my ($node, $stage) = @_;
	$node->append_conf('postgresql.conf', <<"END");
dynamic_library_path = '$stage$library:\$libdir'
extension_destdir = '$stage'
END
	return;
}

sub wait_for_lapse
{
	my ($node, $fan) = @_;
	$node->poll_query_until('postgres', "SELECT bool_and(expires_at <= clock_timestamp()) FROM concert.reservation WHERE user_id = fan($fan)")
	  or die 'a pending reservation did not lapse';
	return;
}

my $node = PostgreSQL::Test::Cluster->new('upgraded');
$node->init;
use_stage($node, "$previous/stage");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION concert');
my $old = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'concert'});
hall_open($node, seats => 100, fans => 20);

# A sale in all its states: sold, pending, cancelled, expired and retired, lapsed and not yet met, blocked.
$node->safe_psql('postgres', <<'END');
SELECT concert.pay(r.booking_id, fan(1), 'paid') FROM hall, concert.reserve(date, seats(1, 2), fan(1), idempotency_key => 'two') AS r;
SELECT concert.reserve(date, seats(3), fan(2), 900, idempotency_key => 'pending', correlation_id => 'before') FROM hall;
SELECT concert.reserve(date, seats(1), fan(3), idempotency_key => 'refused') FROM hall;
SELECT concert.cancel(r.booking_id, fan(4), 'given back') FROM hall, concert.reserve(date, seats(4), fan(4)) AS r;
SELECT concert.reserve(date, seats(5, 6), fan(5), 1) FROM hall;
SELECT concert.block_seats(seats(8), 'camera');
SELECT concert.soft_delete('seat', (seats(100))[1]);
END
wait_for_lapse($node, 5);
$node->safe_psql('postgres', <<'END');
SELECT concert.expire();
SELECT concert.reserve(date, seats(7), fan(6), 1) FROM hall;
END
wait_for_lapse($node, 6);

my $state = <<'END';
SELECT n, m.state, m.price FROM hall, concert.seat_map(date) AS m JOIN seat ON id = seat_id WHERE m.state <> 'free' ORDER BY n;
SELECT n, concert.balance(fan(n)) FROM generate_series(1, 6) AS n;
SELECT status, count(*) FROM concert.reservation GROUP BY status ORDER BY status;
SELECT count(*), sum(amount) FROM concert.transfer;
SELECT name, value FROM concert.lag() WHERE name NOT IN ('transfers_lapsed', 'payments_open', 'refunds_due') ORDER BY name;
SELECT lane, id FROM concert.outbox_unacked ORDER BY lane, id;
END

# A lane of which a part is delivered, a limit that was lowered, a right of somebody's own.
$node->safe_psql('postgres', <<'END');
SELECT concert.outbox_ack(0, o.epoch, e.s1, e.s2, e.seq)
FROM concert.outbox_open(0) AS o, concert.outbox_read(0, o.s1, o.s2, o.seq, 1) AS e;
UPDATE concert.concert_date SET seats_per_user_max = 1;
CREATE ROLE kiosk;
GRANT EXECUTE ON FUNCTION concert.reserve TO kiosk;
END
my $dump = $node->basedir . '/old.dump';
$node->command_ok([ 'pg_dump', '--format=custom', '--file', $dump, '-d', $node->connstr('postgres') ], 'dump of the old version');
my $before = $node->safe_psql('postgres', $state);

$node->stop;
use_stage($node, $ENV{CONCERT_STAGE});
$node->start;

# Until the update: reading and relaying go on, whatever writes what has changed says what to do.
is($node->safe_psql('postgres', $state), $before, 'the new library reads the old schema');
is($node->safe_psql('postgres', <<'END'), "100\nt", 'it counts and relays there');
SELECT sum(seats) + 1 FROM hall, concert.availability(date);
SELECT count(e) > 0 FROM generate_series(0, concert.outbox_lanes() - 1) AS lane, concert.outbox_open(lane) AS o, concert.outbox_read(lane, o.s1, o.s2, o.seq) AS e;
END
$before = $node->safe_psql('postgres', $state);
foreach my $call (
	'reserve(date, seats(9), fan(1))', 'pay(date, fan(2))', q{charge_points(fan(2), 1, 'PTS', 'hall', 'between')}, 'cancel(date, fan(2))', 'extend(date, fan(2), 60)', 'expire()',
	q{block_seats(seats(9), 'light')}, 'unblock_seats(seats(8))', q{soft_delete('seat', (seats(9))[1])},
	'create_concert_date(date, now())', q{create_section(date, 'Stalls', 1)}, 'add_seats(date, date, 9, ARRAY[9])')
{
	my (undef, undef, $stderr) = $node->psql('postgres', "SELECT concert.$call FROM hall", on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	like($stderr, qr/ERROR:  TK016:.*HINT:  Run ALTER EXTENSION concert UPDATE/s, "$call waits for the update");
}

my (undef, undef, $warnings) = $node->psql('postgres', 'ALTER EXTENSION concert UPDATE', on_error_die => 1);
like($warnings, qr/WARNING:  grant to kiosk on function reserve\(/, 'the update names the grant that does not go on');
unlike($warnings, qr/WARNING:.*WARNING:/s, 'and no other');
my $new = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'concert'});
isnt($new, $old, "updated from $old to $new");
is($node->safe_psql('postgres', $state), $before, 'seats, wallets, reservations, transfers and what is under way are as they were');
hall_is_sound($node, 'after the update');

# Answers that the old version gave are given again, refusals too.
is($node->safe_psql('postgres', <<'END'), "t||2\nt||1\nf|sold|1\nt|", 'keys of the old version answer as they did');
SELECT ok, reason, jsonb_array_length(seats) FROM hall, concert.reserve(date, seats(1, 2), fan(1), idempotency_key => 'two');
SELECT ok, reason, jsonb_array_length(seats) FROM hall, concert.reserve(date, seats(3), fan(2), 900, idempotency_key => 'pending');
SELECT ok, reason, jsonb_array_length(seats) FROM hall, concert.reserve(date, seats(1), fan(3), idempotency_key => 'refused');
SELECT ok, reason FROM (SELECT booking_id FROM concert.reservation WHERE user_id = fan(1) LIMIT 1) AS b, concert.pay(b.booking_id, fan(1), 'paid');
END

my $acts = "cancelled|1\nconfirmed|2\nexpired|2\nlimit_lowered|0\nreserved|7";
my $history = 'SELECT action, sum(cardinality(seat_ids)) FROM concert.history GROUP BY action ORDER BY action';
is($node->safe_psql('postgres', $history), $acts, 'the history has every act of before');
# History begins with what the tables knew.
is($node->safe_psql('postgres', <<'END'), "reserved|t\nconfirmed|t", 'the history of an old booking is filled in');
SELECT action, count(*) = 2 FROM (SELECT DISTINCT booking_id FROM concert.reservation WHERE user_id = fan(1)) AS b,
	concert.history_of_booking(b.booking_id) GROUP BY action ORDER BY min(at), action DESC
END

$node->safe_psql('postgres', q{CREATE FUNCTION lapse(booking uuid) RETURNS void LANGUAGE sql AS $$
UPDATE concert.reservation SET expires_at = clock_timestamp() WHERE booking_id = booking $$});
# The sale goes on: an old pending is paid, a lapsed one's seat is taken.
is($node->safe_psql('postgres', <<'END'), "t|\nt|\nf|blocked", 'old pendings are paid and retaken, blocks hold');
SELECT p.ok, p.reason FROM concert.reservation AS r, concert.pay(r.booking_id, fan(2)) AS p WHERE r.user_id = fan(2) AND r.status = 'pending';
SELECT ok, reason FROM hall, concert.reserve(date, seats(7), fan(7));
SELECT ok, reason FROM hall, concert.reserve(date, seats(8), fan(7));
END
is($node->safe_psql('postgres', <<'END'), "t|\nt\nt", 'money of before is moved on, set aside and given back');
SELECT t.ok, t.reason FROM concert.transfer AS old, concert.reverse(old.id) AS t WHERE old.kind = 'charge' AND old.external_ref = '19';
SELECT p.ok FROM concert.account AS a, concert.transfer_pending(a.id, (SELECT id FROM concert.account WHERE kind = 'revenue'), 10, 60) AS p
WHERE a.owner_id = fan(18);
SELECT ok FROM concert.charge_points(fan(19), 5, 'PTS', 'hall', 'after');
END
# Payments of before are refunded; what was pending before the update is paid by a provider, also late.
is($node->safe_psql('postgres', <<'END'), "t|100\nt|100\n200|200|refunded|1000", 'a payment of before is whole, and goes back');
SELECT r.ok, r.amount FROM (SELECT DISTINCT booking_id FROM concert.reservation WHERE user_id = fan(1)) AS b, concert.refund(b.booking_id, fan(1), seats(1)) AS r;
SELECT r.ok, r.amount FROM (SELECT DISTINCT booking_id FROM concert.reservation WHERE user_id = fan(1)) AS b, concert.refund(b.booking_id, fan(1)) AS r;
SELECT captured, refunded, status, concert.balance(fan(1)) FROM concert.payment WHERE user_id = fan(1);
END
is($node->safe_psql('postgres', <<'END'), "t|captured|confirmed", 'a booking that lapsed before is taken again for money that comes late');
SELECT c.ok, c.status, c.booking_status
FROM hall CROSS JOIN LATERAL concert.reserve(date, seats(60), fan(8), 900) AS r
CROSS JOIN LATERAL concert.payment_begin(r.booking_id, fan(8), 'acquirer') AS b
CROSS JOIN LATERAL (SELECT lapse(r.booking_id)) AS l
CROSS JOIN LATERAL concert.payment_captured(b.payment_id, 100, 'PTS', NULL, 'm1') AS c;
END
hall_is_sound($node, 'in the end');

# A session whose library the objects have left behind: it asks again after every update.
my (undef, undef, $behind) = $node->psql('postgres', <<'END', extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
BEGIN;
SELECT concert.extend(date, fan(1), 60) FROM hall;
UPDATE pg_extension SET extversion = 'a later one' WHERE extname = 'concert';
CREATE FUNCTION of_a_later_one() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT concert.extend(date, fan(1), 60) FROM hall;
END
is($behind, 'psql:<stdin>:5: ERROR:  TK016', 'a session that began before an update does not go on with the old library');

# Everything that belongs to the extension, told without ids; a line for each fact.
my $catalog = <<'END';
SET search_path = pg_catalog;
CREATE TEMP VIEW member AS
	SELECT classid, objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'concert');
CREATE TEMP VIEW rel AS
	SELECT c.* FROM pg_class AS c WHERE c.relnamespace = 'concert'::regnamespace AND c.relkind <> 't';
SELECT format('privileges %s %s', pg_describe_object(classoid, objoid, objsubid), initprivs) FROM pg_init_privs JOIN member ON (classid, objid) = (classoid, objoid) ORDER BY 1;
SELECT 'member ' || pg_describe_object(classid, objid, 0) FROM member ORDER BY 1;
SELECT format('relation %s %s %s %s %s', relname, relkind, relacl, reloptions, obj_description(oid, 'pg_class')) FROM rel ORDER BY 1;
SELECT format('column %s %s %s %s %s %s', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
	(SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d WHERE d.adrelid = c.oid AND d.adnum = a.attnum))
FROM rel AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE a.attnum > 0 ORDER BY c.relname, a.attnum;
SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
WHERE connamespace = 'concert'::regnamespace ORDER BY 1;
SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index AS i JOIN rel AS c ON c.oid = i.indexrelid ORDER BY 1;
SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN rel AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal ORDER BY 1;
SELECT format('view %s %s', relname, pg_get_viewdef(oid)) FROM rel WHERE relkind = 'v' ORDER BY 1;
SELECT format('function %s %s %s %s', oid::regprocedure, md5(pg_get_functiondef(oid)), proacl, obj_description(oid, 'pg_proc'))
FROM pg_proc WHERE pronamespace = 'concert'::regnamespace ORDER BY 1;
SELECT format('type %s %s %s', typname, typacl, obj_description(oid, 'pg_type')) FROM pg_type
WHERE typnamespace = 'concert'::regnamespace AND typtype = 'c' ORDER BY 1;
SELECT format('dumped %s %s', c.relname, condition) FROM pg_extension,
	unnest(extconfig, extcondition) AS d (oid, condition) JOIN pg_class AS c ON c.oid = d.oid WHERE extname = 'concert' ORDER BY 1;
END
my $fresh = hall_server('fresh');
is_deeply(
	[ split /\n/, $node->safe_psql('postgres', $catalog) ],
	[ split /\n/, $fresh->safe_psql('postgres', $catalog) ],
	'the upgraded schema is that of a fresh install');

# The new version's dump needs nothing more; the old one's is restored under the old version, then updated.
my $upgraded = $node->basedir . '/upgraded.dump';
$node->command_ok([ 'pg_dump', '--format=custom', '--file', $upgraded, '-d', $node->connstr('postgres') ], 'dump of the upgraded database');
my $sound = 'SELECT * FROM concert.check_integrity()';
my $contents = 'SELECT t::text FROM concert.history AS t UNION ALL SELECT t::text FROM concert.reservation AS t ORDER BY 1';
$fresh->safe_psql('postgres', 'CREATE ROLE kiosk');
$fresh->safe_psql('postgres', "CREATE DATABASE $_") foreach 'of_upgraded', 'of_old';
$fresh->command_ok([ 'pg_restore', '--exit-on-error', '-d', $fresh->connstr('of_upgraded'), $upgraded ], 'which is restored');
is($fresh->safe_psql('of_upgraded', $contents), $node->safe_psql('postgres', $contents), 'with reservations and history');
is($fresh->safe_psql('of_upgraded', $sound), '', 'and no promise is broken');
$fresh->safe_psql('of_old', "CREATE EXTENSION concert VERSION '$old'");
my $stderr;
run_log([ 'pg_restore', '-d', $fresh->connstr('of_old'), $dump ], '2>', \$stderr);
is(join(' ', $stderr =~ /ERROR: (.*)/g), ' schema "concert" already exists', 'the dump of the old version is restored beside its own objects');
$fresh->safe_psql('of_old', 'ALTER EXTENSION concert UPDATE');
is($fresh->safe_psql('of_old', $sound), '', 'and updated: no promise is broken');
is($fresh->safe_psql('of_old', $history), $acts, 'the history has every act of before');
is($fresh->safe_psql('of_old', 'SELECT ok FROM hall, concert.reserve(date, seats(50), fan(12))'), 't', 'and the sale goes on');

$fresh->stop;
$node->stop;
done_testing();
