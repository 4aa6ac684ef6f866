/* SPDX-License-Identifier: PostgreSQL */
/*
 * One reserve request: a tab of a fan's browser, or one of two clicks. It chooses seats on the
 * map, asks for them, and asks again under the same key while the server is busy or does not
 * answer.
 */
#ifndef DEMO_TAB_H
#define DEMO_TAB_H

#include "sale.h"

#define TAB_SEATS_MAX 4
#define TAB_REASON_BYTES 32
#define TAB_KEY_BYTES 32

typedef struct Tab
{
	Sale *sale;
	void (*done)(void *arg, struct Tab *tab);
	void	   *arg;
	const char *user_id;
	const char *pass;
	char		key[TAB_KEY_BYTES];
	int			seats[TAB_SEATS_MAX]; /* indexes into the map */
	char		seat_ids[TAB_SEATS_MAX][ID_BYTES];
	int			nseats;
	int			map_seats;
	int64_t		total; /* what the seats cost */

	int		retries;
	int64_t sent_us;
	bool	refused; /* answered, and the answer is no */
	char	reason[TAB_REASON_BYTES];
	char	booking_id[ID_BYTES]; /* "": none */
	int		expires_in_ms;
} Tab;

/*
 * Takes up to wants neighbours among the first seats of the map that are free (there is one at
 * least).
 */
void tab_choose(Tab *tab, const SeatMap *map, int wants, int among, uint64_t *random);
void tab_reserve(Tab *tab);

#endif
