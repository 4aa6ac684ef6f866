/* SPDX-License-Identifier: PostgreSQL */
/*
 * reserve(): the named seats for one user as one pending booking, or none. What it takes to take
 * them is taking.h's; here are the arguments, the idempotency key and the answer.
 */
#include "reserve.h"

#include "errors.h"
#include "request.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

PG_FUNCTION_INFO_V1(concert_reserve);

#define FENCE_AHEAD_DAYS_MAX 1

static SavedPlan replay_reserve =
	PLAN("SELECT jsonb_populate_record(NULL::concert.reserve_answer, $1)", JSONBOID);

/*
 * Fences are Unix microseconds at most (DESIGN: max(stored + 1, TIME)). One far in the future
 * would make its seat stale for everybody after, so it is not let in.
 */
static int64
fence_max(void)
{
	return GetCurrentTimestamp() + FENCE_AHEAD_DAYS_MAX * USECS_PER_DAY +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static int64
reserve_fence(FunctionCallInfo fcinfo, int n)
{
	int64 fence;

	if (PG_ARGISNULL(n))
		return 0;
	fence = PG_GETARG_INT64(n);
	if (fence < 1 || fence > fence_max())
		error_invalid_number("fence", fence, 1, fence_max());
	return fence;
}

void
reserve_read_arguments(FunctionCallInfo fcinfo, int n, int seats_max, Taking *taking)
{
	static const char *const names[] = {"concert_date_id", "seat_ids", "user_id"};
	pg_uuid_t				*ids;
	int						 count;

	argument_require(fcinfo, lengthof(names), names);
	ids = argument_seats(fcinfo, 1, seats_max, &count);
	*taking = (Taking){
		.date_id = *PG_GETARG_UUID_P(0),
		.user_id = *PG_GETARG_UUID_P(2),
		.pending_seconds = taking_pending_seconds(fcinfo->args[3]),
		.pass = PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4)),
		.fence = reserve_fence(fcinfo, 5),
	};
	taking_set_seats(taking, ids, count);
	taking_set_concessions(taking, argument_concessions(fcinfo, n, count));
}

/* What makes it the same request; a retry may carry another pass and another fence. */
static char *
reserve_content(const Taking *taking)
{
	StringInfoData content;

	initStringInfo(&content);
	appendStringInfo(&content, "%s %d", uuid_text(&taking->date_id), taking->pending_seconds);
	for (int i = 0; i < taking->count; i++)
	{
		const char *concession = taking->seats[i].concession;

		appendStringInfo(&content, " %s", uuid_text(&taking->seats[i].row.id));
		if (concession != NULL)
			appendStringInfo(&content, "=%zu:%s", strlen(concession), concession);
	}
	return content.data;
}

Datum
reserve_answer(FunctionCallInfo fcinfo, const Taking *taking, Reason reason, const Booking *booking,
			   const char *step, int columns)
{
	bool ok = reason == REASON_NONE;

	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? uuid_value(&booking->id) : null_value(),
						  ok ? value(TimestampTzGetDatum(booking->expires_at)) : null_value(),
						  value(taking_seats_jsonb(taking, reason, booking)), text_value(step)},
		columns);
}

Datum
concert_reserve(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char		 *key = argument_optional_text(fcinfo, 6, "idempotency_key", KEY_CHARS_MAX);
	Taking		  taking;
	Request		  request;
	Datum		  answer;

	version_require();
	reserve_read_arguments(
		fcinfo, 8, key == NULL ? settings_max_seats_per_booking : SEATS_PER_CALL_LIMIT, &taking);
	taking.correlation_id = argument_optional_text(fcinfo, 7, "correlation_id", KEY_CHARS_MAX);
	request_init(&request, "reserve", &replay_reserve, key, &taking.user_id,
				 key == NULL ? NULL : reserve_content(&taking));
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		Reason		  reason;
		Booking		  booking = {0};
		MemoryContext work;

		argument_check_seats(taking.count);
		reason = taking_decide(&taking);
		if (reason == REASON_NONE)
			booking = taking_take(&taking);
		work = MemoryContextSwitchTo(caller);
		answer = reserve_answer(fcinfo, &taking, reason, &booking, NULL, RESERVE_COLUMNS);
		MemoryContextSwitchTo(work);
		if (reason != REASON_BUSY)
			request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
