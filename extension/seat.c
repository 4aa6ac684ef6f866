/* SPDX-License-Identifier: PostgreSQL */
/*
 * Seats: adding them to a section, and house blocks. Who adds some has the date to himself beside
 * import_layout() and copy_layout() (layout_store.c). A block is set under the lock with which
 * a seat is reserved, tried and not waited for, so that it never overtakes a sale.
 */
#include "seat.h"

#include "errors.h"
#include "lock.h"
#include "outbox.h"
#include "plan.h"
#include "utils/array.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define SEATS_PER_ROW_MAX 10000

PG_FUNCTION_INFO_V1(concert_add_seats);
PG_FUNCTION_INFO_V1(concert_block_seats);
PG_FUNCTION_INFO_V1(concert_unblock_seats);

static SavedPlan live_section = PLAN(
	"SELECT 1 FROM concert.section AS s JOIN concert.concert_date AS d ON d.id = s.concert_date_id"
	" WHERE s.id = $1 AND s.concert_date_id = $2 AND s.deleted_at IS NULL AND d.deleted_at IS NULL"
	" FOR SHARE OF d FOR KEY SHARE OF s",
	UUIDOID, UUIDOID);

static SavedPlan insert_seats =
	PLAN("INSERT INTO concert.seat (concert_date_id, section_id, \"row\", col, label, accessible)"
		 " SELECT $1, $2, $3, s.col, coalesce(s.label, $3 || '-' || s.col),"
		 " coalesce(s.col = ANY ($6), false)"
		 " FROM unnest($4, $5) WITH ORDINALITY AS s (col, label, n) ORDER BY s.n"
		 " ON CONFLICT (concert_date_id, \"row\", col) DO NOTHING RETURNING col",
		 UUIDOID, UUIDOID, INT4OID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID);

/* For every seat asked for: its date, why it cannot be blocked, whose pending it may still be. */
static SavedPlan judge_seats =
	PLAN("SELECT asked.id, s.concert_date_id,"
		 " CASE WHEN s.id IS NULL THEN 'unknown'"
		 " WHEN live.status = 'confirmed' THEN 'sold'"
		 " WHEN live.expires_at > clock_timestamp() THEN 'held' END,"
		 " s.concert_date_id <> first_value(s.concert_date_id) OVER (ORDER BY asked.n),"
		 " CASE WHEN live.status = 'pending' THEN live.booking_id END"
		 " FROM unnest($1) WITH ORDINALITY AS asked (id, n)"
		 " LEFT JOIN concert.seat AS s ON s.id = asked.id AND s.deleted_at IS NULL"
		 " LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL"
		 " ORDER BY asked.n",
		 UUIDARRAYOID);

static SavedPlan block_seats =
	PLAN("UPDATE concert.seat SET blocked_reason = $2, blocked_until = $3 WHERE id = ANY ($1)",
		 UUIDARRAYOID, TEXTOID, TIMESTAMPTZOID);

static SavedPlan unblock_seats =
	PLAN("UPDATE concert.seat SET blocked_reason = NULL, blocked_until = NULL"
		 " WHERE id = ANY ($1) AND blocked_reason IS NOT NULL",
		 UUIDARRAYOID);

static SavedPlan still_blocked = PLAN(
	"SELECT 1 FROM concert.seat WHERE id = ANY ($1) AND blocked_reason IS NOT NULL", UUIDARRAYOID);

/* The seats that are to be blocked or unblocked, and which locks were had. */
typedef struct Blocking
{
	int				 count;
	const pg_uuid_t *ids;  /* in the caller's order, as all below */
	bool			*busy; /* somebody is at work on it */
	bool			*seat_locked;
	pg_uuid_t		*booking_ids; /* of an expired pending, where booking_locked is set */
	bool			*booking_locked;
} Blocking;

static ArrayType *
seat_array(FunctionCallInfo fcinfo, int n, const char *name)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(n);

	if (ARR_NDIM(array) > 1)
		error_invalid(name, "an array of arrays", "an array of one dimension");
	if (array_contains_nulls(array))
		error_null(name);
	return array;
}

static int
seat_array_count(const ArrayType *array)
{
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

static int
seat_compare_cols(const void *a, const void *b)
{
	int left = *(const int *) a;
	int right = *(const int *) b;

	return (left > right) - (left < right);
}

static void
seat_check_cols(const ArrayType *array, int row)
{
	int	 count = seat_array_count(array);
	int *cols = palloc(sizeof(int) * Max(count, 1));

	if (count < 1 || count > SEATS_PER_ROW_MAX)
		error_invalid_number("number of cols", count, 1, SEATS_PER_ROW_MAX);
	memcpy(cols, ARR_DATA_PTR(array), sizeof(int) * count);
	qsort(cols, count, sizeof(int), seat_compare_cols);
	for (int i = 0; i < count; i++)
	{
		if (cols[i] < 1 || cols[i] > GRID_MAX)
			error_invalid_number("cols", cols[i], 1, GRID_MAX);
		if (i > 0 && cols[i] == cols[i - 1])
			error_spot_taken(row, cols[i]);
	}
}

static void
seat_check_labels(FunctionCallInfo fcinfo, int count)
{
	ArrayType *array = seat_array(fcinfo, 4, "labels");
	Datum	  *labels;
	int		   label_count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &labels, NULL, &label_count);
	if (label_count != count)
		error_invalid_number("number of labels", label_count, count, count);
	for (int i = 0; i < label_count; i++)
	{
		int chars = DatumGetInt32(DirectFunctionCall1(textlen, labels[i]));

		if (chars < 1 || chars > NAME_CHARS_MAX)
			error_invalid_number("length of a label", chars, 1, NAME_CHARS_MAX);
	}
}

/* They are some of cols. */
static void
seat_check_accessible(FunctionCallInfo fcinfo, const ArrayType *cols)
{
	ArrayType *array = seat_array(fcinfo, 5, "accessible");
	int		   count = seat_array_count(cols);
	int		  *sorted = palloc(sizeof(int) * count);

	memcpy(sorted, ARR_DATA_PTR(cols), sizeof(int) * count);
	qsort(sorted, count, sizeof(int), seat_compare_cols);
	for (int i = 0; i < seat_array_count(array); i++)
	{
		const int *col = (const int *) ARR_DATA_PTR(array) + i;

		if (bsearch(col, sorted, count, sizeof(int), seat_compare_cols) == NULL)
			error_invalid("accessible", psprintf("%d", *col), "one of cols");
	}
}

/* The first of the wanted spots that the last statement did not fill. */
static void
seat_report_taken(const ArrayType *cols, int row, int added)
{
	const int *wanted = (const int *) ARR_DATA_PTR(cols);

	for (int i = 0; i < added; i++)
		if (plan_int32(i, 0) != wanted[i])
			error_spot_taken(row, wanted[i]);
	error_spot_taken(row, wanted[added]);
}

Datum
concert_add_seats(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "section_id", "row", "cols"};
	ArrayType				*cols;
	int						 row;
	int						 count;
	int						 added;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	row = argument_int32(fcinfo, 2, "row", 1, GRID_MAX);
	cols = seat_array(fcinfo, 3, "cols");
	seat_check_cols(cols, row);
	count = seat_array_count(cols);
	if (!PG_ARGISNULL(4))
		seat_check_labels(fcinfo, count);
	if (!PG_ARGISNULL(5))
		seat_check_accessible(fcinfo, cols);
	plan_begin();
	if (plan_write(&live_section, PLAN_ARGS(fcinfo->args[1], fcinfo->args[0])) == 0)
		error_unknown_object("section", PG_GETARG_UUID_P(1));
	added = plan_write(&insert_seats,
					   PLAN_ARGS(fcinfo->args[0], fcinfo->args[1], fcinfo->args[2], fcinfo->args[3],
								 fcinfo->args[4], fcinfo->args[5]));
	if (added < count)
		seat_report_taken(cols, row, added);
	history_add(
		&(Act){
			.action = "added",
			.date_id = *PG_GETARG_UUID_P(0),
			.actor = GetUserNameFromId(GetSessionUserId(), false),
			.detail = psprintf("%d seats in row %d", added, row),
		},
		GetCurrentTimestamp());
	plan_end();
	PG_RETURN_INT32(added);
}

static int
blocking_compare(const void *a, const void *b, void *ids)
{
	return uuid_compare((const pg_uuid_t *) ids + *(const int *) a,
						(const pg_uuid_t *) ids + *(const int *) b);
}

/* Tries the seats' locks, as everybody in id order, so that of two who meet one gets them all. */
static Blocking
blocking_try_seats(pg_uuid_t *ids, int count)
{
	int		*order = palloc(sizeof(int) * count);
	Blocking blocking = {
		.count = count,
		.ids = ids,
		.busy = palloc0(sizeof(bool) * count),
		.seat_locked = palloc0(sizeof(bool) * count),
		.booking_ids = palloc(sizeof(pg_uuid_t) * count),
		.booking_locked = palloc0(sizeof(bool) * count),
	};

	for (int i = 0; i < count; i++)
		order[i] = i;
	qsort_arg(order, count, sizeof(int), blocking_compare, ids);
	for (int i = 0; i < count; i++)
	{
		int asked = order[i];

		blocking.seat_locked[asked] = lock_try(LOCK_SEAT, lock_name_uuid(&ids[asked]));
		blocking.busy[asked] = !blocking.seat_locked[asked];
	}
	return blocking;
}

/*
 * A pending whose time is over may be in the middle of being paid: its booking is tried too, as
 * reserve() does. True when there was one, and the seats must be judged again.
 */
static bool
blocking_try_expired_bookings(Blocking *blocking)
{
	bool found = false;

	for (int i = 0; i < blocking->count; i++)
	{
		pg_uuid_t booking_id = plan_uuid(i, 4);

		if (plan_text(i, 2) != NULL || plan_is_null(i, 4))
			continue;
		found = true;
		blocking->booking_ids[i] = booking_id;
		blocking->booking_locked[i] = lock_try(LOCK_BOOKING, lock_name_uuid(&booking_id));
		if (!blocking->booking_locked[i])
			blocking->busy[i] = true;
	}
	return found;
}

/* After a refusal nothing is changed: gives the locks back. */
static void
blocking_release(const Blocking *blocking)
{
	for (int i = 0; i < blocking->count; i++)
	{
		if (blocking->booking_locked[i])
			lock_release(LOCK_BOOKING, lock_name_uuid(&blocking->booking_ids[i]));
		if (blocking->seat_locked[i])
			lock_release(LOCK_SEAT, lock_name_uuid(&blocking->ids[i]));
	}
}

/* An app's trigger, rule or policy may keep a seat as it was. */
static void
blocking_require_unblocked(const Blocking *blocking, SavedPlan *change)
{
	int count =
		plan_read(&still_blocked, PLAN_ARGS(uuid_array_value(blocking->ids, blocking->count)));

	if (count == 0)
		return;
	plan_forget(change);
	error_rows_kept("unblock", count, blocking->count, "seat");
}

static void
seat_add(Json *json, const pg_uuid_t *id, const char *reason)
{
	json_begin_object(json);
	json_add_uuid(json, "seat_id", id);
	if (reason != NULL)
		json_add_text(json, "reason", reason);
	json_end_object(json);
}

/*
 * Judges rows of judge_seats into out: every refused seat, or, when none is, all of them.
 * Returns the first refusal's reason, NULL when the seats may be changed.
 */
static const char *
blocking_judge(Json *out, const Blocking *blocking)
{
	const char *first_reason = NULL;

	json_begin_array(out);
	for (int i = 0; i < blocking->count; i++)
	{
		const char *reason = blocking->busy[i] ? reason_text(REASON_BUSY) : plan_text(i, 2);

		if (reason == NULL && plan_bool(i, 3))
			reason = reason_text(REASON_OTHER_DATE);
		if (reason == NULL)
			continue;
		seat_add(out, &blocking->ids[i], reason);
		if (first_reason == NULL)
			first_reason = pstrdup(reason);
	}
	for (int i = 0; first_reason == NULL && i < blocking->count; i++)
		seat_add(out, &blocking->ids[i], NULL);
	json_end_array(out);
	return first_reason;
}

/* The event seat.ACTION, and the house's act in the history. */
void
seat_tell(const Act *act)
{
	Json payload = {0};

	history_add(act, GetCurrentTimestamp());
	json_begin_object(&payload);
	json_add_uuid(&payload, "concert_date_id", &act->date_id);
	json_add_name(&payload, "seats");
	json_begin_array(&payload);
	for (int i = 0; i < act->count; i++)
		seat_add(&payload, &act->seat_ids[i], NULL);
	json_end_array(&payload);
	json_end_object(&payload);
	outbox_emit(TOPIC_RESERVATION, uuid_text(&act->date_id), psprintf("seat.%s", act->action),
				json_finish(&payload), act->correlation_id);
}

/* Judges, changes and tells; the two functions differ in the statement and the event only. */
static Datum
seat_change_blocks(FunctionCallInfo fcinfo, SavedPlan *change, const char *action, char *reason,
				   NullableDatum until, const char *correlation_id)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work;
	int			  count;
	pg_uuid_t	 *ids = argument_seats(fcinfo, 0, SEATS_PER_CALL_LIMIT, &count);
	Blocking	  blocking;
	Json		  seats = {0};
	const char	 *refusal;
	Datum		  answer;

	plan_begin();
	blocking = blocking_try_seats(ids, count);
	plan_read(&judge_seats, PLAN_ARGS(uuid_array_value(ids, count)));
	if (blocking_try_expired_bookings(&blocking))
		plan_read(&judge_seats, PLAN_ARGS(uuid_array_value(ids, count)));
	refusal = blocking_judge(&seats, &blocking);
	if (refusal != NULL)
		blocking_release(&blocking);
	else
	{
		pg_uuid_t date_id = plan_uuid(0, 1);

		if (reason != NULL)
			plan_write_rows(
				change, PLAN_ARGS(uuid_array_value(ids, count), text_value(reason), until), count);
		else
		{
			plan_write(change, PLAN_ARGS(uuid_array_value(ids, count)));
			blocking_require_unblocked(&blocking, change);
		}
		seat_tell(&(Act){
			.action = action,
			.date_id = date_id,
			.actor = GetUserNameFromId(GetSessionUserId(), false),
			.correlation_id = correlation_id,
			.detail = reason,
			.count = count,
			.seat_ids = ids,
		});
	}
	work = MemoryContextSwitchTo(caller);
	answer = answer_row(fcinfo,
						(NullableDatum[]){value(BoolGetDatum(refusal == NULL)), text_value(refusal),
										  value(JsonbPGetDatum(json_finish(&seats)))},
						3);
	MemoryContextSwitchTo(work);
	plan_end();
	return answer;
}

Datum
concert_block_seats(PG_FUNCTION_ARGS)
{
	char *reason = argument_text(fcinfo, 1, "reason", NAME_CHARS_MAX);
	char *correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX);

	version_require();
	if (!PG_ARGISNULL(2) && TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)))
		error_invalid("until", timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(2)), "a finite time");
	return seat_change_blocks(fcinfo, &block_seats, "blocked", reason, fcinfo->args[2],
							  correlation_id);
}

Datum
concert_unblock_seats(PG_FUNCTION_ARGS)
{
	char *correlation_id = argument_optional_text(fcinfo, 1, "correlation_id", KEY_CHARS_MAX);

	version_require();
	return seat_change_blocks(fcinfo, &unblock_seats, "unblocked", NULL, null_value(),
							  correlation_id);
}
