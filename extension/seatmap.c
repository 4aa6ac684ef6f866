/* SPDX-License-Identifier: PostgreSQL */
/* Loading the seats of a date with their states; see seatmap.h. The direct way: seatmap_direct.c. */
#include "seatmap_loading.h"

#include "common/hashfn.h"
#include "lib/qunique.h"
#include "store_direct.h"
#include "utils/memutils.h"

#define SEATS_FIRST 4096
#define DIGEST_FACTOR UINT64CONST(0x9e3779b97f4a7c15) /* odd, its bits without a pattern */

/* PROBE is empty or " OFFSET 0", which has the reservation of every seat looked up by itself. */
#define SELECT_SEATS(PROBE)                                                                        \
	"SELECT s.id, s.\"row\", s.col, s.section_id,"                                                 \
	" CASE WHEN s.blocked_reason IS NOT NULL THEN coalesce(s.blocked_until, 'infinity')"           \
	" ELSE '-infinity' END,"                                                                       \
	" live.status IS NOT DISTINCT FROM 'confirmed', coalesce(live.expires_at, '-infinity'),"       \
	" s.accessible"                                                                                \
	" FROM concert.seat AS s"                                                                      \
	" JOIN concert.section AS section ON section.id = s.section_id AND section.deleted_at IS NULL" \
	" LEFT JOIN LATERAL (SELECT r.status, r.expires_at FROM concert.reservation AS r"              \
	"  WHERE r.seat_id = s.id AND r.deleted_at IS NULL" PROBE ") AS live ON true"                  \
	" WHERE s.deleted_at IS NULL AND s.concert_date_id = $1"

static SavedPlan read_seats = PLAN(SELECT_SEATS("") " ORDER BY s.\"row\", s.col", UUIDOID);

/* A plan made while nothing was sold would else read all that is sold for a seat or two. */
static SavedPlan read_some_seats =
	PLAN(SELECT_SEATS(" OFFSET 0") " AND s.id = ANY ($2)", UUIDOID, UUIDARRAYOID);

enum
{
	COLUMN_ID,
	COLUMN_ROW,
	COLUMN_COL,
	COLUMN_SECTION,
	COLUMN_BLOCKED_UNTIL,
	COLUMN_CONFIRMED,
	COLUMN_EXPIRES,
	COLUMN_ACCESSIBLE
};

static void loading_begin(Loading *ret_loading, const pg_uuid_t *date_id, Snapshot snapshot,
						  SeatMap *map);
static void loading_end(Loading *loading);
static void map_index(SeatMap *map);
static void map_digest(SeatMap *map);
static void load_by_statement(Loading *loading, SavedPlan *plan, const NullableDatum *arguments);
static int	loading_section(Loading *loading, const pg_uuid_t *id);
static int	loading_add_section(Loading *loading, const pg_uuid_t *id);

#define ST_SORT seatmap_sort_by_grid
#define ST_ELEMENT_TYPE MapSeat
#define ST_COMPARE(a, b) ((a)->row != (b)->row ? (a)->row - (b)->row : (a)->col - (b)->col)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT seatmap_sort_by_id
#define ST_ELEMENT_TYPE int
#define ST_COMPARE_ARG_TYPE const MapSeat
#define ST_COMPARE(a, b, seats) uuid_compare(&(seats)[*(a)].id, &(seats)[*(b)].id)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

void
seatmap_load(const pg_uuid_t *date_id, Snapshot snapshot, SeatMap *ret_map)
{
	Loading loading;

	loading_begin(&loading, date_id, snapshot, ret_map);
	if (loading.is_direct)
		seatmap_direct_seats(&loading);
	else
		load_by_statement(&loading, &read_seats, PLAN_ARGS(uuid_value(date_id)));
	loading_end(&loading);
	map_index(ret_map);
	map_digest(ret_map);
	if (loading.is_direct && ret_map->count > 0)
		seatmap_direct_reservations(&loading);
}

bool
seatmap_load_some(const pg_uuid_t *date_id, pg_uuid_t *seat_ids, int count, Snapshot snapshot,
				  SeatMap *ret_map)
{
	Loading loading;

	qsort(seat_ids, count, sizeof(pg_uuid_t), uuid_compare);
	count = qunique(seat_ids, count, sizeof(pg_uuid_t), uuid_compare);
	loading_begin(&loading, date_id, snapshot, ret_map);
	if (loading.is_direct && count > 0)
		seatmap_direct_some(&loading, seat_ids, count);
	else if (count > 0)
		load_by_statement(&loading, &read_some_seats,
						  PLAN_ARGS(uuid_value(date_id), uuid_array_value(seat_ids, count)));
	loading_end(&loading);
	return ret_map->count == count;
}

static void
loading_begin(Loading *ret_loading, const pg_uuid_t *date_id, Snapshot snapshot, SeatMap *map)
{
	HASHCTL control = {.keysize = sizeof(pg_uuid_t),
					   .entrysize = sizeof(SectionEntry),
					   .hcxt = CurrentMemoryContext};

	*map = (SeatMap){0};
	*ret_loading = (Loading){
		.date_id = date_id,
		.map = map,
		.snapshot = snapshot,
		.is_direct = store_goes_direct(),
		.sections = hash_create("concert sections", SECTIONS_FIRST, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT),
	};
}

/* A layout was mostly made in grid order: then sorting only looks. */
static void
loading_end(Loading *loading)
{
	hash_destroy(loading->sections);
	seatmap_sort_by_grid(loading->map->seats, loading->map->count);
}

/* As mostly made too, in id order. */
static void
map_index(SeatMap *map)
{
	map->by_id = palloc_extended(sizeof(int) * (Size) Max(map->count, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < map->count; i++)
		map->by_id[i] = i;
	seatmap_sort_by_id(map->by_id, map->count, map->seats);
}

/* Each seat is mixed by itself, so that the next one need not wait for it. */
static void
map_digest(SeatMap *map)
{
	map->layout = 0;
	for (int i = 0; i < map->count; i++)
	{
		const MapSeat *seat = &map->seats[i];
		uint64		   id[2];
		uint64		   mixed;

		memcpy(id, seat->id.data, sizeof(id));
		mixed = (id[0] ^ ((uint64) seat->row << 32 | (uint32) seat->col) * DIGEST_FACTOR) *
			DIGEST_FACTOR;
		mixed = ((mixed ^ mixed >> 32) + id[1]) * DIGEST_FACTOR;
		map->layout = hash_combine64(map->layout, mixed);
	}
}

MapSeat *
seatmap_find(const SeatMap *map, const pg_uuid_t *id)
{
	int low = 0;
	int high = map->count;

	while (low < high)
	{
		int		 middle = low + (high - low) / 2;
		MapSeat *seat = &map->seats[map->by_id[middle]];
		int		 order = uuid_compare(&seat->id, id);

		if (order == 0)
			return seat;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool
seatmap_refresh(SeatMap *map, const pg_uuid_t *date_id, const int *seats, int count,
				Snapshot snapshot)
{
	pg_uuid_t *ids = palloc_extended(sizeof(pg_uuid_t) * (Size) Max(count, 1), MCXT_ALLOC_HUGE);
	SeatMap	   some;

	for (int i = 0; i < count; i++)
		ids[i] = map->seats[seats[i]].id;
	if (!seatmap_load_some(date_id, ids, count, snapshot, &some))
		return false;
	for (int i = 0; i < count; i++)
	{
		MapSeat *seat = seatmap_find(map, &some.seats[i].id);

		seat->blocked_until = some.seats[i].blocked_until;
		seat->is_confirmed = some.seats[i].is_confirmed;
		seat->expires_at = some.seats[i].expires_at;
	}
	return true;
}

/* Of either statement. */
static void
load_by_statement(Loading *loading, SavedPlan *plan, const NullableDatum *arguments)
{
	MemoryContext context = CurrentMemoryContext;
	int			  rows = plan_read_at(plan, arguments, loading->snapshot);

	MemoryContextSwitchTo(context);
	for (int row = 0; row < rows; row++)
	{
		pg_uuid_t section_id = plan_uuid(row, COLUMN_SECTION);
		MapSeat	 *seat = loading_add(loading, &section_id);

		seat->id = plan_uuid(row, COLUMN_ID);
		seat->row = plan_int32(row, COLUMN_ROW);
		seat->col = plan_int32(row, COLUMN_COL);
		seat->is_accessible = plan_bool(row, COLUMN_ACCESSIBLE);
		seat->blocked_until = plan_time(row, COLUMN_BLOCKED_UNTIL);
		seat->is_confirmed = plan_bool(row, COLUMN_CONFIRMED);
		seat->expires_at = plan_time(row, COLUMN_EXPIRES);
	}
}

void
loading_expect(Loading *loading, int64 seats)
{
	SeatMap *map = loading->map;

	if (loading->seats_room >= seats)
		return;
	loading->seats_room = seats;
	map->seats = map->seats == NULL
		? palloc_extended(sizeof(MapSeat) * (Size) seats, MCXT_ALLOC_HUGE)
		: repalloc_huge(map->seats, sizeof(MapSeat) * (Size) seats);
}

MapSeat *
loading_add(Loading *loading, const pg_uuid_t *section_id)
{
	SeatMap *map = loading->map;
	int		 section = loading_section(loading, section_id);
	MapSeat *seat;

	if (section == SECTION_DELETED)
		return NULL;
	if (map->count == loading->seats_room)
		loading_expect(loading, Max(loading->seats_room * 2, SEATS_FIRST));
	seat = &map->seats[map->count++];
	*seat = (MapSeat){.section = section, .blocked_until = DT_NOBEGIN, .expires_at = DT_NOBEGIN};
	return seat;
}

void
loading_expect_section(Loading *loading, const pg_uuid_t *id)
{
	SectionEntry *entry = hash_search(loading->sections, id, HASH_ENTER, NULL);

	entry->index = SECTION_UNMET;
}

/* The index of a section in the map, where it is added when it is met for the first time. */
static int
loading_section(Loading *loading, const pg_uuid_t *id)
{
	SectionEntry *entry = loading->last_section;
	bool		  found = true;

	if (entry == NULL || uuid_compare(&entry->id, id) != 0)
		entry = hash_search(loading->sections, id, HASH_ENTER, &found);
	if (!found)
		entry->index = loading->is_direct ? SECTION_DELETED : SECTION_UNMET;
	if (entry->index == SECTION_UNMET)
		entry->index = loading_add_section(loading, id);
	loading->last_section = entry;
	return entry->index;
}

static int
loading_add_section(Loading *loading, const pg_uuid_t *id)
{
	SeatMap *map = loading->map;

	if (map->section_count == loading->sections_room)
	{
		loading->sections_room = Max(loading->sections_room * 2, SECTIONS_FIRST);
		map->sections = map->sections == NULL
			? palloc(sizeof(pg_uuid_t) * loading->sections_room)
			: repalloc(map->sections, sizeof(pg_uuid_t) * loading->sections_room);
	}
	map->sections[map->section_count] = *id;
	return map->section_count++;
}
