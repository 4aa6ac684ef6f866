/* SPDX-License-Identifier: PostgreSQL */
/* Accounts and their balance rows by index scans; see account_direct.h. */
#include "account_direct.h"

#include "direct.h"
#include "store_direct.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* Columns of the tables, as their install piece has them. */
enum
{
	ACCOUNT_ID = 1,
	ACCOUNT_CURRENCY = 5,
	ACCOUNT_FLOOR,
	ACCOUNT_FROZEN,
	ACCOUNT_DELETED = 9
};

enum
{
	BALANCE_DEBITS = 2,
	BALANCE_CREDITS,
	BALANCE_PENDING,
	BALANCE_LAPSED_THROUGH,
	BALANCE_TRANSFERS
};

bool
account_goes_direct(void)
{
	return direct_is_readable(DIRECT_ACCOUNT) && direct_is_readable(DIRECT_ACCOUNT_BALANCE);
}

static bool
account_find(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot, const pg_uuid_t *id)
{
	Datum key = UUIDPGetDatum(id);

	direct_scan_begin(ret_scan, index, snapshot, &key, 1);
	return direct_scan_next(ret_scan, ForwardScanDirection);
}

bool
account_direct_floor(const pg_uuid_t *id, Snapshot snapshot, bool *ret_has_floor)
{
	DirectScan scan;
	bool	   is_open = account_find(&scan, DIRECT_ACCOUNT_ID, snapshot, id) &&
		direct_is_null(&scan, ACCOUNT_DELETED);

	if (is_open)
		*ret_has_floor = !direct_is_null(&scan, ACCOUNT_FLOOR);
	direct_scan_end(&scan);
	return is_open;
}

static void
balance_read(Account *account, Snapshot snapshot)
{
	DirectScan scan;

	account->has_row = account_find(&scan, DIRECT_ACCOUNT_BALANCE_ID, snapshot, &account->id);
	if (account->has_row)
	{
		account->debits = direct_int64(&scan, BALANCE_DEBITS);
		account->credits = direct_int64(&scan, BALANCE_CREDITS);
		account->set_aside = direct_int64(&scan, BALANCE_PENDING);
		account->lapsed_through = direct_int64(&scan, BALANCE_LAPSED_THROUGH);
	}
	direct_scan_end(&scan);
}

bool
account_direct_read(Account *account, Snapshot snapshot)
{
	DirectScan scan;
	bool	   isnull;
	bool	   is_open = account_find(&scan, DIRECT_ACCOUNT_ID, snapshot, &account->id) &&
		direct_is_null(&scan, ACCOUNT_DELETED);

	if (is_open)
	{
		text_to_cstring_buffer(DatumGetTextPP(direct_datum(&scan, ACCOUNT_CURRENCY, &isnull)),
							   account->currency, CURRENCY_BYTES);
		account->is_frozen = !direct_is_null(&scan, ACCOUNT_FROZEN);
		account->has_floor = !direct_is_null(&scan, ACCOUNT_FLOOR);
		account->floor = direct_int64(&scan, ACCOUNT_FLOOR);
	}
	direct_scan_end(&scan);
	if (is_open && account->has_floor)
		balance_read(account, snapshot);
	return is_open;
}

bool
account_direct_change(const Account *account, TimestampTz lapsed_through, int64 *ret_transfers)
{
	Snapshot   snapshot = direct_snapshot();
	DirectScan scan;
	bool	   done = false;

	if (account_find(&scan, DIRECT_ACCOUNT_BALANCE_ID, snapshot, &account->id))
	{
		*ret_transfers = direct_int64(&scan, BALANCE_TRANSFERS) + account->transfers_added;
		done = direct_update(
			&scan, DIRECT_ACCOUNT_BALANCE,
			PLAN_ARGS(
				uuid_value(&account->id),
				value(Int64GetDatum(direct_int64(&scan, BALANCE_DEBITS) + account->debits_added)),
				value(Int64GetDatum(direct_int64(&scan, BALANCE_CREDITS) + account->credits_added)),
				value(Int64GetDatum(direct_int64(&scan, BALANCE_PENDING) + account->aside_added -
									account->lapsed)),
				value(TimestampTzGetDatum(lapsed_through)), value(Int64GetDatum(*ret_transfers))));
	}
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return done;
}

bool
account_direct_of_owner(const pg_uuid_t *owner_id, const char *kind, const char *currency,
						pg_uuid_t *ret_id)
{
	Snapshot   snapshot = direct_snapshot();
	Datum	   keys[] = {UUIDPGetDatum(owner_id), CStringGetTextDatum(kind),
						 CStringGetTextDatum(currency)};
	DirectScan scan;
	bool	   found;

	direct_scan_begin(&scan, DIRECT_ACCOUNT_OF_OWNER, snapshot, keys, lengthof(keys));
	found = direct_scan_next(&scan, ForwardScanDirection);
	if (found)
		*ret_id = direct_uuid(&scan, ACCOUNT_ID);
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return found;
}

bool
account_direct_revenue(const pg_uuid_t *date_id, const char *currency, pg_uuid_t *ret_id)
{
	DateRules rules;

	return store_goes_direct() && store_direct_date(date_id, &rules) &&
		account_direct_of_owner(&rules.concert_id, "revenue", currency, ret_id);
}
