# SPDX-License-Identifier: PostgreSQL
#
# What the TAP tests of the extension share: a server with concert, and a hall on it that many people
# know by number: seat n, fan n, each fan with points. The sale's tables stay concert's own.
package ConcertHall;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

use constant {
	START_SECONDS => 60,
	POLL_USECONDS => 20_000,
};

our @EXPORT = qw(hall_server hall_open hall_start_again hall_storm hall_is_sound);

# Starts a server of its own with the extension and, for the users of a sale, their words.
sub hall_server
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%params);
	$node->append_conf('postgresql.conf', "max_connections = 100\nstatement_timeout = 60s\n");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION concert');
	return $node;
}

# Opens the sale of a hall of so many seats in rows of 50, at 100 points, to so many fans.
sub hall_open
{
	my ($node, %hall) = @_;
	my $limit = $hall{limit} // 4;
	my $points = $hall{points} // 1000;

	$node->safe_psql('postgres', <<END);
CREATE TABLE hall AS
	SELECT concert.create_concert_date(concert.create_concert('Hall'), now() + interval '1 day',
									   seats_per_user_max => $limit) AS date;
SELECT concert.add_seats(date, section, row, cols)
FROM (SELECT date, concert.create_section(date, 'Hall', 100) AS section FROM hall) AS s,
	 (SELECT n / 50 + 1 AS row, array_agg(n % 50 + 1) AS cols
	  FROM generate_series(0, $hall{seats} - 1) AS n GROUP BY n / 50) AS r;
CREATE TABLE seat AS
	SELECT row_number() OVER (ORDER BY row, col) AS n, seat_id AS id FROM hall, concert.seat_map(date);
CREATE UNIQUE INDEX ON seat (n);
CREATE FUNCTION fan(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS \$\$ SELECT md5('fan ' || n)::uuid \$\$;
CREATE FUNCTION seats(VARIADIC ns int[]) RETURNS uuid[] LANGUAGE sql STABLE AS \$\$
	SELECT array_agg(id ORDER BY ord) FROM unnest(ns) WITH ORDINALITY AS w (n, ord) JOIN seat USING (n)
\$\$;
SELECT count(concert.charge_points(fan(n), $points, 'PTS', 'hall', n::text)) FROM generate_series(1, $hall{fans}) AS n;
ANALYZE seat;
END
	return;
}

# Starts a server that was stopped dead. After a kill -9 the old server's processes take a moment to notice
# that they are alone; until then a new one refuses to start, and whatever is left of the attempt is
# cleared away.
sub hall_start_again
{
	my ($node, $when) = @_;
	my $deadline = time + START_SECONDS;
	my $started;

	until (($started = $node->start(fail_ok => 1)) || time > $deadline)
	{
		$node->stop('fast', fail_ok => 1);
		usleep(POLL_USECONDS);
	}
	ok($started, "$when: the server starts again");
	return;
}

# So many clients run a script so often; none may be stopped by an error.
sub hall_storm
{
	my ($node, $name, $options, $script) = @_;

	$node->pgbench("--no-vacuum --jobs=2 $options", 0, [qr{number of failed transactions: 0 }], [qr{^(?!.*ERROR)}s],
		$name, { "storm_$name" => $script });
	return;
}

# No promise is broken, and no seat is anybody's twice by a count that shares nothing with check_integrity().
sub hall_is_sound
{
	my ($node, $when) = @_;

	is($node->safe_psql('postgres', 'SELECT * FROM concert.check_integrity()'), '', "$when: no promise is broken");
	is( $node->safe_psql('postgres', <<'END'), '0|0', "$when: every seat has one owner at most, who paid its price");
SELECT (SELECT count(*) FROM (SELECT FROM concert.reservation WHERE status IN ('pending', 'confirmed')
							  GROUP BY seat_id HAVING count(*) > 1) AS twice),
	   (SELECT coalesce(sum(price), 0) FROM concert.reservation WHERE status = 'confirmed')
	   - (SELECT coalesce(sum(CASE WHEN t.kind = 'payment' THEN t.amount ELSE -t.amount END), 0)
		  FROM concert.transfer AS t JOIN concert.account AS a
			   ON a.id = CASE WHEN t.kind = 'payment' THEN t.credit_account_id ELSE t.debit_account_id END
		  WHERE t.kind IN ('payment', 'refund', 'fee') AND a.kind = 'revenue')
END
	return;
}

1;
