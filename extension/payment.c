/* SPDX-License-Identifier: PostgreSQL */
/*
 * pay(): money for a booking, from the user's wallet, and the booking confirmed, in one commit.
 *
 * Locks: request key, booking, wallet and revenue (shared with every other sale), outbox key. The clock is read under the booking's lock:
 * a taker of an expired seat tries that lock too, so the two cannot both have the seat.
 */
#include "concert.h"

#include "ledger.h"
#include "outbox.h"
#include "request.h"
#include "reservation.h"
#include "utils/builtins.h"

#define WALLET_READS_MAX 3

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

/* A wallet whose id was changed while its lock was waited for is looked for again. */
static Reason
payment_lock(const Booking *booking, Transfer *transfer, Accounts *ret_accounts)
{
	for (int i = 0; i < WALLET_READS_MAX; i++)
	{
		if (!wallet_find(&booking->user_id, booking->currency, &transfer->debit_id))
			break;
		transfer->credit_id = revenue_account(&booking->date_id, booking->currency);
		*ret_accounts = transfer_lock(&transfer->debit_id, &transfer->credit_id);
		if (accounts_find(ret_accounts, &transfer->debit_id)->is_known &&
			accounts_find(ret_accounts, &transfer->credit_id)->is_known)
			return transfer_judge(ret_accounts, transfer);
	}
	return wallet_exists(&booking->user_id) ? REASON_WRONG_CURRENCY : REASON_INSUFFICIENT_FUNDS;
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
	Transfer	   transfer = {
			  .kind = "payment",
			  .amount = booking->amount,
			  .payment_id = &payment->id,
			  .correlation_id = correlation_id,
	  };
	Accounts accounts;

	if (costs)
	{
		Reason reason = payment_lock(booking, &transfer, &accounts);

		if (reason != REASON_NONE)
			return reason;
	}
	payment->id = uuid7_next();
	plan_write_rows(&insert_payment,
					PLAN_ARGS(uuid_value(&payment->id), uuid_value(&booking->id),
							  uuid_value(&booking->user_id), value(Int64GetDatum(booking->amount)),
							  text_value(booking->currency), value(TimestampTzGetDatum(now))),
					1);
	if (costs)
	{
		transfer_apply(&accounts, &transfer);
		transfer_insert(&accounts, &transfer);
		accounts_save(&accounts);
	}
	booking_confirm(booking, now, correlation_id);
	payment_emit(payment, costs ? &transfer.id : NULL, correlation_id);
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
