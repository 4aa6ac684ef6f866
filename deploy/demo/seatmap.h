/* SPDX-License-Identifier: PostgreSQL */
/*
 * The seat map that all fans share, as a CDN would serve it: one copy, good for the max-age that
 * came with it, then asked for again with its ETag; whoever wants it meanwhile waits for that
 * one answer.
 */
#ifndef DEMO_SEATMAP_H
#define DEMO_SEATMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"

#define ID_BYTES 37 /* a UUID as text */

typedef struct Seat
{
	char	id[ID_BYTES];
	int		section;
	int		row;
	int		col;
	int64_t price;
	char	state; /* f, p, s, b */
} Seat;

/*
 * Seats stand best first: dear before cheap, front before back, so that neighbours in a row are
 * neighbours here.
 */
typedef struct SeatMap
{
	Seat *seats;
	int	  nseats;
	int	 *free; /* indexes of the free ones, in the same order */
	int	  nfree;
	int	  npending;
} SeatMap;

typedef struct SeatMapCache SeatMapCache;
typedef void (*SeatMapReady)(void *arg, const SeatMap *map); /* valid during the callback */

SeatMapCache *seatmap_open(struct event_base *base, Client *client, const char *concert_date_id);
void		  seatmap_close(SeatMapCache *cache);
void		  seatmap_want(SeatMapCache *cache, SeatMapReady ready, void *arg);
bool		  seatmap_sold_out(const SeatMapCache *cache); /* as far as the last copy knows */
long		  seatmap_fetches(const SeatMapCache *cache);

#endif
