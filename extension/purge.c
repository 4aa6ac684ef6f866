/* SPDX-License-Identifier: PostgreSQL */
/*
 * purge(): the one way in which rows of the programme and of ended bookings really go, once their
 * retention is over. From the leaves to the root, bounded in each call.
 *
 * Money is never purged, nor what it was paid for: a booking with a payment or a ticket stays, and
 * with it its seat, section, date and concert. An ended booking goes as a whole with its history;
 * the house's own acts go with their date. The newest fence of a seat may go with a booking: the
 * holds that it could still refuse ended long before the shortest retention.
 *
 * What a row of an app's own table refers to by a key that forbids its removal stays too, as long
 * as it is referred to: the app's keys are found in the catalog, and whoever would meet one is not
 * tried. A booking stays as a whole.
 *
 * Locks: the bookings and the seats that go, all tried; what somebody is at work on stays for the
 * next call.
 */
#include "errors.h"

#include "guard.h"
#include "lock.h"
#include "utils/memutils.h"

#define PURGE_ROWS_MAX 10000
#define PURGE_KEPT_MAX 10000 /* are counted */

/* Stands in a statement for the condition that no app's row refers to t; always true by itself. */
#define UNREFERENCED " AND t.id IS NOT NULL"

PG_FUNCTION_INFO_V1(concert_purge);

/* A statement, and what it was last made into by keys of an app's. */
typedef struct Purge
{
	const char *table;
	SavedPlan	plan;
	SavedPlan	adapted;
} Purge;

static Purge find_bookings = {
	"reservation",
	PLAN(
		"SELECT DISTINCT booking_id FROM ("
		" SELECT booking_id FROM concert.reservation AS r WHERE r.deleted_at < $1"
		" AND NOT EXISTS (SELECT FROM concert.payment AS p WHERE p.booking_id = r.booking_id)"
		" AND NOT EXISTS (SELECT FROM concert.reservation AS t"
		"  LEFT JOIN concert.ticket ON ticket.reservation_id = t.id"
		"  WHERE t.booking_id = r.booking_id"
		"  AND NOT (t.deleted_at IS NOT NULL AND t.deleted_at < $1 AND ticket.id IS NULL" UNREFERENCED
		"))"
		" ORDER BY r.id LIMIT $2) AS due ORDER BY booking_id",
		TIMESTAMPTZOID, INT4OID)};

static SavedPlan purge_reservations =
	PLAN("DELETE FROM concert.reservation WHERE booking_id = ANY ($1) AND deleted_at < $2",
		 UUIDARRAYOID, TIMESTAMPTZOID);

static SavedPlan purge_history =
	PLAN("DELETE FROM concert.history WHERE booking_id = ANY ($1)", UUIDARRAYOID);

static Purge find_seats = {
	"seat",
	PLAN(
		"SELECT id FROM concert.seat AS t WHERE t.deleted_at < $1"
		" AND NOT EXISTS (SELECT FROM concert.reservation AS r WHERE r.seat_id = t.id)" UNREFERENCED
		" ORDER BY id LIMIT $2",
		TIMESTAMPTZOID, INT4OID)};

static SavedPlan purge_seats =
	PLAN("DELETE FROM concert.seat WHERE id = ANY ($1) AND deleted_at < $2", UUIDARRAYOID,
		 TIMESTAMPTZOID);

/* Rows of a table on which nothing hangs any more. */
#define NONE_OF(child, key) \
	" AND NOT EXISTS (SELECT FROM concert." child " AS c WHERE c." key " = t.id)"
#define PURGE_CHILDLESS(table, childless)                                                   \
	{                                                                                       \
		table,                                                                              \
			PLAN("DELETE FROM concert." table " WHERE deleted_at < $1 AND id = ANY (ARRAY(" \
				 "SELECT id FROM concert." table                                            \
				 " AS t WHERE t.deleted_at < $1" childless UNREFERENCED " LIMIT $2))",      \
				 TIMESTAMPTZOID, INT4OID)                                                   \
	}

/* Deleted concessions, and all of the sections that go next. */
#define PURGE_CONCESSIONS                                                                                   \
	{                                                                                                       \
		"concession",                                                                                       \
			PLAN(                                                                                           \
				"DELETE FROM concert.concession WHERE id = ANY (ARRAY("                                     \
				"SELECT t.id FROM concert.concession AS t JOIN concert.section AS s ON s.id = t.section_id" \
				" WHERE (t.deleted_at < $1 OR (s.deleted_at < $1 AND NOT EXISTS"                            \
				" (SELECT FROM concert.seat WHERE seat.section_id = s.id)))" UNREFERENCED                   \
				" LIMIT $2))",                                                                              \
				TIMESTAMPTZOID, INT4OID)                                                                    \
	}

/* Append-only rows of the dates that go next. */
#define PURGE_OF_DATES(table)                                                                       \
	{                                                                                               \
		table,                                                                                      \
			PLAN(                                                                                   \
				"DELETE FROM concert." table " WHERE ctid = ANY (ARRAY("                            \
				"SELECT t.ctid FROM concert.concert_date AS d"                                      \
				" JOIN concert." table " AS t ON t.concert_date_id = d.id WHERE d.deleted_at < $1"  \
				" AND NOT EXISTS (SELECT FROM concert.section AS s WHERE s.concert_date_id = d.id)" \
				" LIMIT $2))",                                                                      \
				TIMESTAMPTZOID, INT4OID)                                                            \
	}

static Purge purges[] = {
	PURGE_CONCESSIONS,
	PURGE_CHILDLESS("section", NONE_OF("seat", "section_id") NONE_OF("concession", "section_id")),
	PURGE_OF_DATES("place_lease"),
	PURGE_OF_DATES("admission_batch"),
	PURGE_OF_DATES("history"),
	PURGE_CHILDLESS("concert_date",
					NONE_OF("section", "concert_date_id") NONE_OF("place_lease", "concert_date_id")
						NONE_OF("admission_batch", "concert_date_id")),
	PURGE_CHILDLESS("concert", NONE_OF("concert_date", "concert_id")),
};

/* Of every app's key to the table, that no row has it. */
static SavedPlan find_keys = PLAN(
	"SELECT string_agg(format(' AND NOT EXISTS (SELECT FROM %s AS child WHERE %s)', k.conrelid::regclass,"
	" (SELECT string_agg(format('child.%I = t.%I', theirs.attname, ours.attname), ' AND ')"
	"  FROM unnest(k.conkey, k.confkey) AS c (theirs, ours)"
	"  JOIN pg_attribute AS theirs ON theirs.attrelid = k.conrelid AND theirs.attnum = c.theirs"
	"  JOIN pg_attribute AS ours ON ours.attrelid = k.confrelid AND ours.attnum = c.ours)), ''"
	" ORDER BY k.oid)"
	" FROM pg_constraint AS k JOIN pg_class AS child ON child.oid = k.conrelid"
	" WHERE k.contype = 'f' AND k.confdeltype IN ('a', 'r')"
	" AND k.confrelid = format('concert.%I', $1)::regclass"
	" AND child.relnamespace <> 'concert'::regnamespace AND k.conparentid = 0"
	" AND has_schema_privilege(child.relnamespace, 'USAGE')"
	" AND has_table_privilege(k.conrelid, 'SELECT')",
	TEXTOID);

static const char *const kept_tables[] = {"reservation", "seat",		 "concession",
										  "section",	 "concert_date", "concert"};

static TimestampTz purge_limit(FunctionCallInfo fcinfo);
static SavedPlan  *purge_plan(Purge *purge);
static void		   purge_tell_kept(const char *table, TimestampTz before);
static int		   purge_lock(Purge *find, LockClass class, TimestampTz before, int left,
							  NullableDatum *ret_ids);

Datum
concert_purge(PG_FUNCTION_ARGS)
{
	TimestampTz	  before = purge_limit(fcinfo);
	NullableDatum time = value(TimestampTzGetDatum(before));
	NullableDatum ids;
	int			  max_rows;
	int			  purged = 0;

	max_rows = argument_int32(fcinfo, 1, "max_rows", 1, PURGE_ROWS_MAX);
	plan_begin();
	if (purge_lock(&find_bookings, LOCK_BOOKING, before, max_rows, &ids) > 0)
	{
		purged += guard_purge("reservation", &purge_reservations, PLAN_ARGS(ids, time));
		guard_purge("history", &purge_history, PLAN_ARGS(ids));
	}
	if (purge_lock(&find_seats, LOCK_SEAT, before, max_rows - purged, &ids) > 0)
		purged += guard_purge("seat", &purge_seats, PLAN_ARGS(ids, time));
	for (int i = 0; i < lengthof(purges) && purged < max_rows; i++)
		purged += guard_purge(purges[i].table, purge_plan(&purges[i]),
							  PLAN_ARGS(time, value(Int32GetDatum(max_rows - purged))));
	for (int i = 0; i < lengthof(kept_tables); i++)
		purge_tell_kept(kept_tables[i], before);
	plan_end();
	PG_RETURN_INT32(purged);
}

static TimestampTz
purge_limit(FunctionCallInfo fcinfo)
{
	TimestampTz newest = GetCurrentTimestamp() - settings_retention_days * USECS_PER_DAY;
	TimestampTz before = PG_ARGISNULL(0) ? newest : PG_GETARG_TIMESTAMPTZ(0);

	if (before > newest)
		error_invalid("before", timestamptz_to_str(before),
					  psprintf("a time at least %d days ago (concert.retention_days)",
							   settings_retention_days));
	return before;
}

/*
 * The condition that no row refers to t by a key of an app's that forbids the removal, of those
 * keys whose tables the function's owner may read; NULL without any.
 */
static char *
purge_unreferenced(const char *table)
{
	plan_read(&find_keys, PLAN_ARGS(text_value(table)));
	return plan_text(0, 0);
}

/* Kept until the app's keys are others. */
static SavedPlan *
purge_plan(Purge *purge)
{
	const char *place = strstr(purge->plan.sql, UNREFERENCED);
	char	   *condition = place == NULL ? NULL : purge_unreferenced(purge->table);
	char	   *sql;

	if (condition == NULL)
		return &purge->plan;
	sql = psprintf("%.*s%s%s", (int) (place - purge->plan.sql), purge->plan.sql, condition,
				   place + strlen(UNREFERENCED));
	if (purge->adapted.sql == NULL || strcmp(purge->adapted.sql, sql) != 0)
	{
		plan_forget(&purge->adapted);
		if (purge->adapted.sql != NULL)
			pfree(unconstify(char *, purge->adapted.sql));
		memcpy(purge->adapted.types, purge->plan.types, sizeof(purge->plan.types));
		purge->adapted.sql = MemoryContextStrdup(TopMemoryContext, sql);
	}
	return &purge->adapted;
}

/* How many rows of the table are old enough, but an app's rows refer to them, if any do. */
static void
purge_tell_kept(const char *table, TimestampTz before)
{
	char	 *condition = purge_unreferenced(table);
	SavedPlan count = PLAN(NULL, TIMESTAMPTZOID, INT4OID);
	int64	  kept;

	if (condition == NULL)
		return;
	count.sql = psprintf("SELECT count(*) FROM (SELECT FROM concert.%s AS t WHERE t.deleted_at < $1"
						 " AND NOT (true%s) LIMIT $2) AS kept",
						 table, condition);
	plan_read(&count,
			  PLAN_ARGS(value(TimestampTzGetDatum(before)), value(Int32GetDatum(PURGE_KEPT_MAX))));
	kept = plan_int64(0, 0);
	plan_forget(&count);
	if (kept > 0)
		ereport(WARNING,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("rows of table \"%s\" to which rows of other tables refer are kept: "
						"%s" INT64_FORMAT,
						table, kept == PURGE_KEPT_MAX ? "at least " : "", kept)));
}

/* Finds what is due and tries its locks; returns how many were had, as an array. */
static int
purge_lock(Purge *find, LockClass class, TimestampTz before, int left, NullableDatum *ret_ids)
{
	int		   limit = Min(left, lock_batch_max() / 2);
	int		   found;
	int		   count = 0;
	pg_uuid_t *ids;

	if (left <= 0)
		return 0;
	found = plan_read(purge_plan(find),
					  PLAN_ARGS(value(TimestampTzGetDatum(before)), value(Int32GetDatum(limit))));
	ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));
	for (int i = 0; i < found; i++)
	{
		pg_uuid_t id = plan_uuid(i, 0);

		if (lock_try(class, lock_name_uuid(&id)))
			ids[count++] = id;
	}
	*ret_ids = uuid_array_value(ids, count);
	return count;
}
