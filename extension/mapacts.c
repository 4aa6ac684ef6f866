/* SPDX-License-Identifier: PostgreSQL */
/* What history tells of a date's seats; see mapacts.h. */
#include "mapacts.h"

#include "access/xact.h"
#include "direct.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/xid8.h"

#define ACTS_FIRST 64
/* Up to so many transactions are looked through for those that were open; beyond it by key. */
#define RANGE_XIDS_MAX 256

enum
{
	HISTORY_XID = 1,
	HISTORY_AT,
	HISTORY_BOOKING = 4,
	HISTORY_ACTION = 6,
	HISTORY_DETAIL = 9,
	HISTORY_SEATS
};

/*
 * Each of the transactions that are named is looked up by itself: xid = ANY would be a filter over
 * all of the date's history in a plan that was made while there was none.
 */
static SavedPlan find_acts = PLAN(
	"SELECT late.* FROM unnest($4) AS open (xid) CROSS JOIN LATERAL"
	" (SELECT h.xid, h.at, h.booking_id, h.action, h.seat_ids, h.detail FROM concert.history AS h"
	"  WHERE h.concert_date_id = $1 AND h.xid = open.xid OFFSET 0) AS late"
	" UNION ALL SELECT xid, at, booking_id, action, seat_ids, detail FROM concert.history"
	" WHERE concert_date_id = $1 AND xid >= $2 AND xid < $3 LIMIT $5",
	UUIDOID, XID8OID, XID8OID, XID8ARRAYOID, INT4OID);

static SavedPlan find_own_act =
	PLAN("SELECT 1 FROM concert.history WHERE concert_date_id = $1 AND xid = $2 LIMIT 1", UUIDOID,
		 XID8OID);

typedef struct Reading
{
	const pg_uuid_t	 *date_id;
	const MapVersion *since;
	FullTransactionId below; /* rows of a restored dump may have numbers that are yet to come */
	Snapshot		  snapshot;
	int				  room;
	MapActs			 *acts;
} Reading;

/* What is reserved for another time than the date's has a detail. */
static MapActKind
act_kind(Datum action, bool has_detail)
{
	if (value_is_text(action, "reserved"))
		return has_detail ? MAP_OTHER : MAP_RESERVED;
	return value_is_text(action, "confirmed") ? MAP_CONFIRMED : MAP_OTHER;
}

/* False when the map must be read anew for it; an act without seats is on the date as a whole. */
static bool
reading_add(Reading *reading, TimestampTz at, bool is_of_house, Datum action, bool has_detail,
			Datum seats)
{
	const ArrayType *array = DatumGetArrayTypePCopy(seats);
	int				 count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	MapActs			*acts = reading->acts;

	if (is_of_house && !value_is_text(action, "blocked") && !value_is_text(action, "unblocked"))
		return false;
	if (acts->count == MAP_CHANGES_MAX || count == 0 || ARR_HASNULL(array))
		return false;
	if (acts->count == reading->room)
	{
		reading->room *= 2;
		acts->acts = repalloc(acts->acts, sizeof(MapAct) * reading->room);
	}
	acts->acts[acts->count++] = (MapAct){
		.kind = act_kind(action, has_detail),
		.at = at,
		.count = count,
		.seat_ids = (const pg_uuid_t *) ARR_DATA_PTR(array),
	};
	return true;
}

/* Those of one transaction, or of all from that number on. */
static bool
reading_scan(Reading *reading, FullTransactionId xid, bool and_later)
{
	Datum	   keys[] = {UUIDPGetDatum(reading->date_id), FullTransactionIdGetDatum(xid)};
	DirectScan scan;
	bool	   goes_on = true;

	if (and_later)
		direct_scan_begin_last_from(&scan, DIRECT_HISTORY_DATE_XID, reading->snapshot, keys,
									lengthof(keys));
	else
		direct_scan_begin(&scan, DIRECT_HISTORY_DATE_XID, reading->snapshot, keys, lengthof(keys));
	while (goes_on && direct_scan_next(&scan, ForwardScanDirection))
	{
		bool			  isnull;
		FullTransactionId act_xid =
			FullTransactionIdFromU64((uint64) direct_int64(&scan, HISTORY_XID));

		if (!mapversion_shows(reading->since, act_xid) &&
			FullTransactionIdPrecedes(act_xid, reading->below))
			goes_on = reading_add(reading, direct_int64(&scan, HISTORY_AT),
								  direct_is_null(&scan, HISTORY_BOOKING),
								  direct_datum(&scan, HISTORY_ACTION, &isnull),
								  !direct_is_null(&scan, HISTORY_DETAIL),
								  direct_datum(&scan, HISTORY_SEATS, &isnull));
	}
	direct_scan_end(&scan);
	return goes_on;
}

static bool
reading_directly(Reading *reading)
{
	const MapVersion *since = reading->since;
	bool			  goes_on = true;

	if (since->xid_count > 0 &&
		U64FromFullTransactionId(since->xmax) - U64FromFullTransactionId(since->xids[0]) <=
			RANGE_XIDS_MAX)
		return reading_scan(reading, since->xids[0], true);
	for (int i = 0; goes_on && i < since->xid_count; i++)
		goes_on = reading_scan(reading, since->xids[i], false);
	return goes_on && reading_scan(reading, since->xmax, true);
}

static NullableDatum
xid8_array_value(const FullTransactionId *xids, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = FullTransactionIdGetDatum(xids[i]);
	return value(PointerGetDatum(construct_array(
		elements, count, XID8OID, sizeof(FullTransactionId), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

static bool
reading_by_statement(Reading *reading)
{
	const MapVersion *since = reading->since;
	int				  rows = plan_read_at(&find_acts,
										  PLAN_ARGS(uuid_value(reading->date_id),
													value(FullTransactionIdGetDatum(since->xmax)),
													value(FullTransactionIdGetDatum(reading->below)),
													xid8_array_value(since->xids, since->xid_count),
													value(Int32GetDatum(MAP_CHANGES_MAX + 1))),
										  reading->snapshot);

	for (int row = 0; row < rows; row++)
		if (!reading_add(reading, plan_time(row, 1), plan_is_null(row, 2), plan_datum(row, 3),
						 !plan_is_null(row, 5), plan_datum(row, 4)))
			return false;
	return true;
}

bool
mapacts_since(const pg_uuid_t *date_id, const MapVersion *since, Snapshot snapshot,
			  MapActs *ret_acts)
{
	Reading reading = {
		.date_id = date_id,
		.since = since,
		.below = ReadNextFullTransactionId(),
		.snapshot = snapshot,
		.room = ACTS_FIRST,
		.acts = ret_acts,
	};

	*ret_acts = (MapActs){.acts = palloc(sizeof(MapAct) * ACTS_FIRST)};
	return direct_is_readable(DIRECT_HISTORY) ? reading_directly(&reading)
											  : reading_by_statement(&reading);
}

pg_uuid_t *
mapacts_seats(const MapActs *acts, int *ret_count)
{
	pg_uuid_t *seat_ids;
	int		   count = 0;

	for (int i = 0; i < acts->count; i++)
		count += acts->acts[i].count;
	seat_ids = palloc_extended(sizeof(pg_uuid_t) * Max(count, 1), MCXT_ALLOC_HUGE);
	*ret_count = 0;
	for (int i = 0; i < acts->count; i++)
	{
		memcpy(&seat_ids[*ret_count], acts->acts[i].seat_ids,
			   sizeof(pg_uuid_t) * acts->acts[i].count);
		*ret_count += acts->acts[i].count;
	}
	return seat_ids;
}

bool
mapacts_has_own(const pg_uuid_t *date_id, Snapshot snapshot)
{
	FullTransactionId own = GetTopFullTransactionIdIfAny();

	return FullTransactionIdIsValid(own) &&
		plan_read_at(&find_own_act,
					 PLAN_ARGS(uuid_value(date_id), value(FullTransactionIdGetDatum(own))),
					 snapshot) > 0;
}
