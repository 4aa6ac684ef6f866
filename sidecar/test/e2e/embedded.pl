# SPDX-License-Identifier: PostgreSQL
# The embedded broker: events reach it and the consumers, and other programs can read them there; as it
# forgets everything, a database whose events were relayed before is refused.
use strict;
use warnings;

use ConcertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $address_file = "$PostgreSQL::Test::Utils::tmp_check/embedded.address";

start_postgres();
start_redis();
my $settings = {
	'roles' => 'relay, consumer, reaper',
	'kafka.brokers' => 'embedded',
	'kafka.embedded_address_file' => $address_file,
};
my @events =
  map { sql("SELECT concert.emit('concert.notification', 'key $_', 'test.told', '{}')") } 1 .. 5;

my $first = start_concertd($settings);
my $inbox = join ' UNION ALL ', map { "TABLE concert.inbox_$_" } 0 .. 3;
wait_until(sub { sql("SELECT count(*) FROM ($inbox) i") == @events }, undef, 'their consumption');
my $address = slurp_file($address_file);
chomp $address;
is_deeply(
	[ sort map { $_->{headers}{ce_id} } kafka_messages('concert.notification', $address) ],
	[ sort @events ],
	'what was emitted before concertd started can be read from its broker');
is(stop_concertd($first), 0, 'it drains and ends well');
ok(!-e $address_file, 'the address goes with the broker');

my $second = start_concertd($settings, ready => undef);
wait_for_log(qr/"embedded_broker_refused"/);
is(stop_concertd($second) >> 8, 1, 'an empty broker is refused for a database that has history');

done_testing();
