/* SPDX-License-Identifier: PostgreSQL */
/*
 * What was acked is emptied: the event tables and the cursor tables are rings, used in turn,
 * and TRUNCATE is the only way in which a row ever leaves them.
 *
 * Locks of outbox_rotate(), all within lock_timeout (50 ms, set with the function) and none
 * kept when one is not had: outbox_state (SHARE ROW EXCLUSIVE, so that one rotates at a time),
 * then ACCESS EXCLUSIVE on the event table that is next and on both cursor tables. Writers use
 * another event table and do not notice; a reader waits. Whoever still writes into the table
 * that is next, also a prepared transaction, makes it 'busy'. What is judged is read after the
 * locks: a row that the table's lock let in is seen.
 *
 * outbox_reset() takes ACCESS EXCLUSIVE on all of them and waits for it.
 */
#include "outbox_internal.h"

#include "access/xact.h"
#include "errors.h"
#include "guard.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/resowner.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(concert_outbox_rotate);
PG_FUNCTION_INFO_V1(concert_outbox_reset);

#define ANY_EVENT_IN(n) PLAN("SELECT 1 FROM concert.outbox_event_" n " LIMIT 1", InvalidOid)
#define EMPTY(table) PLAN("TRUNCATE concert." table, InvalidOid)

static SavedPlan any_event[OUTBOX_EVENT_TABLES] = {ANY_EVENT_IN("0"), ANY_EVENT_IN("1"),
												   ANY_EVENT_IN("2"), ANY_EVENT_IN("3")};

static SavedPlan empty_events[OUTBOX_EVENT_TABLES] = {
	EMPTY("outbox_event_0"), EMPTY("outbox_event_1"), EMPTY("outbox_event_2"),
	EMPTY("outbox_event_3")};

static SavedPlan empty_cursors[OUTBOX_CURSOR_TABLES] = {EMPTY("outbox_cursor_0"),
														EMPTY("outbox_cursor_1")};

/* As the view outbox_unacked; here of one table, and the first is enough. */
#define ANY_UNACKED_IN(n)                                                                          \
	PLAN("SELECT 1 FROM concert.outbox_position AS p, LATERAL ("                                   \
		 "(SELECT FROM concert.outbox_event_" n " WHERE lane = p.lane"                             \
		 " AND (xid, seq) > (pg_snapshot_xmin(p.s2), 0) AND NOT pg_visible_in_snapshot(xid, p.s2)" \
		 " ORDER BY xid, seq LIMIT 1)"                                                             \
		 " UNION ALL "                                                                             \
		 "(SELECT FROM concert.outbox_event_" n " WHERE lane = p.lane AND seq > p.seq"             \
		 " AND pg_visible_in_snapshot(xid, p.s2) AND NOT pg_visible_in_snapshot(xid, p.s1)"        \
		 " ORDER BY seq LIMIT 1)) AS unacked LIMIT 1",                                             \
		 InvalidOid)

static SavedPlan any_unacked[OUTBOX_EVENT_TABLES] = {ANY_UNACKED_IN("0"), ANY_UNACKED_IN("1"),
													 ANY_UNACKED_IN("2"), ANY_UNACKED_IN("3")};

/* The newest cursor of a lane may be an old one: nothing has come since. */
#define CARRY(from, to)                                                                           \
	PLAN("INSERT INTO concert.outbox_cursor_" to " SELECT old.* FROM concert.outbox_cursor_" from \
		 " AS old JOIN concert.outbox_position AS newest USING (lane, epoch, n)",                 \
		 InvalidOid)

static SavedPlan carry_out_of[OUTBOX_CURSOR_TABLES] = {CARRY("0", "1"), CARRY("1", "0")};

static SavedPlan switch_tables =
	PLAN("UPDATE concert.outbox_state SET event_table = $1, cursor_table = $2 WHERE stamp = $3",
		 INT4OID, INT4OID, TEXTOID);

static SavedPlan set_aside = PLAN(
	"CREATE TEMPORARY TABLE concert_outbox_kept AS SELECT lane < 0 AS ours, seq, id, topic, key, type,"
	" headers, payload, created_at FROM concert.outbox_unacked",
	InvalidOid);

static SavedPlan restored_lanes =
	PLAN("SELECT max(lanes) FROM concert.outbox_state WHERE stamp <> $1", TEXTOID);

static SavedPlan forget_states = PLAN("DELETE FROM concert.outbox_state", InvalidOid);

static SavedPlan record_state = PLAN(
	"INSERT INTO concert.outbox_state (stamp, event_table, cursor_table, lanes) VALUES ($1, 0, 0, $2)",
	TEXTOID, INT4OID);

static SavedPlan emit_kept =
	PLAN("INSERT INTO concert.outbox_event_0"
		 " (seq, xid, created_at, id, lane, topic, key, type, headers, payload)"
		 " SELECT nextval('concert.outbox_seq'), $1, created_at, id,"
		 "  concert.outbox_lane(topic, key, $2),"
		 "  topic, key, type, headers, payload"
		 " FROM (SELECT * FROM pg_temp.concert_outbox_kept ORDER BY ours, seq) AS kept",
		 XID8OID, INT4OID);

static SavedPlan drop_kept = PLAN("DROP TABLE pg_temp.concert_outbox_kept", InvalidOid);

static Reason ring_rotate(void);
static bool	  ring_try_locks(int event_table);
static void	  ring_lock(int event_table);
static void	  ring_lock_table(const char *table, LOCKMODE mode);
static void	  ring_empty_events(int n);
static void	  ring_empty_cursors(int n);
static int64  ring_reset(void);
static void	  ring_restart_lanes(const OutboxCursor *newest, int lanes);

Datum
concert_outbox_rotate(PG_FUNCTION_ARGS)
{
	Reason		  reason;
	NullableDatum columns[2];

	PreventCommandDuringRecovery("concert.outbox_rotate()");
	if (IsolationUsesXactSnapshot())
		error_snapshot_too_old("outbox_rotate()");
	plan_begin();
	reason = ring_rotate();
	plan_end();
	columns[0] = value(BoolGetDatum(reason == REASON_NONE));
	columns[1] = answer_reason(reason);
	return answer_row(fcinfo, columns, lengthof(columns));
}

Datum
concert_outbox_reset(PG_FUNCTION_ARGS)
{
	OutboxState state;
	int64		kept = 0;

	PreventCommandDuringRecovery("concert.outbox_reset()");
	if (IsolationUsesXactSnapshot())
		error_snapshot_too_old("outbox_reset()");
	plan_begin();
	ring_lock_table("outbox_state", AccessExclusiveLock);
	for (int i = 0; i < OUTBOX_EVENT_TABLES; i++)
		ring_lock_table(psprintf("outbox_event_%d", i), AccessExclusiveLock);
	for (int i = 0; i < OUTBOX_CURSOR_TABLES; i++)
		ring_lock_table(psprintf("outbox_cursor_%d", i), AccessExclusiveLock);
	state = outbox_state();
	if (state.reset_needed)
		kept = ring_reset();
	plan_end();
	PG_RETURN_INT64(kept);
}

/* Looks once before the locks, for nobody should wait for a table that cannot be emptied. */
static Reason
ring_rotate(void)
{
	OutboxState state = outbox_own_state();
	int			event_table = (state.event_table + 1) % OUTBOX_EVENT_TABLES;
	int			cursor_table = (state.cursor_table + 1) % OUTBOX_CURSOR_TABLES;

	if (plan_read(&any_event[state.event_table], NULL) == 0)
		return REASON_NONE;
	if (plan_read(&any_unacked[event_table], NULL) > 0 || !ring_try_locks(event_table) ||
		outbox_own_state().event_table != state.event_table ||
		plan_read(&any_unacked[event_table], NULL) > 0)
		return REASON_BUSY;
	ring_empty_events(event_table);
	plan_write(&carry_out_of[cursor_table], NULL);
	ring_empty_cursors(cursor_table);
	plan_write(&switch_tables,
			   PLAN_ARGS(value(Int32GetDatum(event_table)), value(Int32GetDatum(cursor_table)),
						 text_value(outbox_stamp())));
	return REASON_NONE;
}

/* All the locks or none of them: the time-out is caught in a subtransaction of its own. */
static bool
ring_try_locks(int event_table)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool locked = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		ring_lock(event_table);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		locked = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return locked;
}

static void
ring_lock(int event_table)
{
	ring_lock_table("outbox_state", ShareRowExclusiveLock);
	ring_lock_table(psprintf("outbox_event_%d", event_table), AccessExclusiveLock);
	for (int i = 0; i < OUTBOX_CURSOR_TABLES; i++)
		ring_lock_table(psprintf("outbox_cursor_%d", i), AccessExclusiveLock);
}

static void
ring_lock_table(const char *table, LOCKMODE mode)
{
	LockRelationOid(relation_oid(table), mode);
}

static void
ring_empty_events(int n)
{
	guard_truncate(psprintf("outbox_event_%d", n), &empty_events[n]);
}

static void
ring_empty_cursors(int n)
{
	guard_truncate(psprintf("outbox_cursor_%d", n), &empty_cursors[n]);
}

/*
 * Restored cursors and restored xids belong together, so that what was acked is told as ever;
 * what was not, and what this database emitted since, becomes one transaction of ours, with its
 * ids and in its order. Epochs and the cursors' numbers go on.
 */
static int64
ring_reset(void)
{
	OutboxCursor  newest[OUTBOX_LANES_MAX];
	NullableDatum xid = value(FullTransactionIdGetDatum(GetTopFullTransactionId()));
	int			  lanes;
	int64		  kept;

	plan_read(&restored_lanes, PLAN_ARGS(text_value(outbox_stamp())));
	lanes = plan_int32(0, 0);
	for (int lane = 0; lane < lanes; lane++)
		newest[lane] = outbox_cursor_newest(lane);
	plan_write(&set_aside, NULL);
	for (int i = 0; i < OUTBOX_EVENT_TABLES; i++)
		ring_empty_events(i);
	for (int i = 0; i < OUTBOX_CURSOR_TABLES; i++)
		ring_empty_cursors(i);
	guard_purge("outbox_state", &forget_states, NULL);
	plan_write(&record_state, PLAN_ARGS(text_value(outbox_stamp()), value(Int32GetDatum(lanes))));
	kept = plan_write(&emit_kept, PLAN_ARGS(xid, value(Int32GetDatum(lanes))));
	plan_write(&drop_kept, NULL);
	ring_restart_lanes(newest, lanes);
	return kept;
}

static void
ring_restart_lanes(const OutboxCursor *newest, int lanes)
{
	OutboxState state = outbox_own_state();
	Datum nothing = DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(OUTBOX_SNAPSHOT_NOTHING));

	for (int lane = 0; lane < lanes; lane++)
	{
		OutboxCursor first = {.epoch = newest[lane].epoch + 1,
							  .n = newest[lane].n,
							  .position = {nothing, nothing, 0}};

		outbox_cursor_append(lane, &state, &first);
	}
}
