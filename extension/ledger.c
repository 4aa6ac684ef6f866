/* SPDX-License-Identifier: PostgreSQL */
/*
 * Points: a user's wallet, and charging it from a named source.
 *
 * A wallet is the user's account in the currency of a sale; its first charge opens it. A source
 * is an account without a floor: what it has given is the sum of its transfers.
 */
#include "ledger.h"

#include "account_direct.h"
#include "errors.h"
#include "outbox.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_charge_points);

static SavedPlan find_owned =
	PLAN("SELECT id FROM concert.account"
		 " WHERE owner_id = $1 AND kind = $2 AND currency = $3 AND deleted_at IS NULL",
		 UUIDOID, TEXTOID, TEXTOID);

static SavedPlan any_wallet = PLAN(
	"SELECT 1 FROM concert.account WHERE owner_id = $1 AND kind = 'wallet' AND deleted_at IS NULL",
	UUIDOID);

static SavedPlan find_named =
	PLAN("SELECT id FROM concert.account"
		 " WHERE name = $1 AND kind = $2 AND currency = $3 AND deleted_at IS NULL",
		 TEXTOID, TEXTOID, TEXTOID);

/* By the booking, and in one look: the ids of its date and concert may be others than they were. */
static SavedPlan find_revenue =
	PLAN("SELECT a.id FROM concert.reservation AS r"
		 " JOIN concert.concert_date AS d ON d.id = r.concert_date_id"
		 " JOIN concert.account AS a ON a.owner_id = d.concert_id"
		 " WHERE r.booking_id = $1 AND a.kind = 'revenue' AND a.currency = $2"
		 " AND a.deleted_at IS NULL LIMIT 1",
		 UUIDOID, TEXTOID);

static SavedPlan replay_charge =
	PLAN("SELECT jsonb_populate_record(NULL::concert.charge_answer, $1)", JSONBOID);

static bool
ledger_find(const char *kind, const char *currency, const pg_uuid_t *owner_id, const char *name,
			pg_uuid_t *ret_id)
{
	int found;

	if (owner_id == NULL)
		found = plan_read(&find_named,
						  PLAN_ARGS(text_value(name), text_value(kind), text_value(currency)));
	else if (account_goes_direct())
		return account_direct_of_owner(owner_id, kind, currency, ret_id);
	else
		found = plan_read(&find_owned,
						  PLAN_ARGS(uuid_value(owner_id), text_value(kind), text_value(currency)));
	if (found > 0)
		*ret_id = plan_uuid(0, 0);
	return found > 0;
}

bool
wallet_find(const pg_uuid_t *user_id, const char *currency, pg_uuid_t *ret_id)
{
	return ledger_find("wallet", currency, user_id, NULL, ret_id);
}

pg_uuid_t
ledger_open(const char *kind, const char *currency, const pg_uuid_t *owner_id, const char *name)
{
	static const int64 wallet_floor = 0;
	pg_uuid_t		   id;

	if (ledger_find(kind, currency, owner_id, name, &id))
		return id;
	account_insert(kind, currency, owner_id, name,
				   strcmp(kind, "wallet") == 0 ? &wallet_floor : NULL);
	if (!ledger_find(kind, currency, owner_id, name, &id))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not open the account of kind %s", kind)));
	return id;
}

bool
wallet_exists(const pg_uuid_t *user_id)
{
	return plan_read(&any_wallet, PLAN_ARGS(uuid_value(user_id))) > 0;
}

bool
revenue_find(const Booking *booking, const char *currency, pg_uuid_t *ret_id)
{
	if (account_goes_direct() && account_direct_revenue(&booking->date_id, currency, ret_id))
		return true;
	if (plan_read(&find_revenue, PLAN_ARGS(uuid_value(&booking->id), text_value(currency))) == 0)
		return false;
	*ret_id = plan_uuid(0, 0);
	return true;
}

pg_uuid_t
revenue_account(const Booking *booking, const char *currency)
{
	pg_uuid_t id;

	if (!revenue_find(booking, currency, &id))
		error_unknown_object("revenue account of concert date", &booking->date_id);
	return id;
}

/* One charge, as the caller gave it. */
typedef struct Charge
{
	pg_uuid_t	user_id;
	const char *currency;
	const char *source;
	Transfer	transfer; /* from the source to the wallet */
	int64		balance;  /* of the wallet after it */
} Charge;

static void
charge_emit(const Charge *charge)
{
	Json payload = {0};

	json_begin_object(&payload);
	json_add_uuid(&payload, "transfer_id", &charge->transfer.id);
	json_add_uuid(&payload, "account_id", &charge->transfer.credit_id);
	json_add_uuid(&payload, "user_id", &charge->user_id);
	json_add_int64(&payload, "amount", charge->transfer.amount);
	json_add_text(&payload, "currency", charge->currency);
	json_add_text(&payload, "source", charge->source);
	json_add_text(&payload, "external_ref", charge->transfer.external_ref);
	json_end_object(&payload);
	outbox_emit(TOPIC_POINT, uuid_text(&charge->transfer.credit_id), "point.charged",
				json_finish(&payload), charge->transfer.correlation_id);
}

/* The reference's lock stands before the wallet's: one reference is charged once, whoever asks. */
static Reason
charge_act(void *state)
{
	Charge		  *charge = state;
	Transfer	  *transfer = &charge->transfer;
	const Account *wallet;
	Accounts	   accounts;
	Reason		   reason;

	external_ref_lock(psprintf("%s %s", charge->currency, charge->source), transfer->external_ref);
	transfer->debit_id = ledger_open("funding", charge->currency, NULL, charge->source);
	if (external_ref_is_used(&transfer->debit_id, transfer->external_ref))
		return REASON_ALREADY_RESOLVED;
	transfer->credit_id = ledger_open("wallet", charge->currency, &charge->user_id, NULL);
	accounts = transfer_lock(&transfer->debit_id, &transfer->credit_id);
	reason = transfer_do(&accounts, transfer);
	if (reason == REASON_UNKNOWN)
		transfer_error_moved(&transfer->credit_id);
	if (reason != REASON_NONE)
		return reason;
	wallet = accounts_find(&accounts, &transfer->credit_id);
	charge->balance = wallet->credits - wallet->debits;
	charge_emit(charge);
	return REASON_NONE;
}

static Datum
charge_answer(FunctionCallInfo fcinfo, const void *state, Reason reason)
{
	const Charge *charge = state;
	bool		  ok = reason == REASON_NONE;

	return answer_row(fcinfo,
					  (NullableDatum[]){value(BoolGetDatum(ok)), answer_reason(reason),
										ok ? uuid_value(&charge->transfer.id) : null_value(),
										ok ? uuid_value(&charge->transfer.credit_id) : null_value(),
										ok ? value(Int64GetDatum(charge->balance)) : null_value()},
					  5);
}

Datum
concert_charge_points(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"user_id", "amount", "currency", "source", "external_ref"};
	MoneyCall call = {"charge_points", &replay_charge, .act = charge_act, .answer = charge_answer};
	Charge	  charge = {.transfer.kind = "charge"};

	call.key = argument_optional_text(fcinfo, 5, "idempotency_key", KEY_CHARS_MAX);
	charge.transfer.correlation_id =
		argument_optional_text(fcinfo, 6, "correlation_id", KEY_CHARS_MAX);
	version_require();
	argument_require(fcinfo, lengthof(names), names);
	charge.user_id = *PG_GETARG_UUID_P(0);
	charge.transfer.amount = argument_amount(fcinfo, 1, "amount");
	charge.currency = argument_currency(fcinfo, 2, "currency");
	charge.source = argument_text(fcinfo, 3, "source", NAME_CHARS_MAX);
	charge.transfer.external_ref = argument_text(fcinfo, 4, "external_ref", KEY_CHARS_MAX);
	call.user_id = &charge.user_id;
	call.content = psprintf(INT64_FORMAT " %s %zu %s %s", charge.transfer.amount, charge.currency,
							strlen(charge.source), charge.source, charge.transfer.external_ref);
	PG_RETURN_DATUM(money_call(fcinfo, &call, &charge));
}
