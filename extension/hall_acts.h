/* SPDX-License-Identifier: PostgreSQL */
/*
 * What was done on a date since a snapshot: the acts of the history that are visible now and were
 * not then. It costs what was done since, not what was done in all.
 */
#ifndef CONCERT_HALL_ACTS_H
#define CONCERT_HALL_ACTS_H

#include "plan.h"

typedef enum HallActKind
{
	HALL_RESERVED,
	HALL_CONFIRMED,
	HALL_OTHER
} HallActKind;

typedef struct HallAct
{
	HallActKind		 kind;
	TimestampTz		 at;
	int				 count; /* 0: on the date as a whole */
	const pg_uuid_t *seat_ids;
} HallAct;

/* What a snapshot sees: every transaction below xmax but those that were open in it, or our own. */
typedef struct HallSeen
{
	uint64	xmin;
	uint64	xmax;
	int		open_count;
	uint64 *open;
} HallSeen;

/* All that is committed; its array is in the given context. */
extern HallSeen hall_see(MemoryContext context);

/*
 * The acts that were not seen, in the order of their transactions' numbers; -1: too many of them.
 * They live as long as the current unit of work.
 */
extern int hall_acts_since(const pg_uuid_t *date_id, const HallSeen *seen, HallAct **ret_acts);

#endif /* CONCERT_HALL_ACTS_H */
