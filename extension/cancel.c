/* SPDX-License-Identifier: PostgreSQL */
/*
 * Giving a pending booking back, as a whole or some of its seats: cancel() by its owner,
 * cancel_by_operator() by the house. All of the seats that are named, or none. What is left
 * stays one booking, which is paid as one.
 *
 * When nothing is left of the booking, so are points let go that a payment has set aside for it.
 *
 * Locks: request key, booking, accounts of such points, outbox key.
 */
#include "cancel.h"

#include "history.h"
#include "miscadmin.h"
#include "payment_store.h"
#include "request.h"

PG_FUNCTION_INFO_V1(concert_cancel);
PG_FUNCTION_INFO_V1(concert_cancel_by_operator);

static SavedPlan replay_cancel =
	PLAN("SELECT jsonb_populate_record(NULL::concert.seats_answer, $1)", JSONBOID);

static SavedPlan was_cancelled =
	PLAN("SELECT 1 FROM concert.reservation"
		 " WHERE booking_id = $1 AND seat_id = $2 AND status = 'cancelled'",
		 UUIDOID, UUIDOID);

/* Who wants what to be given back. */
typedef struct Cancelling
{
	const pg_uuid_t *booking_id;
	const pg_uuid_t *user_id; /* NULL: an operator, whoever's the booking is */
	const char		*actor;
	const char		*detail;
	const char		*correlation_id;
	int				 count;	   /* 0: the whole booking */
	pg_uuid_t		*seat_ids; /* in the caller's order */
} Cancelling;

static void
cancel_read_seats(FunctionCallInfo fcinfo, int n, Cancelling *cancelling)
{
	if (!PG_ARGISNULL(n))
		cancelling->seat_ids = argument_seats(fcinfo, n, SEATS_PER_CALL_LIMIT, &cancelling->count);
}

/* What makes it the same request; the order of the seats does not. */
char *
cancel_content(const pg_uuid_t *booking_id, const pg_uuid_t *seat_ids, int count)
{
	StringInfoData content;
	pg_uuid_t	  *sorted = palloc(sizeof(pg_uuid_t) * Max(count, 1));

	initStringInfo(&content);
	appendStringInfoString(&content, uuid_text(booking_id));
	if (count > 0)
		memcpy(sorted, seat_ids, sizeof(pg_uuid_t) * count);
	qsort(sorted, count, sizeof(pg_uuid_t), uuid_compare);
	for (int i = 0; i < count; i++)
		appendStringInfo(&content, " %s", uuid_text(&sorted[i]));
	return content.data;
}

static const Reservation *
cancel_find_seat(const Booking *booking, const pg_uuid_t *seat_id)
{
	for (int i = 0; i < booking->count; i++)
		if (uuid_compare(&booking->reservations[i].seat_id, seat_id) == 0)
			return &booking->reservations[i];
	return NULL;
}

/* Why a seat that is not pending in this booking cannot be given back. */
static Reason
cancel_judge_missing(const pg_uuid_t *booking_id, const pg_uuid_t *seat_id)
{
	return plan_read(&was_cancelled, PLAN_ARGS(uuid_value(booking_id), uuid_value(seat_id))) > 0
		? REASON_ALREADY_RESOLVED
		: REASON_UNKNOWN;
}

Reason
cancel_choose(Booking *booking, const pg_uuid_t *seat_ids, int count, Json *out)
{
	Booking chosen = *booking;
	Reason	first = REASON_NONE;

	chosen.count = 0;
	chosen.amount = 0;
	chosen.reservations = palloc(sizeof(Reservation) * count);
	for (int i = 0; i < count; i++)
	{
		const Reservation *reservation = cancel_find_seat(booking, &seat_ids[i]);
		Reason			   reason;

		if (reservation != NULL)
		{
			booking_add(&chosen, *reservation);
			continue;
		}
		reason = cancel_judge_missing(&booking->id, &seat_ids[i]);
		json_begin_object(out);
		json_add_uuid(out, "seat_id", &seat_ids[i]);
		json_add_text(out, "reason", reason_text(reason));
		json_end_object(out);
		if (first == REASON_NONE)
			first = reason;
	}
	*booking = chosen;
	return first;
}

/* Judges and cancels; the answer is in the context answers. */
static Datum
cancel_do(FunctionCallInfo fcinfo, const Cancelling *cancelling, MemoryContext answers)
{
	Booking		  booking = {0};
	TimestampTz	  now;
	Json		  refused = {0};
	Json		  seats = {0};
	MemoryContext work;
	Datum		  answer;
	int			  left = 0;
	Reason		  reason =
		booking_lock_pending(cancelling->booking_id, cancelling->user_id, &booking, &now);

	json_begin_array(&refused);
	if (reason == REASON_NONE && cancelling->count > 0)
	{
		left = booking.count - cancelling->count;
		reason = cancel_choose(&booking, cancelling->seat_ids, cancelling->count, &refused);
	}
	json_end_array(&refused);
	if (reason == REASON_NONE && left == 0)
		payment_store_let_go(cancelling->booking_id, 1, 0);
	if (reason == REASON_NONE)
		booking_cancel(&booking, now, cancelling->actor, cancelling->detail,
					   cancelling->correlation_id);
	work = MemoryContextSwitchTo(answers);
	if (reason == REASON_NONE)
		booking_add_seats(&seats, &booking, 0);
	answer = answer_row(
		fcinfo,
		(NullableDatum[]){
			value(BoolGetDatum(reason == REASON_NONE)), answer_reason(reason),
			value(JsonbPGetDatum(json_finish(reason == REASON_NONE ? &seats : &refused)))},
		3);
	MemoryContextSwitchTo(work);
	return answer;
}

static Datum
cancel_request(FunctionCallInfo fcinfo, const Cancelling *cancelling, const char *operation,
			   const char *key, const pg_uuid_t *scope)
{
	MemoryContext caller = CurrentMemoryContext;
	Request		  request;
	Datum		  answer;
	char *content = cancel_content(cancelling->booking_id, cancelling->seat_ids, cancelling->count);

	if (cancelling->detail != NULL)
		content = psprintf("%s reason %s", content, cancelling->detail);
	request_init(&request, operation, &replay_cancel, key, scope, content);
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		answer = cancel_do(fcinfo, cancelling, caller);
		request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}

Datum
concert_cancel(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id", "user_id"};
	char	  *key = argument_optional_text(fcinfo, 2, "idempotency_key", KEY_CHARS_MAX);
	Cancelling cancelling = {
		.correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
	};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	cancelling.booking_id = PG_GETARG_UUID_P(0);
	cancelling.user_id = PG_GETARG_UUID_P(1);
	cancel_read_seats(fcinfo, 4, &cancelling);
	return cancel_request(fcinfo, &cancelling, "cancel", key, cancelling.user_id);
}

/* Operators share the scope of their keys: the nil UUID, which is nobody's. */
Datum
concert_cancel_by_operator(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id"};
	static const pg_uuid_t	 operators = {{0}};
	char	  *key = argument_optional_text(fcinfo, 2, "idempotency_key", KEY_CHARS_MAX);
	Cancelling cancelling = {
		.actor = GetUserNameFromId(GetSessionUserId(), false),
		.detail = argument_text(fcinfo, 1, "reason", NAME_CHARS_MAX),
		.correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
	};

	argument_require(fcinfo, lengthof(names), names);
	cancelling.booking_id = PG_GETARG_UUID_P(0);
	cancel_read_seats(fcinfo, 4, &cancelling);
	return cancel_request(fcinfo, &cancelling, "cancel_by_operator", key, &operators);
}
