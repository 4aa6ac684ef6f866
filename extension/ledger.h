/* SPDX-License-Identifier: PostgreSQL */
/* Wallets and transfers, as payments see them; see ledger.c. */
#ifndef CONCERT_LEDGER_H
#define CONCERT_LEDGER_H

#include "plan.h"

typedef struct Wallet
{
	pg_uuid_t id;
	bool	  frozen;
	int64	  floor;
	int64	  balance; /* credits minus debits */
} Wallet;

/*
 * Finds the user's wallet, takes its lock (waiting) and reads it. False when there is none in
 * this currency. Between plan_begin() and plan_end(), as all of these.
 */
extern bool wallet_lock(const pg_uuid_t *user_id, const char *currency, Wallet *ret_wallet);

/* Whether the user has a wallet in any currency at all. */
extern bool wallet_exists(const pg_uuid_t *user_id);

/* The account that a concert's sales in this currency are credited to. */
extern pg_uuid_t revenue_account(const pg_uuid_t *date_id, const char *currency);

/* Moves an amount out of a locked wallet that has it; returns the transfer's id. */
extern pg_uuid_t transfer_from_wallet(const Wallet *wallet, const pg_uuid_t *credit_account_id,
									  int64 amount, const char *currency,
									  const pg_uuid_t *payment_id, TimestampTz now);

#endif /* CONCERT_LEDGER_H */
