# SPDX-License-Identifier: PostgreSQL
#
# A server that follows another one's programme by logical replication, whose apply fires row triggers only
# and only those that are ENABLE ALWAYS: what its sessions keep of dates and sections is forgotten with what
# is applied. purge() goes on where every table is published, and what it removes goes there too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = hall_server('publisher', allows_streaming => 'logical');
my $subscriber = hall_server('subscriber');
hall_open($publisher, seats => 4, fans => 2, limit => 1);
$publisher->safe_psql('postgres', <<'END');
CREATE PUBLICATION programme FOR TABLE concert.concert, concert.concert_date, concert.section, concert.seat, concert.history, hall, seat;
CREATE PUBLICATION everything FOR ALL TABLES;
END
$subscriber->safe_psql('postgres', 'CREATE TABLE hall (date uuid); CREATE TABLE seat (n bigint, id uuid)');
my $conninfo = $publisher->connstr('postgres');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION programme CONNECTION \$\$$conninfo\$\$ PUBLICATION programme");

# Until the first tables are copied and what came since is applied.
sub follow
{
	$subscriber->wait_for_subscription_sync($publisher, 'programme');
	return;
}

follow();
my $session = $subscriber->background_psql('postgres');
my $sale = <<'END';
SELECT r.ok, r.reason, r.seats->0->>'price' FROM hall, concert.reserve(date, (SELECT array_agg(id) FROM seat WHERE n = %d), md5('fan')::uuid) AS r;
END
is($session->query(sprintf $sale, 1), 't||100', 'sold on the subscriber at the price that was copied');
is($session->query(sprintf $sale, 2), 'f|limit|', 'one each');
$publisher->safe_psql('postgres', <<'END');
UPDATE concert.section SET price = 70;
UPDATE concert.concert_date SET seats_per_user_max = 2;
END
follow();
is($session->query(sprintf $sale, 2), 't||70', 'the session that has sold sells at the new price, by the new limit');
$session->quit;

# Old enough to go.
$publisher->safe_psql('postgres', <<'END');
SELECT concert.cancel(r.booking_id, fan(1)) FROM hall, concert.reserve(date, seats(1), fan(1)) AS r;
SELECT concert.soft_delete('seat', (seats(4))[1]);
UPDATE concert.reservation SET deleted_at = deleted_at - interval '9 days';
UPDATE concert.seat SET deleted_at = deleted_at - interval '9 days';
END
follow();
is($subscriber->safe_psql('postgres', "SELECT count(booking_id) FROM concert.history WHERE user_id <> md5('fan')::uuid"), 2, 'the history has come');
is($publisher->safe_psql('postgres', 'SET concert.retention_days = 7; SELECT concert.purge()'), 2, 'a booking and a seat are purged where all is published');
follow();
is($subscriber->safe_psql('postgres', "SELECT count(booking_id) FROM concert.history WHERE user_id <> md5('fan')::uuid"), 0, 'the history of the booking goes there too');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM concert.seat'), 3, 'and the seat');

done_testing();
