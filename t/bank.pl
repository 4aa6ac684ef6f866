# SPDX-License-Identifier: PostgreSQL
#
# P4 under load and over crashes: many sessions move money at random between accounts with a floor and
# without, in one step, in two, in journals and back, from a source and for seats, while readers sum up
# every account there is in one snapshot after the other. All of them together are zero in each of
# them, no floor is passed in any; after each crash too. CONCERT_LONG=1: for longer.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	SESSIONS => 64,
	READERS => 2,
	SNAPSHOTS_MIN => 25,
	TRANSFERS_MIN => 1500,
	TIMEOUT_SECONDS => 90,
	LONG_ROUNDS => 20,
};

my %crash = (
	'kill -9' => sub { $_[0]->kill9 },
	'immediate stop' => sub { $_[0]->stop('immediate') },
);
my @rounds = $ENV{CONCERT_LONG} ? map { (sort keys %crash)[ $_ % 2 ] } 1 .. LONG_ROUNDS : ('kill -9', 'immediate stop');

my $node = hall_server('bank');

# 18 fans with 1,000 points each, two more on credit, 4 accounts without a floor, one of them hot, and
# what sales are credited to. What the fans have comes from a source, which holds as much less than nothing.
hall_open($node, seats => 2000, fans => 18, limit => 1000);
$node->safe_psql('postgres', <<'END');
CREATE TABLE purse AS
	SELECT row_number() OVER (ORDER BY id) AS n, id FROM concert.account WHERE kind = 'wallet';
INSERT INTO purse
	SELECT n, CASE WHEN n > 20 THEN concert.open_account(gen_random_uuid(), 'PTS', 'fees', NULL)
			  ELSE concert.open_account(gen_random_uuid(), 'PTS', 'wallet', -500) END
	FROM generate_series(19, 24) AS n;
CREATE FUNCTION purse(n int) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT id FROM purse WHERE purse.n = $1';
SELECT count((concert.transfer(purse(24), purse(n::int), 1000)).ok) FROM generate_series(19, 23) AS n;
CREATE TABLE seen (total numeric, lowest numeric, at timestamptz DEFAULT clock_timestamp());
END

my $dir = $node->basedir;
append_to_file("$dir/mover.pgbench", <<'END');
\set a random(1, 24)
\set b random(1, 23) + 1
\set x random(1, 400)
\set what random(1, 16)
\if :what <= 2
\set b 24
\elif :what <= 5
\set a 24
\endif
\if :a = :b
\set b 1
\endif
\if :a = :b
\set b 2
\endif
\if :what <= 5
SELECT ok FROM concert.transfer(purse(:a), purse(:b), :x);
\elif :what <= 7
SELECT ok FROM concert.journal(ARRAY[purse(:a), purse(:b)], ARRAY[purse(:b), purse(:a)], ARRAY[:x, :x / 2 + 1]);
\elif :what = 8
SELECT coalesce(transfer_id, gen_random_uuid()) AS pending FROM concert.transfer_pending(purse(:a), purse(:b), :x, 1 + :x % 2) \gset
\elif :what = 9
SELECT count(t.ok) FROM (SELECT id FROM concert.pending_transfer ORDER BY id DESC OFFSET :x % 3 LIMIT 1) AS p, concert.transfer_post(p.id, 1 + :x % 50) AS t;
\elif :what = 10
SELECT count(t.ok) FROM (SELECT id FROM concert.pending_transfer ORDER BY id DESC OFFSET :x % 3 LIMIT 1) AS p, concert.transfer_void(p.id) AS t;
\elif :what = 11
SELECT count(t.ok) FROM (SELECT id FROM concert.transfer WHERE kind IN ('transfer', 'posting') ORDER BY id DESC LIMIT 1) AS r, concert.reverse(r.id) AS t;
\elif :what = 12
SELECT concert.lapse_transfers(5);
\elif :what = 13
SELECT concert.checkpoint_accounts(5);
\elif :what = 14
SELECT ok FROM concert.charge_points(fan(1 + :x % 18), 10 + :x % 7, 'PTS', 'kiosk', 'receipt ' || :x);
\else
\set fan 1 + :x % 18
\set seat random(1, 2000)
SELECT coalesce(booking_id, gen_random_uuid()) AS booking FROM hall, concert.reserve(date, seats(:seat), fan(:fan), 2) \gset
SELECT ok FROM concert.pay(':booking', fan(:fan));
\endif
END
append_to_file("$dir/reader.pgbench", <<'END');
INSERT INTO seen (total, lowest)
SELECT sum(b.balance), min(b.available) FROM concert.account, concert.account_balance(account.id) AS b;
END

sub start_pgbench
{
	my ($script, $clients, $told) = @_;

	return IPC::Run::start([ 'pgbench', '--no-vacuum', "--client=$clients", '--jobs=2', '--time=' . TIMEOUT_SECONDS,
			'-f', "$dir/$script.pgbench", $node->connstr('postgres') ], '>', "$told.out", '2>', $told);
}

# Of a ledger at rest: what is told of it, what its transfers alone say, and what proves it.
sub check_books
{
	my ($when) = @_;

	is($node->safe_psql('postgres', 'SELECT count(*) FROM seen WHERE total <> 0 OR lowest < 0'), '0',
		"$when: in every snapshot all accounts together are zero, and no floor is passed");
	is($node->safe_psql('postgres', <<'END'), '0|0', "$when: what every account holds is what its transfers say, all together zero");
SELECT count(*) FILTER (WHERE b.balance <> coalesce(t.moved, 0)), sum(b.balance)
FROM concert.account AS a CROSS JOIN concert.account_balance(a.id) AS b
LEFT JOIN (SELECT id, sum(amount) AS moved FROM (SELECT credit_account_id AS id, amount FROM concert.transfer
												 UNION ALL SELECT debit_account_id, -amount FROM concert.transfer) AS leg GROUP BY id) AS t
	USING (id)
END
	hall_is_sound($node, $when);
	return;
}

foreach my $round (0 .. @rounds)
{
	my $crash = $rounds[$round];
	my $when = 'round ' . ($round + 1) . ($crash ? ", $crash" : '');
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM concert.transfer');
	my $read = $node->safe_psql('postgres', 'SELECT count(*) FROM seen');
	my $told = "$dir/told_$round";
	my @busy = (start_pgbench('mover', SESSIONS, $told), start_pgbench('reader', READERS, "$told.reader"));
	my $enough = "SELECT (SELECT count(*) FROM seen) >= $read + " . SNAPSHOTS_MIN . " AND (SELECT count(*) FROM concert.transfer) >= $before + " . TRANSFERS_MIN;

	ok($node->poll_query_until('postgres', $enough), "$when: money was moved and read");
	$crash{$crash}->($node) if $crash;
	$_->kill_kill foreach @busy;
	hall_start_again($node, $when) if $crash;
	unlike(slurp_file($told), qr/ERROR/, "$when: nobody met a deadlock or a broken constraint");
	check_books($when);
}
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM concert.transfer"),
	'charge payment posting reversal transfer', 'money was moved in every way');
isnt($node->safe_psql('postgres', 'SELECT count(*) FROM concert.account_checkpoint'), '0', 'checkpoints were written meanwhile');
is($node->safe_psql('postgres', <<'END'), '0', 'and say at each of a hundred moments what the transfers say');
SELECT count(*) FROM (SELECT at FROM seen ORDER BY random() LIMIT 100) AS s, purse
WHERE concert.balance_at(purse.id, s.at) <>
	(SELECT coalesce(sum(CASE WHEN credit_account_id = purse.id THEN amount ELSE -amount END), 0) FROM concert.transfer
	 WHERE purse.id IN (debit_account_id, credit_account_id) AND created_at <= s.at)
END

$node->stop;
done_testing();
