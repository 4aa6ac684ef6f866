/* SPDX-License-Identifier: PostgreSQL */
/*
 * The orphan rule: a choice must not leave a single empty seat without need.
 *
 * Single is a free seat of a seated section with no free neighbour in the grid that had one
 * before. There was no need when another block of as many seats, in the same run of free
 * neighbours, leaves none, which is so unless the run has just one seat more than are taken of it;
 * or when another run of the same row and section has such a block.
 * Pending, sold and blocked seats are taken, and so is a busy one, whose lock somebody else has or
 * which is in an open transaction: of two who choose on both sides of a seat at once, the one that
 * locked later sees the other. It is not refused for good then, as the other may yet give up.
 */
#ifndef CONCERT_ORPHAN_H
#define CONCERT_ORPHAN_H

#include "taking.h"

/*
 * Judges seats that are locked and free, as the date's rule wants it, at taking->now. Where it is
 * enforced, REASON_ORPHAN: the seats concerned have it as their reason, and a block that would
 * do; or REASON_BUSY, when that rests on a busy seat. Where it only warns, they are marked.
 */
extern Reason orphan_judge(Taking *taking);

/* Whether the rule counts the seat as free; a busy one it does not. */
extern bool orphan_seat_is_free(const pg_uuid_t *id, TimestampTz now, bool *ret_is_busy);

#endif /* CONCERT_ORPHAN_H */
