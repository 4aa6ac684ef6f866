/* SPDX-License-Identifier: PostgreSQL */
/*
 * Giving money back: refund() cancels a paid booking or seats of it, refund_payment() is goodwill and
 * leaves the seats as they are. What goes back is taken from the booking's payments, the newest
 * first: points are back in the wallet at once, a provider's money becomes payable until the
 * provider says that it is done (refund_message.c). A fee that is kept is moved out of the revenue as well.
 *
 * Locks: request key, booking, accounts in id order, outbox keys.
 */
#include "cancel.h"

#include "errors.h"
#include "ledger.h"
#include "miscadmin.h"
#include "payment_event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_refund);
PG_FUNCTION_INFO_V1(concert_refund_payment);

#define OTHER_ACCOUNTS 2 /* revenue and fees */
#define CONCERT_READS_MAX 3

static SavedPlan replay_refund =
	PLAN("SELECT jsonb_populate_record(NULL::concert.refund_answer, $1)", JSONBOID);

/* Its id is this one until we are done (guard.c); a date whose own id was just changed is looked for anew. */
static SavedPlan find_concert = PLAN("SELECT d.concert_id FROM concert.reservation AS r"
									 " JOIN concert.concert_date AS d ON d.id = r.concert_date_id"
									 " WHERE r.booking_id = $1 LIMIT 1 FOR KEY SHARE OF d",
									 UUIDOID);

static SavedPlan has_begun =
	PLAN("SELECT 1 FROM concert.concert_date WHERE id = $1 AND starts_at <= $2", UUIDOID,
		 TIMESTAMPTZOID);

/* What a payment's part in it is. */
typedef struct Share
{
	Payment		  payment;
	PaymentStatus from_status;
	int64		  fee;
	pg_uuid_t	  account_id; /* where the money goes */
	Refund		  refund;	  /* its amount may be 0 */
} Share;

typedef struct Refunding
{
	pg_uuid_t		 booking_id;
	const pg_uuid_t *user_id; /* NULL: an operator */
	const char		*kind;
	const char		*cause;
	const char		*correlation_id;
	int				 seat_count; /* 0: the whole booking */
	pg_uuid_t		*seat_ids;
	pg_uuid_t		 payment_id; /* of goodwill */
	int64			 amount;	 /* what goes back */
	int64			 fee;
	const char		*currency; /* set with REASON_NONE */
	Booking			 booking;  /* what is cancelled of it */
	TimestampTz		 now;
	int				 count;
	Share			*shares;
	pg_uuid_t		 revenue_id;
	pg_uuid_t		 fees_id;
	Accounts		 accounts;
} Refunding;

/* Money and accounts ------------------------------------------------------------------------------ */

/* An account of the booking's concert, opened where it is not open. */
static pg_uuid_t
refund_open_account(const Refunding *refunding, const char *kind)
{
	pg_uuid_t concert_id;
	int		  reads = 0;

	while (plan_write(&find_concert, PLAN_ARGS(uuid_value(&refunding->booking_id))) == 0)
		if (++reads == CONCERT_READS_MAX)
			transfer_error_moved(&refunding->booking_id);
	concert_id = plan_uuid(0, 0);
	return ledger_open(kind, refunding->currency, &concert_id, NULL);
}

static void
refund_find_accounts(Refunding *refunding)
{
	const Booking booking = {.id = refunding->booking_id, .date_id = refunding->booking.date_id};

	if (!revenue_find(&booking, refunding->currency, &refunding->revenue_id))
		refunding->revenue_id = refund_open_account(refunding, "revenue");
	if (refunding->fee > 0)
		refunding->fees_id = refund_open_account(refunding, "fees");
	for (int i = 0; i < refunding->count; i++)
	{
		Share		  *share = &refunding->shares[i];
		const Payment *payment = &share->payment;

		share->account_id = payment->provider != NULL
			? ledger_open("refunds_payable", refunding->currency, NULL, payment->provider)
			: ledger_open("wallet", refunding->currency, &payment->user_id, NULL);
	}
}

/* An account whose id was changed, or that was closed, since it was looked for is looked for anew. */
static Reason
refund_lock_accounts(Refunding *refunding)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * (refunding->count + OTHER_ACCOUNTS));
	int		   count = 0;

	ids[count++] = refunding->revenue_id;
	if (refunding->fee > 0)
		ids[count++] = refunding->fees_id;
	for (int i = 0; i < refunding->count; i++)
		ids[count++] = refunding->shares[i].account_id;
	refunding->accounts = accounts_lock(ids, count, ACCOUNTS_TO_MOVE);
	for (int i = 0; i < count; i++)
	{
		const Account *account = accounts_find(&refunding->accounts, &ids[i]);

		if (!account->is_known)
			transfer_error_moved(&ids[i]);
		if (account->is_frozen)
			return REASON_FROZEN;
	}
	return REASON_NONE;
}

static pg_uuid_t
refund_move(const Refunding *refunding, const Share *share, const pg_uuid_t *credit_id,
			int64 amount, const char *kind)
{
	Transfer transfer = {
		.debit_id = refunding->revenue_id,
		.credit_id = *credit_id,
		.amount = amount,
		.kind = kind,
		.payment_id = &share->payment.id,
		.description = refunding->cause,
		.correlation_id = refunding->correlation_id,
	};

	transfer_apply(&refunding->accounts, &transfer);
	transfer_insert(&refunding->accounts, &transfer);
	return transfer.id;
}

static void
refund_write_share(const Refunding *refunding, Share *share)
{
	TimestampTz now = refunding->accounts.now;
	Payment	   *payment = &share->payment;

	share->from_status = payment->status;
	payment->refunded += share->refund.amount;
	payment->fee += share->fee;
	if (share->refund.amount > 0)
	{
		share->refund.transfer_id =
			refund_move(refunding, share, &share->account_id, share->refund.amount, "refund");
		refund_store_insert(&share->refund, payment, now);
	}
	if (share->fee > 0)
		refund_move(refunding, share, &refunding->fees_id, share->fee, "fee");
	refund_store_close(payment);
	payment_store_save(payment);
	if (share->fee > 0)
		payment_store_add_act(
			payment,
			&(PaymentAct){.act = "fee",
						  .from_status = transition_status_text(share->from_status),
						  .amount = share->fee,
						  .currency = refunding->currency,
						  .cause = refunding->cause,
						  .correlation_id = refunding->correlation_id},
			now);
	if (share->refund.amount > 0)
		refund_store_add_act(&share->refund, payment, share->from_status, now, NULL,
							 refunding->correlation_id);
}

/* Sets what is moved of each payment; there is enough. */
static void
refund_share(Refunding *refunding, const Payment *payments, int count)
{
	int64 amount = refunding->amount;
	int64 fee = refunding->fee;

	refunding->shares = palloc0(sizeof(Share) * Max(count, 1));
	for (int i = 0; i < count && amount + fee > 0; i++)
	{
		Share *share = &refunding->shares[refunding->count++];
		int64  left = payment_left(&payments[i]);

		share->payment = payments[i];
		share->refund.kind = refunding->kind;
		share->refund.cause = refunding->cause;
		share->refund.amount = Min(left, amount);
		share->fee = Min(left - share->refund.amount, fee);
		strlcpy(share->refund.currency, refunding->currency, CURRENCY_BYTES);
		amount -= share->refund.amount;
		fee -= share->fee;
	}
}

static Reason
refund_move_all(Refunding *refunding)
{
	Reason reason;

	if (refunding->count == 0)
		return REASON_NONE;
	refund_find_accounts(refunding);
	reason = refund_lock_accounts(refunding);
	if (reason != REASON_NONE)
		return reason;
	for (int i = 0; i < refunding->count; i++)
		refund_write_share(refunding, &refunding->shares[i]);
	accounts_save(&refunding->accounts);
	return REASON_NONE;
}

static void
refund_tell(const Refunding *refunding)
{
	for (int i = 0; i < refunding->count; i++)
	{
		const Share *share = &refunding->shares[i];

		if (share->refund.amount > 0)
			payment_event(share->refund.is_settled ? "payment.refunded" : "payment.refund_due",
						  &share->payment,
						  &(PaymentNews){.refund = &share->refund, .cause = refunding->cause},
						  refunding->correlation_id);
	}
}

/* The calls ---------------------------------------------------------------------------------------- */

/*
 * Under the booking's lock: the seats that are named, of a booking that is paid. Who has been at the
 * concert does not get his money back by himself; an operator may give it.
 */
static Reason
refund_judge_booking(Refunding *refunding)
{
	Reason reason = booking_lock_pending(&refunding->booking_id, refunding->user_id,
										 &refunding->booking, &refunding->now);
	Json   refused = {0};

	if (reason != REASON_ALREADY_PAID)
		return reason == REASON_NONE ? REASON_HELD : reason;
	if (refunding->user_id != NULL &&
		plan_read(&has_begun,
				  PLAN_ARGS(uuid_value(&refunding->booking.date_id),
							value(TimestampTzGetDatum(refunding->now)))) > 0)
		return REASON_TOO_LATE;
	json_begin_array(&refused);
	if (refunding->seat_count > 0)
		return cancel_choose(&refunding->booking, refunding->seat_ids, refunding->seat_count,
							 &refused);
	return REASON_NONE;
}

/* What the seats cost goes back, but never more than is left of what was paid. */
static Reason
refund_booking_act(void *state)
{
	Refunding *refunding = state;
	Reason	   reason = refund_judge_booking(refunding);
	Payment	  *payments;
	int		   count;
	int64	   left = 0;

	if (reason != REASON_NONE)
		return reason;
	payments = payment_store_of_booking(&refunding->booking_id, &count);
	for (int i = 0; i < count; i++)
		left += payment_left(&payments[i]);
	refunding->amount = Min(refunding->booking.amount, left);
	if (refunding->fee > refunding->amount)
		return REASON_INSUFFICIENT_FUNDS;
	refunding->amount -= refunding->fee;
	refunding->currency = refunding->booking.currency;
	refund_share(refunding, payments, count);
	reason = refund_move_all(refunding);
	if (reason != REASON_NONE)
		return reason;
	booking_cancel_paid(&refunding->booking, refunding->now,
						refunding->user_id == NULL ? GetUserNameFromId(GetSessionUserId(), false)
												   : NULL,
						refunding->cause, refunding->correlation_id);
	refund_tell(refunding);
	return REASON_NONE;
}

static Reason
refund_payment_act(void *state)
{
	Refunding *refunding = state;
	Payment	   payment;
	Reason	   reason;

	if (!payment_store_lock(&refunding->payment_id, &payment))
		return REASON_UNKNOWN;
	if (refunding->amount > payment_left(&payment))
		return REASON_INSUFFICIENT_FUNDS;
	refunding->booking_id = payment.booking_id;
	refunding->currency = pstrdup(payment.currency);
	refund_share(refunding, &payment, 1);
	reason = refund_move_all(refunding);
	if (reason == REASON_NONE)
		refund_tell(refunding);
	return reason;
}

static void
refund_add_share(Json *json, const Share *share)
{
	json_begin_object(json);
	json_add_uuid(json, "refund_id", &share->refund.id);
	json_add_uuid(json, "payment_id", &share->payment.id);
	json_add_text(json, "method", share->payment.provider == NULL ? "points" : "provider");
	if (share->payment.provider != NULL)
		json_add_text(json, "provider", share->payment.provider);
	json_add_int64(json, "amount", share->refund.amount);
	json_add_text(json, "currency", share->refund.currency);
	json_add_text(json, "status", share->refund.is_settled ? "settled" : "due");
	json_end_object(json);
}

static Datum
refund_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Refunding *refunding = state;
	bool			 ok = reason == REASON_NONE;
	Json			 refunds = {0};

	json_begin_array(&refunds);
	for (int i = 0; ok && i < refunding->count; i++)
		if (refunding->shares[i].refund.amount > 0)
			refund_add_share(&refunds, &refunding->shares[i]);
	json_end_array(&refunds);
	return answer_row(fcinfo,
					  (NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
										ok ? value(Int64GetDatum(refunding->amount)) : null_value(),
										ok ? value(Int64GetDatum(refunding->fee)) : null_value(),
										ok ? text_value(refunding->currency) : null_value(),
										value(JsonbPGetDatum(json_finish(&refunds)))},
					  6);
}

Datum
concert_refund(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id"};
	MoneyCall call = {"refund", &replay_refund, .act = refund_booking_act, .answer = refund_answer};
	Refunding refunding = {.kind = "seats"};
	char	 *cause = argument_optional_text(fcinfo, 4, "cause", NAME_CHARS_MAX);

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	if (PG_ARGISNULL(3))
		error_null("fee");
	refunding.booking_id = *PG_GETARG_UUID_P(0);
	refunding.user_id = PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1);
	if (!PG_ARGISNULL(2))
		refunding.seat_ids = argument_seats(fcinfo, 2, SEATS_PER_CALL_LIMIT, &refunding.seat_count);
	refunding.fee = PG_GETARG_INT64(3);
	if (refunding.fee < 0)
		error_invalid_number("fee", refunding.fee, 0, PG_INT64_MAX);
	refunding.cause = cause != NULL ? cause : "given back";
	call.key = argument_optional_text(fcinfo, 5, "idempotency_key", KEY_CHARS_MAX);
	refunding.correlation_id = argument_optional_text(fcinfo, 6, "correlation_id", KEY_CHARS_MAX);
	call.user_id = refunding.user_id;
	call.content =
		psprintf("%s " INT64_FORMAT " %s",
				 cancel_content(&refunding.booking_id, refunding.seat_ids, refunding.seat_count),
				 refunding.fee, content_text(cause));
	PG_RETURN_DATUM(money_call(fcinfo, &call, &refunding));
}

Datum
concert_refund_payment(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"payment_id", "amount"};
	MoneyCall				 call = {"refund_payment", &replay_refund, .act = refund_payment_act,
									 .answer = refund_answer};
	Refunding				 refunding = {.kind = "goodwill"};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	refunding.payment_id = *PG_GETARG_UUID_P(0);
	refunding.amount = argument_amount(fcinfo, 1, "amount");
	refunding.cause = argument_text(fcinfo, 2, "cause", NAME_CHARS_MAX);
	call.key = argument_optional_text(fcinfo, 3, "idempotency_key", KEY_CHARS_MAX);
	refunding.correlation_id = argument_optional_text(fcinfo, 4, "correlation_id", KEY_CHARS_MAX);
	call.content = psprintf("%s " INT64_FORMAT " %s", uuid_text(&refunding.payment_id),
							refunding.amount, content_text(refunding.cause));
	PG_RETURN_DATUM(money_call(fcinfo, &call, &refunding));
}
