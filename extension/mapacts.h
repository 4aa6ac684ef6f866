/* SPDX-License-Identifier: PostgreSQL */
/*
 * The acts on a date that one snapshot shows and an older version of its map did not: which seats
 * have changed. Called between plan_begin() and plan_end().
 */
#ifndef CONCERT_MAPACTS_H
#define CONCERT_MAPACTS_H

#include "mapversion.h"
#include "plan.h"

#define MAP_CHANGES_MAX 10000 /* acts, or seats; with more, reading all anew costs less */

/*
 * The seats of the acts, each once. False when the layout may have changed, or when there are
 * too many.
 */
extern bool mapacts_since(const pg_uuid_t *date_id, const MapVersion *since, Snapshot snapshot,
						  pg_uuid_t **ret_seat_ids, int *ret_count);

/*
 * Whether the snapshot shows acts of the caller's own transaction. It may yet undo them, to a
 * savepoint, and nothing would tell: such a map must not be gone on from.
 */
extern bool mapacts_has_own(const pg_uuid_t *date_id, Snapshot snapshot);

#endif /* CONCERT_MAPACTS_H */
