/* SPDX-License-Identifier: PostgreSQL */
/*
 * The seats of a date in grid order, each with its state: what a snapshot sees, judged at a
 * time. Reads only; takes no lock but those of any query.
 *
 * There are two ways to load it, with the same result: direct index scans, and, where the tables
 * may not be read directly (direct.h), a saved statement.
 */
#ifndef CONCERT_SEATMAP_H
#define CONCERT_SEATMAP_H

#include "plan.h"

/* The numbers are part of seat_map_packed()'s form. */
typedef enum SeatState
{
	SEAT_FREE = 0,
	SEAT_PENDING = 1,
	SEAT_SOLD = 2,
	SEAT_BLOCKED = 3
} SeatState;

typedef struct MapSeat
{
	pg_uuid_t	id;
	int			row;
	int			col;
	int			section; /* index into SeatMap.sections */
	bool		is_accessible;
	bool		is_confirmed;  /* of the live reservation, if there is one */
	TimestampTz blocked_until; /* DT_NOBEGIN: not blocked; DT_NOEND: without an end */
	TimestampTz expires_at;	   /* of the live pending; DT_NOBEGIN: there is no reservation */
} MapSeat;

typedef struct SeatMap
{
	int		   count;
	MapSeat	  *seats; /* the live seats of live sections, by (row, col) */
	int		  *by_id; /* indexes of the seats in id order */
	int		   section_count;
	pg_uuid_t *sections;
	uint64	   layout; /* a digest of id, row and col of every seat in grid order */
} SeatMap;

/*
 * Reads the map of a date as the snapshot, which must be registered or active, sees it, into the
 * current memory context, 52 bytes a seat; a date that is unknown has no seats. Called between
 * plan_begin() and plan_end(). keptmap.h keeps what was loaded.
 */
extern void seatmap_load(const pg_uuid_t *date_id, Snapshot snapshot, SeatMap *ret_map);

/* NULL when the map has no such seat. */
extern MapSeat *seatmap_find(const SeatMap *map, const pg_uuid_t *id);

/*
 * The same of some seats alone, in grid order and each once, without by_id and layout; the ids get
 * sorted. False when one of them is not in the layout.
 */
extern bool seatmap_load_some(const pg_uuid_t *date_id, pg_uuid_t *seat_ids, int count,
							  Snapshot snapshot, SeatMap *ret_map);

/*
 * Reads some seats of the map, given by their places, again. False when one is no longer in the
 * layout: then the map must be loaded again.
 */
extern bool seatmap_refresh(SeatMap *map, const pg_uuid_t *date_id, const int *seats, int count,
							Snapshot snapshot);

/* A pending whose time is over, and a block that has ended, leave the seat free. */
static inline SeatState
seatmap_state(const MapSeat *seat, TimestampTz now)
{
	if (seat->blocked_until > now)
		return SEAT_BLOCKED;
	if (seat->is_confirmed)
		return SEAT_SOLD;
	return seat->expires_at > now ? SEAT_PENDING : SEAT_FREE;
}

#endif /* CONCERT_SEATMAP_H */
