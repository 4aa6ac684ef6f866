/* SPDX-License-Identifier: PostgreSQL */
/*
 * Loading the seats of a date with their states; see seatmap.h.
 *
 * Directly, the seats are read through the index of their positions, and their live reservations
 * not by a probe for each: the index of live reservations is walked along the seats' ids, which
 * were mostly made together and lie together, and where other dates' lie between, it is skipped
 * to the next of ours.
 */
#include "seatmap.h"

#include "common/hashfn.h"
#include "direct.h"
#include "store_direct.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define SEATS_FIRST 4096
#define SECTIONS_FIRST 16
#define SECTION_DELETED (-1)
#define STRANGERS_MAX 8 /* rows of other dates that cost less to read than to skip */

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
	" WHERE s.deleted_at IS NULL AND"

static SavedPlan read_seats =
	PLAN(SELECT_SEATS("") " s.concert_date_id = $1 ORDER BY s.\"row\", s.col", UUIDOID);

/* A plan made while nothing was sold would else read all that is sold for a seat or two. */
static SavedPlan read_some_seats = PLAN(SELECT_SEATS(" OFFSET 0") " s.id = ANY ($1)", UUIDARRAYOID);

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

/* Columns of the tables, as their install pieces have them. */
enum
{
	MAP_SECTION_DELETED = 8
};

enum
{
	MAP_SEAT_ID = 1,
	MAP_SEAT_SECTION = 3,
	MAP_SEAT_ROW,
	MAP_SEAT_COL,
	MAP_SEAT_BLOCKED_REASON = 7,
	MAP_SEAT_BLOCKED_UNTIL,
	MAP_SEAT_DELETED = 10,
	MAP_SEAT_ACCESSIBLE
};

enum
{
	MAP_RESERVATION_STATUS = 6,
	MAP_RESERVATION_EXPIRES = 11
};

/* Where a section is in SeatMap.sections, or SECTION_DELETED. */
typedef struct SectionEntry
{
	pg_uuid_t id;
	int		  index;
} SectionEntry;

typedef struct Loading
{
	SeatMap		 *map;
	Snapshot	  snapshot;
	bool		  is_direct; /* the statement finds live sections only */
	HTAB		 *sections;
	SectionEntry *last_section; /* seats in grid order are mostly of the section before */
	int			  seats_room;
	int			  sections_room;
} Loading;

static void map_order(SeatMap *map);
static void map_digest(SeatMap *map);
static bool refresh_by_statement(SeatMap *map, const int *seats, int count, Snapshot snapshot);
static bool refresh_directly(MapSeat *seat, Snapshot snapshot);
static TimestampTz scan_blocked_until(const DirectScan *scan);
static void		   seat_set_reservation(MapSeat *seat, const DirectScan *scan);
static void		   seat_set_state(MapSeat *seat, int row);
static void		   load_by_statement(Loading *loading, const pg_uuid_t *date_id);
static void		   load_directly(Loading *loading, const pg_uuid_t *date_id);
static void		   load_reservations(Loading *loading);
static MapSeat	  *loading_add(Loading *loading, int section);
static int		   loading_section(Loading *loading, const pg_uuid_t *id);
static int		   loading_add_section(Loading *loading, const pg_uuid_t *id);
static bool		   section_lives(Loading *loading, const pg_uuid_t *id);

/* An entry of the index of live reservations: of which of the map's seats, and where its row is. */
typedef struct LiveEntry
{
	ItemPointerData place;
	int				seat;
} LiveEntry;

#define ST_SORT seatmap_sort_by_id
#define ST_ELEMENT_TYPE int
#define ST_COMPARE_ARG_TYPE const MapSeat
#define ST_COMPARE(a, b, seats) uuid_compare(&(seats)[*(a)].id, &(seats)[*(b)].id)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT seatmap_sort_by_place
#define ST_ELEMENT_TYPE LiveEntry
#define ST_COMPARE(a, b) ItemPointerCompare(&(a)->place, &(b)->place)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static LiveEntry *load_entries(DirectScan *scan, const SeatMap *map, int *ret_count);

void
seatmap_load(const pg_uuid_t *date_id, Snapshot snapshot, SeatMap *ret_map)
{
	Loading loading = {.map = ret_map, .snapshot = snapshot, .is_direct = store_goes_direct()};
	HASHCTL control = {.keysize = sizeof(pg_uuid_t),
					   .entrysize = sizeof(SectionEntry),
					   .hcxt = CurrentMemoryContext};

	*ret_map = (SeatMap){0};
	loading.sections = hash_create("concert sections", SECTIONS_FIRST, &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (loading.is_direct)
		load_directly(&loading, date_id);
	else
		load_by_statement(&loading, date_id);
	hash_destroy(loading.sections);
	map_order(ret_map);
	map_digest(ret_map);
	if (loading.is_direct && ret_map->count > 0)
		load_reservations(&loading);
}

/* In id order; a layout was mostly made in grid order, so that the two are the same. */
static void
map_order(SeatMap *map)
{
	map->by_id = palloc_extended(sizeof(int) * (Size) Max(map->count, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < map->count; i++)
		map->by_id[i] = i;
	seatmap_sort_by_id(map->by_id, map->count, map->seats);
}

static void
map_digest(SeatMap *map)
{
	map->layout = 0;
	for (int i = 0; i < map->count; i++)
		map->layout = hash_bytes_extended((const unsigned char *) &map->seats[i],
										  offsetof(MapSeat, section), map->layout);
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
seatmap_refresh(SeatMap *map, const int *seats, int count, Snapshot snapshot)
{
	if (!store_goes_direct())
		return refresh_by_statement(map, seats, count, snapshot);
	for (int i = 0; i < count; i++)
		if (!refresh_directly(&map->seats[seats[i]], snapshot))
			return false;
	return true;
}

static bool
refresh_by_statement(SeatMap *map, const int *seats, int count, Snapshot snapshot)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * Max(count, 1));
	int		   rows;

	for (int i = 0; i < count; i++)
		ids[i] = map->seats[seats[i]].id;
	rows = count == 0
		? 0
		: plan_read_at(&read_some_seats, PLAN_ARGS(uuid_array_value(ids, count)), snapshot);
	for (int row = 0; row < rows; row++)
	{
		pg_uuid_t id = plan_uuid(row, COLUMN_ID);

		seat_set_state(seatmap_find(map, &id), row);
	}
	return rows == count;
}

static bool
refresh_directly(MapSeat *seat, Snapshot snapshot)
{
	DirectScan scan;
	Datum	   key = UUIDPGetDatum(&seat->id);
	bool	   lives;

	direct_scan_begin(&scan, DIRECT_SEAT_ID, snapshot, &key, 1);
	lives =
		direct_scan_next(&scan, ForwardScanDirection) && direct_is_null(&scan, MAP_SEAT_DELETED);
	if (lives)
		seat->blocked_until = scan_blocked_until(&scan);
	direct_scan_end(&scan);
	if (!lives)
		return false;
	seat->is_confirmed = false;
	seat->expires_at = DT_NOBEGIN;
	direct_scan_begin(&scan, DIRECT_RESERVATION_LIVE_SEAT, snapshot, &key, 1);
	if (direct_scan_next(&scan, ForwardScanDirection))
		seat_set_reservation(seat, &scan);
	direct_scan_end(&scan);
	return true;
}

/* Of the seat in a direct scan. */
static TimestampTz
scan_blocked_until(const DirectScan *scan)
{
	if (direct_is_null(scan, MAP_SEAT_BLOCKED_REASON))
		return DT_NOBEGIN;
	return direct_is_null(scan, MAP_SEAT_BLOCKED_UNTIL)
		? DT_NOEND
		: direct_int64(scan, MAP_SEAT_BLOCKED_UNTIL);
}

/* From the live reservation in a direct scan. */
static void
seat_set_reservation(MapSeat *seat, const DirectScan *scan)
{
	seat->is_confirmed = direct_text_is(scan, MAP_RESERVATION_STATUS, "confirmed");
	seat->expires_at = direct_int64(scan, MAP_RESERVATION_EXPIRES);
}

/* From a row of either statement. */
static void
seat_set_state(MapSeat *seat, int row)
{
	seat->blocked_until = plan_time(row, COLUMN_BLOCKED_UNTIL);
	seat->is_confirmed = plan_bool(row, COLUMN_CONFIRMED);
	seat->expires_at = plan_time(row, COLUMN_EXPIRES);
}

static void
load_by_statement(Loading *loading, const pg_uuid_t *date_id)
{
	MemoryContext context = CurrentMemoryContext;
	int rows = plan_read_at(&read_seats, PLAN_ARGS(uuid_value(date_id)), loading->snapshot);

	MemoryContextSwitchTo(context);
	for (int row = 0; row < rows; row++)
	{
		pg_uuid_t section_id = plan_uuid(row, COLUMN_SECTION);
		MapSeat	 *seat = loading_add(loading, loading_section(loading, &section_id));

		seat->id = plan_uuid(row, COLUMN_ID);
		seat->row = plan_int32(row, COLUMN_ROW);
		seat->col = plan_int32(row, COLUMN_COL);
		seat->is_accessible = plan_bool(row, COLUMN_ACCESSIBLE);
		seat_set_state(seat, row);
	}
}

static void
load_directly(Loading *loading, const pg_uuid_t *date_id)
{
	DirectScan scan;
	Datum	   key = UUIDPGetDatum(date_id);

	direct_scan_begin(&scan, DIRECT_SEAT_POSITION, loading->snapshot, &key, 1);
	while (direct_scan_next(&scan, ForwardScanDirection))
	{
		pg_uuid_t section_id;
		MapSeat	 *seat;

		if (!direct_is_null(&scan, MAP_SEAT_DELETED))
			continue;
		section_id = direct_uuid(&scan, MAP_SEAT_SECTION);
		seat = loading_add(loading, loading_section(loading, &section_id));
		if (seat == NULL)
			continue;
		seat->id = direct_uuid(&scan, MAP_SEAT_ID);
		seat->row = direct_int32(&scan, MAP_SEAT_ROW);
		seat->col = direct_int32(&scan, MAP_SEAT_COL);
		seat->is_accessible = direct_bool(&scan, MAP_SEAT_ACCESSIBLE);
		seat->blocked_until = scan_blocked_until(&scan);
	}
	direct_scan_end(&scan);
}

/* The entries tell whose rows there are; the rows are fetched as they lie in the table. */
static void
load_reservations(Loading *loading)
{
	SeatMap	  *map = loading->map;
	DirectScan scan;
	int		   count;
	LiveEntry *entries;

	direct_scan_begin_from(&scan, DIRECT_RESERVATION_LIVE_SEAT, loading->snapshot,
						   &map->seats[map->by_id[0]].id);
	entries = load_entries(&scan, map, &count);
	seatmap_sort_by_place(entries, count);
	for (int i = 0; i < count; i++)
	{
		MapSeat *seat = &map->seats[entries[i].seat];

		if (direct_scan_fetch(&scan, &entries[i].place))
			seat_set_reservation(seat, &scan);
	}
	direct_scan_end(&scan);
	pfree(entries);
}

/* Both go upwards in id order: the index of live reservations and the map's seats. */
static LiveEntry *
load_entries(DirectScan *scan, const SeatMap *map, int *ret_count)
{
	int				room = map->count;
	LiveEntry	   *entries = palloc_extended(sizeof(LiveEntry) * (Size) room, MCXT_ALLOC_HUGE);
	int				next = 0;
	int				strangers = 0;
	pg_uuid_t		seat_id;
	ItemPointerData place;

	*ret_count = 0;
	while (direct_scan_next_entry(scan, &seat_id, &place))
	{
		int order = 0;

		while (next < map->count &&
			   (order = uuid_compare(&map->seats[map->by_id[next]].id, &seat_id)) < 0)
			next++;
		if (next == map->count)
			break;
		if (order > 0)
		{
			if (++strangers == STRANGERS_MAX)
			{
				direct_scan_skip_to(scan, &map->seats[map->by_id[next]].id);
				strangers = 0;
			}
			continue;
		}
		if (*ret_count == room)
			entries = repalloc_huge(entries, sizeof(LiveEntry) * (Size) (room *= 2));
		entries[(*ret_count)++] = (LiveEntry){.place = place, .seat = map->by_id[next]};
		strangers = 0;
	}
	return entries;
}

/* A seat at the end of the map, neither blocked nor reserved; NULL when its section is deleted. */
static MapSeat *
loading_add(Loading *loading, int section)
{
	SeatMap *map = loading->map;
	MapSeat *seat;

	if (section == SECTION_DELETED)
		return NULL;
	if (map->count == loading->seats_room)
	{
		loading->seats_room = Max(loading->seats_room * 2, SEATS_FIRST);
		map->seats = map->seats == NULL
			? palloc(sizeof(MapSeat) * loading->seats_room)
			: repalloc_huge(map->seats, sizeof(MapSeat) * (Size) loading->seats_room);
	}
	seat = &map->seats[map->count++];
	*seat = (MapSeat){.section = section, .blocked_until = DT_NOBEGIN, .expires_at = DT_NOBEGIN};
	return seat;
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
		entry->index = loading_add_section(loading, id);
	loading->last_section = entry;
	return entry->index;
}

static int
loading_add_section(Loading *loading, const pg_uuid_t *id)
{
	SeatMap *map = loading->map;

	if (loading->is_direct && !section_lives(loading, id))
		return SECTION_DELETED;
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

static bool
section_lives(Loading *loading, const pg_uuid_t *id)
{
	DirectScan scan;
	Datum	   key = UUIDPGetDatum(id);
	bool	   lives;

	direct_scan_begin(&scan, DIRECT_SECTION_ID, loading->snapshot, &key, 1);
	lives =
		direct_scan_next(&scan, ForwardScanDirection) && direct_is_null(&scan, MAP_SECTION_DELETED);
	direct_scan_end(&scan);
	return lives;
}
