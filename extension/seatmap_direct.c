/* SPDX-License-Identifier: PostgreSQL */
/*
 * The direct way of seatmap.h. The seats of a whole map are read from the pages on which those of
 * the date lie. Their live reservations are not looked up one by one: the index of live reservations
 * is walked along the seats' ids, which were mostly made together and lie together, and where other
 * dates' lie between, it is skipped to the next of ours.
 *
 * A live reservation is pending or confirmed. So where a page is all visible (the visibility map)
 * and the index of pendings has none on it, an entry alone tells that its seat is sold. The other
 * rows are read as they lie in the table, by whole pages where many of a page are ours.
 */
#include "seatmap_loading.h"

#include "access/htup_details.h"
#include "access/visibilitymap.h"
#include "miscadmin.h"
#include "pages.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

#define STRANGERS_MAX 8	   /* entries of other dates that cost less to read than to skip */
#define ROWS_OF_PAGE_MIN 6 /* fewer of a page cost less to fetch one by one */
#define PLACE_BITS 11	   /* of an offset, and of what is sorted by at once */
#define PLACE_DIGITS (1 << PLACE_BITS)

StaticAssertDecl(MaxHeapTuplesPerPage < PLACE_DIGITS, "an offset does not fit PLACE_BITS");

/* Columns of the tables, as their install pieces have them. */
enum
{
	MAP_SECTION_ID = 1
};

enum
{
	MAP_SEAT_BLOCKED_REASON = 7,
	MAP_SEAT_BLOCKED_UNTIL,
	MAP_SEAT_DELETED = 10,
	MAP_SEAT_ACCESSIBLE
};

/* What the row of a seat begins with: columns of a fixed width, none of which may be NULL. */
typedef struct SeatHead
{
	pg_uuid_t id;
	pg_uuid_t date_id;
	pg_uuid_t section_id;
	int32	  row;
	int32	  col;
} SeatHead;

enum
{
	MAP_RESERVATION_STATUS = 6,
	MAP_RESERVATION_EXPIRES = 11
};

/* An entry of the index of live reservations: where its row is, and of which of the map's seats. */
typedef struct LiveEntry
{
	uint64 place; /* the block, then PLACE_BITS of the offset */
	int	   seat;
} LiveEntry;

static uint64
place_number(const ItemPointerData *place)
{
	return (uint64) ItemPointerGetBlockNumber(place) << PLACE_BITS |
		ItemPointerGetOffsetNumber(place);
}

static BlockNumber
place_block(uint64 place)
{
	return (BlockNumber) (place >> PLACE_BITS);
}

static Bitmapset *pending_pages(Snapshot snapshot);
static LiveEntry *entries_find(DirectScan *scan, const SeatMap *map, const Bitmapset *pendings,
							   int *ret_count);
static LiveEntry *entries_sort(LiveEntry *entries, int count);
static int		  entries_pages(const LiveEntry *entries, int count, BlockNumber *ret_blocks);
static void		  entries_fetch(const Loading *loading, DirectScan *scan, const LiveEntry *entries,
								int count);
static void		  entries_read_pages(const Loading *loading, DirectScan *scan, LiveEntry *entries,
									 int count, const BlockNumber *blocks, int page_count);

static TimestampTz
row_blocked_until(HeapTuple row, TupleDesc columns)
{
	bool  isnull;
	Datum until;

	if (heap_attisnull(row, MAP_SEAT_BLOCKED_REASON, columns))
		return DT_NOBEGIN;
	until = heap_getattr(row, MAP_SEAT_BLOCKED_UNTIL, columns, &isnull);
	return isnull ? DT_NOEND : DatumGetTimestampTz(until);
}

/* Its column is the last one, and its byte the row's last, unless the row is older than both. */
static bool
row_is_accessible(HeapTuple row, TupleDesc columns)
{
	bool isnull;

	if (HeapTupleHeaderGetNatts(row->t_data) == MAP_SEAT_ACCESSIBLE)
		return ((const char *) row->t_data)[row->t_len - 1];
	return DatumGetBool(heap_getattr(row, MAP_SEAT_ACCESSIBLE, columns, &isnull));
}

/* From its live reservation; when one that is confirmed would have expired is of no interest. */
static void
seat_set_reservation(MapSeat *seat, HeapTuple row, TupleDesc columns)
{
	bool isnull;

	seat->is_confirmed =
		value_is_text(heap_getattr(row, MAP_RESERVATION_STATUS, columns, &isnull), "confirmed");
	if (!seat->is_confirmed)
		seat->expires_at =
			DatumGetTimestampTz(heap_getattr(row, MAP_RESERVATION_EXPIRES, columns, &isnull));
}

/* The current row of a scan, which stays as long as that. */
static HeapTuple
scan_row(const DirectScan *scan)
{
	return ExecFetchSlotHeapTuple(scan->slot, false, NULL);
}

/*
 * NULL when it is another date's, or does not live. The row is not taken apart but where the seat is
 * blocked: that would cost more than all the rest.
 */
static MapSeat *
load_seat(Loading *loading, HeapTuple row, TupleDesc columns)
{
	const SeatHead *head = (const SeatHead *) GETSTRUCT(row);
	MapSeat		   *seat;

	if (uuid_compare(&head->date_id, loading->date_id) != 0 ||
		!heap_attisnull(row, MAP_SEAT_DELETED, columns))
		return NULL;
	seat = loading_add(loading, &head->section_id);
	if (seat == NULL)
		return NULL;
	seat->id = head->id;
	seat->row = head->row;
	seat->col = head->col;
	seat->is_accessible = row_is_accessible(row, columns);
	seat->blocked_until = row_blocked_until(row, columns);
	return seat;
}

/* The live sections of the date. */
static pg_uuid_t *
load_sections(Loading *loading, int *ret_count)
{
	int		   room = SECTIONS_FIRST;
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * room);
	Datum	   key = UUIDPGetDatum(loading->date_id);
	DirectScan scan;

	*ret_count = 0;
	direct_scan_begin(&scan, DIRECT_SECTION_NAME_PRICE, loading->snapshot, &key, 1);
	while (direct_scan_next(&scan, ForwardScanDirection))
	{
		if (*ret_count == room)
			ids = repalloc(ids, sizeof(pg_uuid_t) * (room *= 2));
		ids[*ret_count] = direct_uuid(&scan, MAP_SECTION_ID);
		loading_expect_section(loading, &ids[(*ret_count)++]);
	}
	direct_scan_end(&scan);
	return ids;
}

/*
 * As they lie in the table, which is mostly the order of the grid. Their pages are found by
 * section: that index has one entry for many seats.
 */
void
seatmap_direct_seats(Loading *loading)
{
	Snapshot	 snapshot = loading->snapshot;
	int			 section_count;
	pg_uuid_t	*sections = load_sections(loading, &section_count);
	DirectScan	 scan;
	Pages		 pages;
	HeapTuple	 row;
	BlockNumber *blocks;
	int			 count;
	int64		 rows_max;

	direct_scan_open(&scan, DIRECT_SEAT_SECTION, snapshot);
	blocks = pages_of_keys(&scan, sections, section_count, &count, &rows_max);
	loading_expect(loading, rows_max);
	pages_begin(&pages, scan.table, snapshot, blocks, count);
	while ((row = pages_next(&pages)) != NULL)
		(void) load_seat(loading, row, RelationGetDescr(scan.table));
	pages_end(&pages);
	direct_scan_end(&scan);
	pfree(blocks);
	pfree(sections);
}

void
seatmap_direct_some(Loading *loading, const pg_uuid_t *seat_ids, int count)
{
	int		   section_count;
	DirectScan seats;
	DirectScan lives;

	pfree(load_sections(loading, &section_count));
	loading_expect(loading, count);
	direct_scan_open(&seats, DIRECT_SEAT_ID, loading->snapshot);
	direct_scan_open(&lives, DIRECT_RESERVATION_LIVE_SEAT, loading->snapshot);
	for (int i = 0; i < count; i++)
	{
		MapSeat *seat = NULL;

		CHECK_FOR_INTERRUPTS();
		direct_scan_at(&seats, &seat_ids[i]);
		if (direct_scan_next(&seats, ForwardScanDirection))
			seat = load_seat(loading, scan_row(&seats), RelationGetDescr(seats.table));
		if (seat == NULL)
			continue;
		direct_scan_at(&lives, &seat_ids[i]);
		if (direct_scan_next(&lives, ForwardScanDirection))
			seat_set_reservation(seat, scan_row(&lives), RelationGetDescr(lives.table));
	}
	direct_scan_end(&seats);
	direct_scan_end(&lives);
}

/* The entries tell whose rows there are, and where. */
void
seatmap_direct_reservations(const Loading *loading)
{
	const SeatMap *map = loading->map;
	Bitmapset	  *pendings = pending_pages(loading->snapshot);
	DirectScan	   scan;
	int			   count;
	int			   pages;
	LiveEntry	  *entries;
	BlockNumber	  *blocks;

	direct_scan_begin_from(&scan, DIRECT_RESERVATION_LIVE_SEAT, loading->snapshot,
						   &map->seats[map->by_id[0]].id);
	PredicateLockRelation(scan.table, loading->snapshot); /* also for rows that are not read */
	entries = entries_find(&scan, map, pendings, &count);
	entries = entries_sort(entries, count);
	blocks = palloc_extended(sizeof(BlockNumber) * (Size) Max(count, 1), MCXT_ALLOC_HUGE);
	pages = entries_pages(entries, count, blocks);
	if (count >= (int64) pages * ROWS_OF_PAGE_MIN)
		entries_read_pages(loading, &scan, entries, count, blocks, pages);
	else
		entries_fetch(loading, &scan, entries, count);
	direct_scan_end(&scan);
	bms_free(pendings);
	pfree(blocks);
	pfree(entries);
}

/* Looked up before any live reservation: no pending that the snapshot shows is missing. */
static Bitmapset *
pending_pages(Snapshot snapshot)
{
	Bitmapset	*pages = NULL;
	DirectScan	 scan;
	BlockNumber *blocks;
	int			 count;
	int64		 rows_max;

	direct_scan_begin(&scan, DIRECT_RESERVATION_PENDING_EXPIRY, snapshot, NULL, 0);
	blocks = pages_of_scan(&scan, &count, &rows_max);
	direct_scan_end(&scan);
	while (count > 0)
		pages = bms_add_member(pages, blocks[--count]);
	pfree(blocks);
	return pages;
}

/*
 * Both go upwards in id order: the index of live reservations and the map's seats. Whether a row
 * is visible to everybody is asked while its entry's page of the index is held, as an index-only
 * scan does: until then VACUUM cannot have taken a dead one away and marked its page.
 */
static LiveEntry *
entries_find(DirectScan *scan, const SeatMap *map, const Bitmapset *pendings, int *ret_count)
{
	int				room = map->count;
	LiveEntry	   *entries = palloc_extended(sizeof(LiveEntry) * (Size) room, MCXT_ALLOC_HUGE);
	int				next = 0;
	int				strangers = 0;
	Buffer			visibility = InvalidBuffer;
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
		strangers = 0;
		if (VM_ALL_VISIBLE(scan->table, ItemPointerGetBlockNumber(&place), &visibility) &&
			!bms_is_member(ItemPointerGetBlockNumber(&place), pendings))
		{
			map->seats[map->by_id[next]].is_confirmed = true;
			continue;
		}
		if (*ret_count == room)
			entries = repalloc_huge(entries, sizeof(LiveEntry) * (Size) (room *= 2));
		entries[(*ret_count)++] =
			(LiveEntry){.place = place_number(&place), .seat = map->by_id[next]};
	}
	if (BufferIsValid(visibility))
		ReleaseBuffer(visibility);
	return entries;
}

/*
 * By place, a digit at a time from the lowest on: twice or thrice over them all costs less than
 * comparing them. Returns the sorted ones, and frees the given.
 */
static LiveEntry *
entries_sort(LiveEntry *entries, int count)
{
	LiveEntry *sorted = palloc_extended(sizeof(LiveEntry) * (Size) Max(count, 1), MCXT_ALLOC_HUGE);
	uint64	   highest = 0;

	for (int i = 0; i < count; i++)
		highest = Max(highest, entries[i].place);
	for (int shift = 0; highest >> shift != 0; shift += PLACE_BITS)
	{
		int		   starts[PLACE_DIGITS + 1] = {0};
		LiveEntry *swap = entries;

		for (int i = 0; i < count; i++)
			starts[(entries[i].place >> shift) % PLACE_DIGITS + 1]++;
		for (int digit = 0; digit < PLACE_DIGITS; digit++)
			starts[digit + 1] += starts[digit];
		for (int i = 0; i < count; i++)
			sorted[starts[(entries[i].place >> shift) % PLACE_DIGITS]++] = entries[i];
		entries = sorted;
		sorted = swap;
	}
	pfree(sorted);
	return entries;
}

/* The pages of the entries, which are in the order of their places. */
static int
entries_pages(const LiveEntry *entries, int count, BlockNumber *ret_blocks)
{
	int pages = 0;

	for (int i = 0; i < count; i++)
		if (pages == 0 || ret_blocks[pages - 1] != place_block(entries[i].place))
			ret_blocks[pages++] = place_block(entries[i].place);
	return pages;
}

static void
entries_fetch(const Loading *loading, DirectScan *scan, const LiveEntry *entries, int count)
{
	for (int i = 0; i < count; i++)
	{
		ItemPointerData place;

		ItemPointerSet(&place, place_block(entries[i].place), entries[i].place % PLACE_DIGITS);
		if (direct_scan_fetch(scan, &place))
			seat_set_reservation(&loading->map->seats[entries[i].seat], scan_row(scan),
								 RelationGetDescr(scan->table));
	}
}

/*
 * Where an entry says there may be no row: none that is visible, or a later version of it that has
 * no entry of its own. These are fetched in the end.
 */
static void
entries_read_pages(const Loading *loading, DirectScan *scan, LiveEntry *entries, int count,
				   const BlockNumber *blocks, int page_count)
{
	int		  next = 0;
	int		  missed = 0;
	Pages	  pages;
	HeapTuple row;

	pages_begin(&pages, scan->table, loading->snapshot, blocks, page_count);
	while ((row = pages_next(&pages)) != NULL)
	{
		uint64 place = place_number(&row->t_self);

		while (next < count && entries[next].place < place)
			entries[missed++] = entries[next++];
		if (next < count && entries[next].place == place)
			seat_set_reservation(&loading->map->seats[entries[next++].seat], row,
								 RelationGetDescr(scan->table));
	}
	while (next < count)
		entries[missed++] = entries[next++];
	pages_end(&pages);
	entries_fetch(loading, scan, entries, missed);
}
