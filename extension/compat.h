/* SPDX-License-Identifier: PostgreSQL */
/*
 * Differences between PostgreSQL majors, in one place: the code says what it means, this file
 * says how a major spells it.
 */
#ifndef CONCERT_COMPAT_H
#define CONCERT_COMPAT_H

#include "storage/lock.h"

#if PG_VERSION_NUM < 150000
#error "concert needs PostgreSQL 15 or later"
#endif

static inline bool
compat_lock_held_by_me(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

#endif							/* CONCERT_COMPAT_H */
