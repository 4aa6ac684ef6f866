# SPDX-License-Identifier: PostgreSQL
#
# The guide "sell a concert with SQL only" is true: every statement of docs/sell-with-sql.md runs, in
# order, in one session, and every result that it shows is what comes out, ids and times aside.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

my $guide = slurp_file("$ENV{CONCERT_SOURCE}/docs/sell-with-sql.md");
my $node = hall_server('guide');

# Ids and times become words, and how wide a column is does not matter.
sub normal
{
	my ($text) = @_;
	$text =~ s/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{8}-…/ID/g;
	$text =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d/TIME/g;
	$text =~ s/"(?:fence|remaining_ms)": \d+/"N"/g;
	return grep { /\S/ && !/^[-+ ]+$/ && !/^\(\d+ rows?\)$/ } map { s/\s*\|\s*/|/gr =~ s/^\s+|\s+$//gr } split /\n/, $text;
}

# What one psql session prints of each block, told apart by a mark that the session itself prints.
my (@blocks, @shown);
while ($guide =~ /^```sql\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms)
{
	push @blocks, $1;
	push @shown, $2;
}
cmp_ok(scalar @blocks, '>', 10, 'the guide has statements');
my $script = join '', "SET TIME ZONE 'UTC';\n", map { "\\echo [block $_]\n$blocks[$_]" } 0 .. $#blocks;
my ($stdout, $stderr);
my $ran = IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
	'<', \$script, '>', \$stdout, '2>', \$stderr);
ok($ran, 'every statement runs') or diag($stderr);

my @printed = split /^\[block \d+\]\n/m, $stdout;
shift @printed;
for my $n (grep { defined $shown[$_] } 0 .. $#shown)
{
	is_deeply([ normal($printed[$n] // '') ], [ normal($shown[$n]) ], 'the result of: ' . ($blocks[$n] =~ s/\n.*//sr));
}
hall_is_sound($node, 'after the guide');

$node->stop;
done_testing();
