/* SPDX-License-Identifier: PostgreSQL */
/* What was done on a date since a snapshot; see hall_acts.h. */
#include "hall_acts.h"

#include "access/transam.h"
#include "access/xact.h"
#include "direct.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define ACTS_MAX 4000
#define ACTS_FIRST 64
/* Up to so many transactions are looked through for those that were open; beyond it by key. */
#define RANGE_XIDS_MAX 256

enum
{
	HISTORY_XID = 1,
	HISTORY_AT,
	HISTORY_ACTION = 6,
	HISTORY_SEATS = 10
};

/* The named transactions are looked up one by one; see mapacts.c. */
static SavedPlan find_acts =
	PLAN("SELECT late.* FROM unnest($4) AS open (xid) CROSS JOIN LATERAL"
		 " (SELECT h.xid, h.at, h.action, h.seat_ids FROM concert.history AS h"
		 "  WHERE h.concert_date_id = $1 AND h.xid = open.xid OFFSET 0) AS late"
		 " UNION ALL SELECT xid, at, action, seat_ids FROM concert.history"
		 " WHERE concert_date_id = $1 AND xid >= $2 AND xid < $3",
		 UUIDOID, XID8OID, XID8OID, XID8ARRAYOID);

typedef struct Acts
{
	const HallSeen *seen;
	uint64			below; /* rows of a restored dump may have numbers that are yet to come */
	int				count;
	int				room;
	HallAct		   *acts;
} Acts;

/* A transaction's number with its epoch; it began before next. */
static uint64
full_xid(TransactionId xid, FullTransactionId next)
{
	uint64 epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return (epoch << 32) | xid;
}

/* Our own transaction may yet act, however far its number lies back. */
HallSeen
hall_see(MemoryContext context)
{
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	Snapshot		  snapshot = RegisterSnapshot(GetLatestSnapshot());
	FullTransactionId next = ReadNextFullTransactionId();
	HallSeen		  seen = {
				 .xmin = full_xid(snapshot->xmin, next),
				 .xmax = full_xid(snapshot->xmax, next),
				 .open = MemoryContextAlloc(context, sizeof(uint64) * (snapshot->xcnt + 1)),
	 };

	for (uint32 i = 0; i < snapshot->xcnt; i++)
		seen.open[seen.open_count++] = full_xid(snapshot->xip[i], next);
	if (FullTransactionIdIsValid(own))
	{
		seen.open[seen.open_count++] = U64FromFullTransactionId(own);
		seen.xmin = Min(seen.xmin, U64FromFullTransactionId(own));
	}
	UnregisterSnapshot(snapshot);
	return seen;
}

static bool
seen_has(const HallSeen *seen, uint64 xid)
{
	if (xid < seen->xmin)
		return true;
	if (xid >= seen->xmax)
		return false;
	for (int i = 0; i < seen->open_count; i++)
		if (seen->open[i] == xid)
			return false;
	return true;
}

static HallActKind
act_kind(const text *action)
{
	const char *word = VARDATA_ANY(action);
	size_t		bytes = VARSIZE_ANY_EXHDR(action);

	if (bytes == strlen("reserved") && memcmp(word, "reserved", bytes) == 0)
		return HALL_RESERVED;
	if (bytes == strlen("confirmed") && memcmp(word, "confirmed", bytes) == 0)
		return HALL_CONFIRMED;
	return HALL_OTHER;
}

/* False when there are too many. */
static bool
acts_add(Acts *acts, uint64 xid, TimestampTz at, Datum action, Datum seats)
{
	const ArrayType *array;

	if (seen_has(acts->seen, xid) || xid >= acts->below)
		return true;
	if (acts->count == ACTS_MAX)
		return false;
	if (acts->count == acts->room)
	{
		acts->room *= 2;
		acts->acts = repalloc(acts->acts, sizeof(HallAct) * acts->room);
	}
	array = DatumGetArrayTypePCopy(seats);
	acts->acts[acts->count++] = (HallAct){
		.kind = act_kind(DatumGetTextPP(action)),
		.at = at,
		.count = ARR_HASNULL(array) ? 0 : ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)),
		.seat_ids = (const pg_uuid_t *) ARR_DATA_PTR(array),
	};
	return true;
}

/* Those of one transaction, or of all from that number on. */
static bool
acts_scan(Acts *acts, const pg_uuid_t *date_id, uint64 xid, bool and_later, Snapshot snapshot)
{
	Datum	   keys[] = {UUIDPGetDatum(date_id), UInt64GetDatum(xid)};
	DirectScan scan;
	bool	   goes_on = true;

	if (and_later)
		direct_scan_begin_last_from(&scan, DIRECT_HISTORY_DATE_XID, snapshot, keys, lengthof(keys));
	else
		direct_scan_begin(&scan, DIRECT_HISTORY_DATE_XID, snapshot, keys, lengthof(keys));
	while (goes_on && direct_scan_next(&scan, ForwardScanDirection))
	{
		bool isnull;

		goes_on =
			acts_add(acts, (uint64) direct_int64(&scan, HISTORY_XID),
					 direct_int64(&scan, HISTORY_AT), direct_datum(&scan, HISTORY_ACTION, &isnull),
					 direct_datum(&scan, HISTORY_SEATS, &isnull));
	}
	direct_scan_end(&scan);
	return goes_on;
}

static bool
acts_read_directly(Acts *acts, const pg_uuid_t *date_id, bool by_key)
{
	const HallSeen *seen = acts->seen;
	Snapshot		snapshot = direct_snapshot();
	bool			goes_on = true;

	for (int i = 0; by_key && goes_on && i < seen->open_count; i++)
		goes_on = acts_scan(acts, date_id, seen->open[i], false, snapshot);
	goes_on = goes_on && acts_scan(acts, date_id, by_key ? seen->xmax : seen->xmin, true, snapshot);
	UnregisterSnapshot(snapshot);
	return goes_on;
}

static bool
acts_read_by_statement(Acts *acts, const pg_uuid_t *date_id, bool by_key)
{
	const HallSeen *seen = acts->seen;
	int				rows = plan_read(
					&find_acts,
					PLAN_ARGS(uuid_value(date_id), value(UInt64GetDatum(by_key ? seen->xmax : seen->xmin)),
							  value(UInt64GetDatum(acts->below)),
							  value(PointerGetDatum(
								  construct_array((Datum *) seen->open, by_key ? seen->open_count : 0, XID8OID,
												  sizeof(uint64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)))));

	for (int i = 0; i < rows; i++)
		if (!acts_add(acts, (uint64) plan_int64(i, 0), plan_time(i, 1), plan_datum(i, 2),
					  plan_datum(i, 3)))
			return false;
	return true;
}

int
hall_acts_since(const pg_uuid_t *date_id, const HallSeen *seen, HallAct **ret_acts)
{
	bool by_key = seen->xmax - seen->xmin > RANGE_XIDS_MAX;
	Acts acts = {
		.seen = seen,
		.below = U64FromFullTransactionId(ReadNextFullTransactionId()),
		.room = ACTS_FIRST,
		.acts = palloc(sizeof(HallAct) * ACTS_FIRST),
	};
	bool all = direct_is_readable(DIRECT_HISTORY) ? acts_read_directly(&acts, date_id, by_key)
												  : acts_read_by_statement(&acts, date_id, by_key);

	*ret_acts = acts.acts;
	return all ? acts.count : -1;
}
