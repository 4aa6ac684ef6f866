/* SPDX-License-Identifier: PostgreSQL */
/*
 * Events are acked: cursors are appended, never changed; the newest of a lane is the highest
 * (epoch, n).
 *
 * A lane belongs to the session that holds its lock, taken by outbox_open() and kept until the
 * session ends; a new epoch fences whoever had it before. A second lock, of the transaction and
 * held for a moment, makes reading the newest cursor and appending the next one step, because
 * outbox_skip() appends while a relay holds the lane. Neither is waited for under any other.
 */
#include "outbox_internal.h"

#include "access/xlog.h"
#include "errors.h"
#include "lock.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/pg_lsn.h"

/* Beside the names of the lanes themselves, which are their numbers. */
#define CURSOR_LOCK_NAME(lane) ((UINT64CONST(1) << 32) + (uint64) (lane))

PG_FUNCTION_INFO_V1(concert_outbox_open);
PG_FUNCTION_INFO_V1(concert_outbox_ack);
PG_FUNCTION_INFO_V1(concert_outbox_skip);

static SavedPlan read_newest =
	PLAN("SELECT epoch, n, s1, s2, seq FROM concert.outbox_position WHERE lane = $1", INT4OID);

#define CURSOR_INTO(table)                                              \
	PLAN("INSERT INTO concert.outbox_cursor_" table                     \
		 " (lane, n, epoch, s1, s2, seq, lsn, timeline, created_at)"    \
		 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())", \
		 INT4OID, INT8OID, INT8OID, PG_SNAPSHOTOID, PG_SNAPSHOTOID, INT8OID, PG_LSNOID, INT4OID)

static SavedPlan append_cursor[OUTBOX_CURSOR_TABLES] = {CURSOR_INTO("0"), CURSOR_INTO("1")};

static SavedPlan judge_step =
	PLAN("SELECT concert.outbox_is_forward($1, $2, $3, $4, $5, $6)", PG_SNAPSHOTOID, PG_SNAPSHOTOID,
		 INT8OID, PG_SNAPSHOTOID, PG_SNAPSHOTOID, INT8OID);

/* In the words of the index on seq, as in outbox_slice.c; with = any index would look as good. */
static SavedPlan find_acked = PLAN(
	"SELECT 1 FROM concert.outbox_event WHERE lane = $1 AND seq >= $4 AND seq <= $4"
	" AND pg_visible_in_snapshot(xid, $3) AND NOT pg_visible_in_snapshot(xid, $2) ORDER BY seq",
	INT4OID, PG_SNAPSHOTOID, PG_SNAPSHOTOID, INT8OID);

static SavedPlan record_skip =
	PLAN("INSERT INTO concert.outbox_skipped"
		 " (event_id, lane, seq, topic, key, type, skipped_by, skipped_at)"
		 " VALUES ($1, $2, $3, $4, $5, $6, session_user, clock_timestamp())",
		 UUIDOID, INT4OID, INT8OID, TEXTOID, TEXTOID, TEXTOID);

static Datum  cursor_answer(FunctionCallInfo fcinfo, Reason reason);
static Datum  cursor_open_answer(FunctionCallInfo fcinfo, const OutboxCursor *cursor);
static Reason cursor_ack(int lane, const OutboxState *state, const OutboxCursor *cursor);
static void cursor_require_forward(int lane, const OutboxPosition *from, const OutboxPosition *to);
static void cursor_require_event(int lane, const OutboxPosition *position);
static Reason cursor_skip(int lane, const OutboxState *state, const pg_uuid_t *event_id);

Datum
concert_outbox_open(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"lane"};
	MemoryContext			 caller = CurrentMemoryContext;
	OutboxState				 state;
	OutboxCursor			 cursor;
	Datum					 answer;
	bool					 ours;
	int						 lane;

	argument_require(fcinfo, lengthof(names), names);
	PreventCommandDuringRecovery("concert.outbox_open()");
	plan_begin();
	state = outbox_own_state();
	lane = outbox_lane_argument(fcinfo, 0, &state);
	ours = lock_session_try(LOCK_LANE, (uint64) lane);
	if (ours)
	{
		cursor = outbox_cursor_newest(lane);
		cursor.epoch++;
		outbox_cursor_append(lane, &state, &cursor);
	}
	MemoryContextSwitchTo(caller);
	answer = cursor_open_answer(fcinfo, ours ? &cursor : NULL);
	plan_end();
	return answer;
}

Datum
concert_outbox_ack(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"lane", "epoch", "s1", "s2", "seq"};
	OutboxState				 state;
	OutboxCursor			 cursor;
	Reason					 reason;
	int						 lane;

	argument_require(fcinfo, lengthof(names), names);
	PreventCommandDuringRecovery("concert.outbox_ack()");
	plan_begin();
	state = outbox_own_state();
	lane = outbox_lane_argument(fcinfo, 0, &state);
	cursor =
		(OutboxCursor){.epoch = PG_GETARG_INT64(1),
					   .position = {PG_GETARG_DATUM(2), PG_GETARG_DATUM(3), PG_GETARG_INT64(4)}};
	reason = cursor_ack(lane, &state, &cursor);
	plan_end();
	return cursor_answer(fcinfo, reason);
}

Datum
concert_outbox_skip(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"lane", "event_id"};
	OutboxState				 state;
	Reason					 reason;
	int						 lane;

	argument_require(fcinfo, lengthof(names), names);
	PreventCommandDuringRecovery("concert.outbox_skip()");
	plan_begin();
	state = outbox_own_state();
	lane = outbox_lane_argument(fcinfo, 0, &state);
	reason = cursor_skip(lane, &state, PG_GETARG_UUID_P(1));
	plan_end();
	return cursor_answer(fcinfo, reason);
}

static Datum
cursor_answer(FunctionCallInfo fcinfo, Reason reason)
{
	NullableDatum columns[] = {value(BoolGetDatum(reason == REASON_NONE)), answer_reason(reason)};

	return answer_row(fcinfo, columns, lengthof(columns));
}

static Datum
cursor_open_answer(FunctionCallInfo fcinfo, const OutboxCursor *cursor)
{
	NullableDatum columns[] = {value(BoolGetDatum(cursor != NULL)),
							   answer_reason(cursor != NULL ? REASON_NONE : REASON_BUSY),
							   null_value(),
							   null_value(),
							   null_value(),
							   null_value()};

	if (cursor != NULL)
	{
		columns[2] = value(Int64GetDatum(cursor->epoch));
		columns[3] = value(cursor->position.s1);
		columns[4] = value(cursor->position.s2);
		columns[5] = value(Int64GetDatum(cursor->position.seq));
	}
	return answer_row(fcinfo, columns, lengthof(columns));
}

static Reason
cursor_ack(int lane, const OutboxState *state, const OutboxCursor *cursor)
{
	OutboxCursor next = *cursor;
	OutboxCursor newest;

	if (!lock_session_held(LOCK_LANE, (uint64) lane))
		return REASON_STALE_FENCE;
	newest = outbox_cursor_newest(lane);
	if (cursor->epoch != newest.epoch)
		return REASON_STALE_FENCE;
	cursor_require_forward(lane, &newest.position, &cursor->position);
	outbox_slice_require_past(cursor->position.s2);
	cursor_require_event(lane, &cursor->position);
	next.n = newest.n;
	outbox_cursor_append(lane, state, &next);
	return REASON_NONE;
}

static void
cursor_require_forward(int lane, const OutboxPosition *from, const OutboxPosition *to)
{
	plan_read(&judge_step,
			  PLAN_ARGS(value(from->s1), value(from->s2), value(Int64GetDatum(from->seq)),
						value(to->s1), value(to->s2), value(Int64GetDatum(to->seq))));
	if (!plan_bool(0, 0))
		error_cursor_backwards(lane);
}

/* An ack names its last event: a number out of thin air could pass over events for ever. */
static void
cursor_require_event(int lane, const OutboxPosition *position)
{
	if (plan_read(&find_acked,
				  PLAN_ARGS(value(Int32GetDatum(lane)), value(position->s1), value(position->s2),
							value(Int64GetDatum(position->seq)))) == 0)
		error_invalid("seq", psprintf(INT64_FORMAT, position->seq),
					  "the number of an event of the lane and of that difference");
}

/* A new epoch, so that the relay which is stuck at the event reads the new cursor. */
static Reason
cursor_skip(int lane, const OutboxState *state, const pg_uuid_t *event_id)
{
	OutboxCursor cursor = outbox_cursor_newest(lane);
	pg_uuid_t	 first;

	if (outbox_slice_next(lane, &cursor.position, 1) == 0)
		return REASON_UNKNOWN;
	first = plan_uuid(0, SLICE_ID);
	if (uuid_compare(&first, event_id) != 0)
		return REASON_UNKNOWN;
	cursor.epoch++;
	cursor.position.seq = plan_int64(0, SLICE_SEQ);
	plan_write(&record_skip,
			   PLAN_ARGS(uuid_value(&first), value(Int32GetDatum(lane)),
						 value(Int64GetDatum(cursor.position.seq)),
						 text_value(plan_text(0, SLICE_TOPIC)), text_value(plan_text(0, SLICE_KEY)),
						 text_value(plan_text(0, SLICE_TYPE))));
	outbox_cursor_append(lane, state, &cursor);
	return REASON_NONE;
}

OutboxCursor
outbox_cursor_newest(int lane)
{
	lock_wait(LOCK_LANE, CURSOR_LOCK_NAME(lane));
	plan_read(&read_newest, PLAN_ARGS(value(Int32GetDatum(lane))));
	return (OutboxCursor){.epoch = plan_int64(0, 0),
						  .n = plan_int64(0, 1),
						  .position = {outbox_copy(plan_datum(0, 2)), outbox_copy(plan_datum(0, 3)),
									   plan_int64(0, 4)}};
}

void
outbox_cursor_append(int lane, const OutboxState *state, const OutboxCursor *cursor)
{
	plan_write(&append_cursor[state->cursor_table],
			   PLAN_ARGS(value(Int32GetDatum(lane)), value(Int64GetDatum(cursor->n + 1)),
						 value(Int64GetDatum(cursor->epoch)), value(cursor->position.s1),
						 value(cursor->position.s2), value(Int64GetDatum(cursor->position.seq)),
						 value(LSNGetDatum(GetXLogInsertRecPtr())),
						 value(Int32GetDatum((int32) GetWALInsertionTimeLine()))));
}
