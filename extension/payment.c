/* SPDX-License-Identifier: PostgreSQL */
/*
 * pay(): money for a booking, from the user's wallet, and the booking confirmed, in one commit.
 *
 * Locks: request key, booking, wallet, outbox key. The clock is read under the booking's lock:
 * a taker of an expired seat tries that lock too, so the two cannot both have the seat.
 */
#include "concert.h"

#include "ledger.h"
#include "outbox.h"
#include "request.h"
#include "reservation.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_pay);

static SavedPlan insert_payment = PLAN(
	"INSERT INTO concert.payment (id, booking_id, user_id, method, status, amount, currency, created_at)"
	" VALUES ($1, $2, $3, 'points', 'captured', $4, $5, $6)",
	UUIDOID, UUIDOID, UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID);

static SavedPlan replay_pay =
	PLAN("SELECT jsonb_populate_record(NULL::concert.pay_answer, $1)", JSONBOID);

typedef struct Payment
{
	pg_uuid_t id;
	Booking	  booking; /* set once the booking may be paid */
	bool	  known;   /* whether it is: then the amount is told */
} Payment;

static Reason
payment_judge_wallet(const Booking *booking, Wallet *ret_wallet)
{
	if (!wallet_lock(&booking->user_id, booking->currency, ret_wallet))
		return wallet_exists(&booking->user_id) ? REASON_WRONG_CURRENCY : REASON_INSUFFICIENT_FUNDS;
	if (ret_wallet->frozen)
		return REASON_FROZEN;
	if (ret_wallet->balance - ret_wallet->floor < booking->amount)
		return REASON_INSUFFICIENT_FUNDS;
	return REASON_NONE;
}

static void
payment_emit(const Payment *payment, const pg_uuid_t *transfer_id, const char *correlation_id)
{
	const Booking *booking = &payment->booking;
	Json		   payload = {0};

	json_begin_object(&payload);
	json_add_uuid(&payload, "payment_id", &payment->id);
	json_add_uuid(&payload, "booking_id", &booking->id);
	json_add_uuid(&payload, "user_id", &booking->user_id);
	json_add_int64(&payload, "amount", booking->amount);
	json_add_text(&payload, "currency", booking->currency);
	json_add_text(&payload, "method", "points");
	json_add_uuid_or_null(&payload, "transfer_id", transfer_id);
	json_end_object(&payload);
	outbox_emit(TOPIC_PAYMENT, uuid_text(&booking->id), "payment.captured", json_finish(&payload),
				correlation_id);
}

/* A booking that costs nothing is paid without a wallet and without a transfer. */
static Reason
payment_capture(Payment *payment, TimestampTz now, const char *correlation_id)
{
	const Booking *booking = &payment->booking;
	bool		   costs = booking->amount > 0;
	pg_uuid_t	   transfer_id;
	Wallet		   wallet;

	if (costs)
	{
		Reason reason = payment_judge_wallet(booking, &wallet);

		if (reason != REASON_NONE)
			return reason;
	}
	payment->id = uuid7_next();
	plan_write(&insert_payment,
			   PLAN_ARGS(uuid_value(&payment->id), uuid_value(&booking->id),
						 uuid_value(&booking->user_id), value(Int64GetDatum(booking->amount)),
						 text_value(booking->currency), value(TimestampTzGetDatum(now))));
	if (costs)
	{
		pg_uuid_t revenue_id = revenue_account(&booking->date_id, booking->currency);

		transfer_id = transfer_from_wallet(&wallet, &revenue_id, booking->amount, booking->currency,
										   &payment->id, now);
	}
	booking_confirm(booking, now, correlation_id);
	payment_emit(payment, costs ? &transfer_id : NULL, correlation_id);
	return REASON_NONE;
}

static Datum
payment_answer(FunctionCallInfo fcinfo, const Payment *payment, Reason reason)
{
	bool ok = reason == REASON_NONE;

	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? uuid_value(&payment->id) : null_value(),
						  payment->known ? value(Int64GetDatum(payment->booking.amount))
										 : null_value(),
						  payment->known ? text_value(payment->booking.currency) : null_value()},
		5);
}

Datum
concert_pay(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id", "user_id"};
	MemoryContext			 caller = CurrentMemoryContext;
	char   *key = argument_optional_text(fcinfo, 2, "idempotency_key", KEY_CHARS_MAX);
	char   *correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX);
	Payment payment = {0};
	Request request;
	Datum	answer;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	request_init(&request, "pay", &replay_pay, key, PG_GETARG_UUID_P(1),
				 uuid_text(PG_GETARG_UUID_P(0)));
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		TimestampTz	  now;
		MemoryContext work;
		Reason		  reason =
			booking_lock_pending(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(1), &payment.booking, &now);

		payment.known = reason == REASON_NONE;
		if (reason == REASON_NONE)
			reason = payment_capture(&payment, now, correlation_id);
		work = MemoryContextSwitchTo(caller);
		answer = payment_answer(fcinfo, &payment, reason);
		MemoryContextSwitchTo(work);
		request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
