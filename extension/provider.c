/* SPDX-License-Identifier: PostgreSQL */
/*
 * Payments by a provider: payment_begin(), and what the provider then tells of them. Messages come
 * in any order, twice and late; each is good once, and the table of transition.c says what it
 * makes of the payment as it stands. What money does that comes is settle.c's.
 *
 * Locks: request key (payment_begin), booking, then those of settle.c, or accounts in id order with
 * what was set aside, the outbox key.
 */
#include "provider.h"

#include "errors.h"
#include "payment.h"
#include "payment_event.h"
#include "pending.h"
#include "settle.h"
#include "utils/builtins.h"

#define AUTHORIZED_ASK_SECONDS 60 /* after which an authorized payment is asked about */

PG_FUNCTION_INFO_V1(concert_payment_begin);
PG_FUNCTION_INFO_V1(concert_payment_authorized);
PG_FUNCTION_INFO_V1(concert_payment_captured);
PG_FUNCTION_INFO_V1(concert_payment_failed);

static SavedPlan replay_begin =
	PLAN("SELECT jsonb_populate_record(NULL::concert.payment_begin_answer, $1)", JSONBOID);

static SavedPlan find_booking_status = PLAN("SELECT concert.booking_status($1)", UUIDOID);

/* payment_begin() -------------------------------------------------------------------------------- */

typedef struct Beginning
{
	Payment		payment;
	Booking		booking;
	const char *correlation_id;
} Beginning;

static Reason
begin_set_aside(Beginning *beginning)
{
	Transfer	transfer = {.amount = beginning->payment.points,
							.description = "beside a payment by a provider",
							.correlation_id = beginning->correlation_id};
	TimestampTz expires_at = beginning->booking.expires_at_max;
	Accounts	accounts;
	Reason		reason = payment_lock_wallet(&beginning->booking, &transfer, &accounts);

	if (reason != REASON_NONE)
		return reason;
	pending_add(&accounts, &transfer, &expires_at);
	accounts_save(&accounts);
	beginning->payment.pending_id = transfer.id;
	return REASON_NONE;
}

/* Points pay for less than all of it, so that something is left for the provider. */
static void
begin_require_amount(const Beginning *beginning)
{
	const Booking *booking = &beginning->booking;

	if (booking->amount == 0)
		error_invalid("booking_id", uuid_text(&booking->id),
					  "a booking that costs something (pay() confirms what costs nothing)");
	if (beginning->payment.points >= booking->amount)
		error_invalid_number("points", beginning->payment.points, 0, booking->amount - 1);
}

static Reason
begin_act(void *state)
{
	Beginning  *beginning = state;
	Payment	   *payment = &beginning->payment;
	TimestampTz now;
	Reason		reason =
		booking_lock_pending(&payment->booking_id, &payment->user_id, &beginning->booking, &now);

	if (reason != REASON_NONE)
		return reason;
	if (payment_store_has_open(&payment->booking_id))
		return REASON_ALREADY_RESOLVED;
	begin_require_amount(beginning);
	if (payment->points > 0)
		reason = begin_set_aside(beginning);
	if (reason != REASON_NONE)
		return reason;
	payment->id = uuid7_next();
	payment->status = PAYMENT_BEGUN;
	payment->amount = beginning->booking.amount - payment->points;
	payment->next_attempt_at = now;
	strlcpy(payment->currency, beginning->booking.currency, CURRENCY_BYTES);
	payment_store_insert(payment, now);
	payment_store_add_act(payment,
						  &(PaymentAct){.act = "begun",
										.amount = payment->amount,
										.currency = payment->currency,
										.correlation_id = beginning->correlation_id},
						  now);
	payment_event(
		"payment.begun", payment,
		&(PaymentNews){.points = payment->points, .expires_at = beginning->booking.expires_at},
		beginning->correlation_id);
	return REASON_NONE;
}

static Datum
begin_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Beginning *beginning = state;
	const Payment	*payment = &beginning->payment;
	bool			 ok = reason == REASON_NONE;

	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? uuid_value(&payment->id) : null_value(),
						  ok ? value(Int64GetDatum(payment->amount)) : null_value(),
						  ok ? text_value(payment->currency) : null_value(),
						  ok ? value(Int64GetDatum(payment->points)) : null_value(),
						  ok ? value(TimestampTzGetDatum(beginning->booking.expires_at))
							 : null_value()},
		7);
}

Datum
concert_payment_begin(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id", "user_id", "provider", "points"};
	MoneyCall call = {"payment_begin", &replay_begin, .act = begin_act, .answer = begin_answer};
	Beginning beginning = {0};
	Payment	 *payment = &beginning.payment;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	payment->booking_id = *PG_GETARG_UUID_P(0);
	payment->user_id = *PG_GETARG_UUID_P(1);
	payment->provider = argument_text(fcinfo, 2, "provider", NAME_CHARS_MAX);
	payment->points = PG_GETARG_INT64(3);
	if (payment->points < 0)
		error_invalid_number("points", payment->points, 0, PG_INT64_MAX);
	call.key = argument_optional_text(fcinfo, 4, "idempotency_key", KEY_CHARS_MAX);
	beginning.correlation_id = argument_optional_text(fcinfo, 5, "correlation_id", KEY_CHARS_MAX);
	call.user_id = &payment->user_id;
	call.content = psprintf("%s " INT64_FORMAT " %s", uuid_text(&payment->booking_id),
							payment->points, payment->provider);
	PG_RETURN_DATUM(money_call(fcinfo, &call, &beginning));
}

/* Messages --------------------------------------------------------------------------------------- */

void
provider_apply(Payment *payment, PaymentMessage message, PaymentAct *act)
{
	Transition	transition = transition_of(payment->status, message);
	TimestampTz now;

	if (transition.action == ACTION_LET_GO && payment->points > 0)
		pending_let_go(&payment->pending_id, 1);
	now = GetCurrentTimestamp();
	payment->status = transition.becomes;
	if (transition.action != ACTION_NOTHING)
	{
		payment->attempts = 0;
		payment->next_attempt_at = payment->status == PAYMENT_AUTHORIZED
			? now + AUTHORIZED_ASK_SECONDS * USECS_PER_SEC
			: 0;
		payment_store_save(payment);
	}
	payment_store_add_act(payment, act, now);
	if (transition.action != ACTION_NOTHING)
		payment_event(psprintf("payment.%s", transition_status_text(payment->status)), payment,
					  &(PaymentNews){.cause = act->cause}, act->correlation_id);
}

static Reason
provider_take(const pg_uuid_t *payment_id, PaymentMessage message, PaymentAct *act,
			  Payment *ret_payment)
{
	PaymentAction action;

	if (!payment_store_lock(payment_id, ret_payment) || !payment_store_is_of(ret_payment, act))
		return REASON_UNKNOWN;
	act->act = transition_message_text(message);
	act->from_status = transition_status_text(ret_payment->status);
	if (payment_store_heard(ret_payment, act))
		return REASON_NONE;
	if (ret_payment->provider_ref == NULL)
		ret_payment->provider_ref = act->provider_ref;
	if (message == MESSAGE_CAPTURED && payment_store_is_other_capture(ret_payment, act))
		message = MESSAGE_CAPTURED_AGAIN;
	action = transition_of(ret_payment->status, message).action;
	if (action == ACTION_SETTLE || action == ACTION_RETURN)
		return settle(ret_payment, &(Capture){act->amount, act->currency, act->correlation_id},
					  act);
	provider_apply(ret_payment, message, act);
	return REASON_NONE;
}

Datum
provider_answer(FunctionCallInfo fcinfo, const Payment *payment, Reason reason,
				MemoryContext answers)
{
	bool		  ok = reason == REASON_NONE;
	MemoryContext work;
	Datum		  answer;
	pg_uuid_t	  refund_id;
	NullableDatum columns[] = {value(BoolGetDatum(ok)),
							   answer_reason(reason),
							   null_value(),
							   null_value(),
							   null_value(),
							   null_value()};

	if (ok)
	{
		columns[2] = uuid_value(&payment->id);
		columns[3] = text_value(transition_status_text(payment->status));
		plan_read(&find_booking_status, PLAN_ARGS(uuid_value(&payment->booking_id)));
		columns[4] = text_value(plan_text(0, 0));
		if (refund_store_newest(&payment->id, &refund_id))
			columns[5] = uuid_value(&refund_id);
	}
	work = MemoryContextSwitchTo(answers);
	answer = answer_row(fcinfo, columns, lengthof(columns));
	MemoryContextSwitchTo(work);
	return answer;
}

static Datum
provider_message(FunctionCallInfo fcinfo, PaymentMessage message, PaymentAct *act)
{
	MemoryContext caller = CurrentMemoryContext;
	Payment		  payment;
	Reason		  reason;
	Datum		  answer;

	plan_begin();
	reason = provider_take(PG_GETARG_UUID_P(0), message, act, &payment);
	answer = provider_answer(fcinfo, &payment, reason, caller);
	plan_end();
	return answer;
}

Datum
concert_payment_authorized(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"payment_id"};
	PaymentAct				 act = {
					  .provider_ref = argument_optional_text(fcinfo, 1, "provider_ref", KEY_CHARS_MAX),
					  .message_id = argument_text(fcinfo, 2, "message_id", KEY_CHARS_MAX),
					  .correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
					  .sender = argument_optional_text(fcinfo, 4, "provider", NAME_CHARS_MAX),
	  };

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	PG_RETURN_DATUM(provider_message(fcinfo, MESSAGE_AUTHORIZED, &act));
}

Datum
concert_payment_captured(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"payment_id", "amount"};
	PaymentAct				 act = {
					  .currency = argument_currency(fcinfo, 2, "currency"),
					  .provider_ref = argument_optional_text(fcinfo, 3, "provider_ref", KEY_CHARS_MAX),
					  .message_id = argument_text(fcinfo, 4, "message_id", KEY_CHARS_MAX),
					  .correlation_id = argument_optional_text(fcinfo, 5, "correlation_id", KEY_CHARS_MAX),
					  .sender = argument_optional_text(fcinfo, 6, "provider", NAME_CHARS_MAX),
	  };

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	act.amount = argument_amount(fcinfo, 1, "amount");
	PG_RETURN_DATUM(provider_message(fcinfo, MESSAGE_CAPTURED, &act));
}

Datum
concert_payment_failed(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"payment_id"};
	PaymentAct				 act = {
					  .cause = argument_text(fcinfo, 1, "cause", KEY_CHARS_MAX),
					  .message_id = argument_text(fcinfo, 2, "message_id", KEY_CHARS_MAX),
					  .correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
					  .sender = argument_optional_text(fcinfo, 4, "provider", NAME_CHARS_MAX),
	  };

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	PG_RETURN_DATUM(provider_message(fcinfo, MESSAGE_FAILED, &act));
}
