# SPDX-License-Identifier: PostgreSQL
#
# Money by a provider that answers late, twice, in any order, wrongly or not at all, and whose messages
# others try to forge: whatever is captured ends as a ticket or goes back in full, by itself.
use strict;
use warnings;

use ConcertTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	STORM_BOOKINGS => 24,
	SETTLE_SECONDS => 90,
};

start_postgres();
start_redis();
my $sale = sell(rows => 10, cols => 20, price => 100, seats_per_user_max => 20);
my @seats = @{ $sale->{seats} };
my $settings = { 'roles' => 'api, provider, reaper', provider_settings() };
my $daemon = start_concertd($settings);
my ($status, $headers, $answer);

# A fan with one more seat, and a payment of it that has begun: (user, booking, payment).
sub book
{
	my ($count) = @_;
	my $fan = uuid();
	my ($status, undef, $booking) = http(
		'POST',
		"/v1/dates/$sale->{date}/bookings",
		{ 'X-User-Id' => $fan },
		{ seats => [ splice @seats, 0, $count // 1 ] });

	BAIL_OUT("no booking: $status") if $status != 201;
	return ($fan, $booking->{booking_id});
}

sub begin
{
	my ($fan, $booking, %more) = @_;
	my ($status, undef, $payment) = http(
		'POST',
		"/v1/bookings/$booking/payments",
		{ 'X-User-Id' => $fan, 'X-Request-Id' => 'the-fans-own-request' },
		{ provider => 'fake', %more });
	return ($status, $payment);
}

sub state
{
	my ($fan, $payment) = @_;
	my ($status, undef, $state) = http('GET', "/v1/payments/$payment", { 'X-User-Id' => $fan });
	return $status == 200 ? $state : {};
}

sub charge
{
	my ($fan, $amount) = @_;
	http('POST', "/v1/users/$fan/points", { 'X-User-Id' => $fan, 'X-Role' => 'operator' },
		{ amount => $amount, source => 'test', external_ref => uuid() });
	return;
}

sub metric
{
	my ($line) = @_;
	my (undef, undef, $text) = http('GET', '/metrics');
	return $text =~ /^\Q$line\E (\S+)$/m ? $1 : 0;
}

# What is not settled yet.
sub open_rows
{
	return sql(q{SELECT (SELECT count(*) FROM concert.payment WHERE status IN ('begun', 'authorized'))
		+ (SELECT count(*) FROM concert.refund WHERE status = 'due')});
}

sub captured
{
	my ($payment, $amount, %more) = @_;
	return {
		type => 'payment.captured',
		message_id => uuid(),
		payment_id => $payment,
		amount => $amount,
		currency => 'PTS',
		%more
	};
}

# Beginning ---------------------------------------------------------------------------------------

my ($fan, $booking) = book(2);
($status, $answer) = begin(uuid(), $booking);
is_deeply([ $status, $answer->{code} ], [ 403, 'not_owner' ], 'nobody pays with another\'s booking');
($status, $answer) = begin($fan, $booking, provider => 'another');
is_deeply([ $status, $answer->{code} ], [ 422, 'invalid' ], 'nor by a provider that nobody would ask');
($status, $answer) = begin($fan, $booking, points => -1);
is($status, 422, 'nor with less than no points');
($status, $answer) = begin($fan, uuid());
is_deeply([ $status, $answer->{code} ], [ 404, 'unknown' ], 'nor what there is not');
($status, $answer) = begin($fan, $booking, points => 50);
is_deeply([ $status, $answer->{code} ], [ 402, 'insufficient_funds' ], 'nor with points that are not there');
($status, $answer) = begin($fan, $booking);
is_deeply([ $status, @{$answer}{qw(status amount currency)} ], [ 202, 'begun', 200, 'PTS' ], 'a payment begins');
my $payment = $answer->{payment_id};
is(state($fan, $payment)->{status}, 'begun', 'its owner sees how it stands');
($status) = http('GET', "/v1/payments/$payment", { 'X-User-Id' => uuid() });
is($status, 404, 'somebody else does not');
($status) = http('GET', "/v1/payments/$payment", { 'X-Role' => 'operator' });
is($status, 200, 'an operator does');
($status, $answer) = begin($fan, $booking);
is_deeply([ $status, $answer->{code} ], [ 409, 'already_resolved' ], 'one payment is open at a time');

# Forged, broken and senseless messages ----------------------------------------------------------

my $before = sql('SELECT count(*) FROM concert.payment_act');
my $good = captured($payment, 200);
my $text = JSON::PP->new->canonical->encode($good);
for my $case (
	[ 'no signature', $text, '', 401 ],
	[ 'nonsense for a signature', $text, 'trust me', 401 ],
	[ 'another secret', $text, signature('another-secret-of-tests', $text), 401 ],
	[ 'another body', "$text ", signature('the-secret-of-this-test', $text), 401 ],
	[ 'an old one', $text, signature('the-secret-of-this-test', $text, -301), 401 ],
	[ 'one from the future', $text, signature('the-secret-of-this-test', $text, 310), 401 ],
	[ 'cut off', substr($text, 0, -9), undef, 400 ],
	[ 'not UTF-8', "{\"type\":\"payment.failed\",\"payment_id\":\"$payment\",\"message_id\":\"\xff\xfe\"}", undef, 400 ],
	[ 'a name twice', '{"type":"payment.failed","type":"payment.captured"}', undef, 400 ],
	[ 'an array', '[]', undef, 400 ],
	[ 'nothing', '{}', undef, 422 ],
	[ 'a type that there is not', { %{$good}, type => 'payment.stolen' }, undef, 422 ],
	[ 'no payment', { %{$good}, payment_id => undef }, undef, 422 ],
	[ 'a payment that is no id', { %{$good}, payment_id => '1 OR 1=1' }, undef, 422 ],
	[ 'no message id', { %{$good}, message_id => '' }, undef, 422 ],
	[ 'a message id without end', { %{$good}, message_id => 'x' x 201 }, undef, 422 ],
	[ 'a negative amount', { %{$good}, amount => -200 }, undef, 422 ],
	[ 'an amount in words', { %{$good}, amount => '200' }, undef, 422 ],
	[ 'a huge amount', "{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"$payment\",\"amount\":9223372036854775808,\"currency\":\"PTS\"}", undef, 400 ],
	[ 'no currency', { %{$good}, currency => undef }, undef, 422 ],
	[ 'an unknown payment', { %{$good}, payment_id => uuid() }, undef, 404 ],
	[ 'an unknown refund', { type => 'refund.settled', message_id => 'm', refund_id => uuid() }, undef, 404 ],
	[ 'a huge body', { %{$good}, cause => 'x' x 100_000 }, undef, 413 ])
{
	my ($what, $body, $signature, $expected) = @{$case};
	($status, $headers, $answer) = provider_say($daemon, $body, $signature);
	is($status, $expected, "$what: $expected");
	like($headers->{'content-type'}, qr{^application/problem\+json}, "$what: a problem");
}
is(sql('SELECT count(*) FROM concert.payment_act'), $before, 'none of them did anything');
is(state($fan, $payment)->{status}, 'begun', 'nor to the payment');
($status) = http('POST', '/v1/provider/another/messages', { 'Idempotency-Key' => undef }, $text);
is($status, 404, 'another provider has no door here');

# One that is good, and again -----------------------------------------------------------------

($status, undef, $answer) = provider_say($daemon, $good);
is_deeply([ $status, $answer->{status} ], [ 200, 'captured' ], 'the provider\'s own message is taken');
is_deeply([ @{ state($fan, $payment) }{qw(status booking_status refunded)} ], [ 'captured', 'confirmed', 0 ], 'and confirms the booking');
my $acts = sql('SELECT count(*) FROM concert.payment_act');
($status, undef, $answer) = provider_say($daemon, $good);
is_deeply([ $status, $answer->{status} ], [ 200, 'captured' ], 'the same again is answered the same');
($status, $headers, $answer) = provider_say($daemon, { %{$good}, amount => 100 });
is_deeply([ $status, $answer->{code} ], [ 422, 'key_reused' ], 'another body under its id is refused for good');
is(sql('SELECT count(*) FROM concert.payment_act'), $acts, 'neither does anything');
($status) = provider_say($daemon, { type => 'payment.failed', message_id => uuid(), payment_id => $payment, cause => "\x{e4}" x 500 });
is_deeply([ $status, state($fan, $payment)->{status} ], [ 200, 'captured' ], 'a failure after it changes nothing, however long its cause');

# Secrets change without a gap ------------------------------------------------------------------

($fan, $booking) = book();
(undef, my $waiting) = begin($fan, $booking);
my $body = $text; # known already, so it does nothing any more
write_file($settings->{'provider.secret_file'}, "the-next-secret-of-this-test\nthe-secret-of-this-test\n");
signal_concertd('HUP');
wait_until(sub { (provider_say($daemon, $body))[0] == 200 }, undef, 'the next secret to be known');
is((provider_say($daemon, $body, signature('the-secret-of-this-test', $body)))[0], 200, 'the old secret is good beside the next');
write_file($settings->{'provider.secret_file'}, "the-next-secret-of-this-test\n");
signal_concertd('HUP');
wait_until(sub { (provider_say($daemon, $body, signature('the-secret-of-this-test', $body)))[0] == 401 }, undef, 'the old secret to be forgotten');
pass('and then no more');
ok(!log_contains(qr/-secret-of|the-key-of/), 'no secret is in the log');

# A provider that is not there, and then is ----------------------------------------------------------

wait_until(sub { metric('concert_provider_breaker') == 2 }, undef, 'the breaker to open');
pass('a provider that cannot be reached is left alone');
is(sql(q{SELECT count(*) FROM concert.payment_work(10, 1, 'another')}), 0, 'and no other is asked in its place');
my @words = qw(answer message twice disorder fail decline drop lost fault short late late relent);
start_provider($daemon,
	payments => join(',', 'answer', @words, 'answer', ('storm') x (2 * STORM_BOOKINGS)),
	refunds => 'answer,refuse,drop,message,fault,twice,lost',
	'late-seconds' => 4);
wait_until(sub { state($fan, $waiting->{payment_id})->{status} eq 'captured' }, undef, 'a payment that the provider had never heard of');
wait_until(sub { metric('concert_provider_breaker') == 0 }, undef, 'the breaker to close');
pass('it is asked again when it is there');

# Each way of misbehaving ---------------------------------------------------------------------------

my (%case, %retaken);
for my $i (0 .. $#words)
{
	my $word = $words[$i] eq 'late' && $case{late} ? 'late, the seat sold meanwhile' : $words[$i];
	my $known = provider_books()->{payments};
	my ($user, $id) = book(2);
	charge($user, 120) if $word eq 'answer' || $word eq 'fail' || $word eq 'late';
	my (undef, $begun) = begin($user, $id, $word =~ /^(?:answer|fail|late)$/ ? (points => 120) : ());
	$case{$word} = { user => $user, booking => $id, payment => $begun->{payment_id} };
	wait_until(sub { provider_books()->{payments} > $known }, undef, "the provider to hear of $word");
	next if $word !~ /^late/;
	sql("UPDATE concert.reservation SET expires_at = clock_timestamp() WHERE booking_id = '$id'");
	next if $word eq 'late';
	my ($seat) = split /\n/, sql("SELECT seat_id FROM concert.reservation WHERE booking_id = '$id'");
	sql("SELECT concert.reserve('$sale->{date}', ARRAY['$seat']::uuid[], gen_random_uuid())");
}
wait_until(sub { open_rows() == 0 && provider_books()->{undecided} == 0 && provider_books()->{undelivered} == 0 },
	SETTLE_SECONDS, 'everything to settle');
my %expected = (
	(map { $_ => 'captured confirmed 0' } qw(answer message twice disorder drop lost fault late)),
	fail => 'failed pending 0',
	decline => 'failed pending 0',
	short => 'refunded pending 199',
	relent => 'captured confirmed 0',
	'late, the seat sold meanwhile' => 'refunded expired 200');
for my $word (sort keys %expected)
{
	my $state = state(@{ $case{$word} }{qw(user payment)});
	is("@{$state}{qw(status booking_status refunded)}", $expected{$word}, "$word: $expected{$word}");
}
(undef, undef, $answer) = http('GET', "/v1/users/$case{answer}{user}/points", { 'X-User-Id' => $case{answer}{user} });
is($answer->{balance}, 0, 'the points of a split are spent with it');
(undef, undef, $answer) = http('GET', "/v1/users/$case{fail}{user}/points", { 'X-User-Id' => $case{fail}{user} });
is($answer->{balance}, 120, 'and let go when it fails');
($status, undef, $answer) = http('POST', "/v1/bookings/$case{fail}{booking}/payment", { 'X-User-Id' => $case{fail}{user} }, {});
is($status, 402, 'who failed may pay otherwise');
is((begin(@{ $case{fail} }{qw(user booking)}))[0], 202, 'or try again');
wait_until(sub { log_contains(qr/"event": ?"provider_answer"[^\n]*the-fans-own-request|the-fans-own-request[^\n]*"provider_answer"/) },
	undef, 'the correlation id in the log of the answer');
pass('the correlation id of the beginning is in the log of the answer');

# Given back ----------------------------------------------------------------------------------------

my ($user, $id) = @{ $case{twice} }{qw(user booking)};
my ($first) = split /\n/, sql("SELECT seat_id FROM concert.reservation WHERE booking_id = '$id'");
my $refund = "/v1/bookings/$id/refund";
($status, undef, $answer) = http('POST', $refund, { 'X-User-Id' => uuid() }, {});
is_deeply([ $status, $answer->{code} ], [ 403, 'not_owner' ], 'nobody gives back what is another\'s');
($status, undef, $answer) = http('POST', $refund, { 'X-User-Id' => $user }, { fee => 0 });
is_deeply([ $status, $answer->{code} ], [ 403, 'forbidden' ], 'nor says its fee');
($status) = http('POST', $refund, { 'X-User-Id' => $user }, { seats => ['no id'] });
is($status, 422, 'nor what is no seat');
my %key = ('Idempotency-Key' => uuid());
($status, undef, $answer) = http('POST', $refund, { 'X-User-Id' => $user, %key }, { seats => [$first] });
is_deeply([ $status, @{$answer}{qw(amount fee currency)} ], [ 200, 100, 0, 'PTS' ], 'one seat of two is given back');
my $again = (http('POST', $refund, { 'X-User-Id' => $user, %key }, { seats => [$first] }))[2];
is_deeply($again, $answer, 'once');
($status, undef, $answer) = http('POST', $refund, { 'X-Role' => 'operator' }, { fee => 30 });
is_deeply([ $status, @{$answer}{qw(amount fee)} ], [ 200, 70, 30 ], 'an operator gives back the other and keeps a fee');
wait_until(sub { open_rows() == 0 }, SETTLE_SECONDS, 'the refunds to settle');
is_deeply([ @{ state($user, $case{twice}{payment}) }{qw(status refunded refund_status)} ], [ 'refunded', 170, 'settled' ],
	'all but the fee is back, though the provider refused, dropped and failed');

# A storm, and a crash in it --------------------------------------------------------------------------

my $known = provider_books()->{payments};
for my $i (1 .. STORM_BOOKINGS)
{
	my ($user, $id) = book();
	begin($user, $id);
	sql("UPDATE concert.reservation SET expires_at = clock_timestamp() WHERE booking_id = '$id'") if $i % 4 == 0;
}
wait_until(sub { provider_books()->{payments} > $known + STORM_BOOKINGS / 2 }, undef, 'the storm to begin');
kill_concertd($daemon);
$daemon = start_concertd($settings, name => $daemon->{name}, port => $daemon->{port});
wait_until(sub { open_rows() == 0 && provider_books()->{undelivered} == 0 && provider_books()->{undecided} == 0 },
	SETTLE_SECONDS, 'the storm to settle');
is( sql(q{SELECT count(*) FROM concert.payment AS p WHERE method = 'provider' AND captured > 0
		AND NOT (refunded = captured - fee OR EXISTS (SELECT FROM concert.reservation AS r
			WHERE r.booking_id = p.booking_id AND r.status = 'confirmed'))}),
	0, 'who paid has a ticket or the money');
is( sql(q{SELECT count(*) FROM concert.reservation AS r WHERE status = 'confirmed' AND NOT EXISTS (
		SELECT FROM concert.payment AS p WHERE p.booking_id = r.booking_id AND p.captured > p.refunded)}),
	0, 'who has a ticket paid');
is_deeply(
	[ @{ provider_books() }{qw(captured refunded)} ],
	[ map { int } split /\|/, sql(q{SELECT (SELECT sum(captured) FROM concert.payment WHERE method = 'provider')
		- 200, (SELECT sum(amount) FROM concert.refund WHERE status = 'settled' AND payment_id IN
			(SELECT id FROM concert.payment WHERE method = 'provider'))}) ],
	'the provider\'s books are the same but for the one message that was not its own');
is(provider_books()->{wrong}, 0, 'the provider was asked for nothing wrong');
is(sql('SELECT * FROM concert.check_integrity()'), '', 'every promise is kept');
is(sql('SELECT * FROM concert.verify_ledger()'), '', 'and the books agree');
is(stop_concertd($daemon), 0, 'SIGTERM drains and ends it');
stop_provider();

# Nobody else answers in the provider's name ---------------------------------------------------------

my $certificate = "$PostgreSQL::Test::Utils::tmp_check/provider.pem";
my @command = ('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=fake',
	'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', $certificate, '-out', "$certificate.crt");
run_command(\@command);
append_to_file($certificate, slurp_file("$certificate.crt"));
$settings->{'provider.url'} = 'https://127.0.0.1:' . free_port();
$daemon = start_concertd($settings);
start_provider($daemon, certificate => $certificate);
($fan, $booking) = book();
(undef, $answer) = begin($fan, $booking);
wait_for_log(qr/"outcome": ?"unreachable"/);
is(state($fan, $answer->{payment_id})->{status}, 'begun', 'a server whose certificate is not to be believed is not asked');
stop_concertd($daemon);
$daemon = start_concertd({ %{$settings}, 'provider.ca_file' => "$certificate.crt" });
wait_until(sub { state($fan, $answer->{payment_id})->{status} eq 'captured' }, undef, 'the payment');
pass('one whose certificate is, is asked');

done_testing();
