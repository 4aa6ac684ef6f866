/* SPDX-License-Identifier: PostgreSQL */
/* What account.c reads and writes by index scans: only where account_goes_direct() says so. */
#ifndef CONCERT_ACCOUNT_DIRECT_H
#define CONCERT_ACCOUNT_DIRECT_H

#include "account.h"

extern bool account_goes_direct(void);

/* Whether the account exists and is not closed, and if so has a floor: before it is locked. */
extern bool account_direct_floor(const pg_uuid_t *id, Snapshot snapshot, bool *ret_has_floor);

/* Sets what is stored of the account: false when it is not there or closed. */
extern bool account_direct_read(Account *account, Snapshot snapshot);

/*
 * Writes the balance row; false when that is to be left to SPI. Tells how many transfers it counts
 * then.
 */
extern bool account_direct_change(const Account *account, TimestampTz lapsed_through,
								  int64 *ret_transfers);

/* The open account of an owner. */
extern bool account_direct_of_owner(const pg_uuid_t *owner_id, const char *kind,
									const char *currency, pg_uuid_t *ret_id);

/* The revenue account of a live date's concert; what it does not find is left to SPI. */
extern bool account_direct_revenue(const pg_uuid_t *date_id, const char *currency,
								   pg_uuid_t *ret_id);

#endif /* CONCERT_ACCOUNT_DIRECT_H */
