/* SPDX-License-Identifier: PostgreSQL */
/*
 * The seat maps that a backend keeps, the last used of them, bounded in number and bytes. A kept
 * map follows history: from the acts that a later snapshot shows it knows which seats to read
 * again.
 *
 * Its readers are of two kinds. Those who tell the map want exactly what their snapshot shows.
 * Those who choose seats want a hint of all that is committed, at the least cost, and with what
 * their own transaction did: for them a reservation is marked from the act itself, its time
 * reckoned, unless that was a time of its own. A seat that is marked so is a guess, and read before
 * anybody is told of it. What shows the own transaction's acts is unsure: it is no map for the
 * first kind, and it is forgotten when the transaction or a savepoint rolls back.
 *
 * What never was in history, an UPDATE by hand or a bulk load, shows when the map is loaded again.
 * No locks. Called between plan_begin() and plan_end().
 */
#ifndef CONCERT_KEPTMAP_H
#define CONCERT_KEPTMAP_H

#include "mapacts.h"
#include "seatmap.h"

#define KEPTMAP_NO_GUESS (-1)

typedef struct KeptMap KeptMap;

struct KeptMap
{
	MemoryContext context;
	pg_uuid_t	  date_id;
	Oid			  history_oid; /* of another one the acts are of another extension */
	SeatMap		  map;
	MapVersion	  version; /* at: when the loading began */
	TimestampTz	  loaded_at;
	uint64		 *guessed; /* a bit for each seat whose state was not read at the version */
	uint64		 *lapsing; /* for each whose pending or block ends, or ended, by itself */
	int			  words;   /* of either */
	bool		  is_unsure;
	int			  users;	  /* it lives as long as any of them */
	bool		  is_dropped; /* no longer kept */
	/* What somebody derived from the map, in its context, and is told of each seat that changed. */
	void *derived;
	void (*seat_changed)(KeptMap *kept, int seat);
};

/*
 * The map as the snapshot, which must be registered or active, shows it; only what never was in
 * history may be missing, for a minute. It is the caller's to read until the current context ends.
 * keptmap_read_kept() does not load what is not kept: NULL.
 */
extern const SeatMap *keptmap_read(const pg_uuid_t *date_id, Snapshot snapshot);
extern const KeptMap *keptmap_read_kept(const pg_uuid_t *date_id, Snapshot snapshot);

/*
 * The map with all that is committed and all that this transaction did, however long ago it was
 * loaded. Reservations made since are reckoned to last so many seconds; with KEPTMAP_NO_GUESS
 * they, and all guesses before, are read. Lives until the current context ends.
 */
extern KeptMap *keptmap_follow(const pg_uuid_t *date_id, int pending_seconds);

/* The same, loaded again. */
extern KeptMap *keptmap_reload(const pg_uuid_t *date_id);

/* Somebody who read a seat elsewhere has set its state in the map. */
extern void keptmap_guess(KeptMap *kept, int seat);

#define KEPTMAP_WORD_BITS 64
#define KEPTMAP_WORDS(seats) ((seats) / KEPTMAP_WORD_BITS + 2) /* the last is always empty */

static inline bool
keptmap_bit(const uint64 *bits, int seat)
{
	return (bits[seat / KEPTMAP_WORD_BITS] >> (seat % KEPTMAP_WORD_BITS)) & 1;
}

static inline void
keptmap_set_bit(uint64 *bits, int seat, bool on)
{
	uint64 mask = UINT64CONST(1) << (seat % KEPTMAP_WORD_BITS);

	if (on)
		bits[seat / KEPTMAP_WORD_BITS] |= mask;
	else
		bits[seat / KEPTMAP_WORD_BITS] &= ~mask;
}

#endif /* CONCERT_KEPTMAP_H */
