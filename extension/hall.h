/* SPDX-License-Identifier: PostgreSQL */
/*
 * The hall of a date as this backend last saw it: seats in grid order, who is next to whom, and
 * which are free. Choosing the best seats needs all of it, and reading it all in every call
 * would cost a hundred times the sale; so it is kept, and brought up to date by what the history
 * tells that the last snapshot did not see.
 *
 * It is a hint and never the truth: whatever is chosen from it is judged again under the seats'
 * locks (taking.h). Its errors can only make somebody choose again; before anybody is refused for
 * lack of seats, hall_renew() reads again what may be wrong.
 *
 * A transaction that rolls back takes its part of the hint with it. No locks.
 */
#ifndef CONCERT_HALL_H
#define CONCERT_HALL_H

#include "hall_acts.h"
#include "store.h"

#define HALL_WORD_BITS 64

/* What keeps a seat from being taken, the least final first. */
typedef enum HallState
{
	HALL_FREE,
	HALL_HELD,
	HALL_SOLD,
	HALL_BLOCKED
} HallState;

typedef struct HallSeat
{
	pg_uuid_t	id;
	int			row;
	int			col;
	int			section; /* its place among the sections */
	HallState	state;
	TimestampTz frees_at; /* DT_NOEND unless it frees by itself */
} HallSeat;

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
	MemoryContext context;
	pg_uuid_t	  date_id;
	HallSeen	  seen;
	TimestampTz	  loaded_at;
	TimestampTz	  trusted_until; /* no need to load it again before */
	TimestampTz	  next_lapse;	 /* when the next seat frees by itself */
	bool		  is_unsure;	 /* gone if the transaction or savepoint rolls back */
	int			  section_count;
	HallSection	 *sections;
	int			  count;
	int			  words;	 /* of each of the bit sets below, one bit for each seat */
	HallSeat	 *seats;	 /* in grid order */
	int			 *by_id;	 /* seats' places in id order */
	uint32		 *distances; /* from the section's focal point, squared */
	uint64		 *free;
	uint64 *linked; /* the next seat is its neighbour in the grid; never in a standing section */
	bool	has_shared_rows; /* somewhere neighbours are of different sections */
	uint64 *accessible;
	bool	has_accessible;
	uint64 *guessed; /* held until a time that was not read but reckoned */
} Hall;

/* The hall of a date, up to date with all that is committed. Lives until the next hall_ call. */
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

static inline bool
hall_bit(const uint64 *bits, int n)
{
	return (bits[n / HALL_WORD_BITS] >> (n % HALL_WORD_BITS)) & 1;
}

static inline void
hall_set_bit(uint64 *bits, int n, bool on)
{
	uint64 mask = UINT64CONST(1) << (n % HALL_WORD_BITS);

	if (on)
		bits[n / HALL_WORD_BITS] |= mask;
	else
		bits[n / HALL_WORD_BITS] &= ~mask;
}

#endif /* CONCERT_HALL_H */
