# SPDX-License-Identifier: PostgreSQL
#
# The verbs of the end-to-end tests: real servers, each with a port and a folder of its own below
# TESTDIR/tmp_check/NAME, and concertd beside them. The verbs without an object mean the server that
# was started last. Every wait has a time-out and fails the test when it passes. Whatever still runs
# when a test ends, however it ends, is stopped.
package ConcertTest;

use strict;
use warnings;

use Carp;
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256_hex);
use Exporter qw(import);
use File::Basename;
use HTTP::Tiny;
use JSON::PP;
use POSIX qw(:sys_wait_h setsid _exit);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  start_postgres sql sql_rows conninfo
  start_redis stop_redis kill_redis redis
  start_kafka stop_kafka kill_kafka kafka_messages
  provider_settings start_provider stop_provider provider_books provider_say signature
  start_concertd stop_concertd kill_concertd signal_concertd
  http http_of log_contains wait_for_log wait_until
  sell free_port uuid source_file write_file
);

use constant {
	POLL_SECONDS => 0.02,
	HTTP_SECONDS => 15,
	STOP_SECONDS => 20,
	DATABASE     => 'concert',
};

my $source  = $ENV{CONCERT_SOURCE} || abs_path(dirname(__FILE__) . '/../../..');
my $program = $ENV{CONCERTD}       || "$source/build/sidecar/concertd";
my ($folder, $pass_keys);
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my ($postgres, $redis, $kafka, $provider, $concertd);
my @daemons;

# PostgreSQL::Test::Utils makes the folder in its own INIT, which comes before this one.
INIT
{
	$folder = "$PostgreSQL::Test::Utils::tmp_check/" . basename($0, '.pl');
	mkdir $folder;
	$pass_keys = "$folder/pass.keys";
}

# PostgreSQL ---------------------------------------------------------------------------------------

# start_postgres(SETTING => VALUE, …): a server whose database "concert" has the extension, and the
# login role "concertd".
sub start_postgres
{
	my %settings = (
		'max_connections' => 100,
		'log_statement' => 'none',
		'concert.pass_key_file' => $pass_keys,
		@_);

	write_file($pass_keys, '1 ' . join('', map { sprintf '%02x', int rand 256 } 1 .. 32) . "\n");
	$postgres = PostgreSQL::Test::Cluster->new('main');
	$postgres->init;
	$postgres->append_conf('postgresql.conf',
		join '', map { "$_ = '$settings{$_}'\n" } sort keys %settings);
	$postgres->start;
	$postgres->safe_psql('postgres', 'CREATE DATABASE ' . DATABASE);
	sql('CREATE EXTENSION concert');
	sql('CREATE ROLE concertd LOGIN IN ROLE concert_sidecar');
	return $postgres;
}

# sql(STATEMENTS): as superuser; psql's unaligned output without its last line's end. An error fails
# the test.
sub sql
{
	my ($statements) = @_;
	return $postgres->safe_psql(DATABASE, $statements);
}

# sql_rows(QUERY): a list of hashes.
sub sql_rows
{
	my ($query) = @_;
	return @{ $json->decode(sql("SELECT coalesce(json_agg(q), '[]') FROM ($query) q")) };
}

sub conninfo
{
	my ($user) = @_;
	return sprintf 'host=%s port=%d dbname=%s user=%s',
	  $postgres->host, $postgres->port, DATABASE, $user || 'concertd';
}

# sell(COLUMN => VALUE, …): a concert with one date on sale and a section of `rows` times `cols`
# seats at `price`; further names are arguments of create_concert_date(). Returns {concert, date,
# section, seats => [ids in row and column order]}.
sub sell
{
	my %sale = (rows => 2, cols => 10, price => 100, starts_at => 'now() + interval \'1 day\'', @_);
	my ($rows, $cols, $price) = delete @sale{qw(rows cols price)};
	my $arguments = join ', ', map { "$_ => $sale{$_}" } sort keys %sale;
	my %made;

	$made{concert} = sql("SELECT concert.create_concert('test')");
	$made{date} = sql("SELECT concert.create_concert_date('$made{concert}', $arguments)");
	$made{section} = sql("SELECT concert.create_section('$made{date}', 'A', $price)");
	sql("SELECT concert.add_seats('$made{date}', '$made{section}', r,
			ARRAY(SELECT generate_series(1, $cols)))
		 FROM generate_series(1, $rows) r");
	$made{seats} = [ map { $_->{seat_id} }
		  sql_rows(qq{SELECT seat_id FROM concert.seat_map('$made{date}') ORDER BY "row", col}) ];
	return \%made;
}

# Redis and Kafka ----------------------------------------------------------------------------------

# start_redis(): starts it, again with the same port after stop_redis() or kill_redis(); it always
# starts empty.
sub start_redis
{
	$redis ||= { kind => 'redis', dir => "$folder/redis", port => free_port() };
	return local_start($redis, @_);
}

sub stop_redis { return local_run('redis', 'stop', $redis->{dir}); }
sub kill_redis { return local_kill($redis); }

# redis(COMMAND, ARGUMENT…): what redis-cli prints.
sub redis
{
	my @command = ('redis-cli', '-p', $redis->{port}, @_);
	my ($out, $err) = run_command(\@command);
	return $out;
}

# start_kafka(): starts it, again with the same port and its messages after stop_kafka() or
# kill_kafka().
sub start_kafka
{
	$kafka ||= { kind => 'kafka', dir => "$folder/kafka", port => free_port() };
	return local_start($kafka, @_);
}

sub stop_kafka { return local_run('kafka', 'stop', $kafka->{dir}); }
sub kill_kafka { return local_kill($kafka); }

# kafka_messages(TOPIC, BROKERS): all messages from the first offset on, each {key, payload
# (decoded), headers (a hash), partition, offset}; none if the topic does not exist.
sub kafka_messages
{
	my ($topic, $brokers) = @_;
	my @broker = ('-b', $brokers || "127.0.0.1:$kafka->{port}");
	my @command = ('kcat', @broker, '-C', '-t', $topic, '-o', 'beginning', '-e', '-q', '-J');
	my ($out, $err) = run_command(\@command);

	return map {
		my $message = $json->decode($_);
		my $payload = eval { $json->decode(encode_utf8($message->{payload})) };
		+{
			%{$message}{qw(key partition offset)},
			payload => $payload // $message->{payload},
			headers => { @{ $message->{headers} || [] } },
		};
	} split /\n/, $out;
}

sub encode_utf8
{
	my ($text) = @_;
	utf8::encode($text) if defined $text;
	return $text;
}

sub local_start
{
	my ($server, @settings) = @_;
	local_run($server->{kind}, 'start', $server->{dir}, $server->{port}, @settings);
	return $server;
}

sub local_run
{
	my ($script, @arguments) = @_;
	my @command = ("$source/deploy/local/$script", @arguments);
	my ($out, $err) = run_command(\@command);
	croak "$script @arguments: $err" if $? != 0;
	return $out;
}

sub local_kill
{
	my ($server) = @_;
	my ($kind, $pid, $start) = split ' ', slurp_file("$server->{dir}/server.process");
	kill 'KILL', $pid if start_time($pid) == $start;
	wait_until(sub { start_time($pid) != $start }, STOP_SECONDS, "end of $kind");
	return;
}

# The payment provider -------------------------------------------------------------------------------

# provider_settings(): for a concertd that is to ask the fake provider, with secrets of its own.
sub provider_settings
{
	write_file("$folder/provider.secret", "the-secret-of-this-test\n");
	write_file("$folder/provider.key", "the-key-of-this-test\n");
	return (
		'provider.name' => 'fake',
		'provider.url' => 'http://127.0.0.1:' . free_port(),
		'provider.secret_file' => "$folder/provider.secret",
		'provider.key_file' => "$folder/provider.key",
		'provider.timeout_ms' => 1000,
		'provider.lease_seconds' => 2,
		'provider.poll_ms' => 50,
		'provider.breaker_failures' => 2,
		'provider.breaker_seconds' => 1);
}

# start_provider(IT, OPTION => VALUE, …): the fake one, for a concertd with these settings; the options
# are those of fake_provider.py. It is ready when this returns.
sub start_provider
{
	my ($for, %option) = @_;
	my $settings = $for->{settings};
	my ($port) = $settings->{'provider.url'} =~ m{^https?://127\.0\.0\.1:(\d+)$};

	$provider = { name => 'provider', log => "$folder/provider.log", port => $port };
	unlink $provider->{log};
	$provider->{pid} = spawn(
		$provider->{log}, 'python3', "$source/sidecar/test/fake_provider.py",
		'--port', $port, '--name', $settings->{'provider.name'},
		'--webhook', "http://127.0.0.1:$for->{port}",
		'--secret-file', $settings->{'provider.secret_file'},
		'--key-file', $settings->{'provider.key_file'},
		map { ("--$_" => $option{$_}) } sort keys %option);
	push @daemons, $provider;
	wait_until(
		sub {
			croak "the provider ended:\n" . slurp_file($provider->{log}) if has_ended($provider);
			return log_contains(qr/^ready/m, $provider);
		},
		undef,
		'the provider');
	return $provider;
}

sub stop_provider { return end_concertd($provider, 'TERM'); }

sub provider_books
{
	my ($status, undef, $books) = http_of($provider, 'GET', '/books');
	return $status == 200 ? $books : undef;
}

# provider_say(IT, BODY, SIGNATURE): sends a message to concertd, rightly signed unless a signature is
# given; returns what http() does. A body that is a reference is sent as JSON.
sub provider_say
{
	my ($for, $body, $signature) = @_;
	my $settings = $for->{settings};
	my $text = ref $body ? $json->encode($body) : $body;

	$signature //= signature(slurp_file($settings->{'provider.secret_file'}) =~ /^(\S+)/, $text);
	return http_of(
		$for, 'POST', "/v1/provider/$settings->{'provider.name'}/messages",
		{ 'Idempotency-Key' => undef, ($signature ne '' ? ('Provider-Signature' => $signature) : ()) },
		$text);
}

# signature(SECRET, TEXT, SECONDS): of a message, signed now or so many seconds from now.
sub signature
{
	my ($secret, $text, $seconds) = @_;
	my $time = int(time) + ($seconds // 0);
	return "t=$time,v1=" . hmac_sha256_hex("$time.$text", $secret);
}

sub free_port
{
	my ($port) = split ' ', local_run('free-ports', 1);
	return $port;
}

# When a process started, in the kernel's ticks; 0 for one that has ended. See
# deploy/local/lib.bash.
sub start_time
{
	my ($pid) = @_;
	open my $handle, '<', "/proc/$pid/stat" or return 0;
	my $line = <$handle> // '';
	my @fields = split ' ', $line =~ s/.*\) //r;
	return !@fields || $fields[0] =~ /[ZX]/ ? 0 : $fields[19];
}

# concertd -----------------------------------------------------------------------------------------

# start_concertd({SECTION.KEY => VALUE, …}, OPTION => VALUE, …): starts one on a free port with the
# servers started so far, waits until `ready` (default /readyz) answers 200, and returns it.
# Options: name (of its folder), port, ready (undef: do not wait), program (another version's). To start a stopped one
# again, say start_concertd($it->{settings}, name => …).
sub start_concertd
{
	my ($settings, %option) = @_;
	my $ready = exists $option{ready} ? $option{ready} : '/readyz';
	my $self = {
		name => $option{name} || 'concertd' . @daemons,
		settings => $settings || {},
		port => $option{port} || free_port(),
	};

	$self->{dir} = "$folder/$self->{name}";
	$self->{log} = "$self->{dir}/log";
	mkdir $self->{dir};
	write_file("$self->{dir}/concertd.conf", config_text($self));
	$self->{pid} = spawn($self->{log}, $option{program} || $program, '--config', "$self->{dir}/concertd.conf");
	write_file("$self->{dir}/server.process",
		"concertd $self->{pid} " . start_time($self->{pid}) . "\n");
	push @daemons, $self;
	$concertd = $self;
	wait_ready($self, $ready) if defined $ready;
	return $self;
}

sub config_text
{
	my ($self) = @_;
	my %value = (
		'api.listen' => "127.0.0.1:$self->{port}",
		'api.web_dir' => "$source/sidecar/web",
		'db.conninfo' => $postgres ? conninfo() : 'dbname=none',
		'redis.nodes' => '127.0.0.1:' . ($redis ? $redis->{port} : free_port()),
		'kafka.brokers' => $kafka ? "127.0.0.1:$kafka->{port}" : 'embedded',
		'keys.pass_file' => $pass_keys,
		%{ $self->{settings} });
	my %section;

	for my $name (sort keys %value)
	{
		my ($section, $key) = $name =~ /^(?:(\w+)\.)?(\w+)$/ or croak "\"$name\" is no option";
		$section{ $section // '' } .= "$key = $value{$name}\n";
	}
	return join "\n", map { ($_ eq '' ? '' : "[$_]\n") . $section{$_} } sort keys %section;
}

# In a session of its own, so that a signal to the test's group reaches the test alone, which then
# ends the daemons.
sub spawn
{
	my ($log, @command) = @_;
	my $pid = fork // croak "could not fork: $!";
	return $pid if $pid;
	setsid();
	open STDIN, '<', '/dev/null' or _exit(1);
	open STDOUT, '>>', $log or _exit(1);
	open STDERR, '>&', \*STDOUT or _exit(1);
	exec { $command[0] } @command or _exit(1);
}

sub wait_ready
{
	my ($self, $path) = @_;
	wait_until(
		sub {
			croak "$self->{name} ended before it was ready:\n" . slurp_file($self->{log})
			  if has_ended($self);
			my ($status) = http_of($self, 'GET', $path);
			return $status == 200;
		},
		$PostgreSQL::Test::Utils::timeout_default,
		"$path of $self->{name}");
	return;
}

sub has_ended
{
	my ($self) = @_;
	return 1 if defined $self->{status};
	return 0 if waitpid($self->{pid}, WNOHANG) != $self->{pid};
	$self->{status} = $?;
	return 1;
}

# stop_concertd(IT): SIGTERM, and waits for the end; returns the status as in $?.
sub stop_concertd
{
	my $self = shift || $concertd;
	return end_concertd($self, 'TERM');
}

# kill_concertd(IT): SIGKILL, and waits for the end.
sub kill_concertd
{
	my $self = shift || $concertd;
	return end_concertd($self, 'KILL');
}

sub end_concertd
{
	my ($self, $signal) = @_;
	signal_concertd($signal, $self);
	wait_until(sub { has_ended($self) }, STOP_SECONDS, "end of $self->{name}");
	return $self->{status};
}

# signal_concertd(SIGNAL, IT): HUP, STOP, CONT …
sub signal_concertd
{
	my ($signal, $self) = @_;
	$self ||= $concertd;
	kill $signal, $self->{pid} unless has_ended($self);
	return;
}

# HTTP and logs ------------------------------------------------------------------------------------

# http(METHOD, PATH, {HEADER => VALUE}, BODY): (status, {header => value}, decoded JSON or text). A
# POST gets an Idempotency-Key unless the headers name one (undef: none). A body that is a reference
# is sent as JSON. 599 = no answer.
sub http
{
	return http_of($concertd, @_);
}

sub http_of
{
	my ($self, $method, $path, $headers, $body) = @_;
	my %headers = ($method eq 'POST' ? ('Idempotency-Key' => uuid()) : (), %{ $headers || {} });
	my %request;

	delete @headers{ grep { !defined $headers{$_} } keys %headers };
	if (defined $body)
	{
		$headers{'Content-Type'} //= 'application/json';
		$request{content} = ref $body ? $json->encode($body) : $body;
	}
	$request{headers} = \%headers;
	my $answer = HTTP::Tiny->new(timeout => HTTP_SECONDS, keep_alive => 0)
	  ->request($method, "http://127.0.0.1:$self->{port}$path", \%request);
	my $content = $answer->{content};
	if (($answer->{headers}{'content-type'} // '') =~ /json/)
	{
		$content = eval { $json->decode($content) } // $content;
	}
	return ($answer->{status}, $answer->{headers}, $content);
}

# log_contains(PATTERN, IT): whether a line of concertd's log matches.
sub log_contains
{
	my ($pattern, $self) = @_;
	$self ||= $concertd;
	return -e $self->{log} && slurp_file($self->{log}) =~ $pattern;
}

sub wait_for_log
{
	my ($pattern, $self) = @_;
	return wait_until(sub { log_contains($pattern, $self) }, undef, "log line $pattern");
}

# wait_until(CODE, SECONDS, WHAT): until CODE returns true, which is returned; otherwise the test
# dies.
sub wait_until
{
	my ($code, $seconds, $what) = @_;
	my $deadline = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);

	while (1)
	{
		my $result = $code->();
		return $result if $result;
		croak 'waited in vain for ' . ($what // 'a condition') if time > $deadline;
		sleep POLL_SECONDS;
	}
}

# Small things -------------------------------------------------------------------------------------

sub uuid
{
	my $text = slurp_file('/proc/sys/kernel/random/uuid');
	chomp $text;
	return $text;
}

# source_file(PATH): a file of the repository.
sub source_file
{
	my ($path) = @_;
	return "$source/$path";
}

sub write_file
{
	my ($path, $text) = @_;
	open my $handle, '>', $path or croak "could not write \"$path\": $!";
	chmod 0600, $path;
	print {$handle} $text;
	close $handle or croak "could not write \"$path\": $!";
	return;
}

# Runs before PostgreSQL::Test::Cluster's own, so the servers outlive what uses them.
END
{
	my $status = $?;

	for my $daemon (grep { !has_ended($_) } @daemons)
	{
		kill 'CONT', $daemon->{pid};
		kill 'TERM', $daemon->{pid};
	}
	for my $daemon (@daemons)
	{
		next if eval { wait_until(sub { has_ended($daemon) }, STOP_SECONDS); };
		kill 'KILL', $daemon->{pid};
		waitpid $daemon->{pid}, 0;
	}
	for my $server (grep { defined } $kafka, $redis)
	{
		eval { local_run($server->{kind}, 'stop', $server->{dir}); 1 } or diag($@);
	}
	$? = $status;
}

1;
