/* SPDX-License-Identifier: PostgreSQL */
/*
 * pay(): money for a booking, from the user's wallet, and the booking confirmed, in one commit.
 *
 * Locks: request key, booking, wallet and revenue (shared with every other sale), outbox key. The clock is read under the booking's lock:
 * a taker of an expired seat tries that lock too, so the two cannot both have the seat.
 */
#include "payment.h"

#include "payment_event.h"
#include "request.h"
#include "utils/builtins.h"

#define WALLET_READS_MAX 3

PG_FUNCTION_INFO_V1(concert_pay);

static SavedPlan replay_pay =
	PLAN("SELECT jsonb_populate_record(NULL::concert.pay_answer, $1)", JSONBOID);

typedef struct Paying
{
	pg_uuid_t payment_id;
	Booking	  booking; /* set once the booking may be paid */
	bool	  known;   /* whether it is: then the amount is told */
} Paying;

/* A wallet whose id was changed while its lock was waited for is looked for again. */
Reason
payment_lock_wallet(const Booking *booking, Transfer *transfer, Accounts *ret_accounts)
{
	for (int i = 0; i < WALLET_READS_MAX; i++)
	{
		if (!wallet_find(&booking->user_id, booking->currency, &transfer->debit_id))
			break;
		transfer->credit_id = revenue_account(booking, booking->currency);
		*ret_accounts = transfer_lock(&transfer->debit_id, &transfer->credit_id);
		if (accounts_find(ret_accounts, &transfer->debit_id)->is_known &&
			accounts_find(ret_accounts, &transfer->credit_id)->is_known)
			return transfer_judge(ret_accounts, transfer);
	}
	return wallet_exists(&booking->user_id) ? REASON_WRONG_CURRENCY : REASON_INSUFFICIENT_FUNDS;
}

/* A booking that costs nothing is paid without a wallet and without a transfer. */
static Reason
payment_capture(Paying *paying, TimestampTz now, const char *correlation_id)
{
	const Booking *booking = &paying->booking;
	bool		   costs = booking->amount > 0;
	Payment		   payment = {
			   .id = uuid7_next(),
			   .booking_id = booking->id,
			   .user_id = booking->user_id,
			   .status = PAYMENT_CAPTURED,
			   .amount = booking->amount,
			   .captured = booking->amount,
	   };
	Transfer transfer = {
		.kind = "payment",
		.amount = booking->amount,
		.payment_id = &payment.id,
		.correlation_id = correlation_id,
	};
	Accounts accounts;

	if (costs)
	{
		Reason reason = payment_lock_wallet(booking, &transfer, &accounts);

		if (reason != REASON_NONE)
			return reason;
	}
	strlcpy(payment.currency, booking->currency, CURRENCY_BYTES);
	strlcpy(payment.captured_currency, booking->currency, CURRENCY_BYTES);
	payment_store_insert(&payment, now);
	if (costs)
	{
		transfer_apply(&accounts, &transfer);
		transfer_insert(&accounts, &transfer);
		accounts_save(&accounts);
	}
	booking_confirm(&paying->booking, now, correlation_id);
	payment_event("payment.captured", &payment,
				  &(PaymentNews){.transfer_id = costs ? &transfer.id : NULL}, correlation_id);
	paying->payment_id = payment.id;
	return REASON_NONE;
}

static Datum
payment_answer(FunctionCallInfo fcinfo, const Paying *paying, Reason reason)
{
	bool ok = reason == REASON_NONE;

	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? uuid_value(&paying->payment_id) : null_value(),
						  paying->known ? value(Int64GetDatum(paying->booking.amount))
										: null_value(),
						  paying->known ? text_value(paying->booking.currency) : null_value()},
		5);
}

Datum
concert_pay(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id", "user_id"};
	MemoryContext			 caller = CurrentMemoryContext;
	char   *key = argument_optional_text(fcinfo, 2, "idempotency_key", KEY_CHARS_MAX);
	char   *correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX);
	Paying	paying = {0};
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
			booking_lock_pending(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(1), &paying.booking, &now);

		paying.known = reason == REASON_NONE;
		if (reason == REASON_NONE)
			reason = payment_capture(&paying, now, correlation_id);
		work = MemoryContextSwitchTo(caller);
		answer = payment_answer(fcinfo, &paying, reason);
		MemoryContextSwitchTo(work);
		request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
