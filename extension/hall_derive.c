/* SPDX-License-Identifier: PostgreSQL */
/* What of a hall follows from its map; see hall_derive.h. */
#include "hall_derive.h"

#include "utils/memutils.h"

/* A row to the front or back counts as far as so many seats to the side. */
#define ROW_IS_SEATS 2

static SavedPlan load_sections =
	PLAN("SELECT id, kind = 'standing', price, currency, focal_row, focal_col FROM concert.section"
		 " WHERE concert_date_id = $1 AND deleted_at IS NULL ORDER BY id",
		 UUIDOID);

static int
hall_find_section(const Hall *hall, const pg_uuid_t *section_id)
{
	for (int i = 0; i < hall->section_count; i++)
		if (uuid_compare(&hall->sections[i].id, section_id) == 0)
			return i;
	return -1;
}

/* Those that have seats; one that was deleted since the seats were read is too dear for anybody. */
static void
hall_load_sections(Hall *hall)
{
	const SeatMap *map = &hall->kept->map;
	int			   rows;

	hall->section_count = map->section_count;
	hall->sections =
		MemoryContextAlloc(hall->kept->context, sizeof(HallSection) * Max(map->section_count, 1));
	for (int i = 0; i < map->section_count; i++)
		hall->sections[i] = (HallSection){.id = map->sections[i], .price = PG_INT64_MAX};
	rows = plan_read(&load_sections, PLAN_ARGS(uuid_value(&hall->kept->date_id)));
	for (int row = 0; row < rows; row++)
	{
		pg_uuid_t	 id = plan_uuid(row, 0);
		int			 i = hall_find_section(hall, &id);
		HallSection *section = &hall->sections[Max(i, 0)];

		if (i < 0)
			continue;
		*section = (HallSection){
			.id = id,
			.is_standing = plan_bool(row, 1),
			.price = plan_int64(row, 2),
			.has_focus = !plan_is_null(row, 4),
			.focal_row = plan_int32(row, 4),
			.focal_col_twice = 2 * (int64) plan_int32(row, 5),
		};
		strlcpy(section->currency, plan_text(row, 3), sizeof(section->currency));
	}
}

/* Seats are in grid order: a section's first seat is in its front row. */
static void
hall_find_foci(Hall *hall)
{
	for (int i = 0; i < hall->count; i++)
	{
		const MapSeat *seat = &hall->seats[i];
		HallSection	  *section = &hall->sections[seat->section];

		if (section->has_focus)
			continue;
		section->has_focus = true;
		section->focal_row = seat->row;
		for (int last = i; last < hall->count && hall->seats[last].row == seat->row; last++)
			if (hall->seats[last].section == seat->section)
				section->focal_col_twice = seat->col + hall->seats[last].col;
	}
}

static uint64
hall_distance(const MapSeat *seat, const HallSection *section)
{
	int64 across = 2 * (int64) seat->col - section->focal_col_twice;
	int64 along = 2 * ROW_IS_SEATS * (seat->row - section->focal_row);

	return across * across + along * along;
}

static void
hall_link(Hall *hall)
{
	for (int i = 0; i < hall->count; i++)
	{
		const MapSeat *seat = &hall->seats[i];
		const MapSeat *next = i + 1 < hall->count ? seat + 1 : seat;
		bool		   is_linked = next->row == seat->row && next->col == seat->col + 1 &&
			!hall->sections[seat->section].is_standing &&
			!hall->sections[next->section].is_standing;

		hall->distances[i] = hall_distance(seat, &hall->sections[seat->section]);
		keptmap_set_bit(hall->accessible, i, seat->is_accessible);
		hall->has_accessible = hall->has_accessible || seat->is_accessible;
		keptmap_set_bit(hall->linked, i, is_linked);
		if (is_linked && next->section != seat->section)
			hall->has_shared_rows = true;
	}
}

Hall *
hall_derive(KeptMap *kept)
{
	MemoryContext context = kept->context;
	Hall		 *hall = MemoryContextAllocZero(context, sizeof(Hall));
	Size		  bytes = sizeof(uint64) * kept->words;

	*hall = (Hall){
		.kept = kept,
		.count = kept->map.count,
		.seats = kept->map.seats,
		.words = kept->words,
		.distances = MemoryContextAllocHuge(context, sizeof(uint64) * Max(kept->map.count, 1)),
		.free = MemoryContextAllocZero(context, bytes),
		.linked = MemoryContextAllocZero(context, bytes),
		.accessible = MemoryContextAllocZero(context, bytes),
	};
	hall_load_sections(hall);
	hall_find_foci(hall);
	hall_link(hall);
	return hall;
}
