/* SPDX-License-Identifier: PostgreSQL */
/*
 * The hall that a CSV file describes: its sections (one per name and price) and its rows, laid
 * out on the grid of a concert date.
 *
 * Grid rows follow the order of the file: one after another, a jump in numeric row names stays a
 * gap, and an empty grid row separates sections, so that neighbours in the grid are neighbours
 * in the hall. A seat's number is its grid column. What is printed stays in the labels, "ROW-
 * SEAT". A file is taken whole or not at all; the first bad line is named with its reason.
 */
#ifndef CONCERTD_VENUE_H
#define CONCERTD_VENUE_H

#include <stddef.h>
#include <stdint.h>

#define VENUE_FILE_BYTES_MAX ((size_t) 64 * 1024 * 1024)
#define VENUE_SEATS_MAX 1000000
#define VENUE_ROWS_MAX 100000
#define VENUE_SECTIONS_MAX 2000
#define VENUE_NAME_BYTES_MAX 100
#define VENUE_SEAT_NUMBER_MAX 99999
#define VENUE_GRID_ROW_MAX 1000000
#define VENUE_PRICE_MAX INT64_C(1000000000000)

typedef struct VenueSection
{
	char   *name;
	int64_t price;
} VenueSection;

/* One line of the file: the seats of one row that have one price. */
typedef struct VenueRow
{
	long  line;
	int	  section; /* index into Venue.sections */
	char *name;
	int	  grid_row;
	int	 *cols;
	int	  ncols;
	int	  same_row; /* index of the previous line of this row (another price), or -1 */
} VenueRow;

typedef struct Venue
{
	VenueSection *sections;
	int			  nsections;
	VenueRow	 *rows;
	int			  nrows;
	int			  nseats;
} Venue;

typedef struct VenueError
{
	long line; /* counted from 1; 0 when no line is to blame */
	char reason[400];
} VenueError;

/* NULL: refused, and *ret_error says why. */
Venue *venue_parse(const char *text, size_t length, VenueError *ret_error);
void   venue_free(Venue *venue);

#endif
