/* SPDX-License-Identifier: PostgreSQL */
/*
 * The maps that a backend keeps; see seatmap.h.
 *
 * A kept map is brought up to a later snapshot by reading those seats again on which history
 * has acts in between. What never was in history, an UPDATE by hand or a bulk load, shows when
 * the map is loaded again: after KEPT_SECONDS_MAX, or when another map takes its place.
 */
#include "seatmap.h"

#include "catalog/namespace.h"
#include "mapacts.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define KEPT_MAPS_MAX 4
#define KEPT_SEATS_MAX 200000 /* of one map: 10 MB */
#define KEPT_SECONDS_MAX 60
#define KEPT_SHARE 16 /* of the seats; when more have changed, all are read */

typedef struct KeptMap
{
	MemoryContext context; /* NULL: nothing is kept here */
	pg_uuid_t	  date_id;
	Oid			  history_oid; /* of another one the acts are of another extension */
	SeatMap		  map;
	MapVersion	  version; /* at is when it was loaded */
	uint64		  used;	   /* the greatest is the last one used */
} KeptMap;

static KeptMap kept_maps[KEPT_MAPS_MAX];
static uint64  uses;

static KeptMap		 *kept_find(const pg_uuid_t *date_id);
static bool			  kept_is_for(const KeptMap *kept, const pg_uuid_t *date_id, Snapshot snapshot,
								  const MapVersion *version);
static bool			  kept_bring_up(KeptMap *kept, Snapshot snapshot, const MapVersion *version);
static const SeatMap *map_load(const pg_uuid_t *date_id, Snapshot snapshot,
							   const MapVersion *version, bool is_kept);
static KeptMap		 *kept_place(const pg_uuid_t *date_id);
static void			  version_keep(KeptMap *kept, const MapVersion *version);
static void			  kept_drop(KeptMap *kept);
static Oid			  history_oid(void);

const SeatMap *
seatmap_get(const pg_uuid_t *date_id, Snapshot snapshot)
{
	MapVersion version = mapversion_of(snapshot, GetCurrentStatementStartTimestamp());
	KeptMap	  *kept = kept_find(date_id);

	if (!kept_is_for(kept, date_id, snapshot, &version))
		return map_load(date_id, snapshot, &version, false);
	if (kept == NULL || !kept_bring_up(kept, snapshot, &version))
		return map_load(date_id, snapshot, &version, true);
	return &kept->map;
}

const SeatMap *
seatmap_get_kept(const pg_uuid_t *date_id, Snapshot snapshot)
{
	MapVersion version = mapversion_of(snapshot, GetCurrentStatementStartTimestamp());
	KeptMap	  *kept = kept_find(date_id);

	if (kept == NULL || !kept_is_for(kept, date_id, snapshot, &version) ||
		!kept_bring_up(kept, snapshot, &version))
		return NULL;
	return &kept->map;
}

/*
 * A snapshot that is older than what is kept, or shows what the caller's own transaction may yet
 * undo, is read for itself.
 */
static bool
kept_is_for(const KeptMap *kept, const pg_uuid_t *date_id, Snapshot snapshot,
			const MapVersion *version)
{
	return (kept == NULL || mapversion_covers(version, &kept->version)) &&
		!mapacts_has_own(date_id, snapshot);
}

/* The date's map, unless it is too old. */
static KeptMap *
kept_find(const pg_uuid_t *date_id)
{
	TimestampTz oldest = GetCurrentStatementStartTimestamp() - KEPT_SECONDS_MAX * USECS_PER_SEC;

	for (int i = 0; i < KEPT_MAPS_MAX; i++)
	{
		KeptMap *kept = &kept_maps[i];

		if (kept->context != NULL && uuid_compare(&kept->date_id, date_id) == 0)
			return kept->version.at >= oldest && kept->history_oid == history_oid() ? kept : NULL;
	}
	return NULL;
}

static bool
kept_bring_up(KeptMap *kept, Snapshot snapshot, const MapVersion *version)
{
	pg_uuid_t *seat_ids;
	int		   count;

	if (!mapacts_since(&kept->date_id, &kept->version, snapshot, &seat_ids, &count))
		return false;
	if (count > kept->map.count / KEPT_SHARE)
		return false;
	if (count > 0 && !seatmap_refresh(&kept->map, seat_ids, count, snapshot))
		return false;
	version_keep(kept, version);
	kept->used = ++uses;
	return true;
}

/* Kept if that is allowed and worth it. */
static const SeatMap *
map_load(const pg_uuid_t *date_id, Snapshot snapshot, const MapVersion *version, bool is_kept)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "concert seat map", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	SeatMap		 *map = palloc(sizeof(SeatMap));
	KeptMap		 *place;

	seatmap_load(date_id, snapshot, map);
	MemoryContextSwitchTo(caller);
	if (!is_kept || map->count == 0 || map->count > KEPT_SEATS_MAX)
		return map;
	place = kept_place(date_id);
	kept_drop(place);
	MemoryContextSetParent(context, TopMemoryContext);
	*place = (KeptMap){.context = context,
					   .date_id = *date_id,
					   .history_oid = history_oid(),
					   .map = *map,
					   .version.at = version->at,
					   .used = ++uses};
	version_keep(place, version);
	return &place->map;
}

/* Where the date's map is, or else the one that was used the longest time ago. */
static KeptMap *
kept_place(const pg_uuid_t *date_id)
{
	KeptMap *place = &kept_maps[0];

	for (int i = 0; i < KEPT_MAPS_MAX; i++)
	{
		if (kept_maps[i].context != NULL && uuid_compare(&kept_maps[i].date_id, date_id) == 0)
			return &kept_maps[i];
		if (kept_maps[i].used < place->used)
			place = &kept_maps[i];
	}
	return place;
}

/* All but the time, which stays that of loading. */
static void
version_keep(KeptMap *kept, const MapVersion *version)
{
	Size			   bytes = sizeof(FullTransactionId) * version->xid_count;
	FullTransactionId *xids = MemoryContextAlloc(kept->context, bytes + 1);

	memcpy(xids, version->xids, bytes);
	if (kept->version.xids != NULL)
		pfree(kept->version.xids);
	kept->version.xmax = version->xmax;
	kept->version.xid_count = version->xid_count;
	kept->version.xids = xids;
}

static void
kept_drop(KeptMap *kept)
{
	if (kept->context != NULL)
		MemoryContextDelete(kept->context);
	*kept = (KeptMap){0};
}

static Oid
history_oid(void)
{
	return get_relname_relid("history", get_namespace_oid("concert", false));
}
