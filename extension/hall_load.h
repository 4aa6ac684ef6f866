/* SPDX-License-Identifier: PostgreSQL */
/* Reading a whole hall; hall.c keeps it. */
#ifndef CONCERT_HALL_LOAD_H
#define CONCERT_HALL_LOAD_H

#include "hall.h"

#include "access/transam.h"

/* In a memory context of its own below the current one; seats are free or not as they were read. */
extern Hall *hall_load(const pg_uuid_t *date_id);

/* A transaction's number with its epoch; it began before next. */
static inline uint64
hall_full_xid(TransactionId xid, FullTransactionId next)
{
	uint64 epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return (epoch << 32) | xid;
}

#endif /* CONCERT_HALL_LOAD_H */
