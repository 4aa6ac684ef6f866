/* SPDX-License-Identifier: PostgreSQL */
/* A seat map while it is read: what its two ways, statement and direct, share. */
#ifndef CONCERT_SEATMAP_LOADING_H
#define CONCERT_SEATMAP_LOADING_H

#include "seatmap.h"

#include "utils/hsearch.h"

#define SECTION_DELETED (-1)

/* Where a section is in SeatMap.sections, or SECTION_DELETED. */
typedef struct SectionEntry
{
	pg_uuid_t id;
	int		  index;
} SectionEntry;

typedef struct Loading
{
	const pg_uuid_t *date_id;
	SeatMap			*map;
	Snapshot		 snapshot;
	bool			 is_direct; /* the statement finds live sections only */
	HTAB			*sections;
	SectionEntry	*last_section; /* neighbours are mostly of the same section */
	int64			 seats_room;
	int				 sections_room;
} Loading;

/* Room for so many seats, if there is none yet. */
extern void loading_expect(Loading *loading, int64 seats);

/*
 * A seat at the end of the map, neither blocked nor reserved, in any order; NULL when its section
 * is deleted.
 */
extern MapSeat *loading_add(Loading *loading, const pg_uuid_t *section_id);

/* The direct way: the seats; their reservations, once these are in order; and one seat again. */
extern void seatmap_direct_seats(Loading *loading);
extern void seatmap_direct_reservations(const Loading *loading);
extern bool seatmap_direct_refresh(MapSeat *seat, Snapshot snapshot);
extern bool seatmap_direct_section_lives(const pg_uuid_t *id, Snapshot snapshot);

#endif /* CONCERT_SEATMAP_LOADING_H */
