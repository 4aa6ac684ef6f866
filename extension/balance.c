/* SPDX-License-Identifier: PostgreSQL */
/*
 * What an account holds, now and at a time: its balance row, or the last checkpoint that counts
 * and the transfers since. Saved plans under the caller's snapshot, also on a standby: planning these
 * statements costs more than running them. And how many days a report may ask for.
 */
#include "errors.h"
#include "plan.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/snapmgr.h"

#define BALANCE_COLUMNS 7
#define REPORT_DAYS_MAX 3660

PG_FUNCTION_INFO_V1(concert_account_balance);
PG_FUNCTION_INFO_V1(concert_balance_at);
PG_FUNCTION_INFO_V1(concert_days_within);

#define PENDING(side)                                                                  \
	" CROSS JOIN LATERAL ("                                                            \
	"  SELECT coalesce(sum(p.amount), 0) AS amount FROM concert.pending_transfer AS p" \
	"  WHERE p." side "_account_id = a.id AND p.expires_at > statement_timestamp()"    \
	"  AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)) AS "

static SavedPlan read_balance =
	PLAN("SELECT a.currency, a.kind, s.balance::bigint, d.amount::bigint, e.amount::bigint,"
		 " (s.balance - d.amount - a.floor)::bigint, a.frozen_at IS NOT NULL"
		 " FROM concert.account AS a"
		 " LEFT JOIN concert.account_balance AS b ON b.account_id = a.id"
		 " LEFT JOIN LATERAL (SELECT k.seq, k.credits - k.debits AS balance"
		 "  FROM concert.account_checkpoint AS k WHERE a.floor IS NULL AND k.account_id = a.id"
		 "  ORDER BY k.seq DESC LIMIT 1) AS c ON true"
		 " CROSS JOIN LATERAL (SELECT CASE WHEN a.floor IS NULL THEN coalesce(c.balance, 0)"
		 "  + coalesce((SELECT sum(t.amount) FROM concert.transfer AS t"
		 "   WHERE t.credit_account_id = a.id AND t.seq > coalesce(c.seq, 0)), 0)"
		 "  - coalesce((SELECT sum(t.amount) FROM concert.transfer AS t"
		 "   WHERE t.debit_account_id = a.id AND t.seq > coalesce(c.seq, 0)), 0)"
		 "  ELSE b.credits::numeric - b.debits END AS balance) AS s" PENDING("debit") "d" PENDING(
			 "credit") "e WHERE a.id = $1 AND a.deleted_at IS NULL",
		 UUIDOID);

/*
 * What was recorded by a time lies up to the first checkpoint whose latest time is after it by
 * more than any transfer was ever recorded too early, and after the last checkpoint.
 */
#define MOVED_IN(side, amount, range)                                                           \
	"SELECT " amount " AS amount FROM concert.transfer AS t WHERE t." side "_account_id = a.id" \
	" AND t.created_at <= $2 AND " range
#define MOVED(range)                      \
	MOVED_IN("credit", "t.amount", range) \
	" UNION ALL " MOVED_IN("debit", "-t.amount", range)

static SavedPlan read_balance_at = PLAN(
	"SELECT (coalesce(c.balance, 0) + m.amount)::bigint FROM concert.account AS a"
	" LEFT JOIN LATERAL (SELECT k.seq, k.set_back_us FROM concert.account_checkpoint AS k"
	"  WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS l ON true"
	" LEFT JOIN LATERAL (SELECT k.seq, k.credits - k.debits AS balance"
	"  FROM concert.account_checkpoint AS k WHERE k.account_id = a.id AND k.last_at <= $2"
	"  ORDER BY k.last_at DESC, k.seq DESC LIMIT 1) AS c ON true"
	" LEFT JOIN LATERAL (SELECT k.seq FROM concert.account_checkpoint AS k WHERE k.account_id = a.id"
	"  AND k.last_at > $2 + l.set_back_us * interval '1 microsecond'"
	"  ORDER BY k.last_at, k.seq LIMIT 1) AS u ON true"
	" CROSS JOIN LATERAL (SELECT coalesce(sum(s.amount), 0) AS amount FROM ("
	" " MOVED(
		"t.seq > coalesce(c.seq, 0) AND t.seq <= coalesce(u.seq, l.seq)") " UNION ALL"
																		  " " MOVED(
																			  "t.seq > coalesce(l.seq, 0)") ") AS s) AS m WHERE a.id = $1",
	UUIDOID, TIMESTAMPTZOID);

Datum
concert_account_balance(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		   values[BALANCE_COLUMNS];
	bool		   nulls[BALANCE_COLUMNS];

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	plan_begin();
	if (plan_read_at(&read_balance, PLAN_ARGS(uuid_value(PG_GETARG_UUID_P(0))),
					 GetActiveSnapshot()) > 0)
	{
		for (int i = 0; i < BALANCE_COLUMNS; i++)
		{
			values[i] = plan_datum(0, i);
			nulls[i] = plan_is_null(0, i);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	plan_end();
	return (Datum) 0;
}

Datum
concert_balance_at(PG_FUNCTION_ARGS)
{
	bool  found;
	int64 balance = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	plan_begin();
	found = plan_read_at(&read_balance_at,
						 PLAN_ARGS(uuid_value(PG_GETARG_UUID_P(0)),
								   value(TimestampTzGetDatum(PG_GETARG_TIMESTAMPTZ(1)))),
						 GetActiveSnapshot()) > 0;
	if (found)
		balance = plan_int64(0, 0);
	plan_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(balance);
}

static char *
date_text(DateADT day)
{
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)));
}

/* True, or an error: a report of days reads a balance for each. */
Datum
concert_days_within(PG_FUNCTION_ARGS)
{
	DateADT from_day = PG_GETARG_DATEADT(0);
	DateADT to_day = PG_GETARG_DATEADT(1);

	if (DATE_NOT_FINITE(from_day))
		error_invalid("from_day", date_text(from_day), "a finite day");
	if (DATE_NOT_FINITE(to_day) || to_day < from_day ||
		(int64) to_day - from_day >= REPORT_DAYS_MAX)
		error_invalid("to_day", date_text(to_day),
					  psprintf("from %s to %d days on", date_text(from_day), REPORT_DAYS_MAX - 1));
	PG_RETURN_BOOL(true);
}
