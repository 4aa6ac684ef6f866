# SPDX-License-Identifier: PostgreSQL
# An event that Kafka refuses for good stops its lane, and only that one, named in /readyz; nothing
# behind it overtakes it, and it goes on by itself once an operator has it skipped.
use strict;
use warnings;

use ConcertTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant EVENTS => 20;
use constant REFUSED => 10;

start_postgres();
start_kafka('message.max.bytes=20000');
my $daemon = start_concertd({ roles => 'relay' });

# One transaction; the REFUSED-th event of the key is larger than the broker takes.
my ($events, $refused) = (EVENTS, REFUSED);
sql(qq{
	BEGIN;
	SELECT concert.emit('concert.notification', 'stuck', 'test.told', jsonb_build_object('n', i,
		'text', repeat('x', CASE i WHEN $refused THEN 30000 ELSE 10 END)))
	FROM generate_series(1, $events) AS i;
	COMMIT});
my $id = sql(qq{SELECT id FROM concert.outbox_event WHERE payload->>'n' = '$refused'});
my $stuck_lane = sql(qq{SELECT lane FROM concert.outbox_event WHERE id = '$id'});
my $free_key = sql(qq{
	SELECT k FROM generate_series(1, 100) AS i, concat('key ', i) AS k
	WHERE concert.outbox_lane('concert.notification', k, concert.outbox_lanes()) <> $stuck_lane
	LIMIT 1});

sub numbers
{
	my ($key) = @_;
	my @messages = grep { $_->{key} eq $key } kafka_messages('concert.notification');
	return map { $_->{payload}{n} } sort { $a->{offset} <=> $b->{offset} } @messages;
}

sub is_ready
{
	my ($status) = http('GET', '/readyz');
	return $status == 200;
}

wait_for_log(qr/"lane_stopped".*$id/);
my ($status, undef, $report) = http('GET', '/readyz');
is($status, 503, 'a lane that stands still is not ready');
like(
	$report->{checks}{relay}{detail},
	qr/lane $stuck_lane: event $id is refused/,
	'lane and event are named');

sql("SELECT concert.emit('concert.notification', '$free_key', 'test.told', '{\"n\": 1}')");
wait_until(sub { numbers($free_key) }, undef, 'an event of another lane');
is_deeply([ numbers('stuck') ], [ 1 .. REFUSED - 1 ], 'nothing has overtaken it');

my $program = $ENV{CONCERTD} || source_file('build/sidecar/concertd');
my $operator = conninfo(sql('SELECT current_user'));
command_ok([ $program, 'outbox', 'skip', $id, $operator ], 'the operator has it skipped');
wait_until(\&is_ready, undef, 'the lane to go on');
wait_until(sub { numbers('stuck') >= EVENTS - 1 }, undef, 'the events behind it');
is_deeply(
	[ numbers('stuck') ],
	[ grep { $_ != REFUSED } 1 .. EVENTS ],
	'each other event is there once, in order');
is(sql('SELECT event_id FROM concert.outbox_skipped'), $id, 'the skip is recorded');
is(sql('SELECT sum(unacked) FROM concert.outbox_stats()'), 0, 'nothing is left behind');

done_testing();
