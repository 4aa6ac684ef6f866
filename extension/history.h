/* SPDX-License-Identifier: PostgreSQL */
/*
 * History: who did what to which seats, when, under which correlation id. One row for each act,
 * in the transaction of the act; never changed, never removed but by purge. It carries ids
 * without foreign keys.
 *
 * Its xid (top-level, 64 bits) makes it the feed of changes as well: what is visible in one
 * snapshot and not in an older one is what was done in between (seat_map_changes()).
 */
#ifndef CONCERT_HISTORY_H
#define CONCERT_HISTORY_H

#include "plan.h"

/* One act on seats of one date. */
typedef struct Act
{
	const char		*action; /* reserved, extended, confirmed, cancelled, expired, blocked ... */
	pg_uuid_t		 date_id;
	const pg_uuid_t *booking_id; /* NULL: the house's own act */
	const pg_uuid_t *user_id;	 /* whose booking it is; NULL with it */
	const char		*actor; /* who did it; NULL: that user, or whoever met an expired pending */
	const char		*correlation_id; /* may be NULL */
	const char		*detail;		 /* such as a block's reason; may be NULL */
	int				 count;
	const pg_uuid_t *seat_ids; /* may be NULL with a count of 0: the date as a whole */
} Act;

/* Appends the act, at the time now. */
extern void history_add(const Act *act, TimestampTz now);

#endif /* CONCERT_HISTORY_H */
