/* SPDX-License-Identifier: PostgreSQL */
/*
 * Events are read: the difference of two snapshots, in order of seq, in slices.
 *
 * Nothing is lost, because the difference is made of whole transactions: what s2 sees and s1
 * does not, however early its xid or its number was drawn. Order per key holds, because within
 * a difference seq was drawn under the key's lock, and over differences a snapshot that sees
 * the later event of a key sees the earlier.
 *
 * A slice must cost what it returns, also when ten million events wait, and also when millions
 * that were acked are still in the tables. Walking by seq is that cheap, but from where?
 * Only transactions that s1 knew as running can have drawn numbers long ago: they are looked up
 * by xid. All others of the difference (xid >= xmax(s1)) have a lowest number, the floor; from
 * there on the walk meets little else. The floor is looked for once in a difference.
 *
 * Takes no lock but the tables' own.
 */
#include "outbox_internal.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#define SLICE_ROWS_MAX 10000
#define SLICE_BYTES_MAX (8 * 1024 * 1024)
#define SLICE_SEQ_NONE PG_INT64_MAX
#define SLICE_SEQ_EMPTY (-1)

PG_FUNCTION_INFO_V1(concert_outbox_read);

/* What this session found out about the difference that it reads; both never change. */
typedef struct Difference
{
	bytea *s1; /* NULL: nothing known */
	bytea *s2;
	int64  floor; /* no xid >= xmax(s1) drew a lower number; or SLICE_SEQ_EMPTY */
	int64  end;	  /* there is no event beyond this number */
} Difference;

static Difference differences[OUTBOX_LANES_MAX];

#define IN_EVERY_TABLE(part) \
	part("0") " UNION ALL " part("1") " UNION ALL " part("2") " UNION ALL " part("3")

#define COLUMNS "seq, id, topic, key, type, headers, payload, created_at"

/*
 * The ORDER BY of each part is that of the index which it is meant to walk, and so is the row
 * comparison: a plan may be made while the tables are empty and all indexes look alike to it.
 *
 * Below the floor by xid, one probe for each that was running in s1 and is done in s2; from the
 * floor on by seq. LIMIT ends both early.
 */
#define SLICE_OF(n)                                                                   \
	"(SELECT early.* FROM pg_snapshot_xip($2) AS running (xid), LATERAL"              \
	" (SELECT " COLUMNS " FROM concert.outbox_event_" n " WHERE lane = $1"            \
	" AND (xid, seq) > (running.xid, $4) AND (xid, seq) < (running.xid, $5)"          \
	" ORDER BY xid, seq LIMIT $6) AS early"                                           \
	" WHERE pg_visible_in_snapshot(running.xid, $3))"                                 \
	" UNION ALL "                                                                     \
	"(SELECT " COLUMNS " FROM concert.outbox_event_" n                                \
	" WHERE lane = $1 AND seq > $4 AND seq >= $5 AND pg_visible_in_snapshot(xid, $3)" \
	" AND NOT pg_visible_in_snapshot(xid, $2) ORDER BY seq LIMIT $6)"

static SavedPlan read_slice =
	PLAN("SELECT * FROM (" IN_EVERY_TABLE(SLICE_OF) ") AS slice ORDER BY seq LIMIT $6", INT4OID,
		 PG_SNAPSHOTOID, PG_SNAPSHOTOID, INT8OID, INT8OID, INT4OID);

#define LATE_OF(n)                                                                    \
	"(SELECT seq FROM concert.outbox_event_" n " WHERE lane = $1"                     \
	" AND (xid, seq) > (pg_snapshot_xmax($2), 0) AND pg_visible_in_snapshot(xid, $3)" \
	" ORDER BY xid, seq)"

static SavedPlan find_floor =
	PLAN("SELECT min(seq), EXISTS (SELECT FROM pg_snapshot_xip($2) AS running (xid)"
		 "  WHERE pg_visible_in_snapshot(running.xid, $3))"
		 " FROM (" IN_EVERY_TABLE(LATE_OF) ") AS late",
		 INT4OID, PG_SNAPSHOTOID, PG_SNAPSHOTOID);

/* A snapshot takes its own transaction for finished once a later one is; here it is not. */
static SavedPlan take_snapshot =
	PLAN("SELECT CASE WHEN pg_visible_in_snapshot($1, s) THEN"
		 "  format('%s:%s:%s', pg_snapshot_xmin(s), pg_snapshot_xmax(s),"
		 "   (SELECT string_agg(xid::text, ',' ORDER BY xid)"
		 "    FROM (SELECT pg_snapshot_xip(s) UNION ALL SELECT $1) AS running (xid)))::pg_snapshot"
		 " ELSE s END FROM pg_current_snapshot() AS s",
		 XID8OID);

static SavedPlan judge_snapshot =
	PLAN("SELECT concert.snapshot_within($1, pg_current_snapshot())", PG_SNAPSHOTOID);

static void slice_fill(Tuplestorestate *store, TupleDesc tupdesc, const OutboxPosition *position,
					   int rows);
static Difference *slice_difference(int lane, const OutboxPosition *position);
static void		   slice_remember(int lane, const OutboxPosition *position, int64 floor, int64 end);
static int64	   slice_floor(int lane, const OutboxPosition *position);
static int		   slice_run(int lane, const OutboxPosition *position, int64 floor, int max_rows);
static int64	   slice_end(int rows, int max_rows, int64 seq);
static Datum	   slice_snapshot(void);
static void		   slice_flush(XLogRecPtr inserted);
static bool		   slice_same(Datum a, const bytea *b);
static bytea	  *slice_keep(Datum snapshot);

Datum
concert_outbox_read(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"lane", "s1", "s2", "seq", "max_rows"};
	ReturnSetInfo			*result = (ReturnSetInfo *) fcinfo->resultinfo;
	OutboxPosition			 position;
	OutboxState				 state;
	int						 max_rows;
	int						 lane;
	int						 rows;

	argument_require(fcinfo, lengthof(names), names);
	PreventCommandDuringRecovery("concert.outbox_read()");
	max_rows = argument_int32(fcinfo, 4, "max_rows", 1, SLICE_ROWS_MAX);
	InitMaterializedSRF(fcinfo, 0);
	plan_begin();
	state = outbox_own_state();
	lane = outbox_lane_argument(fcinfo, 0, &state);
	position = (OutboxPosition){PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_INT64(3)};
	rows = outbox_slice_next(lane, &position, max_rows);
	slice_fill(result->setResult, result->setDesc, &position, rows);
	plan_end();
	return (Datum) 0;
}

/*
 * The local WAL is flushed before the first slice of a difference leaves: a commit under
 * synchronous_commit=off is visible before it is durable, and what was published must not be
 * gone after a crash. The insert position is read after s2 was taken, so it is behind every
 * commit that s2 sees; later slices of the same difference need no flush of their own.
 */
int
outbox_slice_next(int lane, OutboxPosition *position, int max_rows)
{
	Difference	  *known = slice_difference(lane, position);
	OutboxPosition next = {.s1 = position->s2, .seq = 0};
	XLogRecPtr	   inserted;
	int64		   floor;
	int			   rows = 0;

	if (position->seq < known->end)
	{
		rows = slice_run(lane, position, known->floor, max_rows);
		known->end = Min(known->end, slice_end(rows, max_rows, position->seq));
	}
	if (rows > 0)
		return rows;
	next.s2 = slice_snapshot();
	inserted = GetXLogInsertRecPtr();
	if (slice_same(next.s2, known->s2))
		return 0;
	floor = slice_floor(lane, &next);
	rows = slice_run(lane, &next, floor, max_rows);
	if (rows == 0)
		return 0;
	slice_flush(inserted);
	slice_remember(lane, &next, floor, slice_end(rows, max_rows, 0));
	position->s1 = next.s1;
	position->s2 = next.s2;
	return rows;
}

void
outbox_slice_require_past(Datum snapshot)
{
	plan_read(&judge_snapshot, PLAN_ARGS(value(snapshot)));
	if (!plan_bool(0, 0))
		error_invalid("s2", DatumGetCString(DirectFunctionCall1(pg_snapshot_out, snapshot)),
					  "a snapshot that outbox_read() or outbox_open() returned");
}

/* Stops short of rows whose payloads together would be too much for one answer. */
static void
slice_fill(Tuplestorestate *store, TupleDesc tupdesc, const OutboxPosition *position, int rows)
{
	Size bytes = 0;

	for (int row = 0; row < rows; row++)
	{
		Datum values[SLICE_COLUMNS_COUNT + 2] = {position->s1, position->s2};
		bool  nulls[SLICE_COLUMNS_COUNT + 2] = {false};

		for (int i = 0; i < SLICE_COLUMNS_COUNT; i++)
			values[i + 2] = plan_datum(row, i);
		bytes += toast_raw_datum_size(plan_datum(row, SLICE_PAYLOAD));
		if (row > 0 && bytes > SLICE_BYTES_MAX)
			break;
		tuplestore_putvalues(store, tupdesc, values, nulls);
	}
}

/* What is known of the position's difference; made known where it is not. */
static Difference *
slice_difference(int lane, const OutboxPosition *position)
{
	Difference *known = &differences[lane];

	if (known->s1 == NULL || !slice_same(position->s1, known->s1) ||
		!slice_same(position->s2, known->s2))
	{
		outbox_slice_require_past(position->s2);
		slice_remember(lane, position, slice_floor(lane, position), SLICE_SEQ_NONE);
	}
	return known;
}

static void
slice_remember(int lane, const OutboxPosition *position, int64 floor, int64 end)
{
	Difference *known = &differences[lane];
	bytea	   *s1 = slice_keep(position->s1);
	bytea	   *s2 = slice_keep(position->s2);

	if (known->s1 != NULL)
	{
		pfree(known->s1);
		pfree(known->s2);
	}
	*known = (Difference){.s1 = s1, .s2 = s2, .floor = floor, .end = end};
}

static int64
slice_floor(int lane, const OutboxPosition *position)
{
	plan_read(&find_floor,
			  PLAN_ARGS(value(Int32GetDatum(lane)), value(position->s1), value(position->s2)));
	if (!plan_is_null(0, 0))
		return plan_int64(0, 0);
	return plan_bool(0, 1) ? SLICE_SEQ_NONE : SLICE_SEQ_EMPTY;
}

static int
slice_run(int lane, const OutboxPosition *position, int64 floor, int max_rows)
{
	if (floor == SLICE_SEQ_EMPTY)
		return 0;
	return plan_read(&read_slice,
					 PLAN_ARGS(value(Int32GetDatum(lane)), value(position->s1), value(position->s2),
							   value(Int64GetDatum(position->seq)), value(Int64GetDatum(floor)),
							   value(Int32GetDatum(max_rows))));
}

/* A slice that is not full ends the difference: all its transactions are finished. */
static int64
slice_end(int rows, int max_rows, int64 seq)
{
	if (rows == max_rows)
		return SLICE_SEQ_NONE;
	return rows == 0 ? seq : plan_int64(rows - 1, SLICE_SEQ);
}

static Datum
slice_snapshot(void)
{
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	NullableDatum	  xid = null_value();

	if (FullTransactionIdIsValid(own))
		xid = value(FullTransactionIdGetDatum(own));
	plan_read(&take_snapshot, PLAN_ARGS(xid));
	return outbox_copy(plan_datum(0, 0));
}

/*
 * An insert position just behind a page header means that the page before it is full and
 * nothing is on this one; to XLogFlush() it would lie past the end of the WAL, and on a server
 * that is idle after pg_switch_wal() it would stay there. It counts as the page's start.
 */
static void
slice_flush(XLogRecPtr inserted)
{
	bool   first_page = XLogSegmentOffset(inserted, wal_segment_size) < XLOG_BLCKSZ;
	uint32 header = first_page ? SizeOfXLogLongPHD : SizeOfXLogShortPHD;

	if (inserted % XLOG_BLCKSZ == header)
		inserted -= header;
	XLogFlush(inserted);
}

static bool
slice_same(Datum a, const bytea *b)
{
	bytea *snapshot = DatumGetByteaPP(a);

	return VARSIZE_ANY_EXHDR(snapshot) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(snapshot), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)) == 0;
}

static bytea *
slice_keep(Datum snapshot)
{
	MemoryContext work = MemoryContextSwitchTo(TopMemoryContext);
	bytea		 *copy = DatumGetByteaPCopy(snapshot);

	MemoryContextSwitchTo(work);
	return copy;
}
