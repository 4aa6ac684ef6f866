/* SPDX-License-Identifier: PostgreSQL */
/* The maps that a backend keeps, and how they follow history; see keptmap.h. */
#include "keptmap.h"

#include "access/xact.h"
#include "direct.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define KEPT_MAPS_MAX 8
#define KEPT_BYTES_MAX (128 * 1024 * 1024) /* of all together */
#define KEPT_SECONDS_MAX 60
#define KEPT_SHARE 16 /* of the seats; when more are to be read again, all are */

static KeptMap *kept_maps[KEPT_MAPS_MAX]; /* the last used first */
static int		kept_count;

/* Whoever has it in use reads on in it. */
static void
kept_drop(int n)
{
	KeptMap *kept = kept_maps[n];

	kept_count--;
	memmove(&kept_maps[n], &kept_maps[n + 1], sizeof(KeptMap *) * (kept_count - n));
	kept->is_dropped = true;
	if (kept->users == 0)
		MemoryContextDelete(kept->context);
}

static void
kept_release(void *arg)
{
	KeptMap *kept = arg;

	kept->users--;
	if (kept->users == 0 && kept->is_dropped)
		MemoryContextDelete(kept->context);
}

/*
 * Until the current context ends, which is the bracket's or below it, also by an error: what runs
 * within the bracket, an app's policy or function, may read maps itself, or roll back to a savepoint.
 */
static void
kept_use(KeptMap *kept)
{
	MemoryContextCallback *release = palloc(sizeof(MemoryContextCallback));

	*release = (MemoryContextCallback){.func = kept_release, .arg = kept};
	kept->users++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, release);
}

static void
kept_forget(const KeptMap *kept)
{
	for (int i = 0; i < kept_count; i++)
		if (kept_maps[i] == kept)
		{
			kept_drop(i);
			return;
		}
}

static void
kept_drop_unsure(void)
{
	for (int i = kept_count - 1; i >= 0; i--)
		if (kept_maps[i]->is_unsure)
			kept_drop(i);
}

/* What is prepared may still be rolled back, by anybody. */
static void
kept_at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		kept_drop_unsure();
	else if (event == XACT_EVENT_COMMIT)
		for (int i = 0; i < kept_count; i++)
			kept_maps[i]->is_unsure = false;
}

static void
kept_at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
						   void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		kept_drop_unsure();
}

static void
kept_register(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(kept_at_transaction_end, NULL);
	RegisterSubXactCallback(kept_at_subtransaction_end, NULL);
	registered = true;
}

/* Puts the date's map first; NULL when there is none, or it is of another extension's time. */
static KeptMap *
kept_find(const pg_uuid_t *date_id)
{
	int		 n = 0;
	KeptMap *kept;

	while (n < kept_count && uuid_compare(&kept_maps[n]->date_id, date_id) != 0)
		n++;
	if (n == kept_count)
		return NULL;
	kept = kept_maps[n];
	memmove(&kept_maps[1], &kept_maps[0], sizeof(KeptMap *) * n);
	kept_maps[0] = kept;
	if (kept->history_oid == direct_table_oid(DIRECT_HISTORY))
		return kept;
	kept_drop(0);
	return NULL;
}

static KeptMap *
kept_find_to_use(const pg_uuid_t *date_id)
{
	KeptMap *kept = kept_find(date_id);

	if (kept != NULL)
		kept_use(kept);
	return kept;
}

static void
kept_set_lapsing(KeptMap *kept, int n)
{
	const MapSeat *seat = &kept->map.seats[n];

	keptmap_set_bit(kept->lapsing, n,
					(!seat->is_confirmed && seat->expires_at != DT_NOBEGIN) ||
						!TIMESTAMP_NOT_FINITE(seat->blocked_until));
}

/* In a context of its own below the current one. */
static KeptMap *
kept_load(const pg_uuid_t *date_id, Snapshot snapshot)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "concert seat map", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	KeptMap		 *kept = palloc0(sizeof(KeptMap));

	kept->context = context;
	kept->date_id = *date_id;
	kept->history_oid = direct_table_oid(DIRECT_HISTORY);
	kept->version = mapversion_of(snapshot, GetCurrentTimestamp());
	seatmap_load(date_id, snapshot, &kept->map);
	kept->loaded_at = GetCurrentTimestamp();
	kept->words = KEPTMAP_WORDS(kept->map.count);
	kept->guessed = palloc0(sizeof(uint64) * kept->words);
	kept->lapsing = palloc0(sizeof(uint64) * kept->words);
	for (int i = 0; i < kept->map.count; i++)
		kept_set_lapsing(kept, i);
	MemoryContextSwitchTo(caller);
	return kept;
}

/* First, in the place of the date's map before it, and in use. It stays, however large. */
static void
kept_put_first(KeptMap *kept)
{
	Size bytes = 0;

	kept_register();
	if (kept_find(&kept->date_id) != NULL)
		kept_drop(0);
	if (kept_count == KEPT_MAPS_MAX)
		kept_drop(KEPT_MAPS_MAX - 1);
	memmove(&kept_maps[1], &kept_maps[0], sizeof(KeptMap *) * kept_count);
	kept_maps[0] = kept;
	kept_count++;
	MemoryContextSetParent(kept->context, TopMemoryContext);
	kept_use(kept);
	for (int i = 0; i < kept_count; i++)
	{
		bytes += MemoryContextMemAllocated(kept_maps[i]->context, true);
		while (i > 0 && i < kept_count && bytes > KEPT_BYTES_MAX)
			kept_drop(kept_count - 1);
	}
}

static void
kept_change(KeptMap *kept, int seat, bool is_guess)
{
	keptmap_set_bit(kept->guessed, seat, is_guess);
	kept_set_lapsing(kept, seat);
	if (kept->derived != NULL)
		kept->seat_changed(kept, seat);
}

void
keptmap_guess(KeptMap *kept, int seat)
{
	kept_change(kept, seat, true);
}

/*
 * What one act did to one seat; true when that is only known by reading it, which also settles the
 * order of two acts. A seat that is sold was not reserved again without an act in between that
 * makes it be read.
 */
static bool
kept_follow_seat(KeptMap *kept, MapSeat *seat, const MapAct *act, int pending_seconds)
{
	int n = seat - kept->map.seats;

	if (act->kind == MAP_OTHER || pending_seconds == KEPTMAP_NO_GUESS)
		return true;
	if (act->kind == MAP_CONFIRMED)
		seat->is_confirmed = true;
	else if (!seat->is_confirmed)
		seat->expires_at = act->at + pending_seconds * USECS_PER_SEC;
	kept_change(kept, n, true);
	return false;
}

/* Sets the bits of the seats to be read. False when the map has not all seats of the acts. */
static bool
kept_follow_acts(KeptMap *kept, const MapActs *acts, int pending_seconds, uint64 *reread)
{
	for (int i = 0; i < acts->count; i++)
		for (int j = 0; j < acts->acts[i].count; j++)
		{
			MapSeat *seat = seatmap_find(&kept->map, &acts->acts[i].seat_ids[j]);

			if (seat == NULL)
				return false;
			if (kept_follow_seat(kept, seat, &acts->acts[i], pending_seconds))
				keptmap_set_bit(reread, seat - kept->map.seats, true);
		}
	return true;
}

/* False when so many cost more than all, or one is no longer there. */
static bool
kept_reread(KeptMap *kept, const uint64 *reread, Snapshot snapshot)
{
	int	 room = pg_popcount((const char *) reread, sizeof(uint64) * kept->words);
	int *seats = palloc(sizeof(int) * Max(room, 1));
	int	 count = 0;

	if (room > kept->map.count / KEPT_SHARE)
		return false;
	for (int w = 0; room > 0 && w < kept->words; w++)
		for (uint64 bits = reread[w]; bits != 0; bits &= bits - 1)
			seats[count++] = w * KEPTMAP_WORD_BITS + pg_rightmost_one_pos64(bits);
	if (!seatmap_refresh(&kept->map, &kept->date_id, seats, count, snapshot))
		return false;
	for (int i = 0; i < count; i++)
		kept_change(kept, seats[i], false);
	return true;
}

static void
kept_set_version(KeptMap *kept, Snapshot snapshot)
{
	MemoryContext caller = MemoryContextSwitchTo(kept->context);
	MapVersion	  version = mapversion_of(snapshot, kept->version.at);

	MemoryContextSwitchTo(caller);
	pfree(kept->version.xids);
	kept->version = version;
}

/* Of a map in use; false, and it is no longer kept, when it must be loaded again. */
static bool
kept_bring_up(KeptMap *kept, Snapshot snapshot, int pending_seconds)
{
	Size	bytes = sizeof(uint64) * kept->words;
	uint64 *reread = palloc0(bytes);
	MapActs acts;

	/* An error in between leaves it half done. */
	kept->is_unsure = true;
	if (pending_seconds == KEPTMAP_NO_GUESS)
		memcpy(reread, kept->guessed, bytes);
	if (!mapacts_since(&kept->date_id, &kept->version, snapshot, &acts) ||
		!kept_follow_acts(kept, &acts, pending_seconds, reread) ||
		!kept_reread(kept, reread, snapshot))
	{
		kept_forget(kept);
		return false;
	}
	kept_set_version(kept, snapshot);
	pfree(reread);
	return true;
}

/*
 * A snapshot that is older than what is kept, or that shows what the caller's own transaction may
 * yet undo, is read for itself.
 */
static bool
kept_is_for(const KeptMap *kept, const pg_uuid_t *date_id, Snapshot snapshot)
{
	MapVersion version;

	if (mapacts_has_own(date_id, snapshot))
		return false;
	if (kept == NULL)
		return true;
	version = mapversion_of(snapshot, 0);
	return !kept->is_unsure && mapversion_covers(&version, &kept->version);
}

static KeptMap *
kept_bring_up_exactly(KeptMap *kept, Snapshot snapshot)
{
	TimestampTz oldest = GetCurrentStatementStartTimestamp() - KEPT_SECONDS_MAX * USECS_PER_SEC;

	if (kept == NULL || kept->version.at < oldest ||
		!kept_bring_up(kept, snapshot, KEPTMAP_NO_GUESS))
		return NULL;
	kept->is_unsure = false;
	return kept;
}

const SeatMap *
keptmap_read(const pg_uuid_t *date_id, Snapshot snapshot)
{
	KeptMap *kept = kept_find_to_use(date_id);
	bool	 is_kept = kept_is_for(kept, date_id, snapshot);

	kept = is_kept ? kept_bring_up_exactly(kept, snapshot) : NULL;
	if (kept != NULL)
		return &kept->map;
	kept = kept_load(date_id, snapshot);
	if (is_kept && kept->map.count > 0)
		kept_put_first(kept);
	return &kept->map;
}

const KeptMap *
keptmap_read_kept(const pg_uuid_t *date_id, Snapshot snapshot)
{
	KeptMap *kept = kept_find_to_use(date_id);

	return kept_is_for(kept, date_id, snapshot) ? kept_bring_up_exactly(kept, snapshot) : NULL;
}

/* Loaded, or brought up, with what our own transaction did. */
static KeptMap *
kept_with_own(KeptMap *kept)
{
	kept->is_unsure = FullTransactionIdIsValid(GetTopFullTransactionIdIfAny());
	return kept;
}

KeptMap *
keptmap_reload(const pg_uuid_t *date_id)
{
	Snapshot snapshot = direct_snapshot();
	KeptMap *kept = kept_load(date_id, snapshot);

	UnregisterSnapshot(snapshot);
	kept_put_first(kept);
	return kept_with_own(kept);
}

KeptMap *
keptmap_follow(const pg_uuid_t *date_id, int pending_seconds)
{
	KeptMap *kept = kept_find_to_use(date_id);
	Snapshot snapshot;
	bool	 is_up;

	if (kept == NULL)
		return keptmap_reload(date_id);
	snapshot = direct_snapshot();
	is_up = kept_bring_up(kept, snapshot, pending_seconds);
	UnregisterSnapshot(snapshot);
	return is_up ? kept_with_own(kept) : keptmap_reload(date_id);
}
