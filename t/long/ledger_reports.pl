# SPDX-License-Identifier: PostgreSQL
#
# Ten million transfers: every report, balance and statement says what adding up the rows says, without reading
# more than a few of them, within a statement_timeout; and verify_ledger() proves the whole.
#
# The rows are written straight to the tables, without the checks of their foreign keys, because there are so many:
# tens of a charge or more and what is paid with it, a year long, a few of them recorded minutes too early, as
# after a clock that was set back. CONCERT_TRANSFERS is another number of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	WALLETS => 20_000,
	CONCERTS => 990,
	CHECKPOINT_TRANSFERS => 200,
	MOMENTS => 40,
	REPORT_TIMEOUT => '30s',
	VERIFY_TIMEOUT => '30min',
};

my $transfers = $ENV{CONCERT_TRANSFERS} // 10_000_000;
my $node = hall_server('ledger_reports', extra => ['--wal-segsize=64']);

$node->append_conf('postgresql.conf', <<END);
statement_timeout = 0
timezone = 'UTC'
autovacuum = off
shared_buffers = 512MB
work_mem = 64MB
max_wal_size = 4GB
wal_level = minimal
max_wal_senders = 0
END
$node->restart;
$node->safe_psql('postgres', <<END);
SET session_replication_role = replica;
CREATE FUNCTION id(prefix text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS \$\$ SELECT lpad(n::text, 32, prefix)::uuid \$\$;
INSERT INTO concert.account (id, kind, name, currency) VALUES (id('f', 0), 'funding', 'the bank', 'PTS');
INSERT INTO concert.account (id, kind, name, currency, floor) VALUES (id('f', 1), 'fees', 'service', 'PTS', 0);
INSERT INTO concert.account (id, kind, owner_id, currency, floor)
SELECT id('a', n), 'wallet', id('b', n), 'PTS', 0 FROM generate_series(0, @{[WALLETS]} - 1) AS n;
INSERT INTO concert.account (id, kind, owner_id, currency)
SELECT id('e', n), 'revenue', id('c', n), 'PTS' FROM generate_series(0, @{[CONCERTS]} - 1) AS n;
INSERT INTO concert.concert (id, name) SELECT id('c', n), 'Concert ' || n FROM generate_series(0, @{[CONCERTS]} - 1) AS n;
CREATE TABLE house AS
SELECT n, concert.create_concert_date(id('c', n), now() + interval '1 year') AS date, id('d', n) AS section
FROM generate_series(0, @{[CONCERTS]} - 1) AS n;
INSERT INTO concert.section (id, concert_date_id, name, kind, price, currency) SELECT section, date, 'House', 'seated', 50, 'PTS' FROM house;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT id('0', 200 * n + seat), date, section, 1, seat, seat::text FROM house, generate_series(1, 200) AS seat;
INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence, created_at,
								 expires_at, expires_at_max, resolved_at)
SELECT concert.uuid7(), concert_date_id, id, id('b', col), 'confirmed', 40 + col % 20, 'PTS', 1, now(), now(), now(), now()
FROM concert.seat WHERE col % 3 > 0;
INSERT INTO concert.payment (booking_id, user_id, method, status, amount, currency, created_at, captured, refunded)
SELECT r.booking_id, r.user_id, 'points', 'captured', r.price, r.currency, now(), r.price, r.price % 7
FROM concert.reservation AS r;

-- Of each ten three bring in what six are paid with, and a fee; wallet 0 has a hundredth of all.
INSERT INTO concert.transfer (debit_account_id, credit_account_id, amount, currency, kind, created_at)
SELECT CASE WHEN step < 3 THEN id('f', 0) ELSE id('a', wallet) END,
	   CASE WHEN step < 3 THEN id('a', wallet) WHEN step < 9 THEN id('e', ten % @{[CONCERTS]}) ELSE id('f', 1) END,
	   CASE WHEN step < 3 THEN 1000 ELSE 1 + n % 97 END, 'PTS', 'transfer',
	   now() - ($transfers - n) * (interval '1 year' / $transfers) - CASE WHEN n % 5003 = 0 THEN interval '3 minutes' ELSE '0' END
FROM generate_series(1, $transfers) AS n, LATERAL (SELECT n / 10 AS ten, n % 10 AS step) AS t,
	 LATERAL (SELECT CASE WHEN ten % 100 = 0 THEN 0 ELSE ten % @{[WALLETS]} END AS wallet) AS w;
INSERT INTO concert.pending_transfer (id, debit_account_id, credit_account_id, amount, currency, created_at, expires_at)
SELECT id('0', n), id(CASE WHEN n % 10 = 0 THEN 'e' ELSE 'a' END, n % @{[CONCERTS]}), id('f', 1), 1 + n % 7, 'PTS', now(),
	   CASE WHEN n % 50 = 0 THEN now() + interval '1 day' ELSE now() END
FROM generate_series(1, $transfers / 100) AS n;
INSERT INTO concert.pending_resolution (pending_id, outcome, amount, created_at)
SELECT id, CASE WHEN expires_at > now() THEN 'voided' ELSE 'lapsed' END, 0, now() FROM concert.pending_transfer
WHERE expires_at <= now() OR amount = 3;

-- What the reports are compared with: every row added up.
CREATE TABLE moved AS
SELECT account_id, sum(debit) AS debits, sum(credit) AS credits, count(*) AS transfers
FROM (SELECT debit_account_id AS account_id, amount AS debit, 0 AS credit FROM concert.transfer
	  UNION ALL SELECT credit_account_id, 0, amount FROM concert.transfer) AS t GROUP BY 1;
CREATE TABLE aside AS
SELECT debit_account_id AS account_id, sum(amount) AS amount, count(*) AS transfers FROM concert.pending_transfer AS p
WHERE NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id) GROUP BY 1;
INSERT INTO concert.account_balance (account_id, debits, credits, debits_pending, lapsed_through)
SELECT a.id, coalesce(m.debits, 0), coalesce(m.credits, 0), coalesce(p.amount, 0), now()
FROM concert.account AS a LEFT JOIN moved AS m ON m.account_id = a.id LEFT JOIN aside AS p ON p.account_id = a.id
WHERE a.floor IS NOT NULL;
END
$node->safe_psql('postgres', 'VACUUM ANALYZE');
note 'size of transfer: ' . $node->safe_psql('postgres', "SELECT pg_size_pretty(pg_total_relation_size('concert.transfer'))");

# Accounts without a floor are summed up by calls, those with one by their transfers: ten checkpoints when as many are due.
my ($calls, $written) = (0, 0);
while ((my $more = $node->safe_psql('postgres', 'SELECT concert.checkpoint_accounts(10000)')) > 0)
{
	$calls++;
	$written += $more;
}
is($node->safe_psql('postgres', 'SELECT sum(transfers / ' . CHECKPOINT_TRANSFERS . ") FROM moved JOIN concert.account ON id = account_id WHERE floor IS NULL"),
	$written, "all full checkpoints of accounts without a floor were written in $calls calls");
$node->safe_psql('postgres', <<'SQL');
DO $$
DECLARE
	long uuid;
	known bigint;
	before bigint;
BEGIN
	FOREACH long IN ARRAY ARRAY[id('f', 1), id('a', 0)] LOOP
		known := 0;
		before := -1;
		WHILE known > before LOOP
			before := known;
			UPDATE concert.account_balance SET transfers = 199 WHERE account_id = long;
			PERFORM concert.transfer(id('f', 0), long, 1);
			SELECT count(*) INTO known FROM concert.account_checkpoint WHERE account_id = long;
		END LOOP;
	END LOOP;
END
$$;
SELECT concert.checkpoint_accounts(10000);
TRUNCATE moved;
INSERT INTO moved
SELECT account_id, sum(debit) AS debits, sum(credit) AS credits, count(*) AS transfers
FROM (SELECT debit_account_id AS account_id, amount AS debit, 0 AS credit FROM concert.transfer
	  UNION ALL SELECT credit_account_id, 0, amount FROM concert.transfer) AS t GROUP BY 1;
ANALYZE moved;
VACUUM ANALYZE concert.account_checkpoint;
SQL

# report(NAME, ROWS, QUERY, TRUTH): both say the same, and the query has read so many transfers at most.
sub report
{
	my ($name, $rows_max, $query, $truth) = @_;
	my $rows = $rows_max =~ /^\d+$/ ? $rows_max : die $rows_max;
	my $out = $node->safe_psql('postgres', <<END);
SET statement_timeout = '@{[REPORT_TIMEOUT]}';
SET max_parallel_workers_per_gather = 0;
BEGIN;
CREATE TEMP TABLE answer AS $query;
SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'concert.transfer'::regclass;
COMMIT;
SELECT count(*) > 0 FROM answer;
SET statement_timeout = 0;
CREATE TEMP TABLE truth AS $truth;
SELECT count(*) FROM ((TABLE answer EXCEPT ALL TABLE truth) UNION ALL (TABLE truth EXCEPT ALL TABLE answer)) AS t;
END
	my ($read, $has_some, $wrong) = split /\n/, $out;
	is("$has_some $wrong", 't 0', "$name: as every row says");
	cmp_ok($read, '<=', $rows, "$name: reads at most $rows transfers ($read)");
	return;
}

report('revenue of all concerts', 2 * CHECKPOINT_TRANSFERS * CONCERTS,
	'SELECT account_id, received, returned, amount FROM concert.revenue_by_concert',
	"SELECT id, credits, coalesce(debits, 0), credits - debits FROM concert.account JOIN moved ON account_id = id WHERE kind = 'revenue'");
report('revenue of one concert', 2 * CHECKPOINT_TRANSFERS,
	"SELECT amount FROM concert.revenue_by_concert WHERE concert_id = id('c', 7)",
	"SELECT credits - debits FROM moved WHERE account_id = id('e', 7)");
report('revenue of a concert on each day of a year', 4 * CHECKPOINT_TRANSFERS * 370,
	"SELECT day, currency, amount FROM concert.revenue_by_day(id('c', 7), current_date - 367, current_date + 1)",
	"SELECT created_at::date, 'PTS'::text, sum(amount) FROM concert.transfer WHERE credit_account_id = id('e', 7) GROUP BY 1");
report('sold seats of a concert by section', 0,
	"SELECT section_id, seats, sold FROM concert.revenue_by_section WHERE concert_id = id('c', 7)",
	"SELECT section_id, count(*), sum(price) FROM concert.reservation AS r JOIN concert.seat AS s ON s.id = seat_id WHERE section_id = id('d', 7) GROUP BY 1");
report('revenue of all dates', 0,
	'SELECT concert_date_id, seats, sold, given_back, amount FROM concert.revenue_by_date',
	'SELECT concert_date_id, count(*), sum(price) AS sold, sum(refunded) AS given_back, sum(captured - refunded) AS amount FROM concert.reservation JOIN concert.payment USING (booking_id) GROUP BY 1');
report('pending funds', 0,
	'SELECT account_id, transfers, amount FROM concert.pending_funds', 'SELECT account_id, transfers, amount FROM aside');
report('what is owed to wallets', 0,
	'SELECT wallets, amount FROM concert.wallet_liabilities',
	"SELECT count(*), sum(credits - debits) FROM concert.account LEFT JOIN moved ON account_id = id WHERE kind = 'wallet'");
for my $account ([ 'f', 0 ], [ 'f', 1 ], [ 'e', 7 ], [ 'a', 0 ])
{
	my $id = "id('$account->[0]', $account->[1])";

	report("balance of $id", 2 * CHECKPOINT_TRANSFERS, "SELECT balance FROM concert.account_balance($id)",
		"SELECT (credits - debits)::bigint FROM moved WHERE account_id = $id");
	report("balances of $id at @{[MOMENTS]} moments", 20 * CHECKPOINT_TRANSFERS * MOMENTS,
		"SELECT n, concert.balance_at($id, current_date - n * interval '219 hours') AS balance FROM generate_series(0, @{[MOMENTS - 1]}) AS n",
		"WITH moved_at AS MATERIALIZED (SELECT floor(extract(epoch FROM current_date::timestamptz - created_at) / (219 * 3600)) AS step,"
		  . " sum(CASE credit_account_id WHEN $id THEN amount ELSE -amount END) AS amount"
		  . " FROM concert.transfer WHERE $id IN (debit_account_id, credit_account_id) GROUP BY 1)"
		  . " SELECT n, coalesce((SELECT sum(amount) FROM moved_at WHERE step >= n), 0)::bigint FROM generate_series(0, @{[MOMENTS - 1]}) AS n");
}
report('balances of a hundred users', 0, "SELECT n, concert.balance(id('b', n)) AS balance FROM generate_series(0, 99) AS n",
	"SELECT n, (credits - debits)::bigint FROM generate_series(0, 99) AS n JOIN moved ON account_id = id('a', n)");
report('a week of a long statement', 4 * CHECKPOINT_TRANSFERS + $transfers / 1000,
	"SELECT transfer_id, amount, balance FROM concert.points_statement(id('b', 0), current_date - 100, current_date - 93)",
	"SELECT id, amount, balance FROM (SELECT id, created_at, CASE credit_account_id WHEN id('a', 0) THEN amount ELSE -amount END AS amount,"
	  . " (sum(CASE credit_account_id WHEN id('a', 0) THEN amount ELSE -amount END) OVER (ORDER BY seq))::bigint AS balance"
	  . " FROM concert.transfer WHERE id('a', 0) IN (debit_account_id, credit_account_id)) AS t"
	  . ' WHERE created_at >= current_date - 100 AND created_at < current_date - 93');
is($node->safe_psql('postgres', "SET statement_timeout = '@{[VERIFY_TIMEOUT]}'; SELECT * FROM concert.verify_ledger()"), '', 'the ledger is proven');
$node->safe_psql('postgres', "SET session_replication_role = replica; UPDATE concert.transfer SET amount = amount + 1 WHERE id = (SELECT id FROM concert.transfer WHERE debit_account_id = id('a', 5) ORDER BY seq LIMIT 1)");
like($node->safe_psql('postgres', "SET statement_timeout = '@{[VERIFY_TIMEOUT]}'; SELECT * FROM concert.verify_ledger()"), qr/balance row says/, 'and one point too many in it is found');
$node->stop;
done_testing();
