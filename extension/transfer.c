/* SPDX-License-Identifier: PostgreSQL */
/*
 * Transfers: an amount moved from the debited to the credited account, by itself, as a journal of
 * several that are all done or none, or as the reversal of an earlier one.
 *
 * A transfer debits one account and credits another, so the books balance by construction. Rows
 * are only ever added; a correction is a transfer the other way. What makes a transfer happen
 * once is a unique index each: the external reference of its debited account, what it reverses,
 * which pending it posts.
 *
 * Locks: request key, external reference, accounts in id order, the transfer that is reversed.
 */
#include "transfer.h"

#include "access/xact.h"
#include "commands/sequence.h"
#include "direct.h"
#include "errors.h"
#include "lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define JOURNAL_LEGS_MAX 100

PG_FUNCTION_INFO_V1(concert_transfer);
PG_FUNCTION_INFO_V1(concert_journal);
PG_FUNCTION_INFO_V1(concert_reverse);

static SavedPlan insert_transfer = PLAN(
	"INSERT INTO concert.transfer (id, debit_account_id, credit_account_id, amount, currency, kind,"
	" payment_id, external_ref, created_at, seq, effective_at, description, correlation_id,"
	" reverses_id, pending_id, journal_id)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
	UUIDOID, UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID, UUIDOID);

static SavedPlan see_accounts =
	PLAN("SELECT 1 FROM concert.account WHERE id IN ($1, $2)", UUIDOID, UUIDOID);

static SavedPlan find_external_ref =
	PLAN("SELECT 1 FROM concert.transfer WHERE debit_account_id = $1 AND external_ref = $2",
		 UUIDOID, TEXTOID);

static SavedPlan find_scope =
	PLAN("SELECT CASE WHEN kind = 'funding' THEN currency || ' ' || name ELSE id::text END"
		 " FROM concert.account WHERE id = $1",
		 UUIDOID);

static SavedPlan find_transfer =
	PLAN("SELECT debit_account_id, credit_account_id, amount, payment_id IS NOT NULL"
		 " FROM concert.transfer WHERE id = $1",
		 UUIDOID);

static SavedPlan find_reversal =
	PLAN("SELECT 1 FROM concert.transfer WHERE reverses_id = $1", UUIDOID);

static SavedPlan replay_journal =
	PLAN("SELECT jsonb_populate_record(NULL::concert.journal_answer, $1)", JSONBOID);

SavedPlan replay_transfer =
	PLAN("SELECT jsonb_populate_record(NULL::concert.transfer_answer, $1)", JSONBOID);

Reason
transfer_judge(const Accounts *accounts, const Transfer *transfer)
{
	const Account *debit = accounts_find(accounts, &transfer->debit_id);
	const Account *credit = accounts_find(accounts, &transfer->credit_id);

	if (!debit->is_known || !credit->is_known)
		return REASON_UNKNOWN;
	if (strcmp(debit->currency, credit->currency) != 0)
		return REASON_WRONG_CURRENCY;
	if (debit->is_frozen || credit->is_frozen)
		return REASON_FROZEN;
	return account_has(debit, transfer->amount) ? REASON_NONE : REASON_INSUFFICIENT_FUNDS;
}

void
transfer_apply(const Accounts *accounts, const Transfer *transfer)
{
	account_debit(accounts_find(accounts, &transfer->debit_id), transfer->amount);
	account_credit(accounts_find(accounts, &transfer->credit_id), transfer->amount);
}

static NullableDatum
optional_uuid(const pg_uuid_t *id)
{
	return id == NULL ? null_value() : uuid_value(id);
}

/*
 * The accounts' foreign keys look with the transaction's own snapshot: one that was opened since is
 * a conflict, not a missing account.
 */
static void
transfer_see_accounts(const Transfer *transfer)
{
	if (!IsolationUsesXactSnapshot())
		return;
	CommandCounterIncrement();
	if (plan_read_at(&see_accounts,
					 PLAN_ARGS(uuid_value(&transfer->debit_id), uuid_value(&transfer->credit_id)),
					 GetTransactionSnapshot()) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
}

void
transfer_insert(const Accounts *accounts, Transfer *transfer)
{
	const NullableDatum *columns;
	int64				 seq = nextval_internal(relation_oid("transfer_seq"), false);

	transfer->id = uuid7_next();
	columns = PLAN_ARGS(uuid_value(&transfer->id), uuid_value(&transfer->debit_id),
						uuid_value(&transfer->credit_id), value(Int64GetDatum(transfer->amount)),
						text_value(accounts_find(accounts, &transfer->debit_id)->currency),
						text_value(transfer->kind), optional_uuid(transfer->payment_id),
						text_value(transfer->external_ref),
						value(TimestampTzGetDatum(accounts->now)), value(Int64GetDatum(seq)),
						transfer->effective_at == NULL
							? null_value()
							: value(TimestampTzGetDatum(*transfer->effective_at)),
						text_value(transfer->description), text_value(transfer->correlation_id),
						optional_uuid(transfer->reverses_id), optional_uuid(transfer->pending_id),
						optional_uuid(transfer->journal_id));
	if (direct_insert(DIRECT_TRANSFER, columns))
		return;
	transfer_see_accounts(transfer);
	plan_write_rows(&insert_transfer, columns, 1);
}

Reason
transfer_do(const Accounts *accounts, Transfer *transfer)
{
	Reason reason = transfer_judge(accounts, transfer);

	if (reason != REASON_NONE)
		return reason;
	transfer_apply(accounts, transfer);
	transfer_insert(accounts, transfer);
	accounts_save(accounts);
	return REASON_NONE;
}

Accounts
transfer_lock(const pg_uuid_t *debit_id, const pg_uuid_t *credit_id)
{
	return accounts_lock((const pg_uuid_t[]){*debit_id, *credit_id}, 2, ACCOUNTS_TO_MOVE);
}

void
external_ref_lock(const char *scope, const char *external_ref)
{
	lock_wait(LOCK_EXTERNAL_REF,
			  lock_name(scope, strlen(scope), external_ref, strlen(external_ref)));
}

bool
external_ref_is_used(const pg_uuid_t *debit_id, const char *external_ref)
{
	return plan_read(&find_external_ref,
					 PLAN_ARGS(uuid_value(debit_id), text_value(external_ref))) > 0;
}

void
transfer_error_moved(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not lock the accounts of transfer \"%s\"", uuid_text(id))));
}

int64
argument_amount(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64 amount = PG_GETARG_INT64(n);

	if (amount < 1)
		error_invalid_number(name, amount, 1, PG_INT64_MAX);
	return amount;
}

Datum
money_call(FunctionCallInfo fcinfo, const MoneyCall *call, void *state)
{
	static const pg_uuid_t anybody = {{0}};
	MemoryContext		   caller = CurrentMemoryContext;
	Request				   request;
	Datum				   answer;

	request_init(&request, call->operation, call->replay, call->key,
				 call->user_id == NULL ? &anybody : call->user_id, call->content);
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		Reason		  reason = call->act(state);
		MemoryContext work = MemoryContextSwitchTo(caller);

		answer = call->answer(fcinfo, state, reason);
		MemoryContextSwitchTo(work);
		request_record(&request, answer);
	}
	plan_end();
	return answer;
}

Datum
transfer_answer(FunctionCallInfo fcinfo, const pg_uuid_t *transfer_id, Reason reason)
{
	bool ok = reason == REASON_NONE;

	return answer_row(fcinfo,
					  (NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
										ok ? optional_uuid(transfer_id) : null_value()},
					  3);
}

/* transfer() ------------------------------------------------------------------------------------- */

static Reason
transfer_act(void *state)
{
	Transfer *transfer = state;
	Accounts  accounts;

	if (transfer->external_ref != NULL)
	{
		if (plan_read(&find_scope, PLAN_ARGS(uuid_value(&transfer->debit_id))) == 0)
			return REASON_UNKNOWN;
		external_ref_lock(plan_text(0, 0), transfer->external_ref);
	}
	accounts = transfer_lock(&transfer->debit_id, &transfer->credit_id);
	if (transfer->external_ref != NULL &&
		external_ref_is_used(&transfer->debit_id, transfer->external_ref))
		return REASON_ALREADY_RESOLVED;
	return transfer_do(&accounts, transfer);
}

static Datum
transfer_act_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	return transfer_answer(fcinfo, &((const Transfer *) state)->id, reason);
}

void
transfer_check_pair(const pg_uuid_t *debit_id, const pg_uuid_t *credit_id)
{
	if (uuid_compare(debit_id, credit_id) == 0)
		error_invalid("credit_account_id", uuid_text(credit_id),
					  "another account than the one that is debited");
}

/* The time from which the transfer counts for whoever reads it by that; NULL when not given. */
static TimestampTz *
argument_effective_at(FunctionCallInfo fcinfo, int n)
{
	TimestampTz *given;

	if (PG_ARGISNULL(n))
		return NULL;
	given = palloc(sizeof(TimestampTz));
	*given = PG_GETARG_TIMESTAMPTZ(n);
	if (TIMESTAMP_NOT_FINITE(*given))
		error_invalid("effective_at", "infinity", "a finite time");
	return given;
}

/* A text of the content, told apart from what follows it. */
char *
content_text(const char *text)
{
	return text == NULL ? "-" : psprintf("%zu:%s", strlen(text), text);
}

Datum
concert_transfer(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"debit_account_id", "credit_account_id", "amount"};
	MoneyCall				 call = {"transfer", &replay_transfer, .act = transfer_act,
									 .answer = transfer_act_answer};
	Transfer				 transfer = {.kind = "transfer"};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	transfer.debit_id = *PG_GETARG_UUID_P(0);
	transfer.credit_id = *PG_GETARG_UUID_P(1);
	transfer_check_pair(&transfer.debit_id, &transfer.credit_id);
	transfer.amount = argument_amount(fcinfo, 2, "amount");
	transfer.description = argument_optional_text(fcinfo, 3, "description", NAME_CHARS_MAX);
	transfer.external_ref = argument_optional_text(fcinfo, 4, "external_ref", KEY_CHARS_MAX);
	transfer.effective_at = argument_effective_at(fcinfo, 5);
	call.key = argument_optional_text(fcinfo, 6, "idempotency_key", KEY_CHARS_MAX);
	transfer.correlation_id = argument_optional_text(fcinfo, 7, "correlation_id", KEY_CHARS_MAX);
	call.content = psprintf(
		"%s %s " INT64_FORMAT " %s %s %s", uuid_text(&transfer.debit_id),
		uuid_text(&transfer.credit_id), transfer.amount, content_text(transfer.description),
		content_text(transfer.external_ref),
		transfer.effective_at == NULL ? "-" : psprintf(INT64_FORMAT, *transfer.effective_at));
	PG_RETURN_DATUM(money_call(fcinfo, &call, &transfer));
}

/* journal() -------------------------------------------------------------------------------------- */

typedef struct Journal
{
	pg_uuid_t id;
	int		  count;
	Transfer *legs;
	int		  refused_leg; /* counted from 1; 0: none */
} Journal;

/* Each leg is judged on what the legs before it leave. */
static Reason
journal_act(void *state)
{
	Journal	  *journal = state;
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * journal->count * 2);
	Accounts   accounts;

	for (int i = 0; i < journal->count; i++)
	{
		ids[2 * i] = journal->legs[i].debit_id;
		ids[2 * i + 1] = journal->legs[i].credit_id;
	}
	accounts = accounts_lock(ids, journal->count * 2, ACCOUNTS_TO_MOVE);
	for (int i = 0; i < journal->count; i++)
	{
		Reason reason = transfer_judge(&accounts, &journal->legs[i]);

		if (reason != REASON_NONE)
		{
			journal->refused_leg = i + 1;
			return reason;
		}
		transfer_apply(&accounts, &journal->legs[i]);
	}
	journal->id = uuid7_next();
	for (int i = 0; i < journal->count; i++)
	{
		journal->legs[i].journal_id = &journal->id;
		transfer_insert(&accounts, &journal->legs[i]);
	}
	accounts_save(&accounts);
	return REASON_NONE;
}

static Datum
journal_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Journal *journal = state;
	bool		   ok = reason == REASON_NONE;
	pg_uuid_t	  *ids = palloc(sizeof(pg_uuid_t) * journal->count);

	for (int i = 0; i < journal->count; i++)
		ids[i] = journal->legs[i].id;
	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
						  ok ? null_value() : value(Int32GetDatum(journal->refused_leg)),
						  ok ? uuid_value(&journal->id) : null_value(),
						  ok ? uuid_array_value(ids, journal->count) : null_value()},
		5);
}

/* The elements of an array of the journal, of which all have one length. */
static Datum *
journal_array(FunctionCallInfo fcinfo, int n, const char *name, Oid type, int *count)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(n);
	int		   given = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Datum	  *elements;

	if (ARR_NDIM(array) > 1)
		error_invalid(name, "an array of arrays", "an array of one dimension");
	if (given < 1 || given > JOURNAL_LEGS_MAX)
		error_invalid_number(psprintf("length of %s", name), given, 1, JOURNAL_LEGS_MAX);
	if (*count != 0 && given != *count)
		error_invalid_number(psprintf("length of %s", name), given, *count, *count);
	if (array_contains_nulls(array))
		error_null(name);
	*count = given;
	if (type == UUIDOID)
		deconstruct_array(array, type, UUID_LEN, false, TYPALIGN_CHAR, &elements, NULL, &given);
	else
		deconstruct_array(array, type, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements,
						  NULL, &given);
	return elements;
}

static char *
journal_read(FunctionCallInfo fcinfo, Journal *journal, const Transfer *common)
{
	Datum *debits = journal_array(fcinfo, 0, "debit_account_ids", UUIDOID, &journal->count);
	Datum *credits = journal_array(fcinfo, 1, "credit_account_ids", UUIDOID, &journal->count);
	Datum *amounts = journal_array(fcinfo, 2, "amounts", INT8OID, &journal->count);
	StringInfoData content;

	initStringInfo(&content);
	journal->legs = palloc(sizeof(Transfer) * journal->count);
	for (int i = 0; i < journal->count; i++)
	{
		Transfer *leg = &journal->legs[i];

		*leg = *common;
		leg->debit_id = *DatumGetUUIDP(debits[i]);
		leg->credit_id = *DatumGetUUIDP(credits[i]);
		leg->amount = DatumGetInt64(amounts[i]);
		transfer_check_pair(&leg->debit_id, &leg->credit_id);
		if (leg->amount < 1)
			error_invalid_number("amount", leg->amount, 1, PG_INT64_MAX);
		appendStringInfo(&content, "%s %s " INT64_FORMAT " ", uuid_text(&leg->debit_id),
						 uuid_text(&leg->credit_id), leg->amount);
	}
	appendStringInfo(&content, "%s %s", content_text(common->description),
					 common->effective_at == NULL ? "-"
												  : psprintf(INT64_FORMAT, *common->effective_at));
	return content.data;
}

Datum
concert_journal(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"debit_account_ids", "credit_account_ids", "amounts"};
	MoneyCall call = {"journal", &replay_journal, .act = journal_act, .answer = journal_answer};
	Transfer  common = {.kind = "transfer"};
	Journal	  journal = {0};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	common.description = argument_optional_text(fcinfo, 3, "description", NAME_CHARS_MAX);
	common.effective_at = argument_effective_at(fcinfo, 4);
	call.key = argument_optional_text(fcinfo, 5, "idempotency_key", KEY_CHARS_MAX);
	common.correlation_id = argument_optional_text(fcinfo, 6, "correlation_id", KEY_CHARS_MAX);
	call.content = journal_read(fcinfo, &journal, &common);
	PG_RETURN_DATUM(money_call(fcinfo, &call, &journal));
}

/* reverse() -------------------------------------------------------------------------------------- */

/* Reads what is to be reversed, the other way. */
static bool
reversal_read(Transfer *reversal)
{
	if (plan_read(&find_transfer, PLAN_ARGS(uuid_value(reversal->reverses_id))) == 0)
		return false;
	if (plan_bool(0, 3))
		error_invalid("transfer_id", uuid_text(reversal->reverses_id),
					  "a transfer that pays no booking");
	reversal->credit_id = plan_uuid(0, 0);
	reversal->debit_id = plan_uuid(0, 1);
	reversal->amount = plan_int64(0, 2);
	return true;
}

static Reason
reversal_act(void *state)
{
	Transfer *reversal = state;
	pg_uuid_t debit_id;
	pg_uuid_t credit_id;
	Accounts  accounts;

	if (!reversal_read(reversal))
		return REASON_UNKNOWN;
	debit_id = reversal->debit_id;
	credit_id = reversal->credit_id;
	accounts = transfer_lock(&debit_id, &credit_id);
	lock_wait(LOCK_TRANSFER, lock_name_uuid(reversal->reverses_id));
	if (!reversal_read(reversal) || uuid_compare(&debit_id, &reversal->debit_id) != 0 ||
		uuid_compare(&credit_id, &reversal->credit_id) != 0)
		transfer_error_moved(reversal->reverses_id);
	if (plan_read(&find_reversal, PLAN_ARGS(uuid_value(reversal->reverses_id))) > 0)
		return REASON_ALREADY_RESOLVED;
	return transfer_do(&accounts, reversal);
}

Datum
concert_reverse(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"transfer_id"};
	MoneyCall				 call = {"reverse", &replay_transfer, .act = reversal_act,
									 .answer = transfer_act_answer};
	Transfer				 reversal = {.kind = "reversal"};

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	reversal.reverses_id = PG_GETARG_UUID_P(0);
	reversal.description = argument_optional_text(fcinfo, 1, "description", NAME_CHARS_MAX);
	call.key = argument_optional_text(fcinfo, 2, "idempotency_key", KEY_CHARS_MAX);
	reversal.correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX);
	call.content =
		psprintf("%s %s", uuid_text(reversal.reverses_id), content_text(reversal.description));
	PG_RETURN_DATUM(money_call(fcinfo, &call, &reversal));
}
