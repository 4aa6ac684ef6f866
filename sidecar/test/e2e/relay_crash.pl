# SPDX-License-Identifier: PostgreSQL
# The relay, ended at its worst moments: killed between Kafka's ack and the cursor, or paused until
# the server gives its lanes away. Nothing is lost, what is repeated has the same ids, first
# deliveries keep the order of each key, and effects happen once.
use strict;
use warnings;

use ConcertTest;
use Test::More;

use constant EVENTS => 300;
use constant KEYS => 7;

my @topics = map { "concert.$_" } qw(reservation payment point notification);

my $postgres = start_postgres();
start_redis();
start_kafka();
my $sale = sell(rows => 1, cols => 40);
my $daemon = start_concertd({ roles => 'relay, consumer, reaper' });

# One transaction with EVENTS events of few keys and two paid bookings, so that each lane has all of
# its events in one slice.
sub emit_events
{
	my $seats = join ', ', map { "'$_'" } splice @{ $sale->{seats} }, 0, 2;
	my ($events, $keys) = (EVENTS, KEYS);

	sql(qq{
		DO \$\$
		DECLARE fan uuid; seat uuid; booking record;
		BEGIN
			PERFORM concert.emit('concert.notification', 'key ' || i % $keys, 'test.told', '{}')
				FROM generate_series(1, $events) AS i;
			FOREACH seat IN ARRAY ARRAY[$seats]::uuid[] LOOP
				fan := gen_random_uuid();
				PERFORM concert.charge_points(fan, 100, 'PTS', 'test', fan::text);
				booking := concert.reserve('$sale->{date}', ARRAY[seat], fan);
				PERFORM concert.pay(booking.booking_id, fan);
			END LOOP;
		END \$\$});
	return;
}

# How often Kafka has each event, by id, and how many first deliveries came after a later one's.
sub delivered
{
	my %seq = map { $_->{id} => $_->{seq} } sql_rows('SELECT id, seq FROM concert.outbox_event');
	my (%times, %last);
	my $late = 0;

	for my $topic (@topics)
	{
		for my $message (sort { $a->{offset} <=> $b->{offset} } kafka_messages($topic))
		{
			my $id = $message->{headers}{ce_id};
			my $key = "$topic $message->{key}";
			next if $times{$id}++;
			$late++ if $seq{$id} < ($last{$key} // 0);
			$last{$key} = $seq{$id};
		}
	}
	return (\%times, $late);
}

sub all_delivered
{
	my ($times) = delivered();
	return keys %{$times} == sql('SELECT count(*) FROM concert.outbox_event');
}

sub unacked
{
	return sql('SELECT sum(unacked) FROM concert.outbox_stats()');
}

# Of the inbox: each group has every event of its topics.
sub all_applied
{
	return sql(q{
		SELECT (SELECT sum(value) FROM concert.lag()) = 0
		   AND (SELECT sum(CASE topic WHEN 'concert.reservation' THEN 3
		                   WHEN 'concert.point' THEN 2 ELSE 1 END) FROM concert.outbox_event)
		     = (SELECT count(*) FROM (TABLE concert.inbox_0 UNION ALL TABLE concert.inbox_1
		        UNION ALL TABLE concert.inbox_2 UNION ALL TABLE concert.inbox_3) AS inbox)}) eq 't';
}

sub check_all
{
	my ($what) = @_;

	wait_until(\&all_applied, undef, "all to be applied $what");
	my ($times, $late) = delivered();
	my $events = sql('SELECT count(*) FROM concert.outbox_event');
	is(scalar keys %{$times}, $events, "every event is in Kafka $what");
	is($late, 0, "first deliveries are in order per key $what");
	is(sql('SELECT * FROM concert.check_integrity()'), '', "nothing is broken $what");
	return $times;
}

emit_events();
my $times = check_all('before any fault');
is((grep { $_ > 1 } values %{$times}), 0, 'without a fault nothing is repeated');

# Kafka acks, but the cursor has to wait for a lock.
my $blocker = $postgres->background_psql('concert');
$blocker->query_safe(
	'BEGIN; LOCK TABLE concert.outbox_cursor_0, concert.outbox_cursor_1 IN SHARE MODE');
emit_events();
wait_until(\&all_delivered, undef, 'Kafka to have what no cursor has passed');
my $in_flight = unacked();
cmp_ok($in_flight, '>', EVENTS, 'no cursor has passed what Kafka has');
kill_concertd($daemon);
my $sessions = q{FROM pg_stat_activity WHERE usename = 'concertd'};
sql("SELECT pg_terminate_backend(pid) $sessions");
wait_until(sub { sql("SELECT count(*) $sessions") == 0 }, undef, 'the end of its sessions');
$blocker->quit;
is(unacked(), $in_flight, 'the crash left the cursor where it was');

$daemon = start_concertd($daemon->{settings});
$times = check_all('after a crash between ack and cursor');
is((grep { $_ > 1 } values %{$times}), $in_flight, 'what was in flight is repeated, no more');
is((grep { $_ > 2 } values %{$times}), 0, 'and only once');

my $other = start_concertd($daemon->{settings});
signal_concertd('STOP', $daemon);
emit_events();
check_all('while the relay that had the lanes is paused');
ok(log_contains(qr/"lane_taken"/, $other), 'another one has taken them');
signal_concertd('CONT', $daemon);
emit_events();
check_all('after it woke');

is(stop_concertd($_), 0, "$_->{name} drains and ends well") for $daemon, $other;

done_testing();
