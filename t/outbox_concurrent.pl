# SPDX-License-Identifier: PostgreSQL
#
# P2, P3, P8 under load: 16 writers with rollbacks, savepoints, transaction ids assigned long before the
# event, commits that come long after it, synchronous_commit=off, REPEATABLE READ and prepared
# transactions, while the tables rotate and relays die between publishing and acking. Nothing is lost,
# each key's events are first delivered in commit order, and no event row is ever updated or deleted.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	WRITERS => 16,
	TRANSACTIONS_PER_WRITER => 150,
	KEYS => 40,
	TIMEOUT_SECONDS => 180,
};

my $node = PostgreSQL::Test::Cluster->new('outbox');
$node->init;
$node->append_conf('postgresql.conf', <<END);
fsync = on
max_connections = 60
max_prepared_transactions = 20
statement_timeout = ${\(TIMEOUT_SECONDS * 1000)}
END
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION concert');

# bump() counts an aggregate up under its row lock and tells it, so that a key's events are known to be
# 1, 2, 3 … in commit order. free() emits under nothing but emit's own lock; what it numbers after that,
# while it holds the lock, is in commit order too.
$node->safe_psql('postgres', <<'END');
CREATE TABLE aggregate (key int PRIMARY KEY, n int NOT NULL);
CREATE TABLE told (o bigserial, key text, id uuid);
CREATE TABLE delivered (o bigserial, id uuid, topic text, key text, n int);
CREATE TABLE rotation (ok boolean, reason text);
CREATE TABLE stop ();

CREATE FUNCTION bump(k int) RETURNS void LANGUAGE sql AS $$
	WITH a AS (UPDATE aggregate SET n = n + 1 WHERE key = k RETURNING n)
	SELECT concert.emit('test.bump', k::text, 'test.bumped', jsonb_build_object('n', n)) FROM a;
$$;
CREATE FUNCTION free(k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event uuid := concert.emit('test.free', k::text, 'test.told', '{}');
BEGIN
	INSERT INTO told (key, id) VALUES (k::text, event);
END $$;

-- A relay whose broker is the table delivered. One time in twenty it dies after publishing: it
-- begins anew at the newest cursor.
CREATE PROCEDURE relay(l int) LANGUAGE plpgsql AS $$
DECLARE
	o record;
	p record;
	e record;
	finished boolean;
	got int;
BEGIN
	LOOP
		SELECT * INTO STRICT o FROM concert.outbox_open(l);
		EXIT WHEN o.ok;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
	p := o;
	LOOP
		COMMIT;
		finished := EXISTS (SELECT FROM stop);
		got := 0;
		FOR e IN SELECT * FROM concert.outbox_read(l, p.s1, p.s2, p.seq, 1 + floor(random() * 30)::int) LOOP
			INSERT INTO delivered (id, topic, key, n) VALUES (e.id, e.topic, e.key, (e.payload->>'n')::int);
			p.s1 := e.s1;
			p.s2 := e.s2;
			p.seq := e.seq;
			got := got + 1;
		END LOOP;
		COMMIT;
		IF got = 0 THEN
			EXIT WHEN finished;
			PERFORM pg_sleep(0.002);
		ELSIF random() < 0.05 THEN
			SELECT * INTO STRICT o FROM concert.outbox_open(l);
			p := o;
		ELSIF NOT (SELECT ok FROM concert.outbox_ack(l, o.epoch, p.s1, p.s2, p.seq)) THEN
			RAISE 'not acked';
		END IF;
	END LOOP;
END $$;

CREATE PROCEDURE rotate() LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) OR (SELECT count(*) <= 8 FROM rotation WHERE ok) LOOP
		INSERT INTO rotation SELECT ok, reason FROM concert.outbox_rotate();
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END $$;
END
$node->safe_psql('postgres', "INSERT INTO aggregate SELECT k, 0 FROM generate_series(1, ${\KEYS}) AS k");

my $script = $node->basedir . '/writer.sql';
append_to_file($script, <<"END");
\\set style random(1, 12)
\\set a random(1, ${\KEYS})
\\set b random(1, ${\KEYS})
END
append_to_file($script, <<'END');
\if :style = 1
BEGIN;
SELECT bump(:a);
SELECT free(:a % 5);
SELECT bump(:a);
ROLLBACK;
\elif :style = 2
BEGIN;
SELECT pg_current_xact_id();
SELECT pg_sleep(0.03);
SELECT bump(:a);
COMMIT;
\elif :style = 3
BEGIN;
SELECT bump(:a);
SELECT free(:b % 5);
SELECT pg_sleep(0.02);
COMMIT;
\elif :style = 4
BEGIN;
SAVEPOINT one;
SELECT bump(:a);
ROLLBACK TO one;
SAVEPOINT two;
SELECT bump(:a);
RELEASE two;
SELECT free(:a % 5);
COMMIT;
\elif :style = 5
BEGIN;
SET LOCAL synchronous_commit = off;
SELECT bump(:a);
COMMIT;
\elif :style = 6
BEGIN;
SELECT bump(least(:a, :b));
SELECT bump(greatest(:a, :b));
COMMIT;
\elif :style = 7
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT bump(:a);
COMMIT;
\elif :style = 8
BEGIN;
SELECT bump(:a);
PREPARE TRANSACTION 'writer:client_id';
COMMIT PREPARED 'writer:client_id';
\elif :style = 9
BEGIN;
SELECT bump(:a);
PREPARE TRANSACTION 'writer:client_id';
ROLLBACK PREPARED 'writer:client_id';
\elif :style = 10
SELECT free(:a % 5);
\else
SELECT bump(:a);
\endif
END

sub call
{
	my ($name, $call) = @_;
	return IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " application_name=$name", '-c', "CALL $call" ],
		'<', \undef, IPC::Run::timer(TIMEOUT_SECONDS));
}

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

my $lanes = value('SELECT concert.outbox_lanes()');
my @relays = map { call("relay_$_", "relay($_)") } 0 .. $lanes - 1;
my $rotator = call('rotator', 'rotate()');
my $errors = '';
my $writers = IPC::Run::start(
	[ 'pgbench', '-n', '-c', WRITERS, '-j', 2, '-t', TRANSACTIONS_PER_WRITER, '--max-tries', 100, '-f', $script, $node->connstr('postgres') ],
	'>', \my $output, '2>', \$errors, IPC::Run::timer(TIMEOUT_SECONDS));

# A relay is killed in earnest; the one that follows it takes its lane as soon as the session is gone.
$node->poll_query_until('postgres', 'SELECT count(*) > 200 FROM delivered');
is(value(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'relay_0'}), 1, 'a relay is killed');
$relays[0]->finish;
$relays[0] = call('relay_0', 'relay(0)');

ok($writers->finish, 'the writers finished') or diag($errors);
value('INSERT INTO stop DEFAULT VALUES');
ok($_->finish, 'a relay finished') for @relays;
ok($rotator->finish, 'the rotator finished');

cmp_ok(value('SELECT sum(n) FROM aggregate'), '>', WRITERS * TRANSACTIONS_PER_WRITER / 2, 'much was committed');
cmp_ok(value('SELECT count(*) FROM told'), '>', 0, 'also by emit alone');
cmp_ok(value('SELECT count(*) FROM rotation WHERE ok'), '>', 8, 'every table was emptied more than once');

is(value(q{
	SELECT count(*) FROM aggregate AS a, generate_series(1, a.n) AS n
	WHERE NOT EXISTS (SELECT FROM delivered AS d WHERE d.topic = 'test.bump' AND d.key = a.key::text AND d.n = n.n)}),
	0, 'no event is lost');
is(value(q{
	SELECT count(*) FROM told AS t WHERE NOT EXISTS (SELECT FROM delivered AS d WHERE d.id = t.id)}),
	0, 'none of those emitted without another lock either');
is(value(q{
	SELECT count(*) FROM delivered AS d WHERE topic = 'test.free' AND NOT EXISTS (SELECT FROM told AS t WHERE t.id = d.id)
	   OR topic = 'test.bump' AND n > (SELECT n FROM aggregate WHERE key::text = d.key)}),
	0, 'nothing is delivered that was rolled back');
is(value(q{
	SELECT count(*) FROM (SELECT n, row_number() OVER (PARTITION BY key ORDER BY first) AS place
						  FROM (SELECT key, n, min(o) AS first FROM delivered WHERE topic = 'test.bump' GROUP BY key, n) AS f) AS d
	WHERE n <> place}),
	0, 'first deliveries of each key are in commit order');
is(value(q{
	SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY t.key ORDER BY t.o) AS place,
								 row_number() OVER (PARTITION BY t.key ORDER BY d.first) AS seen
						  FROM told AS t JOIN (SELECT id, min(o) AS first FROM delivered GROUP BY id) AS d USING (id)) AS t
	WHERE place <> seen}),
	0, 'also where nothing but emit keeps them apart');
cmp_ok(value('SELECT count(*) - count(DISTINCT id) FROM delivered'), '>', 0, 'relays that died repeated some');
is(value('SELECT sum(unacked) FROM concert.outbox_stats()'), 0, 'all is acked');
is(value('SELECT count(*) FROM concert.check_integrity()'), 0, 'no promise is broken');
value('SELECT pg_stat_force_next_flush()');
is(value(q{SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname ~ '^outbox_(event|cursor)'}),
	0, 'no event and no cursor was ever updated or deleted');

$node->stop;
done_testing();
