/* SPDX-License-Identifier: PostgreSQL */
/* Locks by name; see lock.h. */
#include "lock.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"

#define LOCK_TABLE_SHARE 8

static LOCKTAG
lock_tag(LockClass class, uint64 name)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (name >> 32), (uint32) name, (uint16) class);
	return tag;
}

uint64
lock_name(const void *first, size_t first_bytes, const void *second, size_t second_bytes)
{
	uint64 seed = hash_bytes_extended(first, (int) first_bytes, first_bytes);

	return hash_bytes_extended(second, (int) second_bytes, seed);
}

uint64
lock_name_uuid(const pg_uuid_t *id)
{
	return hash_bytes_extended(id->data, UUID_LEN, 0);
}

bool
lock_wait(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);

	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	return true;
}

void
lock_wait_shared(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);

	(void) LockAcquire(&tag, ShareLock, false, false);
}

bool
lock_try(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);

	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

bool
lock_is_taken(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);
	int		holders;

	(void) GetLockConflicts(&tag, ExclusiveLock, &holders);
	return holders > 0;
}

void
lock_release(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

bool
lock_session_try(LockClass class, uint64 name)
{
	LOCKTAG			  tag = lock_tag(class, name);
	LockAcquireResult result;

	if (compat_lock_held_by_me(&tag, ExclusiveLock))
		return true;
	result = LockAcquire(&tag, ExclusiveLock, true, true);
	return result != LOCKACQUIRE_NOT_AVAIL;
}

bool
lock_session_held(LockClass class, uint64 name)
{
	LOCKTAG tag = lock_tag(class, name);

	return compat_lock_held_by_me(&tag, ExclusiveLock);
}

int
lock_batch_max(void)
{
	return max_locks_per_xact * MaxBackends / LOCK_TABLE_SHARE;
}

bool
lock_table_held(Oid table_oid, LOCKMODE mode)
{
	LOCKTAG tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, table_oid);
	return compat_lock_held_by_me(&tag, mode);
}

bool
lock_table_try(const char *table)
{
	Oid table_oid = relation_oid(table);

	return OidIsValid(table_oid) && ConditionalLockRelationOid(table_oid, AccessExclusiveLock);
}
