/* SPDX-License-Identifier: PostgreSQL */
/* One zone of a pretix seating plan, between reading it and placing it on the grid. */
#ifndef CONCERT_PRETIX_H
#define CONCERT_PRETIX_H

#include "layout.h"

typedef struct Spot
{
	double x;
	double y;
} Spot;

typedef struct PlanSeat
{
	Spot		at;	   /* in the plan */
	double		along; /* the direction in which the zone's rows run */
	double		across;
	int			line; /* which row of the zone's grid, from 0 */
	LayoutSeat	seat;
	const char *guid;
} PlanSeat;

typedef struct PlanRow
{
	int	   first; /* its seats within the zone's */
	int	   count;
	double across; /* of its middle */
	int	   number; /* its place in the zone */
} PlanRow;

typedef struct PlanZone
{
	PlanRow	 *rows; /* each with at least one seat */
	int		  row_count;
	PlanSeat *seats;
	int		  seat_count;
} PlanZone;

/* Gives every seat its row, from first_row on, and its col; the seats come out in grid order. */
extern void pretix_place(PlanZone *zone, int first_row);

#endif /* CONCERT_PRETIX_H */
