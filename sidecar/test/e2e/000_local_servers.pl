# SPDX-License-Identifier: PostgreSQL
# deploy/local: its servers are real, come back as promised after a crash, and nothing else is ever
# touched.
use strict;
use warnings;

use ConcertTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = "$PostgreSQL::Test::Utils::tmp_check/local";
my $local = source_file('deploy/local');
mkdir $folder;

sub shared_memory
{
	my ($key, $id) = @_;
	my ($segments) = run_command([ 'ipcs', '-m' ]);
	return $segments =~ /^\S+\s+$id\s/m ? 1 : 0;
}

start_redis();
like(
	redis('cluster', 'info'),
	qr/cluster_state:ok\r?\ncluster_slots_assigned:16384/,
	'one Redis node has every slot');
is(redis('set', '{date}:key', 'value'), 'OK', 'Redis takes a key');
kill_redis();
start_redis();
is(redis('get', '{date}:key'), '', 'a killed Redis comes back empty on its port');

my $kafka = start_kafka();
run_command(
	[ 'sh', '-c', "echo key:value | kcat -b 127.0.0.1:$kafka->{port} -P -t topic -K: -H ce_id=1" ]);
stop_kafka();
start_kafka();
my @messages = kafka_messages('topic');
is_deeply(
	[ map { [ @{$_}{qw(key payload)}, $_->{headers}{ce_id} ] } @messages ],
	[ [ 'key', 'value', '1' ] ],
	'a Kafka that was stopped still has its messages');
is(scalar kafka_messages('no_topic'), 0, 'a topic that does not exist has no messages');

my $port = free_port();
system_or_bail("$local/postgres", 'start', "$folder/postgres", $port, 'cluster_name=it\'s ours');
my ($conninfo) = run_command([ "$local/postgres", 'conninfo', "$folder/postgres" ]);
my ($answer) =
  run_command([ 'psql', '-XAt', $conninfo, '-c', 'SHOW cluster_name', '-c', 'SHOW fsync' ]);
is($answer, "it's ours\non", 'PostgreSQL has the settings that it was given, and fsync');
command_fails(
	[ "$local/postgres", 'start', "$folder/postgres", $port ],
	'a server that runs is not started again');

my $lock_file = slurp_file("$folder/postgres/data/postmaster.pid");
my ($postmaster) = $lock_file =~ /^(\d+)/;
my ($key, $id) = $lock_file =~ /^ *(\d+) +(\d+)$/m;
ok(shared_memory($key, $id), 'a running PostgreSQL has a shared memory segment');
kill 'KILL', $postmaster;

mkdir "$folder/stranger";
my $stranger = IPC::Run::start([ 'sleep', '600' ]);
my $stranger_pid = $stranger->{KIDS}[0]{PID};
write_file("$folder/stranger/server.process", "redis $stranger_pid 1\n");
command_ok([ "$local/stop-all", $folder ], 'stop-all after a crash');
ok(!shared_memory($key, $id), 'stop-all removes the shared memory of a killed PostgreSQL');
ok(!-e "$folder/postgres/data/postmaster.pid", 'and leaves no lock file');
ok(kill(0, $stranger_pid), 'a process that has only the pid of a recorded one is left alone');
$stranger->kill_kill;

my @ports = map { free_port() } 1 .. 20;
my %seen = map { $_ => 1 } @ports;
is(scalar keys %seen, 20, 'a port is not handed out twice');

done_testing();
