# SPDX-License-Identifier: PostgreSQL
#
# A streaming replica answers every read as the primary does, to the roles that may ask, and refuses
# every write with 25006. Promoted, it sells on: what was sold stays sold, what was free is free.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = hall_server('primary', allows_streaming => 1);
hall_open($primary, seats => 100, fans => 10);
$primary->safe_psql('postgres', <<'END');
SELECT concert.pay(r.booking_id, fan(1)) FROM hall, concert.reserve(date, seats(1, 2), fan(1), idempotency_key => 'key') AS r;
SELECT concert.reserve(date, seats(3, 4), fan(2)) FROM hall;
SELECT concert.cancel(r.booking_id, fan(3)) FROM hall, concert.reserve(date, seats(5, 6), fan(3)) AS r;
SELECT concert.block_seats(seats(7, 8), 'camera');
SELECT concert.pay(concert.uuid7(), fan(1), 'refused');
SELECT concert.create_concession(section_id, 'student', 50) FROM hall, concert.availability(date);
SELECT concert.lease_places(date, 100) FROM hall;
SELECT concert.record_admission(date, 1, 50, 40) FROM hall;
CREATE ROLE app LOGIN IN ROLE concert_app;
GRANT SELECT ON hall, seat TO app;
END
$primary->backup('base');
my $replica = PostgreSQL::Test::Cluster->new('replica');
$replica->init_from_backup($primary, 'base', has_streaming => 1);
$replica->start;

# After the backup, so that the replica has to follow.
$primary->safe_psql('postgres', <<'END');
SELECT concert.pay(r.booking_id, fan(4)) FROM hall, concert.reserve(date, seats(9), fan(4)) AS r;
CREATE TABLE pending AS SELECT DISTINCT booking_id FROM concert.reservation WHERE status = 'pending' AND user_id = fan(2);
END
$primary->wait_for_catchup($replica);

# Every read, without the columns that tell how long something still is.
my %reads = (
	concerts => 'SELECT * FROM concert.concerts()',
	concert_dates => 'SELECT d.* FROM concert.concerts() AS c, concert.concert_dates(c.id) AS d',
	seat_map => 'SELECT m.* FROM hall, concert.seat_map(date) AS m',
	availability => 'SELECT a.* FROM hall, concert.availability(date) AS a',
	balance => 'SELECT n, concert.balance(fan(n)) FROM generate_series(1, 11) AS n',
	seat_states => 'SELECT s.seat_id, s.state, s.user_id, s.fence FROM hall, concert.seat_states(date) AS s ORDER BY 1',
	sale_dates => 'SELECT d.concert_date_id, d.opens_in_ms > 0, d.admission FROM concert.sale_dates() AS d',
	admission_state => q{SELECT s.leased_to, s.served_to, s.batches->0->>'issued_at_ms' FROM hall, concert.admission_state(date) AS s},
	outbox_lanes => 'SELECT concert.outbox_lanes()',
	outbox_stats => 'SELECT s.lane, s.seq, s.unacked FROM concert.outbox_stats() AS s',
	lag => 'SELECT * FROM concert.lag()',
	check_integrity => 'SELECT * FROM concert.check_integrity()',
	concessions => 'SELECT c.* FROM hall, concert.concessions(date) AS c',
	explain_reserve => q{SELECT e.rule, e.seat_id, e.holds, e.reason FROM hall, concert.explain_reserve(date, seats(1, 3, 5, 7, 20), fan(5), fence => 1) AS e},
	history_of_booking => 'SELECT h.* FROM pending, concert.history_of_booking(booking_id) AS h',
	history_of_seat => 'SELECT h.* FROM concert.history_of_seat((seats(5))[1]) AS h',
	history_of_user => 'SELECT h.* FROM concert.history_of_user(fan(3)) AS h',
	sales => 'SELECT * FROM concert.sales()',
	sales_by_section => 'SELECT s.* FROM hall, concert.sales_by_section(date) AS s',
	sales_by_day => 'SELECT s.* FROM hall, concert.sales_by_day(date) AS s',
	refusals => 'SELECT * FROM concert.refusals()',
	pending_ages => 'SELECT sum(p.bookings), sum(p.seats) FROM concert.pending_ages() AS p',
	conversion => 'SELECT c.* FROM hall, concert.conversion(date) AS c',
);
foreach my $name (sort keys %reads)
{
	is($replica->safe_psql('postgres', $reads{$name}), $primary->safe_psql('postgres', $reads{$name}), "$name on the replica");
}
is($replica->safe_psql('postgres', $reads{check_integrity}), '', 'no promise is broken on the replica');
is($replica->safe_psql('postgres', 'SELECT a.seats, a.free, a.pending, a.sold, a.blocked FROM hall, concert.availability(date) AS a',
		extra_params => [ '-U', 'app' ]), '100|93|2|3|2', 'an app reads there');

# What would write is refused as such; a refusal that needs no writing is given there too.
my %writes = (
	reserve => 'SELECT concert.reserve(date, seats(20), fan(5)) FROM hall',
	retake => 'SELECT concert.reserve(date, seats(20, 21), fan(5), idempotency_key => $$new$$) FROM hall',
	pay => 'SELECT concert.pay(booking_id, fan(2)) FROM pending',
	cancel => 'SELECT concert.cancel(booking_id, fan(2)) FROM pending',
	cancel_by_operator => q{SELECT concert.cancel_by_operator(booking_id, 'replica') FROM pending},
	create_concession => q{SELECT concert.create_concession(section_id, 'senior', 50) FROM hall, concert.availability(date)},
	extend => 'SELECT concert.extend(booking_id, fan(2), 800) FROM pending',
	charge_points => q{SELECT concert.charge_points(fan(5), 1, 'PTS', 'hall', 'more')},
	block_seats => q{SELECT concert.block_seats(seats(20), 'camera')},
	unblock_seats => 'SELECT concert.unblock_seats(seats(7))',
	create_concert => q{SELECT concert.create_concert('Replica')},
	create_concert_date => q{SELECT concert.create_concert_date(id, now() + interval '1 day') FROM concert.concerts()},
	create_section => q{SELECT concert.create_section(date, 'New', 1) FROM hall},
	add_seats => 'SELECT concert.add_seats(date, section_id, 99, ARRAY[1]) FROM hall, concert.availability(date)',
	soft_delete => q{SELECT concert.soft_delete('seat', (seats(20))[1])},
	restore => q{SELECT concert.restore('seat', (seats(20))[1])},
	lease_places => 'SELECT concert.lease_places(date, 1) FROM hall',
	record_admission => 'SELECT concert.record_admission(date, 51, 60, 1) FROM hall',
	emit => q{SELECT concert.emit('concert.notification', 'key', 'test.told', '{}')},
	inbox_accept => q{SELECT concert.inbox_accept('test', concert.uuid7())},
);
foreach my $name (sort keys %writes)
{
	my ($status, $stdout, $stderr) = $replica->psql('postgres', "\\set VERBOSITY sqlstate\n$writes{$name}");

	like($stderr, qr{ERROR:  25006$}, "$name is refused on the replica");
}
is($replica->safe_psql('postgres', q{SELECT r.ok, r.reason FROM hall, concert.reserve(date, seats(1), fan(5)) AS r}), 'f|sold',
	'a seat that is sold is refused on the replica as on the primary');
is($replica->safe_psql('postgres', q{SELECT r.ok FROM hall, concert.reserve(date, seats(1, 2), fan(1), idempotency_key => 'key') AS r}), 't',
	'a request that was answered is answered again');
is($replica->safe_psql('postgres', 'SELECT concert.request_rotate(), concert.expire()'), '0|0', 'nothing is due on the replica');

# The replica takes over.
$primary->stop('immediate');
$replica->promote;
is($replica->safe_psql('postgres', <<'END'), "f|sold\nf|held\nf|blocked\nt|", 'promoted, it knows what is taken');
SELECT r.ok, r.reason FROM (VALUES (9), (3), (7), (5)) AS s (n), hall, concert.reserve(date, seats(n), fan(6)) AS r
END
is($replica->safe_psql('postgres', 'SELECT p.ok, p.amount FROM pending, concert.pay(booking_id, fan(2)) AS p'), 't|200',
	'and takes the money for what was pending');
is($replica->safe_psql('postgres', 'SELECT concert.balance(fan(2))'), '800', 'once');
is($replica->safe_psql('postgres', 'SELECT l.from_number FROM hall, concert.lease_places(date, 1) AS l'), '101', 'no place is leased twice');
hall_is_sound($replica, 'after the promotion');

$replica->stop;
done_testing();
