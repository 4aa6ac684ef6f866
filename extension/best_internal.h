/* SPDX-License-Identifier: PostgreSQL */
/*
 * What choosing by rows (best.c) and by groups apart (best_split.c) share: the runs of usable
 * seats and what is asked of a group within one.
 */
#ifndef CONCERT_BEST_INTERNAL_H
#define CONCERT_BEST_INTERNAL_H

#include "best.h"

/* Usable seats side by side in one row, of one section that is wished for. */
typedef struct Run
{
	int start;
	int count;
	int before; /* usable neighbours to the left and right, of other sections */
	int after;
} Run;

typedef struct Chooser
{
	const Hall	   *hall;
	const BestWish *wish;
	const uint64   *usable;
	bool		   *is_wished; /* by section */
	int				run_count;
	int				run_room;
	Run			   *runs;
} Chooser;

/* The step BEST_SPLIT, or BEST_NONE. */
extern BestStep best_choose_split(const Chooser *chooser, int *ret_seats);

/* Whether seats [start, start + count) of the run leave a seat without a free neighbour. */
static inline bool
run_leaves_orphan(const Run *run, int start, int count)
{
	int left = run->before + start - run->start;
	int right = run->after + run->start + run->count - start - count;

	return left == 1 || right == 1;
}

/* Whether they may not, some other choice of as many seats in the run leaving none. */
static inline bool
run_forbids(const Chooser *chooser, const Run *run, int start, int count)
{
	return chooser->wish->no_orphans && run_leaves_orphan(run, start, count) &&
		run->before + run->count + run->after - count != 1;
}

static inline int
count_accessible(const Hall *hall, int start, int count)
{
	int accessible = 0;

	for (int i = start; hall->has_accessible && i < start + count; i++)
		accessible += keptmap_bit(hall->accessible, i);
	return accessible;
}

/* From the focal point to the middle of the group, squared and doubled. */
static inline uint64
group_distance(const Hall *hall, int start, int count)
{
	return hall->distances[start + (count - 1) / 2] + hall->distances[start + count / 2];
}

static inline void
put_seats(int *seats, int start, int count)
{
	for (int i = 0; i < count; i++)
		seats[i] = start + i;
}

#endif /* CONCERT_BEST_INTERNAL_H */
