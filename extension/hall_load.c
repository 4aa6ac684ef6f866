/* SPDX-License-Identifier: PostgreSQL */
/* Reading a whole hall by two statements; see hall_load.h. */
#include "hall_load.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

/* A row to the front or back counts as far as so many seats to the side. */
#define ROW_IS_SEATS 2

static SavedPlan load_sections =
	PLAN("SELECT id, kind = 'standing', price, currency, focal_row, focal_col FROM concert.section"
		 " WHERE concert_date_id = $1 AND deleted_at IS NULL ORDER BY id",
		 UUIDOID);

static SavedPlan load_seats =
	PLAN("SELECT s.id, s.section_id, s.\"row\", s.col, s.accessible, s.blocked_reason IS NOT NULL,"
		 " coalesce(s.blocked_until, 'infinity'), live.status = 'pending', live.expires_at"
		 " FROM concert.seat AS s"
		 " LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL"
		 " WHERE s.concert_date_id = $1 AND s.deleted_at IS NULL ORDER BY s.\"row\", s.col",
		 UUIDOID);

enum
{
	COLUMN_ID,
	COLUMN_SECTION,
	COLUMN_ROW,
	COLUMN_COL,
	COLUMN_ACCESSIBLE,
	COLUMN_BLOCKED,
	COLUMN_BLOCKED_UNTIL,
	COLUMN_PENDING,
	COLUMN_EXPIRES
};

static void
hall_load_sections(Hall *hall)
{
	int rows = plan_read(&load_sections, PLAN_ARGS(uuid_value(&hall->date_id)));

	hall->sections = MemoryContextAlloc(hall->context, sizeof(HallSection) * Max(rows, 1));
	for (int i = 0; i < rows; i++)
	{
		HallSection *section = &hall->sections[hall->section_count++];

		*section = (HallSection){
			.id = plan_uuid(i, 0),
			.is_standing = plan_bool(i, 1),
			.price = plan_int64(i, 2),
			.has_focus = !plan_is_null(i, 4),
			.focal_row = plan_int32(i, 4),
			.focal_col_twice = 2 * (int64) plan_int32(i, 5),
		};
		strlcpy(section->currency, plan_text(i, 3), sizeof(section->currency));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* -1: not a live section. Neighbours are mostly of the same one, so the last is tried first. */
static int
hall_find_section(const Hall *hall, const pg_uuid_t *section_id, int last)
{
	if (last >= 0 && uuid_compare(&hall->sections[last].id, section_id) == 0)
		return last;
	for (int i = 0; i < hall->section_count; i++)
		if (uuid_compare(&hall->sections[i].id, section_id) == 0)
			return i;
	return -1;
}

static HallSeat
seat_from_row(int row, int section)
{
	HallSeat seat = {
		.id = plan_uuid(row, COLUMN_ID),
		.row = plan_int32(row, COLUMN_ROW),
		.col = plan_int32(row, COLUMN_COL),
		.section = section,
	};

	if (!plan_is_null(row, COLUMN_PENDING))
	{
		bool is_pending = plan_bool(row, COLUMN_PENDING);

		seat.state = is_pending ? HALL_HELD : HALL_SOLD;
		seat.frees_at = is_pending ? plan_time(row, COLUMN_EXPIRES) : DT_NOEND;
	}
	else if (plan_bool(row, COLUMN_BLOCKED))
	{
		seat.state = HALL_BLOCKED;
		seat.frees_at = plan_time(row, COLUMN_BLOCKED_UNTIL);
	}
	return seat;
}

static void
hall_load_seats(Hall *hall)
{
	int rows = plan_read(&load_seats, PLAN_ARGS(uuid_value(&hall->date_id)));
	int section = -1;

	hall->words = rows / HALL_WORD_BITS + 2; /* the last is always empty, for shifts */
	hall->seats = MemoryContextAllocHuge(hall->context, sizeof(HallSeat) * Max(rows, 1));
	hall->accessible = MemoryContextAllocZero(hall->context, sizeof(uint64) * hall->words);
	for (int i = 0; i < rows; i++)
	{
		pg_uuid_t section_id = plan_uuid(i, COLUMN_SECTION);

		section = hall_find_section(hall, &section_id, section);
		if (section < 0)
			continue;
		if (plan_bool(i, COLUMN_ACCESSIBLE))
		{
			hall_set_bit(hall->accessible, hall->count, true);
			hall->has_accessible = true;
		}
		hall->seats[hall->count++] = seat_from_row(i, section);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Seats are in grid order: a section's first seat is in its front row. */
static void
hall_find_foci(Hall *hall)
{
	for (int i = 0; i < hall->count; i++)
	{
		const HallSeat *seat = &hall->seats[i];
		HallSection	   *section = &hall->sections[seat->section];

		if (section->has_focus)
			continue;
		section->has_focus = true;
		section->focal_row = seat->row;
		for (int last = i; last < hall->count && hall->seats[last].row == seat->row; last++)
			if (hall->seats[last].section == seat->section)
				section->focal_col_twice = seat->col + hall->seats[last].col;
	}
}

static uint32
hall_distance(const HallSeat *seat, const HallSection *section)
{
	int64  across = Abs(2 * (int64) seat->col - section->focal_col_twice);
	int64  along = Abs(2 * ROW_IS_SEATS * (seat->row - section->focal_row));
	uint64 squared = (uint64) (across * across) + (uint64) (along * along);

	return (uint32) Min(squared, PG_UINT32_MAX);
}

static void
hall_link(Hall *hall)
{
	for (int i = 0; i < hall->count; i++)
	{
		const HallSeat *seat = &hall->seats[i];
		const HallSeat *next = i + 1 < hall->count ? seat + 1 : seat;
		bool			is_linked = next->row == seat->row && next->col == seat->col + 1 &&
			!hall->sections[seat->section].is_standing &&
			!hall->sections[next->section].is_standing;

		hall->distances[i] = hall_distance(seat, &hall->sections[seat->section]);
		hall_set_bit(hall->free, i, seat->state == HALL_FREE);
		hall_set_bit(hall->linked, i, is_linked);
		if (is_linked && next->section != seat->section)
			hall->has_shared_rows = true;
	}
}

static int
hall_compare_ids(const void *a, const void *b, void *arg)
{
	const HallSeat *seats = arg;

	return uuid_compare(&seats[*(const int *) a].id, &seats[*(const int *) b].id);
}

Hall *
hall_load(const pg_uuid_t *date_id)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "concert hall", ALLOCSET_DEFAULT_SIZES);
	Hall *hall = MemoryContextAllocZero(context, sizeof(Hall));
	Size  bytes;

	hall->context = context;
	hall->date_id = *date_id;
	hall_load_sections(hall);
	hall_load_seats(hall);
	hall_find_foci(hall);
	bytes = sizeof(uint64) * hall->words;
	hall->free = MemoryContextAllocZero(context, bytes);
	hall->linked = MemoryContextAllocZero(context, bytes);
	hall->guessed = MemoryContextAllocZero(context, bytes);
	hall->distances = MemoryContextAllocHuge(context, sizeof(uint32) * Max(hall->count, 1));
	hall->by_id = MemoryContextAllocHuge(context, sizeof(int) * Max(hall->count, 1));
	hall_link(hall);
	for (int i = 0; i < hall->count; i++)
		hall->by_id[i] = i;
	qsort_arg(hall->by_id, hall->count, sizeof(int), hall_compare_ids, hall->seats);
	return hall;
}
