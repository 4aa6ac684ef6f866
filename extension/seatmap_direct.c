/* SPDX-License-Identifier: PostgreSQL */
/*
 * The direct way of seatmap.h. Seats are read from the pages on which those of the date lie. Their
 * live reservations are not looked up one by one: the index of live reservations is walked along
 * the seats' ids, which were mostly made together and lie together, and where other dates' lie
 * between, it is skipped to the next of ours.
 *
 * A live reservation is pending or confirmed. So where a page is all visible (the visibility map)
 * and the index of pendings has none on it, an entry alone tells that its seat is sold. The other
 * rows are read as they lie in the table, by whole pages where many of a page are ours.
 */
#include "seatmap_loading.h"

#include "access/htup_details.h"
#include "access/visibilitymap.h"
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
	MAP_SECTION_DELETED = 8
};

enum
{
	MAP_SEAT_ID = 1,
	MAP_SEAT_DATE,
	MAP_SEAT_SECTION,
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

/* An entry of the index of live reservations: where its row is, and of which of the map's seats. */
typedef struct LiveEntry
{
	uint64 place; /* the block, then PLACE_BITS of the offset */
	int	   seat;
	bool   is_visible; /* to everybody */
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

static LiveEntry *entries_find(DirectScan *scan, const SeatMap *map, int *ret_count);
static LiveEntry *entries_sort(LiveEntry *entries, int count);
static int		  entries_take_sold(const Loading *loading, LiveEntry *entries, int count);
static int		  entries_pages(const LiveEntry *entries, int count, BlockNumber *ret_blocks);
static void		  entries_fetch(const Loading *loading, DirectScan *scan, const LiveEntry *entries,
								int count);
static void		  entries_read_pages(const Loading *loading, DirectScan *scan, LiveEntry *entries,
									 int count, const BlockNumber *blocks, int page_count);

/* A column of the current row, which has been read so far (slot_getsomeattrs()). */
static inline Datum
row_datum(const TupleTableSlot *row, int column)
{
	return row->tts_values[column - 1];
}

static inline bool
row_is_null(const TupleTableSlot *row, int column)
{
	return row->tts_isnull[column - 1];
}

static TimestampTz
row_blocked_until(const TupleTableSlot *row)
{
	if (row_is_null(row, MAP_SEAT_BLOCKED_REASON))
		return DT_NOBEGIN;
	return row_is_null(row, MAP_SEAT_BLOCKED_UNTIL)
		? DT_NOEND
		: DatumGetTimestampTz(row_datum(row, MAP_SEAT_BLOCKED_UNTIL));
}

/* From its live reservation; the last column first, so that the row is taken apart once. */
static void
seat_set_reservation(MapSeat *seat, const DirectScan *scan)
{
	seat->expires_at = direct_int64(scan, MAP_RESERVATION_EXPIRES);
	seat->is_confirmed = direct_text_is(scan, MAP_RESERVATION_STATUS, "confirmed");
}

bool
seatmap_direct_section_lives(const pg_uuid_t *id, Snapshot snapshot)
{
	DirectScan scan;
	Datum	   key = UUIDPGetDatum(id);
	bool	   lives;

	direct_scan_begin(&scan, DIRECT_SECTION_ID, snapshot, &key, 1);
	lives =
		direct_scan_next(&scan, ForwardScanDirection) && direct_is_null(&scan, MAP_SECTION_DELETED);
	direct_scan_end(&scan);
	return lives;
}

bool
seatmap_direct_refresh(MapSeat *seat, Snapshot snapshot)
{
	DirectScan scan;
	Datum	   key = UUIDPGetDatum(&seat->id);
	bool	   lives;

	direct_scan_begin(&scan, DIRECT_SEAT_ID, snapshot, &key, 1);
	lives =
		direct_scan_next(&scan, ForwardScanDirection) && direct_is_null(&scan, MAP_SEAT_DELETED);
	if (lives)
		seat->blocked_until = row_blocked_until(scan.slot);
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

/* Unless it is another date's, or does not live. */
static void
load_seat(Loading *loading, TupleTableSlot *row)
{
	MapSeat *seat;

	slot_getsomeattrs(row, MAP_SEAT_ACCESSIBLE);
	if (!row_is_null(row, MAP_SEAT_DELETED) ||
		uuid_compare(DatumGetUUIDP(row_datum(row, MAP_SEAT_DATE)), loading->date_id) != 0)
		return;
	seat = loading_add(loading, DatumGetUUIDP(row_datum(row, MAP_SEAT_SECTION)));
	if (seat == NULL)
		return;
	seat->id = *DatumGetUUIDP(row_datum(row, MAP_SEAT_ID));
	seat->row = DatumGetInt32(row_datum(row, MAP_SEAT_ROW));
	seat->col = DatumGetInt32(row_datum(row, MAP_SEAT_COL));
	seat->is_accessible = DatumGetBool(row_datum(row, MAP_SEAT_ACCESSIBLE));
	seat->blocked_until = row_blocked_until(row);
}

/* As they lie in the table, which is mostly the order of the grid. */
void
seatmap_direct_seats(Loading *loading)
{
	Snapshot	 snapshot = loading->snapshot;
	Datum		 key = UUIDPGetDatum(loading->date_id);
	DirectScan	 scan;
	Pages		 pages;
	BlockNumber *blocks;
	int			 count;
	int64		 rows_max;

	direct_scan_begin(&scan, DIRECT_SEAT_POSITION, snapshot, &key, 1);
	blocks = pages_of_scan(&scan, &count, &rows_max);
	loading_expect(loading, rows_max);
	pages_begin(&pages, &scan, snapshot, blocks, count);
	while (pages_next(&pages))
		load_seat(loading, scan.slot);
	pages_end(&pages);
	direct_scan_end(&scan);
	pfree(blocks);
}

/* The entries tell whose rows there are, and where. */
void
seatmap_direct_reservations(const Loading *loading)
{
	const SeatMap *map = loading->map;
	DirectScan	   scan;
	int			   count;
	int			   pages;
	LiveEntry	  *entries;
	BlockNumber	  *blocks;

	direct_scan_begin_from(&scan, DIRECT_RESERVATION_LIVE_SEAT, loading->snapshot,
						   &map->seats[map->by_id[0]].id);
	PredicateLockRelation(scan.table, loading->snapshot); /* also for rows that are not read */
	entries = entries_find(&scan, map, &count);
	entries = entries_sort(entries, count);
	count = entries_take_sold(loading, entries, count);
	blocks = palloc_extended(sizeof(BlockNumber) * (Size) Max(count, 1), MCXT_ALLOC_HUGE);
	pages = entries_pages(entries, count, blocks);
	if (count >= (int64) pages * ROWS_OF_PAGE_MIN)
		entries_read_pages(loading, &scan, entries, count, blocks, pages);
	else
		entries_fetch(loading, &scan, entries, count);
	direct_scan_end(&scan);
	pfree(blocks);
	pfree(entries);
}

/*
 * Both go upwards in id order: the index of live reservations and the map's seats. Whether a row
 * is visible to everybody is asked while its entry's page of the index is held, as an index-only
 * scan does: until then VACUUM cannot have taken a dead one away and marked its page.
 */
static LiveEntry *
entries_find(DirectScan *scan, const SeatMap *map, int *ret_count)
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
		if (*ret_count == room)
			entries = repalloc_huge(entries, sizeof(LiveEntry) * (Size) (room *= 2));
		entries[(*ret_count)++] = (LiveEntry){
			.place = place_number(&place),
			.seat = map->by_id[next],
			.is_visible =
				VM_ALL_VISIBLE(scan->table, ItemPointerGetBlockNumber(&place), &visibility),
		};
		strangers = 0;
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

/*
 * Those whose entry alone tells that their seat is sold are done with; returns how many are left.
 * What was visible to everybody when its entry was met cannot go while the snapshot is held, nor
 * its entry among the pendings.
 */
static int
entries_take_sold(const Loading *loading, LiveEntry *entries, int count)
{
	DirectScan	 scan;
	BlockNumber *blocks; /* of pendings, ascending as the entries are */
	int			 block_count;
	int			 block = 0;
	int			 left = 0;
	int64		 rows_max;

	direct_scan_begin(&scan, DIRECT_RESERVATION_PENDING_EXPIRY, loading->snapshot, NULL, 0);
	blocks = pages_of_scan(&scan, &block_count, &rows_max);
	direct_scan_end(&scan);
	for (int i = 0; i < count; i++)
	{
		BlockNumber of_entry = place_block(entries[i].place);

		while (block < block_count && blocks[block] < of_entry)
			block++;
		if (entries[i].is_visible && (block == block_count || blocks[block] != of_entry))
			loading->map->seats[entries[i].seat].is_confirmed = true;
		else
			entries[left++] = entries[i];
	}
	pfree(blocks);
	return left;
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
			seat_set_reservation(&loading->map->seats[entries[i].seat], scan);
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
	int	  next = 0;
	int	  missed = 0;
	Pages pages;

	pages_begin(&pages, scan, loading->snapshot, blocks, page_count);
	while (pages_next(&pages))
	{
		uint64 place = place_number(&scan->slot->tts_tid);

		while (next < count && entries[next].place < place)
			entries[missed++] = entries[next++];
		if (next < count && entries[next].place == place)
			seat_set_reservation(&loading->map->seats[entries[next++].seat], scan);
	}
	while (next < count)
		entries[missed++] = entries[next++];
	pages_end(&pages);
	entries_fetch(loading, scan, entries, missed);
}
