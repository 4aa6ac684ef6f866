/* SPDX-License-Identifier: PostgreSQL */
/* Choosing the best seats; see best.h. */
#include "best_internal.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#define BEST_EQUAL_SHARE 4
#define BEST_EQUAL_MIN 32

/* One or two groups of seats that would do. */
typedef struct SeatBlock
{
	uint64 cost;
	int	   first;
	int	   first_count;
	int	   second; /* the rest of the count begins here */
} SeatBlock;

/* The best blocks so far: all of the lowest rank or, if strict, the cheapest of these. */
typedef struct Offers
{
	bool	   is_strict;
	uint64	   rank;
	int		   count;
	int		   room;
	SeatBlock *blocks;
} Offers;

static const char *const step_texts[] = {
	[BEST_NONE] = NULL,		 [BEST_ROW_NO_ORPHAN] = "same_row_no_orphan",
	[BEST_ROW] = "same_row", [BEST_ADJACENT_ROWS] = "adjacent_rows",
	[BEST_SPLIT] = "split",	 [BEST_STANDING] = "standing",
};

const char *
best_step_text(BestStep step)
{
	return step_texts[step];
}

bool
best_is_asked(const BestWish *wish, const pg_uuid_t *section_id)
{
	for (int i = 0; i < wish->section_count; i++)
		if (uuid_compare(&wish->section_ids[i], section_id) == 0)
			return true;
	return wish->section_count == 0;
}

static bool
section_is_wished(const Hall *hall, int section, const BestWish *wish)
{
	bool is_affordable = wish->is_affordable == NULL
		? hall->sections[section].price <= wish->price_max
		: wish->is_affordable[section];

	return is_affordable && best_is_asked(wish, &hall->sections[section].id);
}

/* Runs ------------------------------------------------------------------------------------- */

static void
run_add(Chooser *chooser, Run run)
{
	if (chooser->run_count == chooser->run_room)
	{
		chooser->run_room = Max(256, chooser->run_room * 2);
		chooser->runs = chooser->runs == NULL
			? palloc(sizeof(Run) * chooser->run_room)
			: repalloc(chooser->runs, sizeof(Run) * chooser->run_room);
	}
	chooser->runs[chooser->run_count++] = run;
}

/* The seats [start, end) are usable neighbours; cuts them at the borders of sections. */
static void
run_add_by_section(Chooser *chooser, int start, int end)
{
	const MapSeat *seats = chooser->hall->seats;

	for (int first = start, last; first < end; first = last)
	{
		int section = seats[first].section;

		last = first + 1;
		if (!chooser->hall->has_shared_rows)
			last = end;
		while (last < end && seats[last].section == section)
			last++;
		if (chooser->is_wished[section] && !chooser->hall->sections[section].is_standing)
			run_add(chooser,
					(Run){
						.start = first,
						.count = last - first,
						.before = first - start,
						.after = end - last,
					});
	}
}

/*
 * All runs in grid order. Of a word of seats, those that begin a run are usable ones whose left
 * neighbour is not, or is none; those that end one likewise to the right: two shifts for 64 seats.
 */
static void
chooser_find_runs(Chooser *chooser)
{
	const uint64 *linked = chooser->hall->linked;
	const uint64 *usable = chooser->usable;
	uint64		  before = 0; /* the last seat of the word before, if it runs on */
	int			  start = -1;

	for (int w = 0; w < chooser->hall->words - 1; w++)
	{
		uint64 goes_on = usable[w] & linked[w] & ((usable[w] >> 1) | (usable[w + 1] << 63));
		uint64 begins = usable[w] & ~((goes_on << 1) | before);
		uint64 ends = usable[w] & ~goes_on;

		before = goes_on >> 63;
		if (start < 0 && begins == 0)
			continue;
		while (ends != 0)
		{
			int end = pg_rightmost_one_pos64(ends);

			if (start < 0)
			{
				start = w * HALL_WORD_BITS + pg_rightmost_one_pos64(begins);
				begins &= begins - 1;
			}
			run_add_by_section(chooser, start, w * HALL_WORD_BITS + end + 1);
			start = -1;
			ends &= ends - 1;
		}
		if (begins != 0)
			start = w * HALL_WORD_BITS + pg_rightmost_one_pos64(begins);
	}
}

/* Blocks ----------------------------------------------------------------------------------- */

static void
offers_add(Offers *offers, uint64 rank, SeatBlock block)
{
	if (offers->count > 0 && rank > offers->rank)
		return;
	if (rank < offers->rank)
		offers->count = 0;
	offers->rank = rank;
	if (offers->is_strict && offers->count == 1)
	{
		if (block.cost < offers->blocks[0].cost)
			offers->blocks[0] = block;
		return;
	}
	if (offers->count == offers->room)
	{
		offers->room = Max(64, offers->room * 2);
		offers->blocks = offers->blocks == NULL
			? palloc(sizeof(SeatBlock) * offers->room)
			: repalloc(offers->blocks, sizeof(SeatBlock) * offers->room);
	}
	offers->blocks[offers->count++] = block;
}

/* Moves the wanted cheapest blocks to the front (quickselect). */
static void
offers_select(SeatBlock *blocks, int count, int wanted)
{
	int low = 0;
	int high = count - 1;

	while (low < high)
	{
		uint64 pivot = blocks[low + (high - low) / 2].cost;
		int	   i = low;
		int	   j = high;

		while (i <= j)
		{
			while (blocks[i].cost < pivot)
				i++;
			while (blocks[j].cost > pivot)
				j--;
			if (i <= j)
			{
				SeatBlock swap = blocks[i];

				blocks[i++] = blocks[j];
				blocks[j--] = swap;
			}
		}
		if (wanted - 1 <= j)
			high = j;
		else if (wanted - 1 >= i)
			low = i;
		else
			break;
	}
}

/* One of the equal ones; there is at least one block. */
static const SeatBlock *
offers_draw(Offers *offers)
{
	int equal = Max(offers->count / BEST_EQUAL_SHARE, Min(offers->count, BEST_EQUAL_MIN));

	if (equal < offers->count)
		offers_select(offers->blocks, offers->count, equal);
	return &offers->blocks[pg_prng_uint64_range(&pg_global_prng_state, 0, equal - 1)];
}

static void
put_block(const SeatBlock *block, int count, int *ret_seats)
{
	put_seats(ret_seats, block->first, block->first_count);
	put_seats(ret_seats + block->first_count, block->second, count - block->first_count);
}

/* Same row --------------------------------------------------------------------------------- */

/* Blocks that leave no orphan rank before all that do. */
static void
run_offer(const Chooser *chooser, const Run *run, Offers *offers)
{
	const BestWish *wish = chooser->wish;
	bool			every_start =
		wish->is_strict || wish->accessible_count > 0 || run->before > 0 || run->after > 0;

	for (int start = run->start; start + wish->count <= run->start + run->count;
		 start += every_start ? 1 : wish->count)
	{
		bool leaves_orphan = run_leaves_orphan(run, start, wish->count);
		int	 accessible = count_accessible(chooser->hall, start, wish->count);

		CHECK_FOR_INTERRUPTS();
		if (accessible < wish->accessible_count || run_forbids(chooser, run, start, wish->count))
			continue;
		offers_add(offers, (uint64) leaves_orphan * (wish->count + 1) + accessible,
				   (SeatBlock){
					   .cost = group_distance(chooser->hall, start, wish->count),
					   .first = start,
					   .first_count = wish->count,
				   });
	}
}

static BestStep
choose_row(const Chooser *chooser, int *ret_seats)
{
	Offers offers = {.is_strict = chooser->wish->is_strict, .rank = PG_UINT64_MAX};

	for (int i = 0; i < chooser->run_count; i++)
		if (chooser->runs[i].count >= chooser->wish->count)
			run_offer(chooser, &chooser->runs[i], &offers);
	if (offers.count == 0)
		return BEST_NONE;
	put_block(offers_draw(&offers), chooser->wish->count, ret_seats);
	return offers.rank > chooser->wish->count ? BEST_ROW : BEST_ROW_NO_ORPHAN;
}

/* Adjacent rows ---------------------------------------------------------------------------- */

static bool
cols_overlap(const Hall *hall, int first, int first_count, int second, int second_count)
{
	int first_col = hall->seats[first].col;
	int second_col = hall->seats[second].col;

	return first_col < second_col + second_count && second_col < first_col + first_count;
}

/* Where groups of so many may stand in two runs; false after the first that will do, if one is enough. */
static bool
runs_offer_groups(const Chooser *chooser, const Run *front, int front_count, const Run *back,
				  Offers *offers)
{
	const Hall	   *hall = chooser->hall;
	const BestWish *wish = chooser->wish;
	int				back_count = wish->count - front_count;

	for (int i = front->start; i + front_count <= front->start + front->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = back->start; j + back_count <= back->start + back->count; j++)
		{
			int accessible =
				count_accessible(hall, i, front_count) + count_accessible(hall, j, back_count);

			if (!cols_overlap(hall, i, front_count, j, back_count) ||
				accessible < wish->accessible_count ||
				run_forbids(chooser, front, i, front_count) ||
				run_forbids(chooser, back, j, back_count))
				continue;
			offers_add(offers, accessible,
					   (SeatBlock){
						   .cost = group_distance(hall, i, front_count) +
							   group_distance(hall, j, back_count),
						   .first = i,
						   .first_count = front_count,
						   .second = j,
					   });
			if (!wish->is_strict)
				return false;
		}
	}
	return true;
}

/* Groups as even as they can be come first. */
static void
runs_offer(const Chooser *chooser, const Run *front, const Run *back, Offers *offers)
{
	int count = chooser->wish->count;
	int low = Max(1, count - back->count);
	int high = Min(front->count, count - 1);
	int middle = Max(low, Min(high, (count + 1) / 2));

	for (int step = 0; step <= high - low; step++)
	{
		if (middle - step >= low && !runs_offer_groups(chooser, front, middle - step, back, offers))
			return;
		if (step > 0 && middle + step <= high &&
			!runs_offer_groups(chooser, front, middle + step, back, offers))
			return;
	}
}

/* Runs are in grid order: those of the next row follow, those that end too far left are skipped. */
static BestStep
choose_adjacent_rows(const Chooser *chooser, int *ret_seats)
{
	const MapSeat *seats = chooser->hall->seats;
	Offers		   offers = {.is_strict = chooser->wish->is_strict, .rank = PG_UINT64_MAX};
	int			   back = 0;

	for (int front = 0; front < chooser->run_count; front++)
	{
		const Run	  *run = &chooser->runs[front];
		const MapSeat *seat = &seats[run->start];

		while (back < chooser->run_count &&
			   (seats[chooser->runs[back].start].row <= seat->row ||
				(seats[chooser->runs[back].start].row == seat->row + 1 &&
				 seats[chooser->runs[back].start].col + chooser->runs[back].count <= seat->col)))
			back++;
		for (int i = back; i < chooser->run_count; i++)
		{
			const Run *other = &chooser->runs[i];

			if (seats[other->start].row != seat->row + 1 ||
				seats[other->start].col >= seat->col + run->count)
				break;
			if (seats[other->start].section == seat->section &&
				run->count + other->count >= chooser->wish->count &&
				count_accessible(chooser->hall, run->start, run->count) +
						count_accessible(chooser->hall, other->start, other->count) >=
					chooser->wish->accessible_count)
				runs_offer(chooser, run, other, &offers);
		}
	}
	if (offers.count == 0)
		return BEST_NONE;
	put_block(offers_draw(&offers), chooser->wish->count, ret_seats);
	return BEST_ADJACENT_ROWS;
}

/* Standing --------------------------------------------------------------------------------- */

/* Up to so many of the section's usable seats, accessible or not, from a seat on and around. */
static int
standing_collect(const Chooser *chooser, int section, bool accessible, int from, int wanted,
				 int *ret_seats)
{
	const Hall *hall = chooser->hall;
	int			words = hall->words;
	int			found = 0;

	/* The first word is met twice: its upper part at once, its lower part in the end. */
	for (int n = 0; n <= words && found < wanted; n++)
	{
		int	   w = (from / HALL_WORD_BITS + n) % words;
		uint64 upper = ~UINT64CONST(0) << (from % HALL_WORD_BITS);
		uint64 bits = chooser->usable[w] &
			(accessible ? hall->accessible[w] : ~hall->accessible[w]) &
			(n == 0			  ? upper
				 : n == words ? ~upper
							  : ~UINT64CONST(0));

		for (; bits != 0 && found < wanted; bits &= bits - 1)
		{
			int seat = w * HALL_WORD_BITS + pg_rightmost_one_pos64(bits);

			if (hall->seats[seat].section == section)
				ret_seats[found++] = seat;
		}
	}
	return found;
}

/* Beginning anywhere, so that callers hardly meet; what is accessible goes last but for the wish. */
static bool
standing_take(const Chooser *chooser, int section, int *ret_seats)
{
	const BestWish *wish = chooser->wish;
	int				from =
		(int) pg_prng_uint64_range(&pg_global_prng_state, 0, Max(chooser->hall->count, 1) - 1);
	int accessible = standing_collect(chooser, section, true, from, wish->count, ret_seats);
	int others;

	if (accessible < wish->accessible_count)
		return false;
	others = standing_collect(chooser, section, false, from, wish->count - wish->accessible_count,
							  ret_seats + wish->accessible_count);
	if (wish->accessible_count + others == wish->count)
		return true;
	return standing_collect(chooser, section, true, from, wish->count - others,
							ret_seats + others) +
			others ==
		wish->count &&
		standing_collect(chooser, section, false, from, others, ret_seats) == others;
}

static BestStep
choose_standing(const Chooser *chooser, int *ret_seats)
{
	const Hall *hall = chooser->hall;
	int			first = hall->section_count == 0
				? 0
				: (int) pg_prng_uint64_range(&pg_global_prng_state, 0, hall->section_count - 1);

	for (int n = 0; n < hall->section_count; n++)
	{
		int section = (first + n) % hall->section_count;

		CHECK_FOR_INTERRUPTS();
		if (chooser->is_wished[section] && hall->sections[section].is_standing &&
			standing_take(chooser, section, ret_seats))
			return BEST_STANDING;
	}
	return BEST_NONE;
}

/* Spares looking everywhere for what is nowhere. */
static bool
chooser_has_accessible(const Chooser *chooser)
{
	const Hall *hall = chooser->hall;
	int			missing = chooser->wish->accessible_count;

	for (int w = 0; w < hall->words && missing > 0; w++)
		for (uint64 bits = chooser->usable[w] & hall->accessible[w]; bits != 0; bits &= bits - 1)
			missing -=
				chooser->is_wished[hall->seats[w * HALL_WORD_BITS + pg_rightmost_one_pos64(bits)]
									   .section];
	return missing <= 0;
}

BestStep
best_choose(const Hall *hall, const uint64 *usable, const BestWish *wish, int *ret_seats)
{
	Chooser chooser = {
		.hall = hall,
		.wish = wish,
		.usable = usable,
		.is_wished = palloc(sizeof(bool) * Max(hall->section_count, 1)),
	};
	BestStep step;

	for (int i = 0; i < hall->section_count; i++)
		chooser.is_wished[i] = section_is_wished(hall, i, wish);
	if (!chooser_has_accessible(&chooser))
		return BEST_NONE;
	chooser_find_runs(&chooser);
	step = choose_row(&chooser, ret_seats);
	if (step == BEST_NONE && wish->count > 1)
		step = choose_adjacent_rows(&chooser, ret_seats);
	if (step == BEST_NONE && wish->allow_split)
		step = best_choose_split(&chooser, ret_seats);
	if (step == BEST_NONE)
		step = choose_standing(&chooser, ret_seats);
	return step;
}
