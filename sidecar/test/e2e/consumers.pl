# SPDX-License-Identifier: PostgreSQL
# The consumers: every event ends applied, once in each group, or in a dead-letter topic, whatever
# happens to a copy of concertd, the database or Redis; one that cannot be applied holds up nobody.
use strict;
use warnings;

use ConcertTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant SEATS => 200;
use constant GROUPS => {
	'ticket' => ['reservation'],
	'point-charge' => ['point'],
	'seat-map' => ['reservation'],
	'notification' => [ 'reservation', 'payment', 'point', 'notification' ],
};

my $postgres = start_postgres();
start_redis();
my $kafka = start_kafka();
my $sale = sell(rows => 10, cols => SEATS / 10, seats_per_user_max => SEATS);
my $settings = {
	roles => 'relay, consumer, reaper',
	'consumer.retry_min_ms' => 20,
	'consumer.retry_max_ms' => 500,
};
my @daemons = map { start_concertd($settings) } 1 .. 2;

# Sells the next seats, one booking each, every one paid.
sub sell_seats
{
	my ($count) = @_;
	my $seats = join ', ', map { "'$_'" } splice @{ $sale->{seats} }, 0, $count;

	sql(qq{
		CREATE PROCEDURE pg_temp.sell() LANGUAGE plpgsql AS \$\$
		DECLARE fan uuid; seat uuid; booking record;
		BEGIN
			FOREACH seat IN ARRAY ARRAY[$seats]::uuid[] LOOP
				fan := gen_random_uuid();
				PERFORM concert.charge_points(fan, 100, 'PTS', 'test', fan::text);
				booking := concert.reserve('$sale->{date}', ARRAY[seat], fan);
				PERFORM concert.pay(booking.booking_id, fan);
				COMMIT;
			END LOOP;
		END \$\$;
		CALL pg_temp.sell()});
	return;
}

# The events that a group has not applied yet.
sub missing
{
	my ($group) = @_;
	my $topics = join ', ', map { "'concert.$_'" } @{ GROUPS->{$group} };

	return sql(qq{
		SELECT count(*) FROM concert.outbox_event AS e WHERE topic IN ($topics) AND NOT EXISTS (
			SELECT FROM (TABLE concert.inbox_0 UNION ALL TABLE concert.inbox_1
				UNION ALL TABLE concert.inbox_2 UNION ALL TABLE concert.inbox_3) AS i
			WHERE i.consumer = '$group' AND i.event_id = e.id)});
}

sub wait_applied
{
	my ($what, @groups) = @_;

	for my $group (@groups ? @groups : sort keys %{ +GROUPS })
	{
		wait_until(sub { missing($group) == 0 }, undef, "group $group $what");
	}
	pass("all is applied $what");
	return;
}

sub dead_letters
{
	return map { kafka_messages("concert.$_.dlq") } qw(reservation payment point notification);
}

sell_seats(40);
wait_applied('by two copies');

sell_seats(40);
kill_concertd($daemons[0]);
wait_applied('after one copy was killed');
$daemons[0] = start_concertd($settings);
sell_seats(10);
signal_concertd('STOP', $daemons[1]);
wait_applied('while one copy is paused');
signal_concertd('CONT', $daemons[1]);

sell_seats(10);
$postgres->restart;
sell_seats(10);
wait_applied('after the database was restarted');

kill_redis();
sell_seats(10);
wait_applied('without Redis', qw(ticket point-charge notification));
is(missing('seat-map'), 20, 'seat marks wait for Redis');
start_redis();
wait_applied('after Redis came back');

is(scalar dead_letters(), 0, 'nothing that could be applied is a dead letter');

# A charge that does not exist can never be recorded; the next event of its key can.
my $account = uuid();
my $charge = qq[{"transfer_id": "$account", "account_id": "$account", "user_id": "$account",
	"amount": 1, "currency": "PTS", "source": "test", "external_ref": "none"}];
# Nobody can emit such an event; so it is written straight to the outbox.
my ($bad, $good) = map {
	sql(qq{INSERT INTO concert.outbox_event_0 (seq, xid, created_at, id, lane, topic, key, type, headers, payload)
		SELECT nextval('concert.outbox_seq'), pg_current_xact_id(), now(), concert.uuid7(),
		       concert.outbox_lane('concert.point', '$account', lanes), 'concert.point', '$account', '$_',
		       '{"correlation_id": "trace me"}', '$charge'
		FROM concert.outbox_state RETURNING id})
} 'point.charged', 'point.other';
my $kcat = "kcat -b 127.0.0.1:$kafka->{port} -P -t concert.point -k $account";
system_or_bail('sh', '-c', "echo 'no event' | $kcat");
sell_seats(10);
wait_until(sub { dead_letters() >= 3 }, undef, 'the dead letters');
wait_applied('behind an event that cannot be', qw(ticket seat-map notification));
is(missing('point-charge'), 1, 'only that event is left out');

my %dead;
push @{ $dead{ $_->{headers}{ce_id} // '' } }, $_ for dead_letters();
is(scalar @{ $dead{$bad} }, 1, 'it is a dead letter once');
my ($letter) = @{ $dead{$bad} };
is($letter->{headers}{concert_group}, 'point-charge', 'its group is named');
is($letter->{headers}{concert_attempts}, 5, 'its attempts are counted');
like($letter->{headers}{concert_reason}, qr/^TK001 charge .* does not exist/, 'its reason is told');
is($letter->{headers}{ce_correlationid}, 'trace me', 'its own headers are kept');
is($letter->{payload}{external_ref}, 'none', 'and its payload');
is_deeply(
	[ sort map { $_->{headers}{concert_group} } @{ $dead{''} } ],
	[ 'notification', 'point-charge' ],
	'what is no event is a dead letter of each group that read it');
ok(
	(grep { log_contains(qr/"event_dead","correlation_id":"trace me"/, $_) } @daemons),
	'the log names it');
is(sql('SELECT * FROM concert.check_integrity()'), '', 'nothing is broken');

# While messages are still being fetched: what is on its way then is read by whoever comes next.
sql(q{SELECT count(concert.emit('concert.notification', 'key ' || n % 200, 'test.told', '{}')) FROM generate_series(1, 20000) AS n});
wait_until(sub { sql('SELECT sum(unacked) FROM concert.outbox_stats()') < 10000 }, undef, 'half of a burst to be relayed');
is(stop_concertd($_), 0, "$_->{name} drains and ends well") for @daemons;

done_testing();
