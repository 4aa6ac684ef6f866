# SPDX-License-Identifier: PostgreSQL
#
# Large halls: 40,000 seats are imported, exported and copied, and all three are the same hall, seat by
# seat; so is a real stadium, when its file is there (CONCERT_VENUE, a CSV file of section,row,seats,price).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use ConcertHall;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hall_server('layout');

$node->safe_psql('postgres', <<'END');
CREATE TABLE concert_of_tests AS SELECT concert.create_concert('Hall') AS id;
CREATE FUNCTION new_date() RETURNS uuid LANGUAGE sql AS $$
	SELECT concert.create_concert_date(id, now() + interval '1 day') FROM concert_of_tests
$$;
-- The hall of a date without its ids.
CREATE FUNCTION spots(date uuid)
RETURNS TABLE (section text, price bigint, currency text, kind text, focal_row int, focal_col int, "row" int, col int, label text, accessible boolean)
LANGUAGE sql AS $$
	SELECT s.name, s.price, s.currency, s.kind, s.focal_row, s.focal_col, t."row", t.col, t.label, t.accessible
	FROM concert.section AS s JOIN concert.seat AS t ON t.section_id = s.id
	WHERE s.concert_date_id = date AND t.deleted_at IS NULL AND s.deleted_at IS NULL
$$;
CREATE TABLE hall (n int, date uuid);
END

# How many seats of either of two halls the other one does not have.
sub differences
{
	my ($left, $right) = @_;

	return $node->safe_psql('postgres', <<END);
SELECT count(*) FROM (
	($left EXCEPT ALL $right) UNION ALL ($right EXCEPT ALL $left)) AS x
END
}

# Imports a layout, what is exported of it, and copies it: three halls that are one; its seats.
sub three_times
{
	my ($layout) = @_;

	$node->safe_psql('postgres', 'TRUNCATE hall');
	$node->safe_psql('postgres', 'INSERT INTO hall SELECT n, new_date() FROM generate_series(1, 3) AS n');
	my $seats = $node->safe_psql('postgres', "SELECT concert.import_layout(date, $layout) FROM hall WHERE n = 1");
	$node->safe_psql('postgres', <<'END');
SELECT concert.import_layout(t.date, concert.export_layout(f.date)) FROM hall AS f, hall AS t WHERE f.n = 1 AND t.n = 2;
SELECT concert.copy_layout(f.date, t.date) FROM hall AS f, hall AS t WHERE f.n = 1 AND t.n = 3;
END
	is(differences('SELECT spots(date) FROM hall WHERE n = 1', 'SELECT spots(date) FROM hall WHERE n = 2'),
		0, 'what was exported imports the same hall');
	is(differences('SELECT spots(date) FROM hall WHERE n = 1', 'SELECT spots(date) FROM hall WHERE n = 3'),
		0, 'a copy is the same hall');
	is( $node->safe_psql('postgres', <<'END'), 't', 'the three export the same layout');
SELECT count(DISTINCT concert.export_layout(date)) = 1 FROM hall
END
	return $seats;
}

# 40 sections of 25 rows of 40 seats, each by itself, made in SQL as the grid ought to be.
$node->safe_psql('postgres', <<'END');
CREATE TABLE wanted AS
	SELECT 'Block ' || s AS section, 100 * s::bigint AS price, 'EUR' AS currency, 'seated' AS kind, r + 26 * (s - 1) AS "row", c + c / 21 AS col,
		   format('%s/%s/%s', s, r, c) AS label, c = 1 AS accessible, s, r, 26 * (s - 1) + 1 AS focal_row, 20 AS focal_col
	FROM generate_series(1, 40) AS s, generate_series(1, 25) AS r, generate_series(1, 40) AS c;
CREATE TABLE layout AS
	SELECT jsonb_build_object('currency', 'EUR', 'sections', jsonb_agg(section ORDER BY s)) AS layout
	FROM (SELECT s, jsonb_build_object('name', section, 'price', price, 'focal', jsonb_build_array(focal_row, focal_col), 'rows', jsonb_agg(row ORDER BY r)) AS section
		  FROM (SELECT s, r, section, price, focal_row, focal_col, jsonb_build_object('seats',
					   jsonb_agg(jsonb_build_object('col', col, 'label', label, 'accessible', accessible))) AS row
				FROM wanted GROUP BY s, r, section, price, focal_row, focal_col) AS rows
		  GROUP BY s, section, price, focal_row, focal_col) AS sections;
END
is(three_times('(SELECT layout FROM layout)'), 40000, '40,000 seats are imported');
is( differences(
		'SELECT section, price, currency, kind, focal_row, focal_col, "row", col, label, accessible FROM wanted',
		'SELECT spots.* FROM hall, spots(date) WHERE n = 1'),
	0, 'each seat is where it ought to be');
is($node->safe_psql('postgres', 'SELECT * FROM concert.check_integrity()'), '', 'no promise is broken');

# The stadium of a venue file as a layout of our own form.
sub layout_of_venue
{
	my ($path) = @_;
	my (@sections, %section_of);

	open my $file, '<', $path or die "could not open $path: $!";
	<$file>;
	while (my $line = <$file>)
	{
		my ($name, $row, $seats, $price) = $line =~ /^([^,]+),([^,]+),"?([^"]+?)"?,(\d+)\r?\n/ or die "line $.: $line";
		my $section = $section_of{"$name,$price"} //= do
		{
			push @sections, { name => $name, price => $price + 0, rows => [] };
			$sections[-1];
		};
		push @{ $section->{rows} }, { label => $row, seats => $seats };
	}
	close $file;
	return encode_json({ sections => \@sections });
}

sub count_of_seats
{
	my ($layout) = @_;
	my $count = 0;

	foreach my $row (map { @{ $_->{rows} } } @{ decode_json($layout)->{sections} })
	{
		foreach my $range (split /,/, $row->{seats})
		{
			my ($from, $to) = split /-/, $range;
			$count += ($to // $from) - $from + 1;
		}
	}
	return $count;
}

SKIP:
{
	my $venue = $ENV{CONCERT_VENUE} // '';

	skip 'CONCERT_VENUE names no file of a stadium', 4 unless -r $venue;
	my $layout = layout_of_venue($venue);
	is(three_times("\$\$$layout\$\$"), count_of_seats($layout), 'a real stadium is imported');
}

$node->stop;
done_testing();
