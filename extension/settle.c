/* SPDX-License-Identifier: PostgreSQL */
/*
 * What becomes of money that a provider has captured. It is of a pending booking: that is confirmed,
 * and points that were set aside beside it are moved. Of one whose time is over: its seats are taken
 * again if all can be had (retake.h). Else, and whatever came wrong, it is refunded by itself: such
 * money goes from the provider's account straight to what is payable back, and never is revenue.
 * A booking that costs less by now, because seats of it were given back, gets the difference back.
 * What is captured beside what was taken before goes back as well, whatever the booking is.
 *
 * Money that came is a fact: nothing about the booking, its seats, the points or the concert's
 * account can make it be refused. Only the provider's own accounts can, while somebody has frozen
 * them, and a seat whose expired owner's booking is being worked on.
 *
 * Locks, under the booking's: those of retake.h, accounts in id order, the pending, outbox keys.
 * Everything is judged before anything is written.
 */
#include "settle.h"

#include "ledger.h"
#include "payment_event.h"
#include "pending.h"
#include "retake.h"

#define SETTLE_ACCOUNTS_MAX 5

typedef struct Settlement
{
	Payment		  *payment;
	const Capture *capture;
	const char	  *cause; /* why all of it goes back; NULL: the booking is confirmed */
	Booking		   booking;
	bool		   is_retake;
	Retake		   retake;
	TimestampTz	   now;		/* what the booking was judged at */
	int64		   revenue; /* the parts: of the money that came, */
	int64		   rest;
	int64		   points; /* and of what was set aside */
	pg_uuid_t	   funding_id;
	pg_uuid_t	   payable_id;
	bool		   has_revenue;
	pg_uuid_t	   revenue_id;
	bool		   has_wallet;
	pg_uuid_t	   wallet_id;
	bool		   has_pending;
	bool		   holds; /* the pending transfer has not ended */
	Pending		   pending;
	Accounts	   accounts;
} Settlement;

/* Of a payment that has money already, this is more of it. */
static bool
settle_is_again(const Settlement *settlement)
{
	return settlement->payment->captured > 0;
}

/* REASON_BUSY, or what becomes of the booking is known. */
static Reason
settle_judge_booking(Settlement *settlement)
{
	const Payment *payment = settlement->payment;
	const Capture *capture = settlement->capture;
	Reason		   reason;

	if (settle_is_again(settlement))
		settlement->cause = "captured again";
	else if (strcmp(capture->currency, payment->currency) != 0)
		settlement->cause = "wrong_currency";
	else if (capture->amount != payment->amount)
		settlement->cause = "wrong_amount";
	if (settlement->cause != NULL)
		return REASON_NONE;
	reason =
		booking_lock_pending(&payment->booking_id, NULL, &settlement->booking, &settlement->now);
	if (reason == REASON_EXPIRED)
	{
		reason = retake_decide(&settlement->retake, &settlement->booking, capture->correlation_id);
		if (reason == REASON_BUSY)
			return reason;
		settlement->is_retake = reason == REASON_NONE;
	}
	if (reason != REASON_NONE)
		settlement->cause = reason_text(reason);
	return REASON_NONE;
}

/*
 * The points' wallet is the one of which they were set aside, or where they lapsed the user's: what
 * has lapsed keeps no account from being closed, so none of its accounts is asked for.
 */
static void
settle_find_accounts(Settlement *settlement)
{
	const Payment *payment = settlement->payment;
	const char	  *currency = settlement->capture->currency;

	settlement->funding_id = ledger_open("funding", currency, NULL, payment->provider);
	settlement->payable_id = ledger_open("refunds_payable", currency, NULL, payment->provider);
	settlement->has_revenue = settlement->cause == NULL &&
		revenue_find(&settlement->booking, currency, &settlement->revenue_id);
	if (payment->points == 0 || settle_is_again(settlement))
		return;
	settlement->pending.id = payment->pending_id;
	settlement->has_pending = pending_read(&settlement->pending) &&
		!settlement->pending.is_resolved && settlement->pending.expires_at > GetCurrentTimestamp();
	settlement->has_wallet = settlement->has_pending ||
		wallet_find(&payment->user_id, payment->currency, &settlement->wallet_id);
	if (settlement->has_pending)
		settlement->wallet_id = settlement->pending.debit_id;
}

/* An id that was changed, or an account that was closed, since it was looked for is looked for anew. */
static void
settle_require_known(const Settlement *settlement, const pg_uuid_t *id)
{
	if (!accounts_find(&settlement->accounts, id)->is_known)
		transfer_error_moved(id);
}

static Reason
settle_lock_accounts(Settlement *settlement)
{
	pg_uuid_t ids[SETTLE_ACCOUNTS_MAX];
	int		  count = 0;

	ids[count++] = settlement->funding_id;
	ids[count++] = settlement->payable_id;
	if (settlement->has_revenue)
		ids[count++] = settlement->revenue_id;
	if (settlement->has_wallet)
		ids[count++] = settlement->wallet_id;
	if (settlement->has_pending)
		ids[count++] = settlement->pending.credit_id;
	settlement->accounts = accounts_lock(ids, count, ACCOUNTS_TO_MOVE);
	for (int i = 0; i < count; i++)
		settle_require_known(settlement, &ids[i]);
	if (accounts_find(&settlement->accounts, &settlement->funding_id)->is_frozen ||
		accounts_find(&settlement->accounts, &settlement->payable_id)->is_frozen)
		return REASON_FROZEN;
	settlement->holds = settlement->has_pending &&
		pending_lock(&settlement->pending, &settlement->accounts) == REASON_NONE;
	if (settlement->holds)
		pending_release(&settlement->pending, &settlement->accounts);
	return REASON_NONE;
}

static Transfer
settle_transfer(const Settlement *settlement, const pg_uuid_t *debit_id, const pg_uuid_t *credit_id,
				int64 amount)
{
	return (Transfer){
		.debit_id = *debit_id,
		.credit_id = *credit_id,
		.amount = amount,
		.kind = "payment",
		.payment_id = &settlement->payment->id,
		.correlation_id = settlement->capture->correlation_id,
	};
}

/* Whether a part may be moved to the concert's revenue. */
static Reason
settle_judge_part(const Settlement *settlement, bool has_debit, const pg_uuid_t *debit_id,
				  int64 amount)
{
	Transfer transfer = settle_transfer(settlement, debit_id, &settlement->revenue_id, amount);

	if (amount == 0)
		return REASON_NONE;
	if (!settlement->has_revenue)
		return REASON_UNKNOWN;
	return has_debit ? transfer_judge(&settlement->accounts, &transfer) : REASON_INSUFFICIENT_FUNDS;
}

/* A booking can only have become cheaper since its payment began. */
static void
settle_share(Settlement *settlement)
{
	int64 price = settlement->booking.amount;

	settlement->rest = settlement->capture->amount;
	if (settlement->cause == NULL)
	{
		int64  revenue = Min(price, settlement->capture->amount);
		int64  points = price - revenue;
		Reason reason = settle_judge_part(settlement, true, &settlement->funding_id, revenue);

		if (reason == REASON_NONE)
			reason = settle_judge_part(settlement, settlement->has_wallet, &settlement->wallet_id,
									   points);
		if (reason == REASON_NONE)
		{
			settlement->revenue = revenue;
			settlement->points = points;
			settlement->rest -= revenue;
			return;
		}
		settlement->cause = reason_text(reason);
	}
	if (settlement->is_retake)
		retake_release(&settlement->retake);
	settlement->is_retake = false;
}

static Transfer
settle_move(const Settlement *settlement, const pg_uuid_t *debit_id, const pg_uuid_t *credit_id,
			int64 amount)
{
	Transfer transfer = settle_transfer(settlement, debit_id, credit_id, amount);

	transfer_apply(&settlement->accounts, &transfer);
	transfer_insert(&settlement->accounts, &transfer);
	return transfer;
}

/* The points are a payment of their own, which is refunded as one. */
static void
settle_move_points(const Settlement *settlement)
{
	Payment points = {
		.id = uuid7_next(),
		.booking_id = settlement->payment->booking_id,
		.user_id = settlement->payment->user_id,
		.status = PAYMENT_CAPTURED,
		.amount = settlement->points,
		.captured = settlement->points,
	};
	Transfer transfer = settle_transfer(settlement, &settlement->wallet_id, &settlement->revenue_id,
										settlement->points);

	if (settlement->points > 0)
	{
		strlcpy(points.currency, settlement->payment->currency, CURRENCY_BYTES);
		payment_store_insert(&points, settlement->accounts.now);
		transfer.payment_id = &points.id;
		transfer.pending_id = settlement->holds ? &settlement->pending.id : NULL;
		transfer_apply(&settlement->accounts, &transfer);
		transfer_insert(&settlement->accounts, &transfer);
	}
	if (settlement->holds)
		pending_resolve(&settlement->pending, &settlement->accounts,
						settlement->points > 0 ? &transfer : NULL);
}

/* A payment counts in the currency that came first; what comes in another is in its refund alone. */
static void
settle_save_payment(const Settlement *settlement)
{
	Payment		  *payment = settlement->payment;
	const Capture *capture = settlement->capture;
	bool		   is_again = settle_is_again(settlement);

	payment->status =
		transition_of(payment->status, is_again ? MESSAGE_CAPTURED_AGAIN : MESSAGE_CAPTURED)
			.becomes;
	if (!is_again)
		strlcpy(payment->captured_currency, capture->currency, CURRENCY_BYTES);
	if (strcmp(payment->captured_currency, capture->currency) == 0)
	{
		payment->captured += capture->amount;
		payment->refunded += settlement->rest;
	}
	payment->next_attempt_at = 0;
	payment_store_save(payment);
}

/* Writes and tells all of it; reservations before payments. */
static void
settle_do(Settlement *settlement, PaymentAct *act)
{
	const char *correlation_id = settlement->capture->correlation_id;
	TimestampTz now = settlement->accounts.now;
	bool		is_again = settle_is_again(settlement);
	Refund		refund = {
			 .kind = settlement->cause == NULL || is_again ? "excess" : "late",
			 .amount = settlement->rest,
			 .cause = settlement->cause != NULL ? settlement->cause : "seats were given back",
	 };

	if (settlement->revenue > 0)
		settle_move(settlement, &settlement->funding_id, &settlement->revenue_id,
					settlement->revenue);
	if (settlement->rest > 0)
		refund.transfer_id = settle_move(settlement, &settlement->funding_id,
										 &settlement->payable_id, settlement->rest)
								 .id;
	settle_move_points(settlement);
	accounts_save(&settlement->accounts);
	settle_save_payment(settlement);
	act->cause = settlement->cause;
	payment_store_add_act(settlement->payment, act, now);
	strlcpy(refund.currency, settlement->capture->currency, CURRENCY_BYTES);
	if (settlement->rest > 0)
	{
		refund_store_insert(&refund, settlement->payment, now);
		refund_store_add_act(&refund, settlement->payment, settlement->payment->status, now,
							 is_again ? act->provider_ref : NULL, correlation_id);
	}
	if (settlement->is_retake)
	{
		retake_take(&settlement->retake);
		settlement->booking = settlement->retake.booking;
		settlement->now = settlement->retake.taking.now;
	}
	if (settlement->cause == NULL)
	{
		booking_confirm(&settlement->booking, settlement->now, correlation_id);
		payment_event("payment.captured", settlement->payment,
					  &(PaymentNews){.points = settlement->points}, correlation_id);
	}
	if (settlement->rest > 0)
		payment_event("payment.refund_due", settlement->payment,
					  &(PaymentNews){.refund = &refund, .cause = refund.cause}, correlation_id);
}

Reason
settle(Payment *payment, const Capture *capture, PaymentAct *act)
{
	Settlement *settlement = palloc0(sizeof(Settlement));
	Reason		reason;

	settlement->payment = payment;
	settlement->capture = capture;
	reason = settle_judge_booking(settlement);
	if (reason != REASON_NONE)
		return reason;
	settle_find_accounts(settlement);
	reason = settle_lock_accounts(settlement);
	if (reason != REASON_NONE)
	{
		if (settlement->is_retake)
			retake_release(&settlement->retake);
		return reason;
	}
	settle_share(settlement);
	settle_do(settlement, act);
	return REASON_NONE;
}
