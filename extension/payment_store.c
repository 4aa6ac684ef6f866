/* SPDX-License-Identifier: PostgreSQL */
/* Payments as rows; see payment_store.h. */
#include "payment_store.h"

#include "errors.h"
#include "guard.h"
#include "lock.h"
#include "pending.h"
#include "utils/builtins.h"

#define ATTEMPT_SECONDS_MAX 3600
#define ATTEMPT_DOUBLINGS_MAX 12

#define PAYMENT_COLUMNS                                                               \
	"id, booking_id, user_id, status, amount, currency, captured, captured_currency," \
	" refunded, fee, provider, provider_ref, points, pending_id, attempts, next_attempt_at"

enum
{
	COLUMN_ID,
	COLUMN_BOOKING,
	COLUMN_USER,
	COLUMN_STATUS,
	COLUMN_AMOUNT,
	COLUMN_CURRENCY,
	COLUMN_CAPTURED,
	COLUMN_CAPTURED_CURRENCY,
	COLUMN_REFUNDED,
	COLUMN_FEE,
	COLUMN_PROVIDER,
	COLUMN_PROVIDER_REF,
	COLUMN_POINTS,
	COLUMN_PENDING,
	COLUMN_ATTEMPTS,
	COLUMN_NEXT_ATTEMPT
};

static SavedPlan find_payment =
	PLAN("SELECT " PAYMENT_COLUMNS " FROM concert.payment WHERE id = $1", UUIDOID);

static SavedPlan find_left =
	PLAN("SELECT " PAYMENT_COLUMNS " FROM concert.payment"
		 " WHERE booking_id = $1 AND captured > refunded + fee ORDER BY created_at DESC, id DESC",
		 UUIDOID);

static SavedPlan find_open = PLAN("SELECT 1 FROM concert.payment"
								  " WHERE booking_id = $1 AND status IN ('begun', 'authorized')",
								  UUIDOID);

static SavedPlan find_set_aside =
	PLAN("SELECT pending_id FROM concert.payment AS p WHERE booking_id = ANY ($1)"
		 " AND status IN ('begun', 'authorized') AND pending_id IS NOT NULL"
		 " AND ($2 IS NULL OR NOT EXISTS (SELECT FROM concert.reservation AS r"
		 "  WHERE r.booking_id = p.booking_id AND r.status = 'pending' AND r.expires_at > $2))",
		 UUIDARRAYOID, TIMESTAMPTZOID);

static SavedPlan insert_payment =
	PLAN("INSERT INTO concert.payment (id, booking_id, user_id, method, status, amount, currency,"
		 " created_at, captured, provider, points, pending_id, next_attempt_at)"
		 " VALUES ($1, $2, $3, CASE WHEN $9 IS NULL THEN 'points' ELSE 'provider' END, $4, $5, $6,"
		 " $7, $8, $9, $10, $11, $12)",
		 UUIDOID, UUIDOID, UUIDOID, TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTOID,
		 INT8OID, UUIDOID, TIMESTAMPTZOID);

static SavedPlan save_payment =
	PLAN("UPDATE concert.payment SET status = $2, captured = $3, captured_currency = $4,"
		 " refunded = $5, fee = $6, provider_ref = $7, attempts = $8, next_attempt_at = $9"
		 " WHERE id = $1",
		 UUIDOID, TEXTOID, INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID);

static SavedPlan find_act =
	PLAN("SELECT (amount, currency, provider_ref) IS NOT DISTINCT FROM ($5, $6, $7)"
		 " AND ($8 IS NULL OR cause = $8)"
		 " FROM concert.payment_act WHERE payment_id = $1 AND message_id = $2 AND act = $3"
		 " AND coalesce(refund_id, payment_id) = $4",
		 UUIDOID, TEXTOID, TEXTOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID);

static SavedPlan judge_capture =
	PLAN("SELECT coalesce(bool_and(provider_ref <> $2), bool_and((amount, currency) <> ($3, $4)))"
		 " FROM concert.payment_act WHERE payment_id = $1 AND act = 'captured'",
		 UUIDOID, TEXTOID, INT8OID, TEXTOID);

static SavedPlan insert_act = PLAN(
	"INSERT INTO concert.payment_act (payment_id, n, act, message_id, from_status, to_status,"
	" amount, currency, refund_id, cause, correlation_id, at, provider_ref)"
	" SELECT $1, coalesce((SELECT max(n) FROM concert.payment_act WHERE payment_id = $1), 0) + 1,"
	" $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12",
	UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, UUIDOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID);

static Payment
payment_from_row(int row)
{
	Payment payment = {
		.id = plan_uuid(row, COLUMN_ID),
		.booking_id = plan_uuid(row, COLUMN_BOOKING),
		.user_id = plan_uuid(row, COLUMN_USER),
		.status = transition_status(plan_text(row, COLUMN_STATUS)),
		.amount = plan_int64(row, COLUMN_AMOUNT),
		.captured = plan_int64(row, COLUMN_CAPTURED),
		.refunded = plan_int64(row, COLUMN_REFUNDED),
		.fee = plan_int64(row, COLUMN_FEE),
		.provider = plan_text(row, COLUMN_PROVIDER),
		.provider_ref = plan_text(row, COLUMN_PROVIDER_REF),
		.points = plan_int64(row, COLUMN_POINTS),
		.pending_id = plan_uuid(row, COLUMN_PENDING),
		.attempts = plan_int32(row, COLUMN_ATTEMPTS),
		.next_attempt_at = plan_time(row, COLUMN_NEXT_ATTEMPT),
	};

	strlcpy(payment.currency, plan_text(row, COLUMN_CURRENCY), CURRENCY_BYTES);
	strlcpy(payment.captured_currency,
			plan_text(row,
					  plan_is_null(row, COLUMN_CAPTURED_CURRENCY) ? COLUMN_CURRENCY
																  : COLUMN_CAPTURED_CURRENCY),
			CURRENCY_BYTES);
	return payment;
}

bool
payment_store_read(const pg_uuid_t *id, Payment *ret_payment)
{
	if (plan_read(&find_payment, PLAN_ARGS(uuid_value(id))) == 0)
		return false;
	*ret_payment = payment_from_row(0);
	return true;
}

/* A payment stays with its booking, so the booking's lock is the one that was read of. */
bool
payment_store_lock(const pg_uuid_t *id, Payment *ret_payment)
{
	if (!payment_store_read(id, ret_payment))
		return false;
	lock_wait(LOCK_BOOKING, lock_name_uuid(&ret_payment->booking_id));
	return payment_store_read(id, ret_payment);
}

Payment *
payment_store_of_booking(const pg_uuid_t *booking_id, int *ret_count)
{
	int		 count = plan_read(&find_left, PLAN_ARGS(uuid_value(booking_id)));
	Payment *payments = palloc(sizeof(Payment) * Max(count, 1));

	for (int i = 0; i < count; i++)
		payments[i] = payment_from_row(i);
	*ret_count = count;
	return payments;
}

bool
payment_store_has_open(const pg_uuid_t *booking_id)
{
	return plan_read(&find_open, PLAN_ARGS(uuid_value(booking_id))) > 0;
}

int64
payment_left(const Payment *payment)
{
	return payment->captured - payment->refunded - payment->fee;
}

static NullableDatum
optional_time(TimestampTz time)
{
	return time == 0 ? null_value() : value(TimestampTzGetDatum(time));
}

void
payment_store_insert(const Payment *payment, TimestampTz now)
{
	plan_write_rows(&insert_payment,
					PLAN_ARGS(uuid_value(&payment->id), uuid_value(&payment->booking_id),
							  uuid_value(&payment->user_id),
							  text_value(transition_status_text(payment->status)),
							  value(Int64GetDatum(payment->amount)), text_value(payment->currency),
							  value(TimestampTzGetDatum(now)),
							  value(Int64GetDatum(payment->captured)),
							  text_value(payment->provider), value(Int64GetDatum(payment->points)),
							  payment->points > 0 ? uuid_value(&payment->pending_id) : null_value(),
							  optional_time(payment->next_attempt_at)),
					1);
}

void
payment_store_save(const Payment *payment)
{
	bool other_currency = strcmp(payment->captured_currency, payment->currency) != 0;

	plan_require_rows(
		&save_payment,
		guard_update(
			"payment", &save_payment,
			PLAN_ARGS(uuid_value(&payment->id), text_value(transition_status_text(payment->status)),
					  value(Int64GetDatum(payment->captured)),
					  text_value(other_currency ? payment->captured_currency : NULL),
					  value(Int64GetDatum(payment->refunded)), value(Int64GetDatum(payment->fee)),
					  text_value(payment->provider_ref), value(Int32GetDatum(payment->attempts)),
					  optional_time(payment->next_attempt_at))),
		1);
}

bool
payment_store_is_of(const Payment *payment, const PaymentAct *act)
{
	return payment->provider != NULL &&
		(act->sender == NULL || strcmp(act->sender, payment->provider) == 0);
}

static NullableDatum
act_amount(const PaymentAct *act)
{
	return act->currency == NULL ? null_value() : value(Int64GetDatum(act->amount));
}

bool
payment_store_heard(const Payment *payment, const PaymentAct *act)
{
	if (plan_read(&find_act,
				  PLAN_ARGS(uuid_value(&payment->id), text_value(act->message_id),
							text_value(act->act),
							uuid_value(act->refund_id != NULL ? act->refund_id : &payment->id),
							act_amount(act), text_value(act->currency),
							text_value(act->provider_ref), text_value(act->cause))) == 0)
		return false;
	if (!plan_bool(0, 0))
		error_message_reused(act->message_id, &payment->id);
	return true;
}

bool
payment_store_is_other_capture(const Payment *payment, const PaymentAct *act)
{
	if (payment->captured == 0 || act->provider_ref == NULL)
		return false;
	plan_read(&judge_capture,
			  PLAN_ARGS(uuid_value(&payment->id), text_value(act->provider_ref),
						value(Int64GetDatum(act->amount)), text_value(act->currency)));
	return !plan_is_null(0, 0) && plan_bool(0, 0);
}

void
payment_store_add_act(const Payment *payment, const PaymentAct *act, TimestampTz now)
{
	plan_write_rows(&insert_act,
					PLAN_ARGS(uuid_value(&payment->id), text_value(act->act),
							  text_value(act->message_id), text_value(act->from_status),
							  text_value(transition_status_text(payment->status)), act_amount(act),
							  text_value(act->currency),
							  act->refund_id == NULL ? null_value() : uuid_value(act->refund_id),
							  text_value(act->cause), text_value(act->correlation_id),
							  value(TimestampTzGetDatum(now)), text_value(act->provider_ref)),
					1);
}

void
payment_store_let_go(const pg_uuid_t *booking_ids, int count, TimestampTz expired_by)
{
	int found =
		plan_read(&find_set_aside,
				  PLAN_ARGS(uuid_array_value(booking_ids, count), optional_time(expired_by)));

	pending_let_go(plan_uuids(found, 0), found);
}

TimestampTz
payment_next_attempt(TimestampTz now, int seconds, int attempts)
{
	int64 delay = (int64) seconds << Min(attempts, ATTEMPT_DOUBLINGS_MAX);

	return now + Min(delay, ATTEMPT_SECONDS_MAX) * USECS_PER_SEC;
}
