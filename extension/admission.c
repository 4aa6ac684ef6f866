/* SPDX-License-Identifier: PostgreSQL */
/*
 * What PostgreSQL remembers of the waiting room, so that a Redis that comes back empty can go
 * on: which numbers were leased out, and which were admitted, when.
 *
 * Lock: one per date (waiting), the only one that these calls take.
 */
#include "concert.h"

#include "errors.h"
#include "lock.h"
#include "plan.h"

#define PLACES_PER_LEASE_MAX 1000000
#define USECS_PER_MS 1000

PG_FUNCTION_INFO_V1(concert_lease_places);
PG_FUNCTION_INFO_V1(concert_record_admission);

static SavedPlan live_date =
	PLAN("SELECT 1 FROM concert.concert_date WHERE id = $1 AND deleted_at IS NULL", UUIDOID);

static SavedPlan last_lease =
	PLAN("SELECT coalesce(max(to_number), 0) FROM concert.place_lease WHERE concert_date_id = $1",
		 UUIDOID);

static SavedPlan insert_lease =
	PLAN("INSERT INTO concert.place_lease (concert_date_id, from_number, to_number, leased_at)"
		 " VALUES ($1, $2, $3, $4)",
		 UUIDOID, INT8OID, INT8OID, TIMESTAMPTZOID);

static SavedPlan last_batch = PLAN(
	"SELECT coalesce(max(to_number), 0) FROM concert.admission_batch WHERE concert_date_id = $1",
	UUIDOID);

static SavedPlan insert_batch = PLAN(
	"INSERT INTO concert.admission_batch (concert_date_id, from_number, to_number, admitted, issued_at)"
	" VALUES ($1, $2, $3, $4, $5)",
	UUIDOID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID);

/* Takes the date's lock and reads the highest number in one of the two tables. */
static int64
admission_lock(const pg_uuid_t *date_id, SavedPlan *last)
{
	if (plan_read(&live_date, PLAN_ARGS(uuid_value(date_id))) == 0)
		error_unknown_object("concert date", date_id);
	lock_wait(LOCK_ADMISSION, lock_name_uuid(date_id));
	plan_read(last, PLAN_ARGS(uuid_value(date_id)));
	return plan_int64(0, 0);
}

Datum
concert_lease_places(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "count"};
	int64					 from_number;
	int64					 to_number;
	int						 count;

	argument_require(fcinfo, lengthof(names), names);
	count = argument_int32(fcinfo, 1, "count", 1, PLACES_PER_LEASE_MAX);
	plan_begin();
	from_number = admission_lock(PG_GETARG_UUID_P(0), &last_lease) + 1;
	to_number = from_number + count - 1;
	plan_write(&insert_lease,
			   PLAN_ARGS(fcinfo->args[0], value(Int64GetDatum(from_number)),
						 value(Int64GetDatum(to_number)),
						 value(TimestampTzGetDatum(GetCurrentTimestamp()))));
	plan_end();
	return answer_row(
		fcinfo,
		(NullableDatum[]){value(Int64GetDatum(from_number)), value(Int64GetDatum(to_number))}, 2);
}

static void
admission_check_batch(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"concert_date_id", "from_number", "to_number", "admitted"};
	int64					 from_number;
	int64					 to_number;
	int						 admitted;

	argument_require(fcinfo, lengthof(names), names);
	from_number = PG_GETARG_INT64(1);
	to_number = PG_GETARG_INT64(2);
	admitted = PG_GETARG_INT32(3);
	if (from_number < 1)
		error_invalid_number("from_number", from_number, 1, PG_INT64_MAX);
	if (to_number < from_number)
		error_invalid_number("to_number", to_number, from_number, PG_INT64_MAX);
	if (admitted < 0 || admitted - 1 > to_number - from_number)
		error_invalid_number("admitted", admitted, 0, to_number - from_number + 1);
}

Datum
concert_record_admission(PG_FUNCTION_ARGS)
{
	TimestampTz now;
	bool		ok;

	admission_check_batch(fcinfo);
	plan_begin();
	ok = PG_GETARG_INT64(1) > admission_lock(PG_GETARG_UUID_P(0), &last_batch);
	now = GetCurrentTimestamp();
	if (ok)
		plan_write(&insert_batch,
				   PLAN_ARGS(fcinfo->args[0], fcinfo->args[1], fcinfo->args[2], fcinfo->args[3],
							 value(TimestampTzGetDatum(now))));
	plan_end();
	return answer_row(
		fcinfo,
		(NullableDatum[]){
			value(BoolGetDatum(ok)), answer_reason(ok ? REASON_NONE : REASON_STALE_FENCE),
			ok ? value(Int64GetDatum(now / USECS_PER_MS +
									 (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
										 SECS_PER_DAY * 1000))
			   : null_value()},
		3);
}
