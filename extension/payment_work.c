/* SPDX-License-Identifier: PostgreSQL */
/*
 * What payment providers are to be asked: payment_work() claims it, for as long as a lease, and
 * hands it out again when no message came, later each time. So nothing that is asked for is
 * forgotten, whoever crashes, and any number of workers may claim side by side.
 *
 * Payments of which nothing can come any more end here first: under their bookings' locks, which
 * are tried, before any row is claimed. Claimed rows are locked without waiting, and nothing is
 * waited for after that.
 */
#include "errors.h"

#include "funcapi.h"
#include "guard.h"
#include "lock.h"
#include "provider.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_payment_work);

#define WORK_ROWS_MAX 1000
#define LEASE_SECONDS_MAX 3600
#define WORK_COLUMNS 10
#define ARGUMENTS_REQUIRED 2
#define LOCKS_PER_PAYMENT 3 /* its booking's, its event key's, a wallet's */

/* What is asked how it stands instead of being asked for again. */
#define BEGUN_ATTEMPTS_MAX "5"
/* After which a payment fails of which nothing was heard, and one that was only authorized. */
#define BEGUN_SILENT "interval '1 day'"
#define AUTHORIZED_SILENT "interval '30 days'"

#define IS_PAYABLE "concert.booking_status(booking_id) = 'pending'"

#define IS_HOPELESS                                                              \
	"(status = 'authorized' AND created_at <= $1 - " AUTHORIZED_SILENT           \
	" OR status = 'begun' AND (attempts = 0 OR created_at <= $1 - " BEGUN_SILENT \
	") AND NOT " IS_PAYABLE ")"

static SavedPlan find_hopeless =
	PLAN("SELECT booking_id, id FROM ("
		 " SELECT booking_id, id, status, attempts, created_at FROM concert.payment"
		 " WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2) AS due"
		 " WHERE " IS_HOPELESS " ORDER BY booking_id",
		 TIMESTAMPTZOID, INT4OID);

static SavedPlan is_hopeless =
	PLAN("SELECT 1 FROM concert.payment WHERE id = $2 AND next_attempt_at <= $1 AND " IS_HOPELESS,
		 TIMESTAMPTZOID, UUIDOID);

#define NEXT_ATTEMPT "$1 + least($3 * 2 ^ least(attempts, 12), 3600) * interval '1 second'"

static SavedPlan claim_refunds = PLAN(
	"WITH due AS MATERIALIZED (SELECT id FROM concert.refund AS r WHERE next_attempt_at <= $1"
	"  AND ($4 IS NULL OR $4 = (SELECT p.provider FROM concert.payment AS p"
	"   WHERE p.id = r.payment_id))"
	"  ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED),"
	" claimed AS (UPDATE concert.refund SET attempts = attempts + 1,"
	"  next_attempt_at = " NEXT_ATTEMPT
	"  WHERE id = ANY (ARRAY(SELECT id FROM due)) AND next_attempt_at <= $1"
	"  RETURNING id, payment_id, amount, currency, booking_id, attempts)"
	" SELECT 'refund'::text, c.payment_id, c.id, p.provider, coalesce(a.provider_ref, p.provider_ref), c.amount,"
	" c.currency, c.booking_id, c.attempts, a.correlation_id"
	" FROM claimed AS c JOIN concert.payment AS p ON p.id = c.payment_id"
	" LEFT JOIN LATERAL (SELECT provider_ref, correlation_id FROM concert.payment_act"
	"  WHERE payment_id = p.id AND refund_id = c.id ORDER BY n LIMIT 1) AS a ON true",
	TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID);

static SavedPlan claim_payments =
	PLAN("WITH due AS MATERIALIZED (SELECT id FROM concert.payment"
		 "  WHERE next_attempt_at <= $1 AND ($4 IS NULL OR provider = $4) AND NOT " IS_HOPELESS
		 "  ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
		 " UPDATE concert.payment SET attempts = attempts + 1, next_attempt_at = " NEXT_ATTEMPT
		 " WHERE id = ANY (ARRAY(SELECT id FROM due)) AND next_attempt_at <= $1"
		 " RETURNING CASE WHEN status = 'begun' AND attempts <= " BEGUN_ATTEMPTS_MAX
		 " AND " IS_PAYABLE " THEN 'payment' ELSE 'ask' END, id, NULL::uuid, provider,"
		 " provider_ref, amount, currency, booking_id, attempts, (SELECT a.correlation_id"
		 "  FROM concert.payment_act AS a WHERE a.payment_id = payment.id AND a.n = 1)",
		 TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID);

static void
work_put(ReturnSetInfo *result, int rows)
{
	for (int row = 0; row < rows; row++)
	{
		Datum values[WORK_COLUMNS];
		bool  nulls[WORK_COLUMNS];

		for (int i = 0; i < WORK_COLUMNS; i++)
		{
			values[i] = plan_datum(row, i);
			nulls[i] = plan_is_null(row, i);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static void
work_give_up(const pg_uuid_t *payment_id, TimestampTz now)
{
	Payment	   payment;
	PaymentAct act = {.act = transition_message_text(MESSAGE_GAVE_UP)};

	if (plan_read(&is_hopeless,
				  PLAN_ARGS(value(TimestampTzGetDatum(now)), uuid_value(payment_id))) == 0 ||
		!payment_store_read(payment_id, &payment))
		return;
	act.from_status = transition_status_text(payment.status);
	act.cause = payment.attempts == 0 ? "never asked" : "nothing was heard of it";
	provider_apply(&payment, MESSAGE_GAVE_UP, &act);
}

/* All their points are let go first, so that accounts are locked together and before any event. */
static void
work_give_up_hopeless(TimestampTz now, int max_rows)
{
	int		   limit = Min(max_rows, lock_batch_max() / LOCKS_PER_PAYMENT);
	int		   found = plan_read(&find_hopeless,
								 PLAN_ARGS(value(TimestampTzGetDatum(now)), value(Int32GetDatum(limit))));
	pg_uuid_t *booking_ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));
	int		   count = 0;

	for (int i = 0; i < found; i++)
	{
		booking_ids[count] = plan_uuid(i, 0);
		ids[count] = plan_uuid(i, 1);
		if (lock_try(LOCK_BOOKING, lock_name_uuid(&booking_ids[count])))
			count++;
	}
	payment_store_let_go(booking_ids, count, now);
	for (int i = 0; i < count; i++)
		work_give_up(&ids[i], now);
}

Datum
concert_payment_work(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"max_rows", "lease_seconds"};
	ReturnSetInfo			*result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz				 now = GetCurrentTimestamp();
	NullableDatum			 lease;
	NullableDatum			 provider;
	int						 max_rows;
	int						 rows;

	version_require();
	argument_require(fcinfo, ARGUMENTS_REQUIRED, names);
	max_rows = argument_int32(fcinfo, 0, "max_rows", 1, WORK_ROWS_MAX);
	lease = value(Int32GetDatum(argument_int32(fcinfo, 1, "lease_seconds", 1, LEASE_SECONDS_MAX)));
	provider = fcinfo->args[ARGUMENTS_REQUIRED];
	InitMaterializedSRF(fcinfo, 0);
	plan_begin();
	work_give_up_hopeless(now, max_rows);
	rows = guard_update("refund", &claim_refunds,
						PLAN_ARGS(value(TimestampTzGetDatum(now)), value(Int32GetDatum(max_rows)),
								  lease, provider));
	work_put(result, rows);
	max_rows -= rows;
	if (max_rows > 0)
	{
		rows = guard_update("payment", &claim_payments,
							PLAN_ARGS(value(TimestampTzGetDatum(now)),
									  value(Int32GetDatum(max_rows)), lease, provider));
		work_put(result, rows);
	}
	plan_end();
	return (Datum) 0;
}
