# SPDX-License-Identifier: PostgreSQL
#
# P4 under load and over a crash: many sessions move money at random between accounts with a floor and
# without, in one step, in two, in journals and back, while readers sum up every account in one snapshot
# after the other. The sum is what was put in, in each of them; after a kill -9 too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant {
	SESSIONS => 24,
	SNAPSHOTS_MIN => 40,
	TRANSFERS_MIN => 2000,
	TIMEOUT_SECONDS => 90,
	POLL_USECONDS => 20_000,
};

my $node = hall_server('bank');

# 20 wallets, two of them on credit, 4 accounts without a floor, one of them hot; the bank puts in 1000 each.
$node->safe_psql('postgres', <<'END');
CREATE TABLE bank AS SELECT concert.open_account(NULL, 'PTS', 'funding', NULL, 'the bank') AS id;
CREATE TABLE purse AS
	SELECT n, CASE WHEN n > 20 THEN concert.open_account(gen_random_uuid(), 'PTS', 'fees', NULL)
			  ELSE concert.open_account(gen_random_uuid(), 'PTS', 'wallet', CASE WHEN n > 18 THEN -500 ELSE 0 END) END AS id
	FROM generate_series(1, 24) AS n;
CREATE TABLE put_in AS SELECT (concert.transfer(bank.id, purse.id, 1000)).ok FROM bank, purse;
CREATE FUNCTION purse(n int) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT id FROM purse WHERE purse.n = $1';
CREATE TABLE seen (total numeric, lowest numeric, at timestamptz DEFAULT clock_timestamp());
END
my $expected = 24 * 1000;

my $dir = $node->basedir;
append_to_file("$dir/mover.pgbench", <<'END');
\set a random(1, 24)
\set b random(1, 23) + 1
\set x random(1, 400)
\set what random(1, 12)
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
\elif :what = 6
SELECT ok FROM concert.journal(ARRAY[purse(:a), purse(:b)], ARRAY[purse(:b), purse(:a)], ARRAY[:x, :x / 2 + 1]);
\elif :what = 7
SELECT coalesce(transfer_id, gen_random_uuid()) AS pending FROM concert.transfer_pending(purse(:a), purse(:b), :x, 1 + :x % 2) \gset
\elif :what = 8
SELECT count(t.ok) FROM (SELECT id FROM concert.pending_transfer ORDER BY id DESC OFFSET :x % 3 LIMIT 1) AS p, concert.transfer_post(p.id, 1 + :x % 50) AS t;
\elif :what = 9
SELECT count(t.ok) FROM (SELECT id FROM concert.pending_transfer ORDER BY id DESC OFFSET :x % 3 LIMIT 1) AS p, concert.transfer_void(p.id) AS t;
\elif :what = 10
SELECT count(t.ok) FROM (SELECT id FROM concert.transfer WHERE debit_account_id <> (SELECT id FROM bank) ORDER BY id DESC LIMIT 1) AS r, concert.reverse(r.id) AS t;
\elif :what = 11
SELECT concert.lapse_transfers(5);
\else
SELECT concert.checkpoint_accounts(5);
\endif
END
append_to_file("$dir/reader.pgbench", <<'END');
INSERT INTO seen (total, lowest)
SELECT sum(b.balance), min(b.available) FROM purse, concert.account_balance(purse.id) AS b;
END

sub start_pgbench
{
	my ($script, $clients, $told) = @_;

	return IPC::Run::start([ 'pgbench', '--no-vacuum', "--client=$clients", '--jobs=2', '--time=' . TIMEOUT_SECONDS,
			'-f', "$dir/$script.pgbench", $node->connstr('postgres') ], '>', "$told.out", '2>', $told);
}

# What is left of the old server's processes keeps a new one from starting for a moment.
sub start_again
{
	my $deadline = time + TIMEOUT_SECONDS;

	until ($node->start(fail_ok => 1) || time > $deadline)
	{
		$node->stop('fast', fail_ok => 1);
		usleep(POLL_USECONDS);
	}
	return;
}

foreach my $round (1, 2)
{
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM concert.transfer');
	my $told = "$dir/told_$round";
	my @busy = (start_pgbench('mover', SESSIONS, $told), start_pgbench('reader', 2, "$told.reader"));
	my $enough = "SELECT (SELECT count(*) FROM seen) >= $round * " . SNAPSHOTS_MIN . " AND (SELECT count(*) FROM concert.transfer) >= $before + " . TRANSFERS_MIN;

	ok($node->poll_query_until('postgres', $enough), "round $round: money was moved and read");
	$node->kill9 if $round == 1;
	$_->kill_kill foreach @busy;
	start_again() if $round == 1;
	unlike(slurp_file($told), qr/ERROR/, "round $round: nobody met a deadlock or a broken constraint");
	is($node->safe_psql('postgres', "SELECT count(*) FROM seen WHERE total <> $expected OR lowest < 0"), '0',
		"round $round: in every snapshot the sum is what was put in, and no floor is passed");
	is($node->safe_psql('postgres', 'SELECT sum(b.balance) FROM purse, concert.account_balance(purse.id) AS b'), $expected, "round $round: and in the end");
	is($node->safe_psql('postgres', 'SELECT * FROM concert.verify_ledger()'), '', "round $round: the ledger is proven");
}
isnt($node->safe_psql('postgres', 'SELECT count(*) FROM concert.account_checkpoint'), '0', 'checkpoints were written meanwhile');
is($node->safe_psql('postgres', <<'END'), '0', 'and say at each of a hundred moments what the transfers say');
SELECT count(*) FROM (SELECT at FROM seen ORDER BY random() LIMIT 100) AS s, purse
WHERE concert.balance_at(purse.id, s.at) <>
	(SELECT coalesce(sum(CASE WHEN credit_account_id = purse.id THEN amount ELSE -amount END), 0) FROM concert.transfer
	 WHERE purse.id IN (debit_account_id, credit_account_id) AND created_at <= s.at)
END

$node->stop;
done_testing();
