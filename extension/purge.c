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
 * Locks: the bookings and the seats that go, all tried; what somebody is at work on stays for the
 * next call.
 */
#include "errors.h"

#include "guard.h"
#include "lock.h"

#define PURGE_ROWS_MAX 10000

PG_FUNCTION_INFO_V1(concert_purge);

static SavedPlan find_bookings =
	PLAN("SELECT DISTINCT booking_id FROM ("
		 " SELECT booking_id FROM concert.reservation AS r WHERE r.deleted_at < $1"
		 " AND NOT EXISTS (SELECT FROM concert.payment AS p WHERE p.booking_id = r.booking_id)"
		 " AND NOT EXISTS (SELECT FROM concert.reservation AS other"
		 "  LEFT JOIN concert.ticket AS t ON t.reservation_id = other.id"
		 "  WHERE other.booking_id = r.booking_id"
		 "  AND (other.deleted_at IS NULL OR other.deleted_at >= $1 OR t.id IS NOT NULL))"
		 " ORDER BY r.id LIMIT $2) AS due ORDER BY booking_id",
		 TIMESTAMPTZOID, INT4OID);

static SavedPlan purge_reservations =
	PLAN("DELETE FROM concert.reservation WHERE booking_id = ANY ($1) AND deleted_at < $2",
		 UUIDARRAYOID, TIMESTAMPTZOID);

static SavedPlan purge_history =
	PLAN("DELETE FROM concert.history WHERE booking_id = ANY ($1)", UUIDARRAYOID);

static SavedPlan find_seats =
	PLAN("SELECT id FROM concert.seat AS s WHERE s.deleted_at < $1"
		 " AND NOT EXISTS (SELECT FROM concert.reservation AS r WHERE r.seat_id = s.id)"
		 " ORDER BY id LIMIT $2",
		 TIMESTAMPTZOID, INT4OID);

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
				 "SELECT id FROM concert." table " AS t WHERE t.deleted_at < $1" childless  \
				 " LIMIT $2))",                                                             \
				 TIMESTAMPTZOID, INT4OID)                                                   \
	}

/* Deleted concessions, and all of the sections that go next. */
#define PURGE_CONCESSIONS                                                                                     \
	{                                                                                                         \
		"concession",                                                                                         \
			PLAN(                                                                                             \
				"DELETE FROM concert.concession WHERE id = ANY (ARRAY("                                       \
				"SELECT concession.id FROM concert.concession JOIN concert.section AS t ON t.id = section_id" \
				" WHERE concession.deleted_at < $1 OR (t.deleted_at < $1" NONE_OF(                            \
					"seat", "section_id") ")"                                                                 \
										  " LIMIT $2))",                                                      \
				TIMESTAMPTZOID, INT4OID)                                                                      \
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

static struct
{
	const char *table;
	SavedPlan	purge;
} purges[] = {
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

static TimestampTz purge_limit(FunctionCallInfo fcinfo);
static int		   purge_lock(SavedPlan *find, LockClass class, TimestampTz before, int left,
							  NullableDatum *ret_ids);

Datum
concert_purge(PG_FUNCTION_ARGS)
{
	TimestampTz	  before = purge_limit(fcinfo);
	NullableDatum time = value(TimestampTzGetDatum(before));
	NullableDatum ids;
	int			  max_rows;
	int			  purged = 0;

	if (PG_ARGISNULL(1))
		error_null("max_rows");
	max_rows = PG_GETARG_INT32(1);
	if (max_rows < 1 || max_rows > PURGE_ROWS_MAX)
		error_invalid_number("max_rows", max_rows, 1, PURGE_ROWS_MAX);
	plan_begin();
	if (purge_lock(&find_bookings, LOCK_BOOKING, before, max_rows, &ids) > 0)
	{
		purged += guard_purge("reservation", &purge_reservations, PLAN_ARGS(ids, time));
		guard_purge("history", &purge_history, PLAN_ARGS(ids));
	}
	if (purge_lock(&find_seats, LOCK_SEAT, before, max_rows - purged, &ids) > 0)
		purged += guard_purge("seat", &purge_seats, PLAN_ARGS(ids, time));
	for (int i = 0; i < lengthof(purges) && purged < max_rows; i++)
		purged += guard_purge(purges[i].table, &purges[i].purge,
							  PLAN_ARGS(time, value(Int32GetDatum(max_rows - purged))));
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

/* Finds what is due and tries its locks; returns how many were had, as an array. */
static int
purge_lock(SavedPlan *find, LockClass class, TimestampTz before, int left, NullableDatum *ret_ids)
{
	int		   limit = Min(left, lock_batch_max() / 2);
	int		   found;
	int		   count = 0;
	pg_uuid_t *ids;

	if (left <= 0)
		return 0;
	found =
		plan_read(find, PLAN_ARGS(value(TimestampTzGetDatum(before)), value(Int32GetDatum(limit))));
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
