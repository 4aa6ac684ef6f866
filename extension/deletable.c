/* SPDX-License-Identifier: PostgreSQL */
/*
 * Soft delete and restore; see deletable.h. The rules, the acts in the history and the events are
 * the tables' own (guard.c). What the two functions add to a bare UPDATE: a seat is locked before
 * its row, and a pending reservation whose time is over, which reads as free, is ended.
 *
 * Locks: the booking of an expired pending, then a seat as reserving does, both waiting and before
 * the row; the row (FOR UPDATE); the parent's row (FOR KEY SHARE; a section's date FOR SHARE,
 * against layouts on their way into it); the outbox key.
 */
#include "deletable.h"

#include "errors.h"
#include "guard.h"
#include "history.h"
#include "lock.h"
#include "miscadmin.h"
#include "reservation.h"
#include "seat.h"
#include "utils/builtins.h"

#define DEPENDENTS_TOLD_MAX 10

PG_FUNCTION_INFO_V1(concert_soft_delete);
PG_FUNCTION_INFO_V1(concert_restore);

struct Deletable
{
	const char *kind;
	const char *dependents; /* as the error's detail names them; NULL: nothing hangs on it */
	const char *parent;
	const char *parent_column;
	SavedPlan	find;			 /* whether it lives; locks the row */
	SavedPlan	find_dependents; /* how many live, and the first of them with their labels */
	SavedPlan	find_parent;	 /* the live one; locks it against its own deletion */
	SavedPlan	set;
	SavedPlan
		find_namesake;	  /* the live one whose name is in the way; none where names may repeat */
	SavedPlan find_dates; /* the dates whose history the act belongs to */
};

#define FIND(table) \
	PLAN("SELECT deleted_at IS NULL FROM concert." table " WHERE id = $1 FOR UPDATE", UUIDOID)
#define FIND_PARENT(table, lock) \
	PLAN("SELECT 1 FROM concert." table " WHERE id = $1 AND deleted_at IS NULL FOR " lock, UUIDOID)
#define FIND_DEPENDENTS(label, from_where, order)                      \
	PLAN("SELECT count(*) OVER (), " label " FROM concert." from_where \
		 " AND deleted_at IS NULL ORDER BY " order " LIMIT $2",        \
		 UUIDOID, INT4OID)
#define SET(table) \
	PLAN("UPDATE concert." table " SET deleted_at = $2 WHERE id = $1", UUIDOID, TIMESTAMPTZOID)

#define FIND_NAMESAKE(table, columns)                                                   \
	PLAN("SELECT live.id FROM concert." table " AS gone JOIN concert." table " AS live" \
		 " USING (" columns ") WHERE gone.id = $1 AND live.deleted_at IS NULL",         \
		 UUIDOID)
#define FIND_DATE(table) \
	PLAN("SELECT concert_date_id FROM concert." table " WHERE id = $1", UUIDOID)

static Deletable deletables[] = {
	{"concert",
	 "dates",
	 NULL,
	 NULL,
	 FIND("concert"),
	 FIND_DEPENDENTS("starts_at || ' (' || id || ')'", "concert_date WHERE concert_id = $1",
					 "starts_at, id"),
	 {0},
	 SET("concert"),
	 {0},
	 PLAN("SELECT id FROM concert.concert_date WHERE concert_id = $1 ORDER BY id", UUIDOID)},
	{"concert_date",
	 "sections",
	 "concert",
	 "concert_id",
	 FIND("concert_date"),
	 FIND_DEPENDENTS("name || ' (' || id || ')'", "section WHERE concert_date_id = $1", "name, id"),
	 FIND_PARENT("concert", "KEY SHARE"),
	 SET("concert_date"),
	 {0},
	 PLAN("SELECT $1", UUIDOID)},
	{"section", "seats", "concert_date", "concert_date_id", FIND("section"),
	 FIND_DEPENDENTS("label || ' (' || id || ')'", "seat WHERE section_id = $1", "\"row\", col"),
	 FIND_PARENT("concert_date", "SHARE"), SET("section"),
	 FIND_NAMESAKE("section", "concert_date_id, name, price, currency"), FIND_DATE("section")},
	{"concession",
	 NULL,
	 "section",
	 "section_id",
	 FIND("concession"),
	 {0},
	 FIND_PARENT("section", "KEY SHARE"),
	 SET("concession"),
	 FIND_NAMESAKE("concession", "section_id, name"),
	 FIND_DATE("concession")},
	{"seat",
	 "reservations",
	 "section",
	 "section_id",
	 FIND("seat"),
	 FIND_DEPENDENTS("status || ' (booking ' || booking_id || ')'",
					 "reservation WHERE seat_id = $1", "id"),
	 FIND_PARENT("section", "KEY SHARE"),
	 SET("seat"),
	 {0},
	 FIND_DATE("seat")},
};

static Deletable *const deletable_seat = &deletables[lengthof(deletables) - 1];

static SavedPlan find_expired =
	PLAN("SELECT booking_id FROM concert.reservation"
		 " WHERE seat_id = $1 AND deleted_at IS NULL AND resolved_at IS NULL AND expires_at <= $2",
		 UUIDOID, TIMESTAMPTZOID);

static Deletable *deletable_argument(FunctionCallInfo fcinfo);
static void		  deletable_lock(Deletable *deletable, const pg_uuid_t *id, bool live);
static void		  seat_lock_expired(const pg_uuid_t *seat_id);
static void		  seat_retire_expired(const pg_uuid_t *seat_id, TimestampTz now);
static void		  deletable_refuse_namesake(Deletable *deletable, const pg_uuid_t *id);

Deletable *
deletable_find(const char *kind)
{
	for (int i = 0; i < lengthof(deletables); i++)
		if (strcmp(deletables[i].kind, kind) == 0)
			return &deletables[i];
	return NULL;
}

const char *
deletable_parent_column(const Deletable *deletable)
{
	return deletable->parent_column;
}

void
deletable_judge_delete(Deletable *deletable, const pg_uuid_t *id)
{
	StringInfoData detail;
	int64		   live;
	int			   told;

	if (deletable->dependents == NULL)
		return;
	plan_write(&deletable->find, PLAN_ARGS(uuid_value(id)));
	told = plan_read(&deletable->find_dependents,
					 PLAN_ARGS(uuid_value(id), value(Int32GetDatum(DEPENDENTS_TOLD_MAX))));
	if (told == 0)
		return;
	initStringInfo(&detail);
	live = plan_int64(0, 0);
	appendStringInfo(&detail, "Live %s: ", deletable->dependents);
	for (int i = 0; i < told; i++)
		appendStringInfo(&detail, "%s%s", i > 0 ? ", " : "", plan_text(i, 1));
	if (live > told)
		appendStringInfo(&detail, " and " INT64_FORMAT " more", live - told);
	appendStringInfoChar(&detail, '.');
	error_still_in_use(deletable->kind, id, detail.data);
}

void
deletable_judge_restore(Deletable *deletable, const pg_uuid_t *id, const pg_uuid_t *parent_id)
{
	if (deletable->parent == NULL)
		return;
	if (plan_write(&deletable->find_parent, PLAN_ARGS(uuid_value(parent_id))) == 0)
		error_restore_refused(
			deletable->kind, id,
			psprintf("Its %s \"%s\" is deleted.", deletable->parent, uuid_text(parent_id)));
}

/* An act belongs to a date: a concert's own is written to each of its dates. */
void
deletable_tell(Deletable *deletable, const pg_uuid_t *id, const char *action)
{
	Act act = {
		.action = action,
		.actor = GetUserNameFromId(GetSessionUserId(), false),
		.detail = psprintf("%s %s", deletable->kind, uuid_text(id)),
	};
	int		   dates = plan_read(&deletable->find_dates, PLAN_ARGS(uuid_value(id)));
	pg_uuid_t *date_ids = plan_uuids(dates, 0);

	for (int i = 0; i < dates; i++)
	{
		act.date_id = date_ids[i];
		if (deletable == deletable_seat)
		{
			act.detail = NULL;
			act.count = 1;
			act.seat_ids = id;
			seat_tell(&act);
		}
		else
			history_add(&act, GetCurrentTimestamp());
	}
}

Datum
concert_soft_delete(PG_FUNCTION_ARGS)
{
	Deletable  *deletable = deletable_argument(fcinfo);
	pg_uuid_t  *id = PG_GETARG_UUID_P(1);
	TimestampTz now;

	version_require();
	PreventCommandIfReadOnly("concert.soft_delete()");
	plan_begin();
	if (deletable == deletable_seat)
		seat_lock_expired(id);
	deletable_lock(deletable, id, true);
	now = GetCurrentTimestamp();
	if (deletable == deletable_seat)
		seat_retire_expired(id, now);
	plan_write_rows(&deletable->set, PLAN_ARGS(uuid_value(id), value(TimestampTzGetDatum(now))), 1);
	plan_end();
	PG_RETURN_VOID();
}

Datum
concert_restore(PG_FUNCTION_ARGS)
{
	Deletable *deletable = deletable_argument(fcinfo);
	pg_uuid_t *id = PG_GETARG_UUID_P(1);

	PreventCommandIfReadOnly("concert.restore()");
	plan_begin();
	deletable_lock(deletable, id, false);
	deletable_refuse_namesake(deletable, id);
	plan_write_rows(&deletable->set, PLAN_ARGS(uuid_value(id), null_value()), 1);
	plan_end();
	PG_RETURN_VOID();
}

static Deletable *
deletable_argument(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"kind", "id"};
	Deletable				*deletable;
	char					*kind;

	argument_require(fcinfo, lengthof(names), names);
	kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	deletable = deletable_find(kind);
	if (deletable == NULL)
		error_invalid("kind", kind, "concert, concert_date, section, concession or seat");
	return deletable;
}

static void
deletable_lock(Deletable *deletable, const pg_uuid_t *id, bool live)
{
	if (deletable == deletable_seat)
		guard_lock_seat(id);
	if (plan_write(&deletable->find, PLAN_ARGS(uuid_value(id))) == 0 || plan_bool(0, 0) != live)
		error_unknown_object(live ? deletable->kind : psprintf("deleted %s", deletable->kind), id);
}

static bool
seat_find_expired(const pg_uuid_t *seat_id, TimestampTz now, pg_uuid_t *ret_booking_id)
{
	if (plan_read(&find_expired, PLAN_ARGS(uuid_value(seat_id), value(TimestampTzGetDatum(now)))) ==
		0)
		return false;
	*ret_booking_id = plan_uuid(0, 0);
	return true;
}

/* The booking's lock stands before the seat's, and whoever takes the seat down may wait for it. */
static void
seat_lock_expired(const pg_uuid_t *seat_id)
{
	pg_uuid_t booking_id;

	if (seat_find_expired(seat_id, GetCurrentTimestamp(), &booking_id))
		(void) lock_wait(LOCK_BOOKING, lock_name_uuid(&booking_id));
}

/* One that is another booking's by now, at work, stays: the guard refuses the deletion. */
static void
seat_retire_expired(const pg_uuid_t *seat_id, TimestampTz now)
{
	pg_uuid_t booking_id;

	if (!seat_find_expired(seat_id, now, &booking_id))
		return;
	if (lock_try(LOCK_BOOKING, lock_name_uuid(&booking_id)))
		booking_retire_seats(seat_id, 1, now, NULL);
}

/* The unique index would refuse it too, but could not say it in these words. */
static void
deletable_refuse_namesake(Deletable *deletable, const pg_uuid_t *id)
{
	pg_uuid_t live_id;

	if (deletable->find_namesake.sql == NULL ||
		plan_read(&deletable->find_namesake, PLAN_ARGS(uuid_value(id))) == 0)
		return;
	live_id = plan_uuid(0, 0);
	error_restore_refused(
		deletable->kind, id,
		psprintf("Live %s \"%s\" has its name.", deletable->kind, uuid_text(&live_id)));
}
