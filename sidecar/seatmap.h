/* SPDX-License-Identifier: PostgreSQL */
/*
 * The seat maps of the dates that are looked at, as the database wrote them, each for
 * api.seat_map_ms, or longer where the database takes long. However many ask for one date at once,
 * the database is asked once. The least recently asked date makes room.
 */
#ifndef CONCERTD_SEATMAP_H
#define CONCERTD_SEATMAP_H

#include "db.h"
#include "http.h"

typedef struct SeatMap SeatMap;

SeatMap *seatmap_open(Db *db);
void	 seatmap_close(SeatMap *map); /* after the Db is closed: nobody waits any more */

/* date_id in lower case. */
void seatmap_answer(SeatMap *map, HttpRequest *request, const char *date_id);

#endif
