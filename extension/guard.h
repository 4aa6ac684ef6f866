/* SPDX-License-Identifier: PostgreSQL */
/* What the triggers of guard.c share with the functions that they let through. */
#ifndef CONCERT_GUARD_H
#define CONCERT_GUARD_H

#include "plan.h"

/*
 * Takes the lock with which a seat is reserved, waiting. Past as many as the lock table bears, the
 * transaction takes the table of reservations instead (SHARE ROW EXCLUSIVE): then no seat can be
 * reserved at all until it ends.
 */
extern void guard_lock_seat(const pg_uuid_t *seat_id);

/* Runs a DELETE from this table of schema concert, which its triggers turn away otherwise. */
extern int guard_purge(const char *table, SavedPlan *purge, const NullableDatum *args);

/* The same for an UPDATE of a table whose rows only our own calls change. */
extern int guard_update(const char *table, SavedPlan *update, const NullableDatum *args);

/* The same for a TRUNCATE of one of our rings: the only way in which its rows ever go. */
extern void guard_truncate(const char *table, SavedPlan *empty);

#endif /* CONCERT_GUARD_H */
