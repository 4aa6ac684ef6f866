/* SPDX-License-Identifier: PostgreSQL */
/*
 * Transfers in two phases: transfer_pending() sets an amount aside, which at once is no longer
 * available; transfer_post() moves it, or a part of it, and lets go of the rest; transfer_void()
 * lets go of all of it; and when its time is over it holds nothing, whether or not anybody comes.
 *
 * A pending's row never changes. How it ended is one row of pending_resolution with its id as the
 * primary key. Who ends it has the locks of its accounts and of its id; who meets it lapsed
 * (account.c) has the lock of its debited account, without which none of the others can act.
 *
 * Locks: request key, accounts in id order, the pending.
 */
#include "pending.h"

#include "errors.h"
#include "lock.h"
#include "utils/builtins.h"

#define EXPIRES_SECONDS_MAX (366 * SECS_PER_DAY)
#define LAPSE_ACCOUNTS_MAX 10000

PG_FUNCTION_INFO_V1(concert_transfer_pending);
PG_FUNCTION_INFO_V1(concert_transfer_post);
PG_FUNCTION_INFO_V1(concert_transfer_void);
PG_FUNCTION_INFO_V1(concert_lapse_transfers);

static SavedPlan insert_pending = PLAN(
	"INSERT INTO concert.pending_transfer (id, debit_account_id, credit_account_id, amount,"
	" currency, description, correlation_id, created_at, expires_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	UUIDOID, UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

static SavedPlan find_pending =
	PLAN("SELECT p.debit_account_id, p.credit_account_id, p.amount, p.expires_at, r.outcome"
		 " FROM concert.pending_transfer AS p"
		 " LEFT JOIN concert.pending_resolution AS r ON r.pending_id = p.id WHERE p.id = $1",
		 UUIDOID);

static SavedPlan is_of_payment =
	PLAN("SELECT 1 FROM concert.payment WHERE pending_id = $1", UUIDOID);

static SavedPlan insert_resolution = PLAN(
	"INSERT INTO concert.pending_resolution (pending_id, outcome, amount, transfer_id, created_at)"
	" VALUES ($1, $2, $3, $4, $5)",
	UUIDOID, TEXTOID, INT8OID, UUIDOID, TIMESTAMPTZOID);

static SavedPlan find_lapsed =
	PLAN("SELECT b.account_id FROM concert.account_balance AS b"
		 " WHERE b.debits_pending > 0 AND EXISTS (SELECT FROM concert.pending_transfer AS p"
		 "  WHERE p.debit_account_id = b.account_id AND p.expires_at > b.lapsed_through"
		 "  AND p.expires_at <= clock_timestamp() AND NOT EXISTS ("
		 "   SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)) LIMIT $1",
		 INT4OID);

static SavedPlan replay_pending =
	PLAN("SELECT jsonb_populate_record(NULL::concert.pending_answer, $1)", JSONBOID);

/* transfer_pending() ----------------------------------------------------------------------------- */

typedef struct Setting
{
	Transfer	transfer; /* what it would be; its id is the pending's */
	int			expires_seconds;
	TimestampTz expires_at;
} Setting;

/* No pending is to lapse at a time that has been dealt with, should the clock have gone back. */
void
pending_add(const Accounts *accounts, Transfer *transfer, TimestampTz *expires_at)
{
	Account *debit = accounts_find(accounts, &transfer->debit_id);

	account_set_aside(debit, transfer->amount);
	transfer->id = uuid7_next();
	*expires_at = Max(*expires_at, debit->lapsed_through + 1);
	plan_write_rows(
		&insert_pending,
		PLAN_ARGS(uuid_value(&transfer->id), uuid_value(&transfer->debit_id),
				  uuid_value(&transfer->credit_id), value(Int64GetDatum(transfer->amount)),
				  text_value(debit->currency), text_value(transfer->description),
				  text_value(transfer->correlation_id), value(TimestampTzGetDatum(accounts->now)),
				  value(TimestampTzGetDatum(*expires_at))),
		1);
}

static Reason
setting_act(void *state)
{
	Setting	 *setting = state;
	Transfer *transfer = &setting->transfer;
	Accounts  accounts = transfer_lock(&transfer->debit_id, &transfer->credit_id);
	Account	 *debit = accounts_find(&accounts, &transfer->debit_id);
	Reason	  reason = transfer_judge(&accounts, transfer);

	if (reason != REASON_NONE)
		return reason;
	setting->expires_at =
		Max(accounts.now, debit->lapsed_through) + setting->expires_seconds * USECS_PER_SEC;
	pending_add(&accounts, transfer, &setting->expires_at);
	accounts_save(&accounts);
	return REASON_NONE;
}

static Datum
setting_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Setting *setting = state;
	bool		   ok = reason == REASON_NONE;

	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? uuid_value(&setting->transfer.id) : null_value(),
						  ok ? value(TimestampTzGetDatum(setting->expires_at)) : null_value()},
		4);
}

Datum
concert_transfer_pending(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"debit_account_id", "credit_account_id", "amount",
										"expires_in"};
	MoneyCall				 call = {"transfer_pending", &replay_pending, .act = setting_act,
									 .answer = setting_answer};
	Setting					 setting = {0};
	Transfer				*transfer = &setting.transfer;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	transfer->debit_id = *PG_GETARG_UUID_P(0);
	transfer->credit_id = *PG_GETARG_UUID_P(1);
	transfer_check_pair(&transfer->debit_id, &transfer->credit_id);
	transfer->amount = argument_amount(fcinfo, 2, "amount");
	setting.expires_seconds = argument_int32(fcinfo, 3, "expires_in", 1, EXPIRES_SECONDS_MAX);
	transfer->description = argument_optional_text(fcinfo, 4, "description", NAME_CHARS_MAX);
	call.key = argument_optional_text(fcinfo, 5, "idempotency_key", KEY_CHARS_MAX);
	transfer->correlation_id = argument_optional_text(fcinfo, 6, "correlation_id", KEY_CHARS_MAX);
	call.content = psprintf("%s %s " INT64_FORMAT " %d %s", uuid_text(&transfer->debit_id),
							uuid_text(&transfer->credit_id), transfer->amount,
							setting.expires_seconds, content_text(transfer->description));
	PG_RETURN_DATUM(money_call(fcinfo, &call, &setting));
}

/* transfer_post(), transfer_void() --------------------------------------------------------------- */

typedef struct Ending
{
	Pending	 pending;
	int64	 asked; /* how much to post; 0: all of it */
	bool	 posts;
	Transfer transfer;
} Ending;

bool
pending_read(Pending *pending)
{
	char *outcome;

	if (plan_read(&find_pending, PLAN_ARGS(uuid_value(&pending->id))) == 0)
		return false;
	pending->debit_id = plan_uuid(0, 0);
	pending->credit_id = plan_uuid(0, 1);
	pending->amount = plan_int64(0, 2);
	pending->expires_at = plan_time(0, 3);
	outcome = plan_text(0, 4);
	pending->is_resolved = outcome != NULL;
	pending->is_lapsed = outcome != NULL && strcmp(outcome, "lapsed") == 0;
	return true;
}

Reason
pending_lock(Pending *pending, Accounts *accounts)
{
	Pending now = *pending;

	if (lock_wait(LOCK_TRANSFER, lock_name_uuid(&pending->id)))
		accounts->now = GetCurrentTimestamp();
	if (!pending_read(&now) || uuid_compare(&now.debit_id, &pending->debit_id) != 0 ||
		uuid_compare(&now.credit_id, &pending->credit_id) != 0)
		transfer_error_moved(&pending->id);
	*pending = now;
	if (now.is_resolved && !now.is_lapsed)
		return REASON_ALREADY_RESOLVED;
	return now.is_lapsed || now.expires_at <= accounts->now ? REASON_EXPIRED : REASON_NONE;
}

void
pending_release(const Pending *pending, const Accounts *accounts)
{
	account_set_aside(accounts_find(accounts, &pending->debit_id), -pending->amount);
}

void
pending_resolve(const Pending *pending, const Accounts *accounts, const Transfer *posted)
{
	plan_write_rows(&insert_resolution,
					PLAN_ARGS(uuid_value(&pending->id),
							  text_value(posted != NULL ? "posted" : "voided"),
							  value(Int64GetDatum(posted != NULL ? posted->amount : 0)),
							  posted != NULL ? uuid_value(&posted->id) : null_value(),
							  value(TimestampTzGetDatum(accounts->now))),
					1);
}

void
pending_let_go(const pg_uuid_t *ids, int count)
{
	Pending	  *pendings = palloc0(sizeof(Pending) * Max(count, 1));
	pg_uuid_t *account_ids = palloc(sizeof(pg_uuid_t) * Max(count, 1) * 2);
	Accounts   accounts;
	int		   found = 0;

	for (int i = 0; i < count; i++)
	{
		pendings[found].id = ids[i];
		if (!pending_read(&pendings[found]) || pendings[found].is_resolved)
			continue;
		account_ids[2 * found] = pendings[found].debit_id;
		account_ids[2 * found + 1] = pendings[found].credit_id;
		found++;
	}
	if (found == 0)
		return;
	accounts = accounts_lock(account_ids, 2 * found, ACCOUNTS_TO_MOVE);
	for (int i = 0; i < found; i++)
	{
		if (pending_lock(&pendings[i], &accounts) != REASON_NONE)
			continue;
		pending_release(&pendings[i], &accounts);
		pending_resolve(&pendings[i], &accounts, NULL);
	}
	accounts_save(&accounts);
}

/* A frozen account lets go of what was set aside, but nothing is moved from or to it. */
static Reason
ending_do(Ending *ending, const Accounts *accounts)
{
	Transfer *transfer = &ending->transfer;

	pending_release(&ending->pending, accounts);
	if (ending->posts)
	{
		Reason reason;

		transfer->amount = ending->asked > 0 ? ending->asked : ending->pending.amount;
		reason = transfer_judge(accounts, transfer);
		if (reason != REASON_NONE)
			return reason;
		transfer_apply(accounts, transfer);
		transfer_insert(accounts, transfer);
	}
	accounts_save(accounts);
	pending_resolve(&ending->pending, accounts, ending->posts ? transfer : NULL);
	return REASON_NONE;
}

/* What a payment has set aside is the payment's to end. */
static Reason
ending_act(void *state)
{
	Ending	*ending = state;
	Pending *pending = &ending->pending;
	Accounts accounts;
	Reason	 reason;

	if (!pending_read(pending))
		return REASON_UNKNOWN;
	if (plan_read(&is_of_payment, PLAN_ARGS(uuid_value(&pending->id))) > 0)
		error_invalid("transfer_id", uuid_text(&pending->id), "a transfer that pays no booking");
	accounts = transfer_lock(&pending->debit_id, &pending->credit_id);
	ending->transfer.debit_id = pending->debit_id;
	ending->transfer.credit_id = pending->credit_id;
	reason = pending_lock(pending, &accounts);
	if (reason == REASON_NONE && ending->asked > pending->amount)
		reason = REASON_INSUFFICIENT_FUNDS;
	return reason == REASON_NONE ? ending_do(ending, &accounts) : reason;
}

static Datum
ending_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Ending *ending = state;

	return transfer_answer(fcinfo, ending->posts ? &ending->transfer.id : NULL, reason);
}

static Datum
ending_call(FunctionCallInfo fcinfo, Ending *ending, const char *operation, int n)
{
	static const char *const names[] = {"transfer_id"};
	MoneyCall call = {operation, &replay_transfer, .act = ending_act, .answer = ending_answer};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	ending->pending.id = *PG_GETARG_UUID_P(0);
	ending->transfer.kind = "posting";
	ending->transfer.pending_id = &ending->pending.id;
	call.key = argument_optional_text(fcinfo, n, "idempotency_key", KEY_CHARS_MAX);
	ending->transfer.correlation_id =
		argument_optional_text(fcinfo, n + 1, "correlation_id", KEY_CHARS_MAX);
	call.content = psprintf("%s " INT64_FORMAT, uuid_text(&ending->pending.id), ending->asked);
	return money_call(fcinfo, &call, ending);
}

Datum
concert_transfer_post(PG_FUNCTION_ARGS)
{
	Ending ending = {.posts = true};

	if (!PG_ARGISNULL(1))
		ending.asked = argument_amount(fcinfo, 1, "amount");
	PG_RETURN_DATUM(ending_call(fcinfo, &ending, "transfer_post", 2));
}

Datum
concert_transfer_void(PG_FUNCTION_ARGS)
{
	Ending ending = {0};

	PG_RETURN_DATUM(ending_call(fcinfo, &ending, "transfer_void", 1));
}

/* The accounts are locked in id order and their lapsed pendings, met by that, written down. */
Datum
concert_lapse_transfers(PG_FUNCTION_ARGS)
{
	int		   max;
	int		   count;
	pg_uuid_t *ids;

	version_require();
	max = argument_int32(fcinfo, 0, "max_accounts", 1, LAPSE_ACCOUNTS_MAX);
	plan_begin();
	count = plan_read(&find_lapsed, PLAN_ARGS(value(Int32GetDatum(Min(max, lock_batch_max())))));
	ids = plan_uuids(count, 0);
	if (count > 0)
	{
		Accounts accounts = accounts_lock(ids, count, ACCOUNTS_TO_MOVE);

		accounts_save(&accounts);
	}
	plan_end();
	PG_RETURN_INT32(count);
}
