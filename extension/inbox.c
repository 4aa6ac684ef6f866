/* SPDX-License-Identifier: PostgreSQL */
/*
 * The consumers' inbox: an event is accepted once by each consumer, however often it comes.
 *
 * Four tables are used in turn, each for a period of seven days, and an event belongs to the
 * period of the time inside its own version 7 id: a duplicate always meets its first in the same
 * table. The running period and the two before it are kept; what is older is refused, never
 * applied blindly; ids may run one period ahead of this clock.
 *
 * The clock is read after the table's lock, so that no event slips into a table which was
 * emptied while it waited. Locks: inbox_N (ROW EXCLUSIVE to accept, ACCESS EXCLUSIVE to empty),
 * and a consumer that comes with the same event waits for the one before it to commit.
 */
#include "inbox.h"

#include "errors.h"
#include "guard.h"
#include "lock.h"
#include "plan.h"
#include "storage/lmgr.h"

#define INBOX_TABLES 4
#define INBOX_PERIODS_KEPT 2 /* before the running one */
#define INBOX_PERIODS_AHEAD 1
#define INBOX_PERIOD_MS (INT64CONST(7) * SECS_PER_DAY * 1000)
#define UUID_VERSION 7
#define MS_PER_SEC 1000

PG_FUNCTION_INFO_V1(concert_inbox_accept);
PG_FUNCTION_INFO_V1(concert_inbox_rotate);

#define RECORD_IN(n)                                                                             \
	PLAN("INSERT INTO concert.inbox_" n " (event_id, consumer, accepted_at) VALUES ($1, $2, $3)" \
		 " ON CONFLICT DO NOTHING",                                                              \
		 UUIDOID, TEXTOID, TIMESTAMPTZOID)
#define YOUNGER_IN(n) \
	PLAN("SELECT 1 FROM concert.inbox_" n " WHERE event_id >= $1 LIMIT 1", UUIDOID)
#define EMPTY_IN(n) PLAN("TRUNCATE concert.inbox_" n, InvalidOid)

static SavedPlan record_event[INBOX_TABLES] = {RECORD_IN("0"), RECORD_IN("1"), RECORD_IN("2"),
											   RECORD_IN("3")};
static SavedPlan find_younger[INBOX_TABLES] = {YOUNGER_IN("0"), YOUNGER_IN("1"), YOUNGER_IN("2"),
											   YOUNGER_IN("3")};
static SavedPlan empty_table[INBOX_TABLES] = {EMPTY_IN("0"), EMPTY_IN("1"), EMPTY_IN("2"),
											  EMPTY_IN("3")};

static int64	 inbox_period_of(const pg_uuid_t *event_id);
static int64	 inbox_period_now(void);
static pg_uuid_t inbox_first_id(int64 period);
static bool		 inbox_empty(int n);

Reason
inbox_record(const char *consumer, const pg_uuid_t *event_id)
{
	int64 period = inbox_period_of(event_id);
	int	  n = (int) (period % INBOX_TABLES);
	int64 now;

	LockRelationOid(relation_oid(psprintf("inbox_%d", n)), RowExclusiveLock);
	now = inbox_period_now();
	if (period > now + INBOX_PERIODS_AHEAD)
		error_event_id_refused(event_id);
	if (period < now - INBOX_PERIODS_KEPT)
		return REASON_TOO_LATE;
	if (plan_write(&record_event[n],
				   PLAN_ARGS(uuid_value(event_id), text_value(consumer),
							 value(TimestampTzGetDatum(GetCurrentTimestamp())))) == 0)
		return REASON_ALREADY_RESOLVED;
	return REASON_NONE;
}

Datum
concert_inbox_accept(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"consumer", "event_id"};
	NullableDatum			 columns[2];
	Reason					 reason;
	char					*consumer;

	argument_require(fcinfo, lengthof(names), names);
	consumer = argument_text(fcinfo, 0, "consumer", NAME_CHARS_MAX);
	plan_begin();
	reason = inbox_record(consumer, PG_GETARG_UUID_P(1));
	plan_end();
	columns[0] = value(BoolGetDatum(reason == REASON_NONE));
	columns[1] = answer_reason(reason);
	return answer_row(fcinfo, columns, lengthof(columns));
}

/* The period ahead will want the table of the one that is past: no other can be emptied. */
Datum
concert_inbox_rotate(PG_FUNCTION_ARGS)
{
	bool emptied;

	plan_begin();
	emptied = inbox_empty((int) ((inbox_period_now() + INBOX_PERIODS_AHEAD) % INBOX_TABLES));
	plan_end();
	PG_RETURN_INT32(emptied ? 1 : 0);
}

static int64
inbox_period_of(const pg_uuid_t *event_id)
{
	int64 ms = 0;

	if (event_id->data[6] >> 4 != UUID_VERSION || event_id->data[8] >> 6 != 2)
		error_event_id_refused(event_id);
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | event_id->data[i];
	return ms / INBOX_PERIOD_MS;
}

static int64
inbox_period_now(void)
{
	int64 us = GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	return us / (USECS_PER_SEC / MS_PER_SEC) / INBOX_PERIOD_MS;
}

static pg_uuid_t
inbox_first_id(int64 period)
{
	pg_uuid_t id = {{0}};
	int64	  ms = period * INBOX_PERIOD_MS;

	for (int i = 0; i < 6; i++)
		id.data[i] = (unsigned char) (ms >> (40 - 8 * i));
	return id;
}

/* Whoever uses the table, or an event in it that is not past, leaves it for a later call. */
static bool
inbox_empty(int n)
{
	pg_uuid_t everything = inbox_first_id(0);
	pg_uuid_t oldest_kept;

	if (plan_read(&find_younger[n], PLAN_ARGS(uuid_value(&everything))) == 0 ||
		!lock_table_try(psprintf("inbox_%d", n)))
		return false;
	oldest_kept = inbox_first_id(inbox_period_now() - INBOX_PERIODS_KEPT);
	if (plan_read(&find_younger[n], PLAN_ARGS(uuid_value(&oldest_kept))) > 0)
		return false;
	guard_truncate(psprintf("inbox_%d", n), &empty_table[n]);
	return true;
}
