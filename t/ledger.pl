# SPDX-License-Identifier: PostgreSQL
#
# What the ledger must keep when many ask at once (P4, P6): hot accounts lose nothing, nobody passes a
# floor, what is set aside counts at once, a pending ends once, a transfer is reversed once, one key or
# reference has one effect; and the same accounts named in every order meet without a deadlock. In the
# end all that there is can be rebuilt from the transfers alone.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hall_server('ledger');

# A deadlock is to be found soon, where there is one.
$node->append_conf('postgresql.conf', "deadlock_timeout = 50ms\n");
$node->reload;

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Accounts by name: purses with a floor of 0, and the bank and the till without one.
value(<<'END');
CREATE TABLE account AS
	SELECT 'purse ' || n AS name, concert.open_account(gen_random_uuid(), 'PTS', 'wallet') AS id FROM generate_series(1, 40) AS n
	UNION ALL SELECT name, concert.open_account(NULL, 'PTS', 'fees', NULL, name) FROM unnest(ARRAY['bank', 'till']) AS name;
CREATE UNIQUE INDEX ON account (name);
CREATE FUNCTION a(name text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT id FROM account WHERE account.name = $1';
CREATE FUNCTION purse(n bigint) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT a('purse ' || n) $$;
CREATE FUNCTION held(name text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT balance FROM concert.account_balance(a($1))';
CREATE TABLE due (n int, id uuid);
END

# Hot accounts.
hall_storm($node, 'hot', '--client=50 --transactions=20', <<'END');
SELECT 1 / t.ok::int AS credited FROM concert.transfer(a('bank'), a('purse 1'), 3) AS t;
SELECT 1 / t.ok::int AS debited FROM concert.transfer(a('purse 1'), a('till'), 2) AS t;
END
is(value("SELECT held('purse 1'), held('bank'), held('till')"), '1000|-3000|2000', '2,000 transfers over hot accounts lose nothing');

# A drain.
value("SELECT ok FROM concert.transfer(a('bank'), a('purse 2'), 5000)");
hall_storm($node, 'drain', '--client=50 --transactions=4', <<'END');
SELECT ok FROM concert.transfer(a('purse 2'), a('till'), 100);
END
is(value("SELECT held('purse 2'), held('till') - 2000"), '0|5000', '200 who take 100 of 5,000: fifty get it');

# Six pendings of 1,000 on 5,000, each from its own window; ten times.
value("SELECT count(t.ok) FROM generate_series(11, 20) AS n, concert.transfer(a('bank'), purse(n), 5000) AS t");
hall_storm($node, 'pendings', '--client=60 --transactions=1', <<'END');
\set n 11 + :client_id % 10
SELECT ok FROM concert.transfer_pending(purse(:n), a('till'), 1000, 3600);
END
is(value("SELECT string_agg(DISTINCT format('%s of which %s out, %s available', balance, pending_debits, available), '; ') FROM generate_series(11, 20) AS n, concert.account_balance(purse(n))"),
	'5000 of which 5000 out, 0 available', 'six pendings of 1,000 on 5,000: five');

# Each of them is posted and voided from eight windows at once.
value('INSERT INTO due SELECT row_number() OVER (ORDER BY id), id FROM concert.pending_transfer');
hall_storm($node, 'endings', '--client=48 --transactions=10', <<'END');
\set n random(1, 50)
\set posts random(0, 1)
\if :posts
SELECT ok FROM due, concert.transfer_post(id, 400) WHERE n = :n;
\else
SELECT ok FROM due, concert.transfer_void(id) WHERE n = :n;
\endif
END
value('SELECT count(v.ok) FROM due, concert.transfer_void(id) AS v');
is(value(<<'END'), '50|t|0', 'a pending that is posted and voided from many windows ends once');
SELECT count(*), 400 * count(*) FILTER (WHERE outcome = 'posted') = (SELECT sum(amount) FROM concert.transfer WHERE kind = 'posting'),
	(SELECT sum(pending_debits) FROM generate_series(11, 20) AS n, concert.account_balance(purse(n)))
FROM due JOIN concert.pending_resolution ON pending_id = id
END

# A reversal from sixteen windows.
value(<<'END');
TRUNCATE due;
INSERT INTO due SELECT n, t.transfer_id FROM generate_series(1, 5) AS n, concert.transfer(a('bank'), purse(21), 10 + n) AS t;
END
hall_storm($node, 'reversals', '--client=40 --transactions=2', <<'END');
\set n 1 + :client_id % 5
SELECT ok FROM due, concert.reverse(id) WHERE n = :n;
END
is(value("SELECT count(*), held('purse 21') FROM concert.transfer WHERE reverses_id IN (SELECT id FROM due)"), '5|0',
	'a transfer that is reversed from many windows is reversed once');

# 300 identical transfers, by their reference and by their key.
hall_storm($node, 'reference', '--client=30 --transactions=10', <<'END');
SELECT ok FROM concert.transfer(a('bank'), a('purse 22'), 7, NULL, 'the same');
END
is(value("SELECT held('purse 22')"), '7', '300 identical transfers with a reference are one');
hall_storm($node, 'key', '--client=30 --transactions=10', <<'END');
SELECT 1 / ok::int AS first_answer FROM concert.transfer(a('bank'), a('purse 23'), 7, idempotency_key => 'the same');
END
is(value("SELECT held('purse 23')"), '7', '300 identical transfers with a key are one, all of them told yes');
hall_storm($node, 'refused_key', '--client=30 --transactions=10', <<'END');
SELECT 1 / (NOT ok)::int AS first_answer FROM concert.transfer(a('purse 24'), a('till'), 7, idempotency_key => 'refused');
SELECT ok FROM concert.transfer(a('bank'), a('purse 24'), 7);
END
is(value("SELECT held('purse 24')"), '2100', 'a key that was refused is refused 300 times, whatever has come meanwhile');

# The same accounts, named in every order.
hall_storm($node, 'orders', '--client=40 --transactions=25', <<'END');
\set one random(25, 30)
\set two 25 + (:one - 24) % 6
\set three 25 + (:one - 23) % 6
SELECT ok FROM concert.journal(ARRAY[a('bank'), purse(:one), purse(:two)], ARRAY[purse(:one), purse(:two), purse(:three)], ARRAY[3, 2, 1]);
SELECT ok FROM concert.journal(ARRAY[purse(:three), purse(:two), purse(:one)], ARRAY[purse(:two), purse(:one), a('till')], ARRAY[1, 1, 1]);
SELECT ok FROM concert.transfer(purse(:two), purse(:one), 1);
END
is(value('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'accounts that are named in every order: nothing deadlocked');

# By the transfers alone.
is(value(<<'END'), '0|0', 'what every account holds is what its transfers say, and all together is zero');
SELECT count(*) FILTER (WHERE b.balance <> coalesce(t.moved, 0)), sum(b.balance)
FROM account CROSS JOIN concert.account_balance(account.id) AS b
LEFT JOIN (SELECT id, sum(amount) AS moved FROM (SELECT credit_account_id AS id, amount FROM concert.transfer
												 UNION ALL SELECT debit_account_id, -amount FROM concert.transfer) AS leg GROUP BY id) AS t
	USING (id)
END
is(value('SELECT count(*) - count(DISTINCT seq) FROM concert.transfer'), '0', 'no number of a transfer is given twice');
is(value('SELECT * FROM concert.verify_ledger()'), '', 'the ledger is proven');

$node->stop;
done_testing();
