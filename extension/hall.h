/* SPDX-License-Identifier: PostgreSQL */
/*
 * The hall of a date as this backend last saw it: a kept map (keptmap.h) and what choosing the
 * best seats derives from it once, and follows seat by seat: who is next to whom, how far from the
 * section's focal point, and which are free. Reading it all in every call would cost a hundred
 * times the sale.
 *
 * It is a hint and never the truth: whatever is chosen from it is judged again under the seats'
 * locks (taking.h). Its errors can only make somebody choose again; before anybody is refused for
 * lack of seats, hall_renew() reads again what may be wrong. No locks.
 */
#ifndef CONCERT_HALL_H
#define CONCERT_HALL_H

#include "keptmap.h"
#include "store.h"

#define HALL_WORD_BITS KEPTMAP_WORD_BITS

/* What keeps a seat from being taken, the least final first. */
typedef enum HallState
{
	HALL_FREE,
	HALL_HELD,
	HALL_SOLD,
	HALL_BLOCKED
} HallState;

typedef struct HallSection
{
	pg_uuid_t id;
	bool	  is_standing;
	int64	  price;
	char	  currency[4];
	bool	  has_focus;
	int64	  focal_row;
	int64	  focal_col_twice; /* it may lie between two columns */
} HallSection;

typedef struct Hall
{
	KeptMap		  *kept;		  /* in whose context all of it is */
	TimestampTz	   trusted_until; /* no need to load it again before */
	TimestampTz	   next_lapse;	  /* when the next seat frees by itself */
	int			   section_count;
	HallSection	  *sections; /* as in the map */
	int			   count;
	const MapSeat *seats;	  /* the map's, in grid order */
	int			   words;	  /* of each of the bit sets below, one bit for each seat */
	uint64		  *distances; /* from the section's focal point, squared */
	uint64		  *free;
	uint64 *linked; /* the next seat is its neighbour in the grid; never in a standing section */
	bool	has_shared_rows; /* somewhere neighbours are of different sections */
	uint64 *accessible;
	bool	has_accessible;
} Hall;

/* The hall of a date, up to date with all that is committed. Lives as its map does. */
extern Hall *hall_get(const pg_uuid_t *date_id, const DateRules *rules, TimestampTz now);

/*
 * Before somebody is refused: reads again what the hint may have wrong. False, and the hall as it
 * was, when there is nothing to be learnt that way.
 */
extern bool hall_renew(Hall **hall, TimestampTz now);

/* Reads it all again: it named a seat or a price that is not so. */
extern Hall *hall_reload(Hall *hall, TimestampTz now);

/* What was just read of one of its seats. */
extern void hall_learn(Hall *hall, const SeatRow *row);

/* The seat's place, or -1. */
extern int hall_find(const Hall *hall, const pg_uuid_t *seat_id);

extern HallState hall_state(const Hall *hall, int seat);

#endif /* CONCERT_HALL_H */
