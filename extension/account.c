/* SPDX-License-Identifier: PostgreSQL */
/*
 * Accounts: opening, freezing, closing, and locking those between which money moves.
 *
 * An account with a floor has one balance row, which changes only under the account's lock. One
 * without a floor has none: it is the sum of its transfers, so that a revenue account that every
 * sale credits is waited for by nobody. Who moves its money shares the account's lock with all
 * others who do; who freezes, closes or renames it has that lock alone, and so a foreign key's
 * row lock is not needed to keep it.
 *
 * A pending transfer whose time is over holds nothing: what it set aside is left out when the
 * account is read, and is taken off the balance row by the next transfer that writes it.
 *
 * Locks: accounts in id order, then the table of transfers as an INSERT takes it: before a
 * transfer gets its number, which is what checkpoint.c waits for.
 */
#include "account.h"

#include "account_direct.h"
#include "checkpoint.h"
#include "common/int.h"
#include "direct.h"
#include "errors.h"
#include "lock.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define FLOOR_MIN (-PRICE_MAX)
#define CHECKPOINTS_PER_SAVE_MAX 10

PG_FUNCTION_INFO_V1(concert_open_account);
PG_FUNCTION_INFO_V1(concert_freeze_account);
PG_FUNCTION_INFO_V1(concert_unfreeze_account);
PG_FUNCTION_INFO_V1(concert_close_account);

static SavedPlan find_accounts = PLAN("SELECT id, floor IS NOT NULL FROM concert.account"
									  " WHERE id = ANY ($1) AND deleted_at IS NULL ORDER BY id",
									  UUIDARRAYOID);

static SavedPlan read_accounts =
	PLAN("SELECT a.id, a.currency, a.frozen_at IS NOT NULL, a.floor, b.debits, b.credits,"
		 " b.debits_pending, b.lapsed_through"
		 " FROM concert.account AS a LEFT JOIN concert.account_balance AS b ON b.account_id = a.id"
		 " WHERE a.id = ANY ($1) AND a.deleted_at IS NULL",
		 UUIDARRAYOID);

static SavedPlan sum_lapsed =
	PLAN("SELECT coalesce(sum(amount), 0)::bigint FROM concert.pending_transfer AS p"
		 " WHERE debit_account_id = $1 AND expires_at > $2 AND expires_at <= $3"
		 " AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)",
		 UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

static SavedPlan insert_lapsed =
	PLAN("INSERT INTO concert.pending_resolution (pending_id, outcome, amount, created_at)"
		 " SELECT id, 'lapsed', 0, $3 FROM concert.pending_transfer AS p"
		 " WHERE debit_account_id = $1 AND expires_at > $2 AND expires_at <= $3"
		 " AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)",
		 UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

static SavedPlan change_balance =
	PLAN("UPDATE concert.account_balance SET debits = debits + $2, credits = credits + $3,"
		 " debits_pending = debits_pending + $4, lapsed_through = $5, transfers = transfers + $6"
		 " WHERE account_id = $1 RETURNING transfers",
		 UUIDOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID);

static SavedPlan find_same = PLAN(
	"SELECT id, floor FROM concert.account WHERE kind = $1 AND currency = $2"
	" AND owner_id IS NOT DISTINCT FROM $3 AND name IS NOT DISTINCT FROM $4 AND deleted_at IS NULL",
	TEXTOID, TEXTOID, UUIDOID, TEXTOID);

static SavedPlan insert_account =
	PLAN("WITH opened AS ("
		 " INSERT INTO concert.account (kind, currency, owner_id, name, floor)"
		 " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id, floor)"
		 " INSERT INTO concert.account_balance (account_id, debits, credits)"
		 " SELECT id, 0, 0 FROM opened WHERE floor IS NOT NULL",
		 TEXTOID, TEXTOID, UUIDOID, TEXTOID, INT8OID);

static SavedPlan set_frozen =
	PLAN("UPDATE concert.account SET frozen_at = $2 WHERE id = $1", UUIDOID, TIMESTAMPTZOID);

static SavedPlan sum_account = PLAN("SELECT balance, pending_debits, pending_credits"
									" FROM concert.account_balance($1)",
									UUIDOID);

static SavedPlan source_is_used = PLAN(
	"SELECT 1 FROM concert.account AS a JOIN concert.transfer AS t ON t.debit_account_id = a.id"
	" WHERE a.id = $1 AND a.kind = 'funding' AND t.external_ref IS NOT NULL LIMIT 1",
	UUIDOID);

static SavedPlan find_live_concert =
	PLAN("SELECT c.id FROM concert.account AS a JOIN concert.concert AS c ON c.id = a.owner_id"
		 " WHERE a.id = $1 AND a.kind = 'revenue' AND c.deleted_at IS NULL",
		 UUIDOID);

static SavedPlan close_account =
	PLAN("UPDATE concert.account SET deleted_at = $2 WHERE id = $1", UUIDOID, TIMESTAMPTZOID);

static int
account_compare(const void *a, const void *b)
{
	return uuid_compare(&((const Account *) a)->id, &((const Account *) b)->id);
}

Account *
accounts_find(const Accounts *accounts, const pg_uuid_t *id)
{
	Account key = {.id = *id};

	return bsearch(&key, accounts->rows, accounts->count, sizeof(Account), account_compare);
}

static void
account_take_lock(Account *account, bool has_floor, AccountsLock lock)
{
	account->is_locked = has_floor || lock == ACCOUNTS_TO_CHANGE;
	if (account->is_locked)
		lock_wait(LOCK_ACCOUNT, lock_name_uuid(&account->id));
	else
		lock_wait_shared(LOCK_ACCOUNT, lock_name_uuid(&account->id));
}

static void
accounts_take_locks_direct(Accounts *accounts, AccountsLock lock)
{
	Snapshot snapshot = direct_snapshot();

	for (int i = 0; i < accounts->count; i++)
	{
		bool has_floor;

		if (account_direct_floor(&accounts->rows[i].id, snapshot, &has_floor))
			account_take_lock(&accounts->rows[i], has_floor, lock);
	}
	UnregisterSnapshot(snapshot);
}

static void
accounts_take_locks(Accounts *accounts, NullableDatum ids, AccountsLock lock)
{
	int found = plan_read(&find_accounts, PLAN_ARGS(ids));

	for (int i = 0; i < found; i++)
	{
		pg_uuid_t id = plan_uuid(i, 0);

		account_take_lock(accounts_find(accounts, &id), plan_bool(i, 1), lock);
	}
}

static void
accounts_read_direct(Accounts *accounts)
{
	Snapshot snapshot = direct_snapshot();

	for (int i = 0; i < accounts->count; i++)
		accounts->rows[i].is_known = account_direct_read(&accounts->rows[i], snapshot);
	UnregisterSnapshot(snapshot);
}

static void
accounts_read(Accounts *accounts, NullableDatum ids)
{
	int found = plan_read(&read_accounts, PLAN_ARGS(ids));

	for (int i = 0; i < found; i++)
	{
		pg_uuid_t id = plan_uuid(i, 0);
		Account	 *account = accounts_find(accounts, &id);

		strlcpy(account->currency, plan_text(i, 1), CURRENCY_BYTES);
		account->is_known = true;
		account->is_frozen = plan_bool(i, 2);
		account->has_floor = !plan_is_null(i, 3);
		account->floor = plan_int64(i, 3);
		account->has_row = !plan_is_null(i, 4);
		if (!account->has_floor || !account->has_row)
			continue;
		account->debits = plan_int64(i, 4);
		account->credits = plan_int64(i, 5);
		account->set_aside = plan_int64(i, 6);
		account->lapsed_through = plan_time(i, 7);
	}
}

static void
account_error_no_row(const Account *account)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("account \"%s\" has no balance row", uuid_text(&account->id))));
}

/* A balance counts only under the account's lock, which one that got its floor meanwhile has not. */
static void
account_check(const Account *account)
{
	if (!account->has_floor)
		return;
	if (!account->has_row)
		account_error_no_row(account);
	if (!account->is_locked)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not lock account \"%s\"", uuid_text(&account->id))));
}

/* Nothing that was set aside before its time came is left of a pending whose time is over. */
static void
account_let_lapse(Account *account, TimestampTz now)
{
	if (account->set_aside == 0)
		return;
	plan_read(&sum_lapsed,
			  PLAN_ARGS(uuid_value(&account->id),
						value(TimestampTzGetDatum(account->lapsed_through)),
						value(TimestampTzGetDatum(now))));
	account->lapsed = plan_int64(0, 0);
	account->set_aside -= account->lapsed;
}

Accounts
accounts_lock(const pg_uuid_t *ids, int count, AccountsLock lock)
{
	Accounts	  accounts = {.rows = palloc0(sizeof(Account) * count)};
	pg_uuid_t	 *sorted = palloc(sizeof(pg_uuid_t) * count);
	bool		  is_direct = account_goes_direct();
	NullableDatum id_array = is_direct ? null_value() : uuid_array_value(ids, count);

	memcpy(sorted, ids, sizeof(pg_uuid_t) * count);
	qsort(sorted, count, sizeof(pg_uuid_t), uuid_compare);
	for (int i = 0; i < count; i++)
		if (i == 0 || uuid_compare(&sorted[i - 1], &sorted[i]) != 0)
			accounts.rows[accounts.count++].id = sorted[i];
	if (is_direct)
		accounts_take_locks_direct(&accounts, lock);
	else
		accounts_take_locks(&accounts, id_array, lock);
	LockRelationOid(direct_table_oid(DIRECT_TRANSFER), RowExclusiveLock);
	if (is_direct)
		accounts_read_direct(&accounts);
	else
		accounts_read(&accounts, id_array);
	accounts.now = GetCurrentTimestamp();
	for (int i = 0; i < accounts.count; i++)
	{
		account_check(&accounts.rows[i]);
		account_let_lapse(&accounts.rows[i], accounts.now);
	}
	return accounts;
}

bool
account_has(const Account *account, int64 amount)
{
	return !account->has_floor ||
		(int128) account->credits - account->debits - account->set_aside - account->floor >= amount;
}

static void
account_add(const Account *account, int64 *sum, int64 *added, int64 amount)
{
	int64 balance = account->credits - account->debits;

	if (pg_add_s64_overflow(*sum, amount, sum))
		error_balance_overflow(balance, amount);
	*added += amount;
}

void
account_debit(Account *account, int64 amount)
{
	if (!account->has_floor)
		return;
	account_add(account, &account->debits, &account->debits_added, amount);
	account->transfers_added++;
}

void
account_credit(Account *account, int64 amount)
{
	if (!account->has_floor)
		return;
	account_add(account, &account->credits, &account->credits_added, amount);
	account->transfers_added++;
}

void
account_set_aside(Account *account, int64 amount)
{
	if (account->has_floor)
		account_add(account, &account->set_aside, &account->aside_added, amount);
}

/* Writes the balance row; returns how many transfers it counts. */
static int64
account_change(const Account *account, TimestampTz lapsed_through)
{
	int64 transfers;

	if (account_goes_direct() && account_direct_change(account, lapsed_through, &transfers))
		return transfers;
	if (plan_write(&change_balance,
				   PLAN_ARGS(uuid_value(&account->id), value(Int64GetDatum(account->debits_added)),
							 value(Int64GetDatum(account->credits_added)),
							 value(Int64GetDatum(account->aside_added - account->lapsed)),
							 value(TimestampTzGetDatum(lapsed_through)),
							 value(Int32GetDatum(account->transfers_added)))) != 1)
		account_error_no_row(account);
	return plan_int64(0, 0);
}

/* Under the account's lock: none of its transfers can follow under a number that was given out. */
static void
account_save(const Account *account, TimestampTz now)
{
	TimestampTz lapsed_through = account->lapsed_through;
	int64		transfers;

	if (account->debits_added == 0 && account->credits_added == 0 && account->aside_added == 0 &&
		account->lapsed == 0)
		return;
	if (account->lapsed > 0)
	{
		plan_write(&insert_lapsed,
				   PLAN_ARGS(uuid_value(&account->id), value(TimestampTzGetDatum(lapsed_through)),
							 value(TimestampTzGetDatum(now))));
		lapsed_through = now;
	}
	transfers = account_change(account, lapsed_through);
	if (transfers / CHECKPOINT_TRANSFERS >
		(transfers - account->transfers_added) / CHECKPOINT_TRANSFERS)
		checkpoint_account(&account->id, PG_INT64_MAX, CHECKPOINTS_PER_SAVE_MAX);
}

void
accounts_save(const Accounts *accounts)
{
	for (int i = 0; i < accounts->count; i++)
		if (accounts->rows[i].has_floor)
			account_save(&accounts->rows[i], accounts->now);
}

/* What makes an account one that can be: of its kind, an owner or a name, a floor or none. */
static void
account_judge_kind(const char *kind, bool has_owner, bool has_name, bool has_floor)
{
	static const struct
	{
		const char *kind;
		bool		by_owner;
		bool		by_name;
		bool		with_floor;
		bool		without_floor;
	} kinds[] = {
		{"wallet", true, false, true, false},  {"revenue", true, false, false, true},
		{"funding", false, true, false, true}, {"refunds_payable", true, true, true, true},
		{"fees", true, true, true, true},
	};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kind, kinds[i].kind) != 0)
			continue;
		if (has_owner == has_name || (has_owner ? !kinds[i].by_owner : !kinds[i].by_name))
			error_invalid("owner_id", has_owner ? "an owner" : "no owner",
						  psprintf("%s of an account of kind %s",
								   kinds[i].by_owner && kinds[i].by_name
									   ? "either an owner or a name"
									   : kinds[i].by_owner ? "an owner and no name"
														   : "a name and no owner",
								   kind));
		if (has_floor ? !kinds[i].with_floor : !kinds[i].without_floor)
			error_invalid("floor", has_floor ? "a floor" : "no floor",
						  psprintf("%s of an account of kind %s",
								   kinds[i].with_floor ? "a floor" : "none (NULL)", kind));
		return;
	}
	error_invalid("kind", kind, "wallet, revenue, funding, refunds_payable or fees");
}

void
account_insert(const char *kind, const char *currency, const pg_uuid_t *owner_id, const char *name,
			   const int64 *floor)
{
	plan_write(&insert_account,
			   PLAN_ARGS(text_value(kind), text_value(currency),
						 owner_id == NULL ? null_value() : uuid_value(owner_id), text_value(name),
						 floor == NULL ? null_value() : value(Int64GetDatum(*floor))));
}

Datum
concert_open_account(PG_FUNCTION_ARGS)
{
	char				*currency = argument_currency(fcinfo, 1, "currency");
	char				*kind = argument_text(fcinfo, 2, "kind", NAME_CHARS_MAX);
	char				*name = argument_optional_text(fcinfo, 4, "name", NAME_CHARS_MAX);
	NullableDatum		 owner = PG_ARGISNULL(0) ? null_value() : uuid_value(PG_GETARG_UUID_P(0));
	NullableDatum		 floor = PG_ARGISNULL(3) ? null_value() : value(PG_GETARG_DATUM(3));
	const NullableDatum *args;
	pg_uuid_t			*id = palloc(sizeof(pg_uuid_t));

	version_require();
	account_judge_kind(kind, !owner.isnull, name != NULL, !floor.isnull);
	if (!floor.isnull && (DatumGetInt64(floor.value) > 0 || DatumGetInt64(floor.value) < FLOOR_MIN))
		error_invalid_number("floor", DatumGetInt64(floor.value), FLOOR_MIN, 0);
	plan_begin();
	args = PLAN_ARGS(text_value(kind), text_value(currency), owner, text_value(name), floor);
	if (plan_read(&find_same, args) == 0)
	{
		plan_write(&insert_account, args);
		if (plan_read(&find_same, args) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not open the account of kind %s", kind)));
	}
	if (plan_is_null(0, 1) != floor.isnull ||
		(!floor.isnull && plan_int64(0, 1) != DatumGetInt64(floor.value)))
		error_invalid("floor",
					  floor.isnull ? "NULL" : psprintf(INT64_FORMAT, DatumGetInt64(floor.value)),
					  psprintf("%s, which the account has that is open already",
							   plan_is_null(0, 1) ? "NULL" : plan_text(0, 1)));
	*id = plan_uuid(0, 0);
	plan_end();
	PG_RETURN_UUID_P(id);
}

/* The account that the first argument names, for the caller alone. */
static Accounts
account_lock_to_change(FunctionCallInfo fcinfo)
{
	Accounts accounts = accounts_lock(PG_GETARG_UUID_P(0), 1, ACCOUNTS_TO_CHANGE);

	if (!accounts.rows[0].is_known)
		error_unknown_object("account", PG_GETARG_UUID_P(0));
	return accounts;
}

static bool
account_freeze(FunctionCallInfo fcinfo, bool is_frozen)
{
	static const char *const names[] = {"account_id"};
	Accounts				 accounts;
	bool					 changes;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	plan_begin();
	accounts = account_lock_to_change(fcinfo);
	changes = accounts.rows[0].is_frozen != is_frozen;
	if (changes)
		plan_write(&set_frozen,
				   PLAN_ARGS(uuid_value(PG_GETARG_UUID_P(0)),
							 is_frozen ? value(TimestampTzGetDatum(accounts.now)) : null_value()));
	plan_end();
	return changes;
}

Datum
concert_freeze_account(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(account_freeze(fcinfo, true));
}

Datum
concert_unfreeze_account(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(account_freeze(fcinfo, false));
}

/*
 * A source stays for its references, which are good once: a new one of its name would take them again. A
 * live concert's revenue stays, for nothing of it could be paid without.
 * What lapsed is written down before: nobody reads an account that is closed.
 */
Datum
concert_close_account(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"account_id"};
	const NullableDatum		*id;
	Accounts				 accounts;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	id = PLAN_ARGS(uuid_value(PG_GETARG_UUID_P(0)));
	plan_begin();
	accounts = account_lock_to_change(fcinfo);
	plan_read(&sum_account, id);
	if (plan_int64(0, 0) != 0 || plan_int64(0, 1) != 0 || plan_int64(0, 2) != 0)
		error_still_in_use("account", PG_GETARG_UUID_P(0),
						   psprintf("It holds %s, with %s set aside and %s to come.",
									plan_text(0, 0), plan_text(0, 1), plan_text(0, 2)));
	if (plan_read(&source_is_used, id) > 0)
		error_still_in_use("account", PG_GETARG_UUID_P(0),
						   "Its references were used, and are good once.");
	if (plan_read(&find_live_concert, id) > 0)
		error_still_in_use(
			"account", PG_GETARG_UUID_P(0),
			psprintf("It is the revenue of concert \"%s\", which is live.", plan_text(0, 0)));
	accounts_save(&accounts);
	plan_write(&close_account, PLAN_ARGS(id[0], value(TimestampTzGetDatum(accounts.now))));
	plan_end();
	PG_RETURN_BOOL(true);
}
