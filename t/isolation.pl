# SPDX-License-Identifier: PostgreSQL
#
# Every isolation level keeps the promises (P1, P4, P6) when many sell at once: a call is answered or ends in
# 40001, which is tried again, and nothing else; at READ COMMITTED it never even does that. docs/isolation.md.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant TRIES_MAX => 1000;

my $node = hall_server('isolation');
hall_open($node, seats => 200, fans => 5, limit => 6, points => 100000);

# Seats are few and fans fewer, so that all meet on seats, limits, wallets and keys (those of 20 ms are one);
# pendings lapse meanwhile. A pause lets others commit between a caller's snapshot and its call.
my $sale = <<'END';
\set seat random(6, 199)
\set fan random(1, 5)
\set what random(1, 40)
BEGIN;
SELECT count(*) FROM hall;
\sleep 1 ms
\if :what > 25
SELECT booking_id AS booking FROM hall, concert.reserve(date, seats(:fan), fan(:fan),
	idempotency_key => (extract(epoch FROM clock_timestamp()) * 50)::bigint::text) \gset
\elif :what > 15
SELECT booking_id AS booking FROM hall, concert.reserve(date, seats(:seat, :seat + 1), fan(:fan)) \gset
\else
SELECT booking_id AS booking FROM hall, concert.reserve_best(date, 2, fan(:fan)) \gset
\endif
COMMIT;
BEGIN;
SELECT count(*) FROM hall;
\if :what > 39
SELECT ok FROM concert.pay(nullif(':booking', '')::uuid, fan(:fan)) WHERE ':booking' <> '';
\elif :what > 20
SELECT ok FROM concert.cancel(nullif(':booking', '')::uuid, fan(:fan)) WHERE ':booking' <> '';
\elif :what > 10
UPDATE concert.reservation SET expires_at = created_at
WHERE id IN (SELECT id FROM concert.reservation WHERE user_id = fan(:fan) AND status = 'pending' FOR UPDATE SKIP LOCKED);
\elif :what > 5
SELECT concert.expire(10);
\endif
COMMIT;
END

for my $level ('read committed', 'repeatable read', 'serializable')
{
	(my $name = $level) =~ tr/ /_/;
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET default_transaction_isolation = '$level'");
	$node->pgbench('--no-vacuum --jobs=2 --client=8 --transactions=150 --failures-detailed --max-tries=' . TRIES_MAX, 0,
		[qr{actually processed: 1200/1200}, qr{number of failed transactions: 0 }], [qr{^(?!.*ERROR)}s],
		"$level: every call is answered, at the latest when it is tried again", { "isolation_$name" => $sale });
	hall_is_sound($node, $level);
	is($node->safe_psql('postgres', <<'END'), '0', "$level: a key has one answer");
SELECT count(*) FROM (SELECT FROM (TABLE concert.request_0 UNION ALL TABLE concert.request_1 UNION ALL
								   TABLE concert.request_2 UNION ALL TABLE concert.request_3) AS request
					  GROUP BY user_id, operation, key HAVING count(*) > 1) AS twice
END
}
is($node->safe_psql('postgres', 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0',
	'nothing deadlocked');

done_testing();
