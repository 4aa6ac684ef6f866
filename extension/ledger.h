/* SPDX-License-Identifier: PostgreSQL */
/* Wallets and a concert's revenue, as payments see them; see ledger.c. */
#ifndef CONCERT_LEDGER_H
#define CONCERT_LEDGER_H

#include "reservation.h"
#include "transfer.h"

/* The user's wallet; false when there is none in this currency. */
extern bool wallet_find(const pg_uuid_t *user_id, const char *currency, pg_uuid_t *ret_id);

/* Whether the user has a wallet in any currency at all. */
extern bool wallet_exists(const pg_uuid_t *user_id);

/*
 * The account of an owner or of a name, the other being NULL; opened where it is not open, a
 * wallet with a floor of 0, any other without one.
 */
extern pg_uuid_t ledger_open(const char *kind, const char *currency, const pg_uuid_t *owner_id,
							 const char *name);

/* The account that sales in this currency of the booking's concert are credited to. */
extern pg_uuid_t revenue_account(const Booking *booking, const char *currency);

/* The same, where it is no error that there is none. */
extern bool revenue_find(const Booking *booking, const char *currency, pg_uuid_t *ret_id);

#endif /* CONCERT_LEDGER_H */
