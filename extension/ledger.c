/* SPDX-License-Identifier: PostgreSQL */
/*
 * The points ledger: accounts, transfers, and charging a wallet.
 *
 * A transfer debits one account and credits another, so the books balance by construction. A
 * wallet has a floor and therefore one balance row, which changes only under the wallet's lock
 * in the transaction of the transfer. Revenue and funding accounts have no floor and no row:
 * what they hold is the sum of their transfers.
 */
#include "ledger.h"

#include "common/int.h"
#include "errors.h"
#include "lock.h"
#include "outbox.h"
#include "request.h"
#include "utils/builtins.h"

#define WALLET_READS_MAX 3

PG_FUNCTION_INFO_V1(concert_charge_points);

static SavedPlan find_wallet =
	PLAN("SELECT id FROM concert.account"
		 " WHERE owner_id = $1 AND kind = 'wallet' AND currency = $2 AND deleted_at IS NULL",
		 UUIDOID, TEXTOID);

static SavedPlan any_wallet = PLAN(
	"SELECT 1 FROM concert.account WHERE owner_id = $1 AND kind = 'wallet' AND deleted_at IS NULL",
	UUIDOID);

static SavedPlan read_wallet =
	PLAN("SELECT a.frozen_at IS NOT NULL, a.floor, b.credits - b.debits"
		 " FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id"
		 " WHERE a.id = $1 AND a.deleted_at IS NULL",
		 UUIDOID);

static SavedPlan open_wallet = PLAN(
	"WITH opened AS ("
	" INSERT INTO concert.account (kind, owner_id, currency, floor) VALUES ('wallet', $1, $2, 0)"
	" ON CONFLICT (owner_id, kind, currency) WHERE owner_id IS NOT NULL AND deleted_at IS NULL"
	" DO NOTHING RETURNING id)"
	" INSERT INTO concert.account_balance (account_id, debits, credits) SELECT id, 0, 0 FROM opened",
	UUIDOID, TEXTOID);

static SavedPlan find_funding =
	PLAN("SELECT id FROM concert.account WHERE name = $1 AND currency = $2 AND deleted_at IS NULL",
		 TEXTOID, TEXTOID);

static SavedPlan open_funding =
	PLAN("INSERT INTO concert.account (kind, name, currency) VALUES ('funding', $1, $2)"
		 " ON CONFLICT (name, currency) WHERE name IS NOT NULL AND deleted_at IS NULL DO NOTHING",
		 TEXTOID, TEXTOID);

static SavedPlan find_revenue = PLAN(
	"SELECT a.id FROM concert.concert_date AS d JOIN concert.account AS a ON a.owner_id = d.concert_id"
	" WHERE d.id = $1 AND a.kind = 'revenue' AND a.currency = $2 AND a.deleted_at IS NULL",
	UUIDOID, TEXTOID);

static SavedPlan find_external_ref =
	PLAN("SELECT id FROM concert.transfer WHERE debit_account_id = $1 AND external_ref = $2",
		 UUIDOID, TEXTOID);

static SavedPlan insert_transfer = PLAN(
	"INSERT INTO concert.transfer (id, debit_account_id, credit_account_id, amount, currency, kind,"
	" payment_id, external_ref, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	UUIDOID, UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);

static SavedPlan change_balance =
	PLAN("UPDATE concert.account_balance SET debits = debits + $2, credits = credits + $3"
		 " WHERE account_id = $1",
		 UUIDOID, INT8OID, INT8OID);

static SavedPlan replay_charge =
	PLAN("SELECT jsonb_populate_record(NULL::concert.charge_answer, $1)", JSONBOID);

/* A wallet whose id was changed while its lock was waited for is looked for again. */
bool
wallet_lock(const pg_uuid_t *user_id, const char *currency, Wallet *ret_wallet)
{
	Wallet wallet;

	for (int i = 0; i < WALLET_READS_MAX; i++)
	{
		if (plan_read(&find_wallet, PLAN_ARGS(uuid_value(user_id), text_value(currency))) == 0)
			return false;
		wallet.id = plan_uuid(0, 0);
		lock_wait(LOCK_ACCOUNT, lock_name_uuid(&wallet.id));
		if (plan_read(&read_wallet, PLAN_ARGS(uuid_value(&wallet.id))) == 0)
			continue;
		wallet.frozen = plan_bool(0, 0);
		wallet.floor = plan_int64(0, 1);
		wallet.balance = plan_int64(0, 2);
		*ret_wallet = wallet;
		return true;
	}
	return false;
}

bool
wallet_exists(const pg_uuid_t *user_id)
{
	return plan_read(&any_wallet, PLAN_ARGS(uuid_value(user_id))) > 0;
}

pg_uuid_t
revenue_account(const pg_uuid_t *date_id, const char *currency)
{
	if (plan_read(&find_revenue, PLAN_ARGS(uuid_value(date_id), text_value(currency))) == 0)
		error_unknown_object("revenue account of concert date", date_id);
	return plan_uuid(0, 0);
}

/* The wallet's row changes by exactly the transfer's amount, under the wallet's lock. */
static void
wallet_change(const Wallet *wallet, int64 debit, int64 credit)
{
	if (plan_write(&change_balance,
				   PLAN_ARGS(uuid_value(&wallet->id), value(Int64GetDatum(debit)),
							 value(Int64GetDatum(credit)))) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("account \"%s\" has no balance row", uuid_text(&wallet->id))));
}

pg_uuid_t
transfer_from_wallet(const Wallet *wallet, const pg_uuid_t *credit_account_id, int64 amount,
					 const char *currency, const pg_uuid_t *payment_id, TimestampTz now)
{
	pg_uuid_t transfer_id = uuid7_next();

	Assert(wallet->balance - amount >= wallet->floor);
	plan_write(&insert_transfer,
			   PLAN_ARGS(uuid_value(&transfer_id), uuid_value(&wallet->id),
						 uuid_value(credit_account_id), value(Int64GetDatum(amount)),
						 text_value(currency), text_value("payment"), uuid_value(payment_id),
						 null_value(), value(TimestampTzGetDatum(now))));
	wallet_change(wallet, amount, 0);
	return transfer_id;
}

/* One charge, as the caller gave it. */
typedef struct Charge
{
	pg_uuid_t	user_id;
	int64		amount;
	const char *currency;
	const char *source;
	const char *external_ref;
	Wallet		wallet;
	pg_uuid_t	transfer_id;
	int64		balance; /* after it */
} Charge;

static void
charge_open_wallet(Charge *charge)
{
	if (wallet_lock(&charge->user_id, charge->currency, &charge->wallet))
		return;
	plan_write(&open_wallet, PLAN_ARGS(uuid_value(&charge->user_id), text_value(charge->currency)));
	if (!wallet_lock(&charge->user_id, charge->currency, &charge->wallet))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not open the wallet of user \"%s\"", uuid_text(&charge->user_id))));
}

static pg_uuid_t
charge_source_account(const Charge *charge)
{
	const NullableDatum *args = PLAN_ARGS(text_value(charge->source), text_value(charge->currency));

	if (plan_read(&find_funding, args) == 0)
	{
		plan_write(&open_funding, args);
		if (plan_read(&find_funding, args) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not open the account of source \"%s\"", charge->source)));
	}
	return plan_uuid(0, 0);
}

static void
charge_emit(const Charge *charge, const char *correlation_id)
{
	Json payload = {0};

	json_begin_object(&payload);
	json_add_uuid(&payload, "transfer_id", &charge->transfer_id);
	json_add_uuid(&payload, "account_id", &charge->wallet.id);
	json_add_uuid(&payload, "user_id", &charge->user_id);
	json_add_int64(&payload, "amount", charge->amount);
	json_add_text(&payload, "currency", charge->currency);
	json_add_text(&payload, "source", charge->source);
	json_add_text(&payload, "external_ref", charge->external_ref);
	json_end_object(&payload);
	outbox_emit(TOPIC_POINT, uuid_text(&charge->wallet.id), "point.charged", json_finish(&payload),
				correlation_id);
}

/* The reference's lock stands before the wallet's: one reference is charged once, whoever asks. */
static Reason
charge_post(Charge *charge, const char *correlation_id)
{
	char	 *scope = psprintf("%s %s", charge->currency, charge->source);
	pg_uuid_t source_id;

	lock_wait(LOCK_EXTERNAL_REF,
			  lock_name(scope, strlen(scope), charge->external_ref, strlen(charge->external_ref)));
	source_id = charge_source_account(charge);
	if (plan_read(&find_external_ref,
				  PLAN_ARGS(uuid_value(&source_id), text_value(charge->external_ref))) > 0)
		return REASON_ALREADY_RESOLVED;
	charge_open_wallet(charge);
	if (charge->wallet.frozen)
		return REASON_FROZEN;
	if (pg_add_s64_overflow(charge->wallet.balance, charge->amount, &charge->balance))
		error_balance_overflow(charge->wallet.balance, charge->amount);
	charge->transfer_id = uuid7_next();
	plan_write(&insert_transfer,
			   PLAN_ARGS(uuid_value(&charge->transfer_id), uuid_value(&source_id),
						 uuid_value(&charge->wallet.id), value(Int64GetDatum(charge->amount)),
						 text_value(charge->currency), text_value("charge"), null_value(),
						 text_value(charge->external_ref),
						 value(TimestampTzGetDatum(GetCurrentTimestamp()))));
	wallet_change(&charge->wallet, 0, charge->amount);
	charge_emit(charge, correlation_id);
	return REASON_NONE;
}

static Datum
charge_answer(FunctionCallInfo fcinfo, const Charge *charge, Reason reason)
{
	bool ok = reason == REASON_NONE;

	return answer_row(fcinfo,
					  (NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
										ok ? uuid_value(&charge->transfer_id) : null_value(),
										ok ? uuid_value(&charge->wallet.id) : null_value(),
										ok ? value(Int64GetDatum(charge->balance)) : null_value()},
					  5);
}

Datum
concert_charge_points(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"user_id", "amount", "currency", "source", "external_ref"};
	MemoryContext			 caller = CurrentMemoryContext;
	char   *key = argument_optional_text(fcinfo, 5, "idempotency_key", KEY_CHARS_MAX);
	char   *correlation_id = argument_optional_text(fcinfo, 6, "correlation_id", KEY_CHARS_MAX);
	Charge	charge = {0};
	Request request;
	Datum	answer;

	argument_require(fcinfo, lengthof(names), names);
	charge.user_id = *PG_GETARG_UUID_P(0);
	charge.amount = PG_GETARG_INT64(1);
	if (charge.amount < 1)
		error_invalid_number("amount", charge.amount, 1, PG_INT64_MAX);
	charge.currency = argument_currency(fcinfo, 2, "currency");
	charge.source = argument_text(fcinfo, 3, "source", NAME_CHARS_MAX);
	charge.external_ref = argument_text(fcinfo, 4, "external_ref", KEY_CHARS_MAX);
	request_init(&request, "charge_points", &replay_charge, key, &charge.user_id,
				 psprintf(INT64_FORMAT " %s %zu %s %s", charge.amount, charge.currency,
						  strlen(charge.source), charge.source, charge.external_ref));
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		Reason		  reason = charge_post(&charge, correlation_id);
		MemoryContext work = MemoryContextSwitchTo(caller);

		answer = charge_answer(fcinfo, &charge, reason);
		MemoryContextSwitchTo(work);
		request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
