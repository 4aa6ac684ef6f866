/* SPDX-License-Identifier: PostgreSQL */
/*
 * Choosing the best seats of a hall: nothing is read, locked or written here.
 *
 * A block is a number of seats side by side in one row and section. The steps, in order: a block
 * that leaves no single empty seat; any block; two groups in neighbouring rows of a section whose
 * columns overlap; groups of at least two in one currency; seats of a standing section. Nearer to
 * the section's focal point is better; a block with more accessible seats than asked for comes
 * after those with fewer. Of groups in one currency fewer are better than nearer ones
 * (best_split.c).
 *
 * Blocks are equal when they are of the same step, with as many accessible seats, and among the
 * nearer quarter of these (BEST_EQUAL_SHARE). So that callers who choose at once hardly meet, the
 * blocks that 'spread' draws from do not overlap: they begin at multiples of the count from the
 * beginning of a run of free seats.
 *
 * A fitting choice is always found, with one exception: groups with accessible seats are looked for
 * in the runs that have most of these first, which may miss a way to share out the rest.
 */
#ifndef CONCERT_BEST_H
#define CONCERT_BEST_H

#include "hall.h"

typedef enum BestStep
{
	BEST_NONE,
	BEST_ROW_NO_ORPHAN,
	BEST_ROW,
	BEST_ADJACENT_ROWS,
	BEST_SPLIT,
	BEST_STANDING
} BestStep;

typedef struct BestWish
{
	int				 count;
	int				 accessible_count; /* at least so many of them */
	int64			 price_max;
	int				 section_count; /* 0: all */
	const pg_uuid_t *section_ids;
	bool			 is_strict; /* the one best, not one of the best */
	bool			 allow_split;
	bool			 no_orphans; /* none where a block of the run avoids it; of the row: orphan.h */
	const bool
		*is_affordable; /* by the hall's sections; NULL: where the price is at most price_max */
} BestWish;

extern const char *best_step_text(BestStep step);

/* Whether the section is one of those asked for. */
extern bool best_is_asked(const BestWish *wish, const pg_uuid_t *section_id);

/*
 * Chooses out of the seats in usable, a bit set as the hall's own; the others count as taken.
 * Fills in wish->count places of seats.
 */
extern BestStep best_choose(const Hall *hall, const uint64 *usable, const BestWish *wish,
							int *ret_seats);

#endif /* CONCERT_BEST_H */
