/* SPDX-License-Identifier: PostgreSQL */
/*
 * From positions in a plan to rows and cols of the grid, so that neighbours in the grid are
 * neighbours in the hall.
 *
 * It is the positions that are looked at, not the numbers, along and across the direction in which
 * a zone's rows run. Rows side by side become one row of the grid. A distance clearly larger than the
 * usual one is an aisle: between seats it leaves as many cols empty as it could hold, between rows
 * one row. Usual is the lower median, so that pairs of seats with gaps between them stay pairs.
 */
#include "pretix.h"

#include <math.h>

#define AISLE_SHARE 1.5		/* of the usual distance: beyond it is an aisle */
#define SAME_ROW_SHARE 0.5	/* of the usual distance of seats: so far rows are side by side */
#define UPRIGHT_COSINE 1e-6 /* below it rounding alone would say up or down */
#define DISTANCES_MIN 3		/* in one row, to tell what is usual in it */

/* The zone's direction is that in which its rows, each seen from its middle, are spread most. */
static Spot
pretix_direction(const PlanZone *zone)
{
	double xx = 0;
	double xy = 0;
	double yy = 0;
	double angle;

	for (int i = 0; i < zone->row_count; i++)
	{
		const PlanSeat *seats = &zone->seats[zone->rows[i].first];
		int				count = zone->rows[i].count;
		Spot			middle = {0, 0};

		for (int j = 0; j < count; j++)
		{
			middle.x += seats[j].at.x / count;
			middle.y += seats[j].at.y / count;
		}
		for (int j = 0; j < count; j++)
		{
			double x = seats[j].at.x - middle.x;
			double y = seats[j].at.y - middle.y;

			xx += x * x;
			xy += x * y;
			yy += y * y;
		}
	}
	angle = atan2(2 * xy, xx - yy) / 2;
	if (cos(angle) < UPRIGHT_COSINE)
		return (Spot){0, 1};
	return (Spot){cos(angle), sin(angle)};
}

static void
pretix_turn(PlanZone *zone)
{
	Spot direction = pretix_direction(zone);

	for (int i = 0; i < zone->row_count; i++)
	{
		PlanRow *row = &zone->rows[i];

		row->across = 0;
		row->number = i;
		for (int j = row->first; j < row->first + row->count; j++)
		{
			PlanSeat *seat = &zone->seats[j];

			seat->along = direction.x * seat->at.x + direction.y * seat->at.y;
			seat->across = direction.x * seat->at.y - direction.y * seat->at.x;
			seat->line = i;
			row->across += seat->across / row->count;
		}
	}
}

static int
pretix_compare(double left, double right)
{
	return (left > right) - (left < right);
}

static int
pretix_compare_numbers(const void *a, const void *b)
{
	return pretix_compare(*(const double *) a, *(const double *) b);
}

/* In grid order: by line, then along it; seats abreast stay in the order of the plan. */
static int
pretix_compare_seats(const void *a, const void *b)
{
	const PlanSeat *left = a;
	const PlanSeat *right = b;
	int				order = (left->line > right->line) - (left->line < right->line);

	if (order == 0)
		order = pretix_compare(left->along, right->along);
	if (order == 0)
		order = pretix_compare(left->across, right->across);
	if (order == 0)
		order = left->seat.row_index - right->seat.row_index;
	return order != 0 ? order : left->seat.seat_index - right->seat.seat_index;
}

static int
pretix_compare_rows(const void *a, const void *b)
{
	const PlanRow *left = a;
	const PlanRow *right = b;
	int			   order = pretix_compare(left->across, right->across);

	return order != 0 ? order : left->number - right->number;
}

/* The lower median of positive numbers, which are sorted here; 0 of none. */
static double
pretix_usual(double *numbers, int count)
{
	qsort(numbers, count, sizeof(double), pretix_compare_numbers);
	return count > 0 ? numbers[(count - 1) / 2] : 0;
}

/* The distances of neighbours within lines of sorted seats, from first on to before end. */
static int
pretix_distances(const PlanZone *zone, int first, int end, double *ret_distances)
{
	int count = 0;

	for (int i = first + 1; i < end; i++)
		if (zone->seats[i].line == zone->seats[i - 1].line)
			ret_distances[count++] = hypot(zone->seats[i].at.x - zone->seats[i - 1].at.x,
										   zone->seats[i].at.y - zone->seats[i - 1].at.y);
	return count;
}

/* Rows side by side become one line; ret_across has where each line is. Returns how many. */
static int
pretix_form_lines(PlanZone *zone, double spacing, double *ret_across)
{
	int *line_of_row = palloc(sizeof(int) * zone->row_count);
	int	 count = 0;

	qsort(zone->rows, zone->row_count, sizeof(PlanRow), pretix_compare_rows);
	for (int i = 0; i < zone->row_count; i++)
	{
		if (count == 0 || zone->rows[i].across - ret_across[count - 1] > SAME_ROW_SHARE * spacing)
			ret_across[count++] = zone->rows[i].across;
		line_of_row[zone->rows[i].number] = count - 1;
	}
	for (int i = 0; i < zone->seat_count; i++)
		zone->seats[i].line = line_of_row[zone->seats[i].line];
	qsort(zone->seats, zone->seat_count, sizeof(PlanSeat), pretix_compare_seats);
	return count;
}

/* The distance of two seats, counted in cols; 1 unless it is clearly an aisle. */
static double
pretix_step(const PlanSeat *left, const PlanSeat *right, double usual)
{
	double distance = hypot(right->at.x - left->at.x, right->at.y - left->at.y);

	return usual > 0 && distance > AISLE_SHARE * usual ? Max(rint(distance / usual), 2) : 1;
}

/* A line's first col says how far its first seat is from the zone's edge, so that lines align. */
static void
pretix_place_line(PlanZone *zone, int first, int end, double edge, double spacing,
				  double *distances)
{
	int	   count = pretix_distances(zone, first, end, distances);
	double usual = pretix_usual(distances, count);
	double col = 1;

	if (count < DISTANCES_MIN && spacing > 0)
		usual = spacing;
	if (spacing > 0)
		col += rint((zone->seats[first].along - edge) / spacing);
	for (int i = first; i < end; i++)
	{
		if (i > first)
			col += pretix_step(&zone->seats[i - 1], &zone->seats[i], usual);
		col = Min(col, GRID_MAX + 1.0);
		zone->seats[i].seat.col = (int) col;
	}
}

/* The grid row of every line. */
static int *
pretix_line_rows(const double *across, int count, int first_row)
{
	int	   *rows = palloc(sizeof(int) * count);
	double *steps = palloc(sizeof(double) * count);
	double	usual;

	for (int i = 1; i < count; i++)
		steps[i - 1] = across[i] - across[i - 1];
	usual = pretix_usual(steps, count - 1);
	rows[0] = first_row;
	for (int i = 1; i < count; i++)
		rows[i] =
			rows[i - 1] + 1 + (across[i] - across[i - 1] > AISLE_SHARE * usual ? LAYOUT_GAP : 0);
	return rows;
}

void
pretix_place(PlanZone *zone, int first_row)
{
	double *distances = palloc(sizeof(double) * zone->seat_count);
	double *across = palloc(sizeof(double) * zone->row_count);
	double	edge = INFINITY;
	double	spacing;
	int	   *rows;
	int		line_count;
	int		first = 0;

	pretix_turn(zone);
	qsort(zone->seats, zone->seat_count, sizeof(PlanSeat), pretix_compare_seats);
	spacing = pretix_usual(distances, pretix_distances(zone, 0, zone->seat_count, distances));
	line_count = pretix_form_lines(zone, spacing, across);
	if (spacing == 0)
		spacing = pretix_usual(distances, pretix_distances(zone, 0, zone->seat_count, distances));
	rows = pretix_line_rows(across, line_count, first_row);
	for (int i = 0; i < zone->seat_count; i++)
		edge = Min(edge, zone->seats[i].along);
	for (int end = 1; end <= zone->seat_count; end++)
	{
		zone->seats[end - 1].seat.row = rows[zone->seats[end - 1].line];
		if (end < zone->seat_count && zone->seats[end].line == zone->seats[first].line)
			continue;
		pretix_place_line(zone, first, end, edge, spacing, distances);
		first = end;
	}
}
