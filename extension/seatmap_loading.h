/* SPDX-License-Identifier: PostgreSQL */
/* A seat map while it is read: what its two ways, statement and direct, share. */
#ifndef CONCERT_SEATMAP_LOADING_H
#define CONCERT_SEATMAP_LOADING_H

#include "seatmap.h"

#include "utils/hsearch.h"

#define SECTIONS_FIRST 16
#define SECTION_DELETED (-1)
#define SECTION_UNMET (-2) /* it lives; no seat of it has come yet */

/* Where a section is in SeatMap.sections, or one of these. */
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
	bool			 is_direct; /* live sections are expected; the statement finds no others */
	HTAB			*sections;
	SectionEntry	*last_section; /* neighbours are mostly of the same section */
	int64			 seats_room;
	int				 sections_room;
} Loading;

/* The direct way: a section of the date that lives. All others are taken for deleted. */
extern void loading_expect_section(Loading *loading, const pg_uuid_t *id);

/* Room for so many seats, if there is none yet. */
extern void loading_expect(Loading *loading, int64 seats);

/*
 * A seat at the end of the map, neither blocked nor reserved, in any order; NULL when its section
 * is deleted.
 */
extern MapSeat *loading_add(Loading *loading, const pg_uuid_t *section_id);

/*
 * The direct way: the seats, and their reservations once these are in order; or those seats alone
 * that have these ids, with their reservations.
 */
extern void seatmap_direct_seats(Loading *loading);
extern void seatmap_direct_reservations(const Loading *loading);
extern void seatmap_direct_some(Loading *loading, const pg_uuid_t *seat_ids, int count);

#endif /* CONCERT_SEATMAP_LOADING_H */
