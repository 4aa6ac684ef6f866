/* SPDX-License-Identifier: PostgreSQL */
/* Accounts as whoever moves money sees them: locked together, judged, changed; see account.c. */
#ifndef CONCERT_ACCOUNT_H
#define CONCERT_ACCOUNT_H

#include "plan.h"

#define CURRENCY_BYTES 4

typedef struct Account
{
	pg_uuid_t	id;
	bool		is_known; /* it exists and is not closed; all below is set only then */
	bool		is_frozen;
	bool		has_floor; /* only then there is a balance row, and all below is set */
	char		currency[CURRENCY_BYTES];
	int64		floor;
	int64		debits;
	int64		credits;
	int64		set_aside;		/* by pending transfers whose time is not over */
	int64		lapsed;			/* set aside in the row by those whose time is over */
	TimestampTz lapsed_through; /* no pending that was to lapse by then is unresolved */
	int64		debits_added;
	int64		credits_added;
	int64		aside_added;
	int			transfers_added;
	bool		is_locked;
	bool		has_row; /* of account_balance, as an account with a floor must */
} Account;

/* Accounts that were locked together, in id order, none twice. */
typedef struct Accounts
{
	int			count;
	Account	   *rows;
	TimestampTz now; /* read after the locks */
} Accounts;

typedef enum AccountsLock
{
	ACCOUNTS_TO_MOVE,  /* those without a floor are shared with others who move money */
	ACCOUNTS_TO_CHANGE /* all for the caller alone */
} AccountsLock;

/* Locks and reads what the ids name, which may repeat. Between plan_begin() and plan_end(). */
extern Accounts accounts_lock(const pg_uuid_t *ids, int count, AccountsLock lock);

extern Account *accounts_find(const Accounts *accounts, const pg_uuid_t *id);

/* What of a balance is there to be moved: above the floor and not set aside. */
extern bool account_has(const Account *account, int64 amount);

/* Changes what is held; accounts_save() writes it. Raises 22003 past bigint. */
extern void account_debit(Account *account, int64 amount);
extern void account_credit(Account *account, int64 amount);
extern void account_set_aside(Account *account, int64 amount);

/* Opens an account as open_account() does, unless one like it is open; owner or name is NULL. */
extern void account_insert(const char *kind, const char *currency, const pg_uuid_t *owner_id,
						   const char *name, const int64 *floor);

/* Writes the balance rows, and that pendings have lapsed which were met. */
extern void accounts_save(const Accounts *accounts);

#endif /* CONCERT_ACCOUNT_H */
