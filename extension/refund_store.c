/* SPDX-License-Identifier: PostgreSQL */
/* Refunds as rows; see refund_store.h. */
#include "refund_store.h"

#include "guard.h"
#include "utils/builtins.h"

static SavedPlan find_refund =
	PLAN("SELECT payment_id, kind, status = 'settled', amount, currency, cause, transfer_id,"
		 " settled_transfer_id, provider_ref, attempts, next_attempt_at"
		 " FROM concert.refund WHERE id = $1",
		 UUIDOID);

static SavedPlan find_newest =
	PLAN("SELECT id FROM concert.refund WHERE payment_id = $1 ORDER BY created_at DESC, id DESC"
		 " LIMIT 1",
		 UUIDOID);

static SavedPlan find_due =
	PLAN("SELECT 1 FROM concert.refund WHERE payment_id = $1 AND status = 'due' LIMIT 1", UUIDOID);

static SavedPlan insert_refund = PLAN(
	"INSERT INTO concert.refund (id, payment_id, booking_id, kind, status, amount, currency, cause,"
	" transfer_id, created_at, next_attempt_at, settled_at)"
	" VALUES ($1, $2, $3, $4, CASE WHEN $10 IS NULL THEN 'due' ELSE 'settled' END, $5, $6, $7, $8,"
	" $9, CASE WHEN $10 IS NULL THEN $9 END, $10)",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID);

static SavedPlan save_refund =
	PLAN("UPDATE concert.refund SET provider_ref = $2, attempts = $3, next_attempt_at = $4,"
		 " status = CASE WHEN $5 IS NULL THEN 'due' ELSE 'settled' END, settled_transfer_id = $5,"
		 " settled_at = CASE WHEN $5 IS NOT NULL THEN $6 END WHERE id = $1 AND status = 'due'",
		 UUIDOID, TEXTOID, INT4OID, TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID);

bool
refund_store_read(const pg_uuid_t *id, Refund *ret_refund)
{
	if (plan_read(&find_refund, PLAN_ARGS(uuid_value(id))) == 0)
		return false;
	*ret_refund = (Refund){
		.id = *id,
		.payment_id = plan_uuid(0, 0),
		.kind = plan_text(0, 1),
		.is_settled = plan_bool(0, 2),
		.amount = plan_int64(0, 3),
		.cause = plan_text(0, 5),
		.transfer_id = plan_uuid(0, 6),
		.settled_transfer_id = plan_uuid(0, 7),
		.provider_ref = plan_text(0, 8),
		.attempts = plan_int32(0, 9),
		.next_attempt_at = plan_time(0, 10),
	};
	strlcpy(ret_refund->currency, plan_text(0, 4), CURRENCY_BYTES);
	return true;
}

bool
refund_store_newest(const pg_uuid_t *payment_id, pg_uuid_t *ret_id)
{
	if (plan_read(&find_newest, PLAN_ARGS(uuid_value(payment_id))) == 0)
		return false;
	*ret_id = plan_uuid(0, 0);
	return true;
}

static bool
refund_store_all_settled(const pg_uuid_t *payment_id)
{
	return plan_read(&find_due, PLAN_ARGS(uuid_value(payment_id))) == 0;
}

void
refund_store_insert(Refund *refund, const Payment *payment, TimestampTz now)
{
	refund->id = uuid7_next();
	refund->payment_id = payment->id;
	refund->is_settled = payment->provider == NULL;
	plan_write_rows(&insert_refund,
					PLAN_ARGS(uuid_value(&refund->id), uuid_value(&payment->id),
							  uuid_value(&payment->booking_id), text_value(refund->kind),
							  value(Int64GetDatum(refund->amount)), text_value(refund->currency),
							  text_value(refund->cause), uuid_value(&refund->transfer_id),
							  value(TimestampTzGetDatum(now)),
							  refund->is_settled ? value(TimestampTzGetDatum(now)) : null_value()),
					1);
}

void
refund_store_add_act(const Refund *refund, const Payment *payment, PaymentStatus from_status,
					 TimestampTz now, const char *provider_ref, const char *correlation_id)
{
	payment_store_add_act(payment,
						  &(PaymentAct){.act = refund->is_settled ? "refunded" : "refund_due",
										.from_status = transition_status_text(from_status),
										.amount = refund->amount,
										.currency = refund->currency,
										.refund_id = &refund->id,
										.cause = refund->cause,
										.correlation_id = correlation_id,
										.provider_ref = provider_ref},
						  now);
}

void
refund_store_save(const Refund *refund, TimestampTz now)
{
	plan_require_rows(
		&save_refund,
		guard_update(
			"refund", &save_refund,
			PLAN_ARGS(uuid_value(&refund->id), text_value(refund->provider_ref),
					  value(Int32GetDatum(refund->attempts)),
					  refund->is_settled ? null_value()
										 : value(TimestampTzGetDatum(refund->next_attempt_at)),
					  refund->is_settled ? uuid_value(&refund->settled_transfer_id) : null_value(),
					  value(TimestampTzGetDatum(now)))),
		1);
}

void
refund_store_close(Payment *payment)
{
	if (payment->captured > 0 && payment_left(payment) == 0 &&
		refund_store_all_settled(&payment->id))
		payment->status = transition_of(payment->status, MESSAGE_REFUNDED).becomes;
}
