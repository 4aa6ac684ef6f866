/* SPDX-License-Identifier: PostgreSQL */
/*
 * The acts on a date's seats that one snapshot shows and an older version of its map did not; the
 * one place that reads history as the feed of changes. It costs what was done since, not what was
 * done in all. Reads only. Called between plan_begin() and plan_end(); what it returns lives as
 * long as that.
 */
#ifndef CONCERT_MAPACTS_H
#define CONCERT_MAPACTS_H

#include "mapversion.h"
#include "plan.h"

#define MAP_CHANGES_MAX 10000 /* acts, or seats; with more, reading all anew costs less */

typedef enum MapActKind
{
	MAP_RESERVED, /* for the date's own pending time, which ends by itself */
	MAP_CONFIRMED,
	MAP_OTHER
} MapActKind;

typedef struct MapAct
{
	MapActKind		 kind;
	TimestampTz		 at;
	int				 count;
	const pg_uuid_t *seat_ids;
} MapAct;

typedef struct MapActs
{
	int		count;
	MapAct *acts;
} MapActs;

/*
 * False when they do not tell it all: the layout may have changed, which any act of the house
 * but a block is taken for, or there are too many.
 */
extern bool mapacts_since(const pg_uuid_t *date_id, const MapVersion *since, Snapshot snapshot,
						  MapActs *ret_acts);

/* The seats of all of them; one may be there more than once. */
extern pg_uuid_t *mapacts_seats(const MapActs *acts, int *ret_count);

/*
 * Whether the snapshot shows acts of the caller's own transaction. It may yet undo them, to a
 * savepoint, and nothing would tell: such a map must not be gone on from.
 */
extern bool mapacts_has_own(const pg_uuid_t *date_id, Snapshot snapshot);

#endif /* CONCERT_MAPACTS_H */
