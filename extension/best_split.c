/* SPDX-License-Identifier: PostgreSQL */
/*
 * Choosing seats in groups of at least two; see best.h. As few groups as can be, with one of each
 * run. Of the ways to do that strictly means the nearest: the farthest run is as near as can be, no
 * run could be left for a nearer one, the nearest are filled first, and in each run the group stands
 * as near as it can. Accessible seats that are asked for go before all of this but the fewest groups.
 */
#include "best_internal.h"

#include "common/pg_prng.h"
#include "miscadmin.h"

#define SPLIT_GROUP_MIN 2

typedef struct SplitRun
{
	const Run *run;
	int		   usable_count; /* no more than are wanted */
	int		   accessible;	 /* no more than are wanted */
	uint64	   cost;
	int		   group; /* how many are chosen */
} SplitRun;

static int
split_compare_cost(const void *a, const void *b)
{
	const SplitRun *left = a;
	const SplitRun *right = b;

	return (left->cost > right->cost) - (left->cost < right->cost);
}

/* Those with the accessible seats that are needed first, then the longest, then the nearest. */
static int
split_compare(const void *a, const void *b)
{
	const SplitRun *left = a;
	const SplitRun *right = b;

	if (left->accessible != right->accessible)
		return right->accessible - left->accessible;
	if (left->usable_count != right->usable_count)
		return right->usable_count - left->usable_count;
	return split_compare_cost(a, b);
}

/* Of the nearest pair of its seats. */
static uint64
run_distance(const Hall *hall, const Run *run)
{
	uint64 nearest = PG_UINT64_MAX;

	for (int i = run->start; i + SPLIT_GROUP_MIN <= run->start + run->count; i++)
		nearest = Min(nearest, group_distance(hall, i, SPLIT_GROUP_MIN));
	return nearest;
}

/* The runs that a group may be of, the nearest first, or in any order. */
static int
split_find_runs(const Chooser *chooser, const char *currency, SplitRun *ret_runs)
{
	const Hall	   *hall = chooser->hall;
	const BestWish *wish = chooser->wish;
	int				count = 0;

	for (int i = 0; i < chooser->run_count; i++)
	{
		const Run		  *run = &chooser->runs[i];
		const HallSection *section = &hall->sections[hall->seats[run->start].section];

		if (run->count < SPLIT_GROUP_MIN || strcmp(section->currency, currency) != 0)
			continue;
		ret_runs[count++] = (SplitRun){
			.run = run,
			.usable_count = Min(run->count, wish->count),
			.accessible = wish->accessible_count == 0
				? 0
				: Min(count_accessible(hall, run->start, run->count), wish->accessible_count),
			.cost =
				wish->is_strict ? run_distance(hall, run) : pg_prng_uint64(&pg_global_prng_state),
		};
	}
	qsort(ret_runs, count, sizeof(SplitRun), split_compare_cost);
	return count;
}

/*
 * How many of each run, the longest first: as many as it has, but so that no single seat is left
 * over. Where one would be, an earlier and larger group gives one of its seats back. True when
 * all found a place.
 */
static bool
split_share(const BestWish *wish, SplitRun *runs, int count)
{
	int missing = wish->count;
	int larger = -1; /* a group that can give one back */

	for (int i = 0; i < count; i++)
	{
		int group = missing < SPLIT_GROUP_MIN ? 0 : Min(runs[i].usable_count, missing);

		if (missing - group == 1 && group > SPLIT_GROUP_MIN)
			group--;
		else if (missing - group == 1 && larger >= 0)
		{
			runs[larger].group--;
			missing++;
			larger = -1;
		}
		runs[i].group = group;
		missing -= group;
		if (group > SPLIT_GROUP_MIN)
			larger = i;
	}
	return missing == 0;
}

/*
 * Where in the run the group has the most accessible seats; of these places the nearest if strict,
 * else the first.
 */
static int
split_place(const Chooser *chooser, const Run *run, int group)
{
	const BestWish *wish = chooser->wish;
	int				best = run->start;
	int				best_accessible = -1;
	uint64			best_cost = 0;

	for (int start = run->start; start + group <= run->start + run->count; start++)
	{
		int accessible =
			wish->accessible_count == 0 ? 0 : count_accessible(chooser->hall, start, group);
		uint64 cost = wish->is_strict ? group_distance(chooser->hall, start, group) : 0;

		CHECK_FOR_INTERRUPTS();
		if (accessible < best_accessible || (accessible == best_accessible && cost >= best_cost) ||
			run_forbids(chooser, run, start, group))
			continue;
		best = start;
		best_accessible = accessible;
		best_cost = cost;
	}
	return best;
}

/* Returns how many groups it places, 0 when they have too few accessible seats. */
static int
split_place_all(const Chooser *chooser, const SplitRun *runs, int count, int *ret_seats)
{
	int group_count = 0;
	int accessible = 0;
	int put = 0;

	for (int i = 0; i < count; i++)
	{
		int start;

		if (runs[i].group == 0)
			continue;
		start = split_place(chooser, runs[i].run, runs[i].group);
		put_seats(ret_seats + put, start, runs[i].group);
		accessible += count_accessible(chooser->hall, start, runs[i].group);
		put += runs[i].group;
		group_count++;
	}
	return accessible >= chooser->wish->accessible_count ? group_count : 0;
}

/* Out of these runs, which it sorts; returns how many groups it takes, 0 when it cannot be. */
static int
split_put(const Chooser *chooser, SplitRun *runs, int count, int *ret_seats)
{
	qsort(runs, count, sizeof(SplitRun), split_compare);
	if (!split_share(chooser->wish, runs, count))
		return 0;
	return split_place_all(chooser, runs, count, ret_seats);
}

/* Of the runs, the nearest first: each that has a group, the farthest first, is left for a nearer one. */
static void
split_exchange(SplitRun *runs, int count, int spare_count)
{
	for (int i = count - 1; i > 0; i--)
	{
		for (int j = 0; j < i && runs[i].group > 0; j++)
		{
			int lost = runs[i].usable_count - runs[j].usable_count;

			if (runs[j].group > 0 || lost > spare_count || runs[j].accessible < runs[i].accessible)
				continue;
			runs[j].group = runs[i].group;
			runs[i].group = 0;
			spare_count -= lost;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * As many groups in the nearest runs: the nearest as full as the least of the others allows, then
 * the next. ret_seats stays as it is where that has too few accessible seats.
 */
static void
split_go_nearest(const Chooser *chooser, SplitRun *runs, int count, int *ret_seats)
{
	int *seats = palloc(sizeof(int) * chooser->wish->count);
	int	 missing = chooser->wish->count;
	int	 usable_count = 0;
	int	 left = 0; /* groups */

	for (int i = 0; i < count; i++)
		if (runs[i].group > 0)
		{
			usable_count += runs[i].usable_count;
			left++;
		}
	qsort(runs, count, sizeof(SplitRun), split_compare_cost);
	split_exchange(runs, count, usable_count - missing);
	for (int i = 0; i < count; i++)
		if (runs[i].group > 0)
		{
			left--;
			runs[i].group = Min(runs[i].usable_count, missing - SPLIT_GROUP_MIN * left);
			missing -= runs[i].group;
		}
	if (split_place_all(chooser, runs, count, seats) > 0)
		memcpy(ret_seats, seats, sizeof(int) * chooser->wish->count);
	pfree(seats);
}

/* Out of the first of these runs, as they are given; runs is room for what split_put() makes of them. */
static int
split_put_first(const Chooser *chooser, const SplitRun *nearest, int count, SplitRun *runs,
				int *ret_seats)
{
	memcpy(runs, nearest, sizeof(SplitRun) * count);
	return split_put(chooser, runs, count, ret_seats);
}

/* Out of no more of the nearest runs than allow for the fewest groups, of all count of them. */
static void
split_put_nearest(const Chooser *chooser, const SplitRun *nearest, int count, int fewest,
				  SplitRun *runs, int *ret_seats)
{
	int low = 1;
	int high = count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		int groups = split_put_first(chooser, nearest, middle, runs, ret_seats);

		if (groups > 0 && groups <= fewest)
			high = middle;
		else
			low = middle + 1;
	}
	split_put_first(chooser, nearest, high, runs, ret_seats);
	split_go_nearest(chooser, runs, high, ret_seats);
}

static bool
split_in_currency(const Chooser *chooser, const char *currency, int *ret_seats)
{
	Size	  bytes = sizeof(SplitRun) * Max(chooser->run_count, 1);
	SplitRun *nearest = palloc(bytes);
	SplitRun *runs = palloc(bytes);
	int		  count = split_find_runs(chooser, currency, nearest);
	int		  fewest = split_put_first(chooser, nearest, count, runs, ret_seats);

	if (chooser->wish->is_strict && fewest > 0)
		split_put_nearest(chooser, nearest, count, fewest, runs, ret_seats);
	pfree(nearest);
	pfree(runs);
	return fewest > 0;
}

/* Of sections in the same currency, which one booking has. */
BestStep
best_choose_split(const Chooser *chooser, int *ret_seats)
{
	const Hall *hall = chooser->hall;

	for (int i = 0; i < hall->section_count; i++)
	{
		bool is_new = chooser->is_wished[i];

		for (int j = 0; is_new && j < i; j++)
			is_new = !chooser->is_wished[j] ||
				strcmp(hall->sections[i].currency, hall->sections[j].currency) != 0;
		if (is_new && split_in_currency(chooser, hall->sections[i].currency, ret_seats))
			return BEST_SPLIT;
	}
	return BEST_NONE;
}
