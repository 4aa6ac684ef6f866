/* SPDX-License-Identifier: PostgreSQL */
/* The orphan rule; see orphan.h. The seats of a row are read one by one, as far as need be. */
#include "orphan.h"

#include "lock.h"

static SavedPlan find_row =
	PLAN("SELECT s.id, s.col, section.id, section.kind = 'seated'"
		 " FROM concert.seat AS s JOIN concert.section AS section ON section.id = s.section_id"
		 " WHERE s.concert_date_id = $1 AND s.\"row\" = $2 AND s.deleted_at IS NULL"
		 " AND section.deleted_at IS NULL ORDER BY s.col",
		 UUIDOID, INT4OID);

static SavedPlan count_taken =
	PLAN("SELECT count(*), count(*) FILTER (WHERE live.status = 'confirmed' OR live.expires_at > $2"
		 "  OR (s.blocked_reason IS NOT NULL AND coalesce(s.blocked_until > $2, true)))"
		 " FROM concert.seat AS s"
		 " LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL"
		 " WHERE s.section_id = $1 AND s.deleted_at IS NULL",
		 UUIDOID, TIMESTAMPTZOID);

/* One seat of a row that the choice has seats of. */
typedef struct RowSeat
{
	pg_uuid_t	id;
	int			col;
	pg_uuid_t	section_id;
	bool		is_seated;
	SeatChoice *choice;	   /* NULL: not chosen */
	bool		is_judged; /* by an earlier seat of its run */
	bool		is_read;
	bool		is_free; /* once read */
	bool		is_busy;
} RowSeat;

typedef struct Row
{
	const Taking *taking;
	int			  count;
	RowSeat		 *seats;	/* by col */
	bool		  met_busy; /* one that somebody is at work on was looked at, since it was unset */
} Row;

static Row
row_read(const Taking *taking, int number)
{
	Row row = {.taking = taking};

	row.count =
		plan_read(&find_row, PLAN_ARGS(uuid_value(&taking->date_id), value(Int32GetDatum(number))));
	row.seats = palloc0(sizeof(RowSeat) * Max(row.count, 1));
	for (int i = 0; i < row.count; i++)
		row.seats[i] = (RowSeat){
			.id = plan_uuid(i, 0),
			.col = plan_int32(i, 1),
			.section_id = plan_uuid(i, 2),
			.is_seated = plan_bool(i, 3),
		};
	for (int i = 0; i < row.count; i++)
		for (int n = 0; n < taking->count; n++)
			if (uuid_compare(&row.seats[i].id, &taking->seats[n].row.id) == 0)
				row.seats[i].choice = &taking->seats[n];
	return row;
}

/* Whoever has its lock may be taking it. */
bool
orphan_seat_is_free(const pg_uuid_t *id, TimestampTz now, bool *ret_is_busy)
{
	SeatRow seat = {.id = *id};

	*ret_is_busy = lock_is_taken(LOCK_SEAT, lock_name_uuid(id));
	if (*ret_is_busy)
		return false;
	store_read_seats(&seat, 1, now, STORE_TO_NAME);
	*ret_is_busy = seat.found && seat.is_in_doubt;
	return seat.found && !seat.is_in_doubt && !(seat.is_blocked && seat.blocked_until > now) &&
		!(seat.has_live && !(seat.is_pending && seat.expires_at <= now));
}

/* Free, and not chosen. */
static bool
row_is_free(Row *row, int n)
{
	RowSeat *seat = &row->seats[n];

	if (seat->choice != NULL)
		return false;
	if (!seat->is_read)
		seat->is_free = orphan_seat_is_free(&seat->id, row->taking->now, &seat->is_busy);
	seat->is_read = true;
	row->met_busy = row->met_busy || seat->is_busy;
	return seat->is_free;
}

/* The neighbour one to the left (-1) or right (1) in the grid, or -1. */
static int
row_neighbour(const Row *row, int n, int side)
{
	int other = n + side;

	if (other < 0 || other >= row->count || row->seats[other].col != row->seats[n].col + side ||
		!row->seats[other].is_seated)
		return -1;
	return other;
}

/* Whether the choice leaves a chosen seat's neighbour on this side single. */
static bool
row_leaves_single(Row *row, int n, int side)
{
	int left = row_neighbour(row, n, side);
	int beyond;

	if (left < 0 || !row_is_free(row, left))
		return false;
	beyond = row_neighbour(row, left, side);
	return beyond < 0 || !row_is_free(row, beyond);
}

/* The last seat on this side of those that are free or chosen. */
static int
row_run_end(Row *row, int n, int side)
{
	int next;

	while ((next = row_neighbour(row, n, side)) >= 0 &&
		   (row->seats[next].choice != NULL || row_is_free(row, next)))
		n = next;
	return n;
}

static bool
section_is_relaxed(const Taking *taking, const pg_uuid_t *section_id)
{
	int percent = taking->rules.orphan_relax_fill_percent;

	if (percent >= 100)
		return false;
	plan_read(&count_taken,
			  PLAN_ARGS(uuid_value(section_id), value(TimestampTzGetDatum(taking->now))));
	return plan_int64(0, 1) * 100 > plan_int64(0, 0) * percent;
}

/* The block that leaves no single seat nearest to what was chosen; free or chosen are [first, last]. */
static int
run_alternative(const Row *row, int first, int last, int chosen)
{
	int room = last - first + 1 - chosen;
	int wanted = 0;
	int best = 0;

	while (row->seats[first + wanted].choice == NULL)
		wanted++;
	for (int start = 0; start <= room; start++)
		if (start != 1 && room - start != 1 && abs(start - wanted) < abs(best - wanted))
			best = start;
	return first + best;
}

/* Whether as many seats from this one on, up to the end of their run, are all of one section. */
static bool
block_is_of(const Row *row, int start, int count, const pg_uuid_t *section_id)
{
	for (int i = start; i < start + count; i++)
		if (row->seats[i].choice != NULL ||
			uuid_compare(&row->seats[i].section_id, section_id) != 0)
			return false;
	return true;
}

/*
 * Where the run [first, last] has no better block of this size: the first one elsewhere in the
 * row, of the same section, that leaves no single seat; -1 when there is none.
 */
static int
row_alternative(Row *row, int first, int last, int chosen)
{
	const pg_uuid_t *section_id = &row->seats[first].section_id;

	for (int i = 0; i < row->count; i++)
	{
		int end;
		int room;

		if (i == first)
			i = last;
		else if (row->seats[i].is_seated && row_is_free(row, i))
		{
			end = row_run_end(row, i, 1);
			room = end - i + 1 - chosen;
			if (room >= 0 && room != 1 && block_is_of(row, i, chosen, section_id))
				return i;
			i = end;
		}
	}
	return -1;
}

/* Marks the run's chosen seats and names the block from start on as the alternative to them. */
static void
run_mark(Row *row, int first, int last, int chosen, int start, bool is_in_doubt)
{
	pg_uuid_t *alternative = palloc(sizeof(pg_uuid_t) * chosen);

	for (int i = 0; i < chosen; i++)
		alternative[i] = row->seats[start + i].id;
	for (int i = first; i <= last; i++)
	{
		SeatChoice *choice = row->seats[i].choice;

		if (choice == NULL)
			continue;
		choice->leaves_orphan = true;
		choice->orphan_in_doubt = is_in_doubt;
		choice->alternative = alternative;
		choice->alternative_count = chosen;
	}
}

/* Whether a chosen seat's neighbours are left single; in doubt when only busy seats have it so. */
static bool
row_leaves_any_single(Row *row, int n, bool *ret_is_in_doubt)
{
	bool any = false;

	*ret_is_in_doubt = true;
	for (int side = -1; side <= 1; side += 2)
	{
		row->met_busy = false;
		if (!row_leaves_single(row, n, side))
			continue;
		any = true;
		*ret_is_in_doubt = *ret_is_in_doubt && row->met_busy;
	}
	return any;
}

/*
 * Judges the run of a chosen seat, once; true when it leaves a single seat without need. Where a
 * busy seat becomes free the run has but more room; only for a run without room it matters where
 * that ends, and what else the row has.
 */
static bool
row_judge_run(Row *row, int n)
{
	int	 first;
	int	 last;
	int	 chosen = 0;
	int	 alternative;
	bool is_in_doubt;

	if (row->seats[n].is_judged || !row->seats[n].is_seated ||
		!row_leaves_any_single(row, n, &is_in_doubt))
		return false;
	row->met_busy = false;
	first = row_run_end(row, n, -1);
	last = row_run_end(row, n, 1);
	for (int i = first; i <= last; i++)
	{
		row->seats[i].is_judged = true;
		chosen += row->seats[i].choice != NULL;
	}
	if (last - first + 1 - chosen != 1)
		alternative = run_alternative(row, first, last, chosen);
	else
	{
		alternative = row_alternative(row, first, last, chosen);
		is_in_doubt = is_in_doubt || row->met_busy;
	}
	if (alternative < 0 || section_is_relaxed(row->taking, &row->seats[n].section_id))
		return false;
	run_mark(row, first, last, chosen, alternative, is_in_doubt);
	return true;
}

static bool
row_judge(const Taking *taking, int number)
{
	Row	 row = row_read(taking, number);
	bool found = false;

	for (int i = 0; i < row.count; i++)
		if (row.seats[i].choice != NULL && row_judge_run(&row, i))
			found = true;
	return found;
}

/* Whether an earlier seat of the choice is in the same row. */
static bool
row_is_judged(const Taking *taking, int n)
{
	for (int i = 0; i < n; i++)
		if (taking->seats[i].row.row == taking->seats[n].row.row)
			return true;
	return false;
}

Reason
orphan_judge(Taking *taking)
{
	bool   found = false;
	Reason reason = REASON_BUSY;

	if (taking->rules.orphan_rule == ORPHAN_OFF || taking->now >= taking->rules.orphan_relaxed_at)
		return REASON_NONE;
	for (int i = 0; i < taking->count; i++)
		if (!row_is_judged(taking, i) && row_judge(taking, taking->seats[i].row.row))
			found = true;
	if (!found || taking->rules.orphan_rule == ORPHAN_WARN)
		return REASON_NONE;
	for (int i = 0; i < taking->count; i++)
	{
		SeatChoice *seat = &taking->seats[i];

		if (!seat->leaves_orphan)
			continue;
		seat->reason = seat->orphan_in_doubt ? REASON_BUSY : REASON_ORPHAN;
		if (!seat->orphan_in_doubt)
			reason = REASON_ORPHAN;
	}
	return reason;
}
