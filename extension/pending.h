/* SPDX-License-Identifier: PostgreSQL */
/* Amounts that are set aside, as payments see them; see pending.c. */
#ifndef CONCERT_PENDING_H
#define CONCERT_PENDING_H

#include "transfer.h"

typedef struct Pending
{
	pg_uuid_t	id;
	pg_uuid_t	debit_id;
	pg_uuid_t	credit_id;
	int64		amount;
	TimestampTz expires_at;
	bool		is_resolved;
	bool		is_lapsed; /* and that is written down */
} Pending;

/* False when there is none of this id, which is set. */
extern bool pending_read(Pending *pending);

/*
 * Under the locks of its accounts: reads it again, raises 40001 when an id has changed meanwhile,
 * and says whether it still holds something.
 */
extern Reason pending_lock(Pending *pending, Accounts *accounts);

/*
 * Sets aside what the transfer would move, which has been judged; its id becomes the pending's. The
 * time is put off where it has been dealt with. accounts_save() is the caller's.
 */
extern void pending_add(const Accounts *accounts, Transfer *transfer, TimestampTz *expires_at);

/*
 * Of one that still holds something: nothing is set aside any more, as the accounts are held; and,
 * apart from that, it was posted by this transfer, or voided (NULL). accounts_save() is the caller's.
 */
extern void pending_release(const Pending *pending, const Accounts *accounts);
extern void pending_resolve(const Pending *pending, const Accounts *accounts,
							const Transfer *posted);

/* Lets go of all of these that still hold something. Locks all of their accounts at once. */
extern void pending_let_go(const pg_uuid_t *ids, int count);

#endif /* CONCERT_PENDING_H */
