# SPDX-License-Identifier: PostgreSQL
# Redis is killed in the middle of a sale and comes back empty: no seat is sold twice, what PostgreSQL
# has pending is marked again with the time that is left, nobody is admitted twice.
use strict;
use warnings;

use ConcertTest;
use Test::More;

start_postgres();
start_redis();
my $sale = sell(rows => 2, cols => 10, price => 0, seats_per_user_max => 20);
my $queued = sell(
	rows => 1,
	cols => 10,
	price => 0,
	admission => "'required'",
	admission_cap => 3,
	pass_seconds => 600);
my @seats = @{ $sale->{seats} };
my $daemon = start_concertd({ 'redis.loss_policy' => 'database' });
my $fan = uuid();

sub book
{
	my ($user, @wanted) = @_;
	return http('POST', "/v1/dates/$sale->{date}/bookings",
		{ 'X-User-Id' => $user },
		{ seats => \@wanted });
}

sub join_queue
{
	my ($user) = @_;
	my (undef, undef, $answer) =
	  http('POST', "/v1/dates/$queued->{date}/queue", { 'X-User-Id' => $user });
	return $answer;
}

sub look
{
	my ($user, $place) = @_;
	my (undef, undef, $answer) =
	  http('GET', '/v1/queue', { 'X-User-Id' => $user, 'Concert-Place' => $place });
	return $answer;
}

my ($status, undef, $booking) = book($fan, @seats[ 0, 1 ]);
is($status, 201, 'a booking before the loss');
my @early = map { uuid() } 1 .. 5;
my %place = map { $_ => join_queue($_) } @early;
wait_until(
	sub { 3 == grep { look($_, $place{$_}{place})->{state} eq 'admitted' } @early },
	undef,
	'three of five to be admitted');
my %state = map { $_ => look($_, $place{$_}{place})->{state} } @early;

kill_redis();
# Far from the time that a new booking would get.
sql("UPDATE concert.reservation SET expires_at = clock_timestamp() + interval '100 seconds'"
	  . " WHERE booking_id = '$booking->{booking_id}'");
($status) = book(uuid(), @seats[ 1, 2 ]);
is($status, 409, 'without Redis the database refuses a seat that is taken');
($status, undef, my $without) = book($fan, $seats[3]);
is($status, 201, 'and sells one that is free');

start_redis();
($status, undef, my $answer) = ();
wait_until(
	sub {
		($status, undef, $answer) = book(uuid(), $seats[0], $seats[3], $seats[4]);
		return redis('exists', "{$sale->{date}}:seats") == 1;
	},
	undef,
	'the marks to be rebuilt');
is($status, 409, 'after the loss a taken seat is refused');
is_deeply(
	[ sort map { $_->{seat_id} } @{ $answer->{seats} } ],
	[ sort @seats[ 0, 3 ] ],
	'each one that is taken, and only those');
my ($left) = map { $_->{remaining_ms} } grep { $_->{seat_id} eq $seats[0] } @{ $answer->{seats} };
my $truth = sql(
	"SELECT remaining_ms FROM concert.seat_states('$sale->{date}', ARRAY['$seats[0]']::uuid[])");
cmp_ok(abs($left - $truth), '<', 30_000, 'with the time that it has left in PostgreSQL');

my $late = uuid();
my $late_place;
wait_until(
	sub {
		$late_place = join_queue($late);
		return defined $late_place->{number};
	},
	undef,
	'the waiting room to be back');
cmp_ok($late_place->{number}, '>', $place{$_}{number}, 'a new place is above the old ones') for @early;
for my $user (@early)
{
	next if $state{$user} ne 'admitted';
	wait_until(sub { defined look($user, $place{$user}{place})->{state} }, undef, 'an answer');
	is(look($user, $place{$user}{place})->{state}, 'admitted', 'who was admitted still is');
}
is(look($late, $late_place->{place})->{state}, 'waiting', 'the cap holds: all passes still live');
is( sql("SELECT sum(admitted) FROM concert.admission_batch WHERE concert_date_id = '$queued->{date}'"),
	3,
	'nobody was admitted twice');

is( sql('SELECT count(*) FROM concert.reservation WHERE deleted_at IS NULL')
	  . ' '
	  . sql('SELECT count(DISTINCT seat_id) FROM concert.reservation WHERE deleted_at IS NULL'),
	'3 3',
	'no seat has two reservations');
is(sql('SELECT * FROM concert.check_integrity()'), '', 'and every promise is kept');

done_testing();
