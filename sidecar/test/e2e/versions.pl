# SPDX-License-Identifier: PostgreSQL
#
# Either half may be upgraded first: this concertd sells from the extension of the version before, the
# concertd of the version before sells from this extension. In between, when the library is new and the
# objects are not, nothing is sold and nothing lost. Wants CONCERT_PREVIOUS (scripts/previous-version).
use strict;
use warnings;

use ConcertTest;
use Test::More;

my $previous = $ENV{CONCERT_PREVIOUS};
plan skip_all => 'the history has no version before this one' unless $previous;

my $library = qx{pg_config --pkglibdir};
chomp $library;

# The settings by which a server finds the extension of a stage.
sub stage
{
	my ($stage) = @_;
	return (
		dynamic_library_path => "$stage$library:\$libdir",
		extension_destdir => $stage);
}

sub extension_version
{
	return sql(q{SELECT extversion FROM pg_extension WHERE extname = 'concert'});
}

my %sale = (price => 100, admission => "'required'", admission_cap => 5, admission_rate => 50);

# A fan's whole way: queue, map, seats, points, payment; a second booking that is given back.
sub fan_goes_through
{
	my ($who, $sale) = @_;
	my $date = $sale->{date};
	my @seats = @{ $sale->{seats} };
	my $fan = uuid();
	my %fan = ('X-User-Id' => $fan);
	my ($status, undef, $place) = http('POST', "/v1/dates/$date/queue", \%fan);
	my $answer;

	ok($status == 200 || $status == 201, "$who: a place in the queue");
	wait_until(
		sub {
			(undef, undef, $answer) =
			  http('GET', '/v1/queue', { %fan, 'Concert-Place' => $place->{place} });
			return ($answer->{state} // '') eq 'admitted';
		},
		undef,
		"$who: admission");
	$fan{'Concert-Pass'} = $answer->{pass};
	($status, undef, $answer) = http('GET', "/v1/dates/$date/seats", \%fan);
	is_deeply([ $status, scalar @{ $answer->{seats} } ], [ 200, scalar @seats ], "$who: the map has every seat");

	my %keyed = (%fan, 'Idempotency-Key' => uuid());
	($status, undef, $answer) = http('POST', "/v1/dates/$date/bookings", \%keyed, { seats => [ @seats[ 0, 1 ] ] });
	is($status, 201, "$who: two seats are booked");
	my $booking = $answer->{booking_id};
	($status, undef, $answer) = http('POST', "/v1/dates/$date/bookings", \%keyed, { seats => [ @seats[ 0, 1 ] ] });
	is($answer->{booking_id}, $booking, "$who: once");
	($status, undef, $answer) = http(
		'POST',
		"/v1/users/$fan/points",
		{ 'X-User-Id' => $fan, 'X-Role' => 'operator' },
		{ amount => 500, source => 'test', external_ref => uuid() });
	is_deeply([ $status, $answer->{balance} ], [ 201, 500 ], "$who: points are charged");
	($status, undef, $answer) = http('POST', "/v1/bookings/$booking/payment", \%fan, {});
	is_deeply([ $status, $answer->{amount} ], [ 200, 200 ], "$who: and paid with");
	($status, undef, $answer) = http('POST', "/v1/dates/$date/bookings", \%fan, { seats => [ $seats[2] ] });
	is($status, 201, "$who: one more seat");
	($status) = http('DELETE', "/v1/bookings/$answer->{booking_id}", \%fan);
	is($status, 200, "$who: is given back");
	sql("SELECT concert.block_seats(ARRAY['$seats[3]']::uuid[], 'camera')");
	wait_until(
		sub {
			($status, undef, $answer) = http('POST', "/v1/dates/$date/bookings", \%fan, { seats => [ $seats[3] ] });
			return $status == 409 && $answer->{code} eq 'blocked';
		},
		undef,
		"$who: a block to be known");

	wait_until(
		sub { sql("SELECT count(*) FROM concert.ticket AS t JOIN concert.reservation AS r ON r.id = t.reservation_id WHERE r.booking_id = '$booking'") == 2 },
		undef,
		"$who: tickets");
	wait_until(sub { sql('SELECT sum(unacked) FROM concert.outbox_stats()') == 0 }, undef, "$who: the relay to be through");
	is_deeply(
		[ map { $_->{headers}{ce_type} } grep { $_->{key} eq $booking } kafka_messages('concert.reservation') ],
		[ 'reservation.reserved', 'reservation.confirmed' ],
		"$who: its events are in Kafka");
	is(sql('SELECT * FROM concert.check_integrity()'), '', "$who: every promise is kept");
	return ($fan, $booking, \%fan);
}

my $server = start_postgres(stage("$previous/stage"));
my $old = extension_version();
start_redis();
start_kafka();

# This concertd, the extension of before ----------------------------------------------------------

my $sale = sell(%sale);
my $daemon = start_concertd({ 'reaper.interval_ms' => 50, 'reaper.checkpoint_ms' => 100, 'reaper.rotate_ms' => 100, provider_settings() });
my (undef, $booking, $fan) = fan_goes_through("concertd on $old", $sale);
my @seats = @{ $sale->{seats} };
my %more = (seats => [ $seats[4] ], concessions => [ undef ]);
my ($status, $headers, $answer) = http('POST', "/v1/dates/$sale->{date}/bookings", $fan, \%more);
is_deeply([ $status, $answer->{code} ], [ 503, 'version_mismatch' ], 'what the old extension cannot do waits for the update');

($status, $headers, $answer) = http('POST', "/v1/bookings/$booking/payments", $fan, { provider => 'fake' });
is_deeply([ $status, $answer->{code} ], [ 503, 'version_mismatch' ], 'nor can it take money by a provider');
wait_for_log(qr/"provider_waits_for_update"/);

# A metric's values by the last of its labels.
sub metrics
{
	my ($name, $labels) = @_;
	my (undef, undef, $text) = http('GET', '/metrics');
	$labels = defined $labels ? "$labels," : '';
	return { $text =~ /^\Q$name\E\{\Q$labels\E\w+="(\w+)"\} (\S+)$/mg };
}

wait_until(sub { (metrics('concert_db_calls_total', 'pool="concertd-reaper"')->{error} // 0) >= 6 }, undef, 'the reaper to try again');
is_deeply(
	[ metrics('concert_reaper_missing_total'), metrics('concert_reaper_errors_total') ],
	[ { lapse_transfers => 1, checkpoint_accounts => 1 }, {} ],
	'what the reaper cannot do yet is told once, and is no error');

# The library is new, the objects are not ---------------------------------------------------------

my %new = stage($ENV{CONCERT_STAGE});
$server->append_conf('postgresql.conf', join '', map { "$_ = '$new{$_}'\n" } sort keys %new);
$server->restart;
wait_until(sub { (http('GET', '/readyz'))[0] == 200 }, undef, 'concertd to be back');
($status, $headers, $answer) = http('POST', "/v1/dates/$sale->{date}/bookings", $fan, { seats => [ $seats[5] ] });
is_deeply([ $status, $answer->{code} ], [ 503, 'version_mismatch' ], 'the new library does not sell from the old objects');
sql(q{SELECT concert.emit('concert.notification', 'between', 'test.told', '{}')});
wait_until(sub { sql('SELECT sum(unacked) FROM concert.outbox_stats()') == 0 }, undef, 'events to be relayed between the versions');
sql('ALTER EXTENSION concert UPDATE');
isnt(extension_version(), $old, 'the extension is updated under the running concertd');
($status, $headers, $answer) = http('POST', "/v1/dates/$sale->{date}/bookings", $fan, { seats => [ $seats[5] ] });
is($status, 201, 'which sells at once');
($status) = http('POST', "/v1/bookings/$answer->{booking_id}/payments", $fan, { provider => 'fake' });
is($status, 202, 'also by a provider');
($status, $headers, $answer) = http('POST', "/v1/dates/$sale->{date}/bookings", $fan, \%more);
is($status, 201, 'and does what it could not do before');
is(stop_concertd($daemon), 0, 'it ends in order');

# The concertd of before, this extension ----------------------------------------------------------

$sale = sell(%sale);
$daemon = start_concertd({}, program => "$previous/stage/usr/local/bin/concertd");
fan_goes_through("concertd $old", $sale);

# What only this extension does is no trouble for it.
my $open = sell(orphan_rule => "'enforce'");
@seats = @{ $open->{seats} };
my $best = sql("SELECT booking_id FROM concert.reserve_best('$open->{date}', 2, '$seats[0]')");
sql(<<"END");
SELECT concert.cancel('$best', '$seats[0]', seat_ids => ARRAY(SELECT seat_id FROM concert.reservation WHERE booking_id = '$best' LIMIT 1));
SELECT concert.cancel_by_operator('$best', 'test');
SELECT concert.soft_delete('seat', '$seats[19]');
SELECT concert.restore('seat', '$seats[19]');
END
wait_until(sub { sql('SELECT sum(unacked) FROM concert.outbox_stats()') == 0 }, undef, 'the relay to be through');
is(scalar(map { kafka_messages("concert.$_.dlq") } qw(reservation payment point seat notification)), 0, 'nothing is a dead letter');
is(sql('SELECT * FROM concert.check_integrity()'), '', 'every promise is kept in the end');
is(stop_concertd($daemon), 0, 'it ends in order too');

done_testing();
