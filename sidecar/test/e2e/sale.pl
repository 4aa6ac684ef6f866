# SPDX-License-Identifier: PostgreSQL
# One fan's way through a sale on real servers: queue, pass, seats, points, payment; the events reach
# Kafka and have their effects; nobody gets in by another door.
use strict;
use warnings;

use ConcertTest;
use Test::More;

start_postgres();
start_redis();
start_kafka();
my $sale = sell(
	rows => 2,
	cols => 10,
	price => 100,
	admission => "'required'",
	admission_cap => 5,
	admission_rate => 50);
my $date = $sale->{date};
my @seats = @{ $sale->{seats} };
my $daemon = start_concertd();

my $fan = uuid();
my %fan = ('X-User-Id' => $fan, 'X-Request-Id' => 'the-fans-own-request');

sub queue_until_admitted
{
	my ($user) = @_;
	my ($status, undef, $place) = http('POST', "/v1/dates/$date/queue", { 'X-User-Id' => $user });
	my $answer;

	ok($status == 201 || $status == 200, 'a fan gets a place');
	wait_until(
		sub {
			(undef, undef, $answer) = http('GET', '/v1/queue',
				{ 'X-User-Id' => $user, 'Concert-Place' => $place->{place} });
			return $answer->{state} ne 'waiting';
		},
		undef,
		'admission');
	is($answer->{state}, 'admitted', 'and is admitted');
	return ($answer->{pass}, $place->{place}, $place->{number});
}

sub book
{
	my ($user, $pass, $seats, %headers) = @_;
	return http(
		'POST',
		"/v1/dates/$date/bookings",
		{ 'X-User-Id' => $user, ($pass ? ('Concert-Pass' => $pass) : ()), %headers },
		{ seats => $seats });
}

sub charge
{
	my ($user, $amount) = @_;
	return http(
		'POST',
		"/v1/users/$user/points",
		{ 'X-User-Id' => $user, 'X-Role' => 'operator' },
		{ amount => $amount, source => 'test', external_ref => uuid() });
}

# The door ----------------------------------------------------------------------------------------

my ($status, $headers, $answer) = book($fan, undef, [ $seats[0] ]);
is_deeply([ $status, $answer->{code} ], [ 403, 'no_pass' ], 'without a pass there is no seat');
is(sql("SELECT reason FROM concert.reserve('$date', ARRAY['$seats[0]']::uuid[], '$fan')"),
	'no_pass', 'nor in plain SQL');

my ($pass, $place, $number) = queue_until_admitted($fan);
(undef, undef, $answer) = http('POST', "/v1/dates/$date/queue", { 'X-User-Id' => $fan });
is($answer->{number}, $number, 'who joins twice gets the same place');
($status, undef, $answer) = book(uuid(), $pass, [ $seats[0] ]);
is($answer->{code}, 'no_pass', 'a pass is of no use to another user');
($status, undef, $answer) =
  http('GET', '/v1/queue', { 'Concert-Place' => substr($place, 0, -4) . 'AAAA' });
is($status, 403, 'a forged place is refused');

# Seats -------------------------------------------------------------------------------------------

my $key = uuid();
($status, $headers, $answer) =
  book($fan, $pass, [ @seats[ 0, 1 ] ], %fan, 'Idempotency-Key' => $key);
is($status, 201, 'two seats are booked');
is($headers->{'x-request-id'}, 'the-fans-own-request', 'the correlation id comes back');
my $booking = $answer->{booking_id};
cmp_ok($answer->{expires_in_ms}, '<=', 300_000, 'for a while');
($status, undef, $answer) = book($fan, $pass, [ @seats[ 0, 1 ] ], 'Idempotency-Key' => $key);
is($answer->{booking_id}, $booking, 'a double click makes one booking');
($status, undef, $answer) = book($fan, $pass, [ $seats[5] ], 'Idempotency-Key' => $key);
is($status, 422, 'the same key with other seats is refused');

my $rival = uuid();
my ($rivals_pass) = queue_until_admitted($rival);
($status, undef, $answer) = book($rival, $rivals_pass, [ @seats[ 1, 2 ] ]);
is_deeply(
	[ $status, $answer->{code}, map { $_->{reason} } @{ $answer->{seats} } ],
	[ 409, 'held', 'held' ],
	'a rival is refused for the one seat that is held');

# Money -------------------------------------------------------------------------------------------

my %pay = ('X-User-Id' => $fan);
($status, undef, $answer) = http('POST', "/v1/bookings/$booking/payment", \%pay, {});
is_deeply([ $status, $answer->{code} ], [ 402, 'insufficient_funds' ], 'no money, no ticket');
($status) = http(
	'POST',
	"/v1/users/$fan/points",
	{ 'X-User-Id' => $fan },
	{ amount => 500, source => 'test', external_ref => 'self service' });
is($status, 403, 'a fan cannot charge points');
($status, undef, $answer) = charge($fan, 500);
is_deeply([ $status, $answer->{balance} ], [ 201, 500 ], 'the box office can');
($status, undef, $answer) =
  http('POST', "/v1/bookings/$booking/payment", { 'X-User-Id' => $rival }, {});
is($status, 403, 'somebody else cannot pay the booking');
($status, undef, $answer) = http('POST', "/v1/bookings/$booking/payment", \%pay, {});
is_deeply([ $status, $answer->{amount} ], [ 200, 200 ], 'the fan pays');
(undef, undef, $answer) = http('GET', "/v1/users/$fan/points", \%pay);
is($answer->{balance}, 300, 'and has the rest');
($status) = http('GET', "/v1/users/$fan/points", { 'X-User-Id' => $rival });
is($status, 403, 'which is nobody else\'s business');
($status, undef, $answer) = http('DELETE', "/v1/bookings/$booking", \%pay);
is_deeply([ $status, $answer->{code} ], [ 409, 'already_paid' ], 'a paid booking stays');

# Given up ----------------------------------------------------------------------------------------

($status, undef, $answer) = book($rival, $rivals_pass, [ $seats[2] ]);
is($status, 201, 'the rival takes another seat');
($status) = http('DELETE', "/v1/bookings/$answer->{booking_id}", { 'X-User-Id' => $rival });
is($status, 200, 'and gives it back');
sql(qq{SELECT concert.create_concession(section_id, 'st"udent', 30) FROM concert.availability('$date')});
($status, undef, $answer) = http(
	'POST',
	"/v1/dates/$date/bookings",
	{ 'X-User-Id' => $rival, 'Concert-Pass' => $rivals_pass },
	{ seats => [ @seats[ 2, 3 ] ], concessions => [ undef, 'st"udent' ] });
is_deeply(
	[ $status, map { [ $_->{price}, $_->{concession} ] } sort { $a->{price} <=> $b->{price} } @{ $answer->{seats} } ],
	[ 201, [ 30, 'st"udent' ], [ 100, undef ] ],
	'two seats, one of them at another price');
my $two = $answer->{booking_id};
($status, undef, $answer) =
  http('DELETE', "/v1/bookings/$two", { 'X-User-Id' => $rival }, { seats => [ @seats[ 3, 4 ] ] });
is_deeply(
	[ $status, map { [ $_->{seat_id}, $_->{reason} ] } @{ $answer->{seats} } ],
	[ 404, [ $seats[4], 'unknown' ] ],
	'nothing is given back with a seat that is not the booking\'s, which is named');
($status) = http('DELETE', "/v1/bookings/$two", { 'X-User-Id' => $rival }, { seats => ['no id'] });
is($status, 422, 'nor with what is no seat');
($status, undef, $answer) =
  http('DELETE', "/v1/bookings/$two", { 'X-User-Id' => $rival }, { seats => [ $seats[3] ] });
is_deeply([ $status, map { $_->{seat_id} } @{ $answer->{seats} } ], [ 200, $seats[3] ], 'one of the two is given back');
($status) = http('DELETE', "/v1/bookings/$two", { 'X-User-Id' => $rival });
is($status, 200, 'then the other');
($status, undef, $answer) = book($rival, $rivals_pass, [ $seats[2] ]);
is($status, 201, 'it is free at once');
sql("SELECT concert.cancel('$answer->{booking_id}', '$rival')");
wait_until(
	sub { (book($fan, $pass, [ $seats[2] ]))[0] == 201 },
	undef,
	'a seat freed in plain SQL to be free in Redis');
pass('a seat given back in plain SQL is free in Redis too');

# What follows --------------------------------------------------------------------------------------

wait_until(sub { sql('SELECT count(*) FROM concert.ticket') == 2 }, undef, 'tickets');
wait_until(sub { sql('SELECT count(*) FROM concert.point_charge_record') == 1 }, undef, 'a record');
wait_until(
	sub { sql('SELECT sum(unacked) FROM concert.outbox_stats()') == 0 },
	undef,
	'the relay to be through');
my @messages = kafka_messages('concert.reservation');
my ($confirmed) = grep { $_->{headers}{ce_type} eq 'reservation.confirmed' } @messages;
is($confirmed->{key}, $booking, 'the event has its aggregate as key');
is($confirmed->{headers}{ce_specversion}, '1.0', 'it is a CloudEvent');
my ($reserved) = grep { $_->{key} eq $booking } @messages;
is($reserved->{headers}{ce_correlationid},
	'the-fans-own-request', 'the correlation id travels to Kafka');
wait_until(sub { log_contains(qr/"event": ?"notification[^\n]*the-fans-own-request/) },
	undef, 'the consumer\'s log line');
pass('and into the consumer\'s log');
my %count;
$count{ $_->{headers}{ce_id} }++
  for map { kafka_messages($_) } qw(concert.reservation concert.payment concert.point);
is( join(' ', sort keys %count),
	sql('SELECT string_agg(id::text, \' \' ORDER BY id::text) FROM concert.outbox_event'),
	'every event is in Kafka');

# Bad input ---------------------------------------------------------------------------------------

my $many = [ map { uuid() } 1 .. 5000 ];
for my $bad (
	[ 'no JSON', '{"seats":', 400 ],
	[ 'not UTF-8', "{\"seats\":[\"\xff\xfe\"]}", 400 ],
	[ 'no seats', {}, 400 ],
	[ 'empty', { seats => [] }, 400 ],
	[ 'numbers', { seats => [ 1, 2 ] }, 400 ],
	[ 'twice the same', { seats => [ $seats[4], $seats[4] ] }, 400 ],
	[ 'too many', { seats => $many }, 400 ],
	[ 'an array', [ $seats[4] ], 400 ])
{
	my ($what, $body, $expected) = @{$bad};
	($status, $headers, $answer) = http('POST', "/v1/dates/$date/bookings", \%pay, $body);
	ok($status >= 400 && $status < 500, "bad body, $what: $status");
	like($headers->{'content-type'}, qr{^application/problem\+json}, "bad body, $what: a problem");
}
($status) = http('POST', '/v1/dates/nonsense/bookings', \%pay, { seats => [ $seats[4] ] });
cmp_ok($status, '<', 500, 'a date that is no UUID');
($status, undef, $answer) = http('POST', '/v1/dates/' . uuid() . '/bookings', \%pay,
	{ seats => [ $seats[4] ] });
is_deeply([ $status, $answer->{code} ], [ 404, 'unknown' ], 'an unknown date');
($status) = http('POST', "/v1/dates/$date/bookings", { %pay, 'Idempotency-Key' => undef },
	{ seats => [ $seats[4] ] });
is($status, 400, 'a POST without an Idempotency-Key');
($status) = http('PUT', "/v1/dates/$date/bookings", \%pay, {});
is($status, 405, 'a wrong method');
($status) = http('GET', '/v1/nothing');
is($status, 404, 'a wrong path');
($status) = http('GET', '/../../etc/passwd');
cmp_ok($status, '>=', 400, 'a path that leaves the folder');

is(sql('SELECT * FROM concert.check_integrity()'), '', 'and every promise is kept');
is(stop_concertd($daemon), 0, 'SIGTERM drains and ends it');

done_testing();
