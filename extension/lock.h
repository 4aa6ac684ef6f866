/* SPDX-License-Identifier: PostgreSQL */
/*
 * Locks by name: heavyweight advisory locks with a field4 of our own, so that no advisory lock
 * of an application ever meets one. A name is hashed to 64 bits; two names that meet only make
 * one caller wait for, or be 'busy' with, another. The order is written in concert.h.
 *
 * Transaction locks go with the transaction (or savepoint), as prepared transactions do.
 */
#ifndef CONCERT_LOCK_H
#define CONCERT_LOCK_H

#include "concert.h"

#include "storage/lockdefs.h"

/* field4 of the lock tag; PostgreSQL's own advisory locks use 1 and 2. */
typedef enum LockClass
{
	LOCK_REQUEST = 101,
	LOCK_EXTERNAL_REF,
	LOCK_BOOKING,
	LOCK_USER_LIMIT,
	LOCK_SEAT,
	LOCK_ACCOUNT,
	LOCK_EVENT_KEY,
	LOCK_LANE,
	LOCK_ADMISSION,
	LOCK_TRANSFER
} LockClass;

/* Hashes two byte strings, kept apart, into a lock's name. */
extern uint64 lock_name(const void *first, size_t first_bytes, const void *second,
						size_t second_bytes);
extern uint64 lock_name_uuid(const pg_uuid_t *id);

/* Returns whether it had to wait. */
extern bool lock_wait(LockClass class, uint64 name);

/* The same, beside others who share it; only lock_wait() keeps it from them. */
extern void lock_wait_shared(LockClass class, uint64 name);

extern bool lock_try(LockClass class, uint64 name);
/* Whether another transaction has it; takes nothing. */
extern bool lock_is_taken(LockClass class, uint64 name);
extern void lock_release(LockClass class, uint64 name);

/* A lock of the session: kept over commits until the session ends. */
extern bool lock_session_try(LockClass class, uint64 name);
extern bool lock_session_held(LockClass class, uint64 name);

/* How many locks one transaction may take without crowding the others out of the lock table. */
extern int lock_batch_max(void);

/* Whether this transaction has the table in just this mode. */
extern bool lock_table_held(Oid table_oid, LOCKMODE mode);

/* Takes a table of schema concert for this transaction alone (ACCESS EXCLUSIVE), or says no. */
extern bool lock_table_try(const char *table);

#endif /* CONCERT_LOCK_H */
