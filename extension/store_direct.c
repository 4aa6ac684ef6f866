/* SPDX-License-Identifier: PostgreSQL */
/*
 * What taking seats reads, by index scans; see store.h.
 *
 * A seat's live reservation is looked for under a dirty snapshot, which also tells of
 * transactions that are still open; all else under the latest snapshot. Dates and sections, which
 * every sale reads and hardly anything changes, are kept by the backend until they do
 * (direct_generation()).
 */
#include "store_direct.h"

#include "access/xact.h"
#include "direct_place.h"
#include "lock.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define DATES_KEPT_MAX 256 /* one in each place of a hash: so a hundred dates seldom meet */
#define SECTIONS_KEPT_MAX 1024
#define TAKEN_KEPT_MAX 64

/* Columns of the tables, as their install pieces have them. */
enum
{
	DATE_CONCERT = 2,
	DATE_STARTS,
	DATE_SALE_OPENS = 5,
	DATE_SALE_CLOSES,
	DATE_PENDING_SECONDS,
	DATE_SEATS_PER_USER,
	DATE_ADMISSION,
	DATE_DELETED = 15,
	DATE_ORPHAN_RULE,
	DATE_ORPHAN_RELAX_FILL,
	DATE_ORPHAN_RELAX_HOURS
};

enum
{
	SECTION_PRICE = 5,
	SECTION_CURRENCY,
	SECTION_DELETED = 8
};

enum
{
	SEAT_DATE = 2,
	SEAT_SECTION,
	SEAT_ROW,
	SEAT_BLOCKED_REASON = 7,
	SEAT_BLOCKED_UNTIL,
	SEAT_DELETED = 10
};

enum
{
	RESERVATION_BOOKING = 2,
	RESERVATION_DATE,
	RESERVATION_SEAT,
	RESERVATION_USER,
	RESERVATION_STATUS,
	RESERVATION_FENCE = 9,
	RESERVATION_EXPIRES = 11,
	RESERVATION_DELETED = 14
};

enum
{
	CONCESSION_PRICE = 5
};

/* Whether the first row of this id is there and not deleted. */
static bool
row_find(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot, const pg_uuid_t *id,
		 int deleted_column)
{
	Datum key = UUIDPGetDatum(id);

	direct_scan_begin(ret_scan, index, snapshot, &key, 1);
	return direct_scan_next(ret_scan, ForwardScanDirection) &&
		direct_is_null(ret_scan, deleted_column);
}

bool
store_goes_direct(void)
{
	for (DirectTable table = DIRECT_CONCERT_DATE; table <= DIRECT_RESERVATION; table++)
		if (!direct_is_readable(table))
			return false;
	return true;
}

static bool
date_read(const pg_uuid_t *date_id, DateRules *ret_rules)
{
	Snapshot   snapshot = direct_snapshot();
	DirectScan scan;
	bool	   lives = row_find(&scan, DIRECT_CONCERT_DATE_ID, snapshot, date_id, DATE_DELETED);

	if (lives)
		*ret_rules = (DateRules){
			.concert_id = direct_uuid(&scan, DATE_CONCERT),
			.sale_opens_at = direct_int64(&scan, DATE_SALE_OPENS),
			.sale_closes_at = direct_int64(&scan, DATE_SALE_CLOSES),
			.pending_seconds = direct_int32(&scan, DATE_PENDING_SECONDS),
			.seats_per_user_max = direct_int32(&scan, DATE_SEATS_PER_USER),
			.admission_required = direct_text_is(&scan, DATE_ADMISSION, "required"),
			.orphan_rule = direct_text_is(&scan, DATE_ORPHAN_RULE, "enforce") ? ORPHAN_ENFORCE
				: direct_text_is(&scan, DATE_ORPHAN_RULE, "warn")			  ? ORPHAN_WARN
																			  : ORPHAN_OFF,
			.orphan_relax_fill_percent = direct_int32(&scan, DATE_ORPHAN_RELAX_FILL),
			.orphan_relaxed_at = direct_int64(&scan, DATE_STARTS) -
				direct_int32(&scan, DATE_ORPHAN_RELAX_HOURS) * USECS_PER_HOUR,
			.starts_at = direct_int64(&scan, DATE_STARTS),
		};
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return lives;
}

/* The number is taken before the row is read: a change in between is met by the next call. */
bool
store_direct_date(const pg_uuid_t *date_id, DateRules *ret_rules)
{
	static struct
	{
		bool	  is_set;
		uint64	  generation;
		pg_uuid_t id;
		DateRules rules;
	} kept[DATES_KEPT_MAX];
	int	   place = (int) (lock_name_uuid(date_id) % DATES_KEPT_MAX);
	uint64 generation = direct_generation(DIRECT_CONCERT_DATE);

	if (!kept[place].is_set || kept[place].generation != generation || IsolationIsSerializable() ||
		uuid_compare(&kept[place].id, date_id) != 0)
	{
		kept[place].is_set = false;
		if (!date_read(date_id, &kept[place].rules))
			return false;
		kept[place].id = *date_id;
		kept[place].generation = generation;
		kept[place].is_set = true;
	}
	*ret_rules = kept[place].rules;
	return true;
}

/* A row of a seat's history; dirty: the snapshot that showed it, if it was a dirty one. */
static void
seat_take_reservation(SeatRow *seat, const DirectScan *scan, const SnapshotData *dirty)
{
	seat->newest_fence = direct_int64(scan, RESERVATION_FENCE);
	seat->newest_user_id = direct_uuid(scan, RESERVATION_USER);
	seat->is_in_doubt =
		dirty != NULL && (TransactionIdIsValid(dirty->xmin) || TransactionIdIsValid(dirty->xmax));
	seat->has_live = direct_is_null(scan, RESERVATION_DELETED);
	if (!seat->has_live)
		return;
	seat->date_id = direct_uuid(scan, RESERVATION_DATE);
	seat->is_pending = direct_text_is(scan, RESERVATION_STATUS, "pending");
	seat->booking_id = direct_uuid(scan, RESERVATION_BOOKING);
	seat->expires_at = direct_int64(scan, RESERVATION_EXPIRES);
}

/* Where the live reservations of seats that were asked for and not to be had were last seen. */
static struct
{
	pg_uuid_t	seat_id;
	DirectPlace place;
} taken[TAKEN_KEPT_MAX];

/* As the scan below, whose first row is the live one; false when that one is not where it was. */
static bool
seat_read_taken(SeatRow *seat)
{
	int			 n = (int) (lock_name_uuid(&seat->id) % TAKEN_KEPT_MAX);
	SnapshotData dirty;
	DirectScan	 scan;
	pg_uuid_t	 seat_id;
	bool		 found;

	InitDirtySnapshot(dirty);
	if (uuid_compare(&taken[n].seat_id, &seat->id) != 0 ||
		!direct_place_begin(&scan, DIRECT_RESERVATION, &taken[n].place, &dirty))
		return false;
	seat_id = direct_uuid(&scan, RESERVATION_SEAT);
	found = uuid_compare(&seat_id, &seat->id) == 0 && direct_is_null(&scan, RESERVATION_DELETED);
	if (found)
		seat_take_reservation(seat, &scan, &dirty);
	direct_place_end(&scan);
	return found;
}

static void
seat_keep_taken(const SeatRow *seat, const DirectScan *scan)
{
	int n = (int) (lock_name_uuid(&seat->id) % TAKEN_KEPT_MAX);

	taken[n].seat_id = seat->id;
	taken[n].place = direct_place(scan);
}

/* Takes over the live reservation, if there is one, but leaves the newest fence as it is known. */
static void
seat_read_live(SeatRow *seat, Snapshot snapshot)
{
	SeatRow	   newest = *seat;
	Datum	   key = UUIDPGetDatum(&seat->id);
	DirectScan scan;

	direct_scan_begin(&scan, DIRECT_RESERVATION_LIVE_SEAT, snapshot, &key, 1);
	while (!seat->is_in_doubt && !seat->has_live && direct_scan_next(&scan, ForwardScanDirection))
		seat_take_reservation(seat, &scan,
							  snapshot->snapshot_type == SNAPSHOT_DIRTY ? snapshot : NULL);
	direct_scan_end(&scan);
	seat->newest_fence = newest.newest_fence;
	seat->newest_user_id = newest.newest_user_id;
}

/*
 * The seat's live reservation and its newest fence, by one scan of its history: no seat is reserved
 * under an older fence, so a live one is under the newest, perhaps beside ended ones of the same
 * user. But for an app's trigger, which may make an older fence of it: so a seat whose newest
 * reservation has ended is looked for among the live ones too.
 *
 * Without a snapshot the scan is a dirty one: a row that somebody is at work on ends the search,
 * for whatever else there is, the seat is in doubt. It may miss a row that is updated between the
 * looks at the index and at the table; so what is decided under the seat's lock, when nobody else
 * can be making a reservation, is read under a snapshot.
 */
static void
seat_read_reservation(SeatRow *seat, Snapshot snapshot)
{
	bool		 is_dirty = snapshot == InvalidSnapshot;
	SnapshotData dirty;
	DirectScan	 scan;
	Datum		 key = UUIDPGetDatum(&seat->id);

	if (is_dirty && seat_read_taken(seat))
		return;
	InitDirtySnapshot(dirty);
	direct_scan_begin(&scan, DIRECT_RESERVATION_SEAT_FENCE, is_dirty ? &dirty : snapshot, &key, 1);
	while (!seat->is_in_doubt && !seat->has_live && direct_scan_next(&scan, BackwardScanDirection))
	{
		if (direct_int64(&scan, RESERVATION_FENCE) < seat->newest_fence)
			break;
		seat_take_reservation(seat, &scan, is_dirty ? &dirty : NULL);
	}
	if (is_dirty && seat->has_live)
		seat_keep_taken(seat, &scan);
	direct_scan_end(&scan);
	if (seat->newest_fence != 0 && !seat->has_live && !seat->is_in_doubt)
		seat_read_live(seat, is_dirty ? &dirty : snapshot);
}

bool
store_in_doubt(const pg_uuid_t *seat_id)
{
	SeatRow seat = {.id = *seat_id};

	seat_read_reservation(&seat, InvalidSnapshot);
	return seat.is_in_doubt;
}

typedef struct SectionRow
{
	bool	  is_set;
	uint64	  generation;
	pg_uuid_t id;
	bool	  lives;
	int64	  price;
	char	  currency[4];
} SectionRow;

static SectionRow
section_read(const pg_uuid_t *id, Snapshot snapshot)
{
	SectionRow section = {.id = *id};
	DirectScan scan;

	section.lives = row_find(&scan, DIRECT_SECTION_ID, snapshot, id, SECTION_DELETED);
	if (section.lives)
	{
		bool isnull;

		section.price = direct_int64(&scan, SECTION_PRICE);
		text_to_cstring_buffer(DatumGetTextPP(direct_datum(&scan, SECTION_CURRENCY, &isnull)),
							   section.currency, sizeof(section.currency));
	}
	direct_scan_end(&scan);
	return section;
}

static const SectionRow *
section_find(const pg_uuid_t *id)
{
	static SectionRow kept[SECTIONS_KEPT_MAX];
	SectionRow		 *section = &kept[lock_name_uuid(id) % SECTIONS_KEPT_MAX];
	uint64			  generation = direct_generation(DIRECT_SECTION);

	if (!section->is_set || section->generation != generation || IsolationIsSerializable() ||
		uuid_compare(&section->id, id) != 0)
	{
		Snapshot snapshot = direct_snapshot();

		section->is_set = false;
		*section = section_read(id, snapshot);
		UnregisterSnapshot(snapshot);
		section->generation = generation;
		section->is_set = true;
	}
	return section;
}

/* The seat's own row; false when it is not there or deleted. */
static bool
seat_read_row(SeatRow *seat, Snapshot snapshot)
{
	DirectScan scan;
	bool	   lives = row_find(&scan, DIRECT_SEAT_ID, snapshot, &seat->id, SEAT_DELETED);

	if (lives)
	{
		seat->date_id = direct_uuid(&scan, SEAT_DATE);
		seat->section_id = direct_uuid(&scan, SEAT_SECTION);
		seat->row = direct_int32(&scan, SEAT_ROW);
		seat->is_blocked = !direct_is_null(&scan, SEAT_BLOCKED_REASON);
		seat->blocked_until = direct_is_null(&scan, SEAT_BLOCKED_UNTIL)
			? DT_NOEND
			: direct_int64(&scan, SEAT_BLOCKED_UNTIL);
	}
	direct_scan_end(&scan);
	return lives;
}

/* A live reservation proves its seat and the seat's date: nothing else of it matters any more. */
static void
seat_read(SeatRow *seat, Snapshot snapshot, TimestampTz now, StoreLook look)
{
	const SectionRow *section;

	*seat = (SeatRow){.id = seat->id, .date_id = seat->date_id};
	seat_read_reservation(seat, look == STORE_WHOLE ? snapshot : InvalidSnapshot);
	seat->found = look == STORE_FIRST_LOOK;
	if (seat->found)
		return;
	if (seat->has_live && !seat->is_in_doubt && !(seat->is_pending && seat->expires_at <= now))
	{
		seat->found = true;
		return;
	}
	seat->found = seat_read_row(seat, snapshot);
	if (!seat->found || look == STORE_TO_NAME)
		return;
	section = section_find(&seat->section_id);
	seat->found = section->lives;
	seat->price = section->price;
	strlcpy(seat->currency, section->currency, sizeof(seat->currency));
}

void
store_direct_seats(SeatRow *seats, int count, TimestampTz now, StoreLook look)
{
	Snapshot snapshot = look == STORE_FIRST_LOOK ? InvalidSnapshot : direct_snapshot();

	for (int i = 0; i < count; i++)
		seat_read(&seats[i], snapshot, now, look);
	UnregisterSnapshot(snapshot);
}

bool
store_direct_concession(const pg_uuid_t *section_id, const char *name, int64 *ret_price)
{
	Snapshot   snapshot = direct_snapshot();
	Datum	   keys[] = {UUIDPGetDatum(section_id), CStringGetTextDatum(name)};
	DirectScan scan;
	bool	   found;

	direct_scan_begin(&scan, DIRECT_CONCESSION_LIVE_NAME, snapshot, keys, lengthof(keys));
	found = direct_scan_next(&scan, ForwardScanDirection);
	if (found)
		*ret_price = direct_int64(&scan, CONCESSION_PRICE);
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return found;
}

int
store_direct_count_user_seats(const pg_uuid_t *user_id, const pg_uuid_t *date_id, TimestampTz now)
{
	Snapshot   snapshot = direct_snapshot();
	Datum	   keys[] = {UUIDPGetDatum(user_id), UUIDPGetDatum(date_id)};
	DirectScan scan;
	int		   count = 0;

	direct_scan_begin(&scan, DIRECT_RESERVATION_USER_DATE, snapshot, keys, lengthof(keys));
	while (direct_scan_next(&scan, ForwardScanDirection))
		if (direct_is_null(&scan, RESERVATION_DELETED) &&
			(direct_text_is(&scan, RESERVATION_STATUS, "confirmed") ||
			 direct_int64(&scan, RESERVATION_EXPIRES) > now))
			count++;
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return count;
}
