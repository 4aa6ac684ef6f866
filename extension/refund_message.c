/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a provider tells of a refund: that it is done, or that it could not be. A refund that failed
 * stays due and is asked for again by itself; one that is settled never changes again.
 *
 * Locks: booking, the provider's accounts in id order, the outbox key.
 */
#include "errors.h"

#include "ledger.h"
#include "payment_event.h"
#include "provider.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_refund_settled);
PG_FUNCTION_INFO_V1(concert_refund_failed);

#define FAILED_RETRY_SECONDS 10

/* REASON_FROZEN when the provider's own accounts are. */
static Reason
refund_move_out(Refund *refund, const Payment *payment, const char *correlation_id,
				TimestampTz *ret_now)
{
	Transfer transfer = {
		.debit_id = ledger_open("refunds_payable", refund->currency, NULL, payment->provider),
		.credit_id = ledger_open("funding", refund->currency, NULL, payment->provider),
		.amount = refund->amount,
		.kind = "refund",
		.payment_id = &payment->id,
		.correlation_id = correlation_id,
	};
	Accounts accounts = transfer_lock(&transfer.debit_id, &transfer.credit_id);
	Reason	 reason = transfer_do(&accounts, &transfer);

	if (reason == REASON_UNKNOWN)
		transfer_error_moved(&transfer.debit_id);
	*ret_now = accounts.now;
	refund->settled_transfer_id = transfer.id;
	return reason;
}

static Reason
refund_settle(Refund *refund, Payment *payment, PaymentAct *act)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_news = !refund->is_settled;

	if (is_news)
	{
		Reason reason = refund_move_out(refund, payment, act->correlation_id, &now);

		if (reason != REASON_NONE)
			return reason;
		refund->is_settled = true;
		refund->provider_ref = act->provider_ref;
		refund_store_save(refund, now);
		refund_store_close(payment);
		payment_store_save(payment);
	}
	payment_store_add_act(payment, act, now);
	if (is_news)
		payment_event("payment.refunded", payment,
					  &(PaymentNews){.refund = refund, .cause = refund->cause},
					  act->correlation_id);
	return REASON_NONE;
}

static Reason
refund_try_later(Refund *refund, Payment *payment, PaymentAct *act)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!refund->is_settled)
	{
		refund->next_attempt_at = payment_next_attempt(now, FAILED_RETRY_SECONDS, refund->attempts);
		refund->attempts++;
		refund_store_save(refund, now);
	}
	payment_store_add_act(payment, act, now);
	return REASON_NONE;
}

typedef Reason (*RefundMessage)(Refund *refund, Payment *payment, PaymentAct *act);

/* The refund is read again under its booking's lock, which is its payment's. */
static Reason
refund_take(const pg_uuid_t *refund_id, RefundMessage message, PaymentAct *act,
			Payment *ret_payment)
{
	Refund refund;

	if (!refund_store_read(refund_id, &refund) ||
		!payment_store_lock(&refund.payment_id, ret_payment) ||
		!refund_store_read(refund_id, &refund) || !payment_store_is_of(ret_payment, act))
		return REASON_UNKNOWN;
	act->refund_id = refund_id;
	act->from_status = transition_status_text(ret_payment->status);
	act->amount = refund.amount;
	act->currency = pstrdup(refund.currency);
	if (payment_store_heard(ret_payment, act))
		return REASON_NONE;
	return message(&refund, ret_payment, act);
}

static Datum
refund_message(FunctionCallInfo fcinfo, RefundMessage message, PaymentAct *act)
{
	static const char *const names[] = {"refund_id"};
	MemoryContext			 caller = CurrentMemoryContext;
	Payment					 payment;
	Reason					 reason;
	Datum					 answer;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	plan_begin();
	reason = refund_take(PG_GETARG_UUID_P(0), message, act, &payment);
	answer = provider_answer(fcinfo, &payment, reason, caller);
	plan_end();
	return answer;
}

Datum
concert_refund_settled(PG_FUNCTION_ARGS)
{
	PaymentAct act = {
		.act = "refund_settled",
		.provider_ref = argument_optional_text(fcinfo, 1, "provider_ref", KEY_CHARS_MAX),
		.message_id = argument_text(fcinfo, 2, "message_id", KEY_CHARS_MAX),
		.correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
		.sender = argument_optional_text(fcinfo, 4, "provider", NAME_CHARS_MAX),
	};

	PG_RETURN_DATUM(refund_message(fcinfo, refund_settle, &act));
}

Datum
concert_refund_failed(PG_FUNCTION_ARGS)
{
	PaymentAct act = {
		.act = "refund_failed",
		.cause = argument_text(fcinfo, 1, "cause", KEY_CHARS_MAX),
		.message_id = argument_text(fcinfo, 2, "message_id", KEY_CHARS_MAX),
		.correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX),
		.sender = argument_optional_text(fcinfo, 4, "provider", NAME_CHARS_MAX),
	};

	PG_RETURN_DATUM(refund_message(fcinfo, refund_try_later, &act));
}
