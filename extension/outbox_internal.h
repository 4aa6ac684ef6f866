/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the outbox's own files share: outbox.c (events go in), outbox_slice.c (they are read),
 * outbox_cursor.c (they are acked), outbox_ring.c (what was acked is emptied).
 *
 * A position (s1, s2, seq) says: all that is visible in s1 was delivered, and of the difference
 * of s2 and s1 (visible in s2, not in s1) all up to seq. Everything here is called between
 * plan_begin() and plan_end().
 */
#ifndef CONCERT_OUTBOX_INTERNAL_H
#define CONCERT_OUTBOX_INTERNAL_H

#include "outbox.h"
#include "plan.h"

#define OUTBOX_EVENT_TABLES 4
#define OUTBOX_CURSOR_TABLES 2
#define OUTBOX_LANES_MAX 64

/* The position before everything: xids start at 3, so this snapshot sees none. */
#define OUTBOX_SNAPSHOT_NOTHING "1:1:"

typedef struct OutboxState
{
	Oid	 sequence;	  /* of the events' numbers */
	int	 event_table; /* the one that events go into now */
	int	 cursor_table;
	int	 lanes;
	bool reset_needed; /* rows of another cluster or a dump are there */
} OutboxState;

typedef struct OutboxPosition
{
	Datum s1;
	Datum s2;
	int64 seq;
} OutboxPosition;

typedef struct OutboxCursor
{
	int64		   epoch;
	int64		   n;
	OutboxPosition position;
} OutboxCursor;

/* Columns of outbox_slice_next()'s rows. */
enum
{
	SLICE_SEQ,
	SLICE_ID,
	SLICE_TOPIC,
	SLICE_KEY,
	SLICE_TYPE,
	SLICE_HEADERS,
	SLICE_PAYLOAD,
	SLICE_CREATED_AT,
	SLICE_COLUMNS_COUNT
};

/* outbox.c */
extern const char *outbox_stamp(void);
extern OutboxState outbox_state(void);

/* As outbox_state(), but raises TK008 where transaction ids may be another cluster's. */
extern OutboxState outbox_own_state(void);
extern int		   outbox_lane_argument(FunctionCallInfo fcinfo, int n, const OutboxState *state);

/*
 * outbox_slice.c: reads at most max_rows events that follow the position, in order, and moves
 * its s1 and s2 on when the difference is used up and the next one is not empty; the rows stay
 * readable by plan_datum() until the next run. outbox_slice_require_past() refuses a snapshot
 * that says what the future will see.
 */
extern int	outbox_slice_next(int lane, OutboxPosition *position, int max_rows);
extern void outbox_slice_require_past(Datum snapshot);

/*
 * outbox_cursor.c: the newest cursor of a lane (epoch and n 0 where there is none yet), under a
 * lock of the transaction that keeps it the newest; and another one appended after its n.
 */
extern OutboxCursor outbox_cursor_newest(int lane);
extern void outbox_cursor_append(int lane, const OutboxState *state, const OutboxCursor *cursor);

/* A datum that outlives the next run of a plan. */
extern Datum outbox_copy(Datum varlena);

#endif /* CONCERT_OUTBOX_INTERNAL_H */
