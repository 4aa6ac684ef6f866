/* SPDX-License-Identifier: PostgreSQL */
#include "tab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define RETRIES_MAX 10
#define RETRY_MS 300 /* times the number of the retry */
#define BUSY_MS 100
#define SCAN_MAX 600 /* free seats looked at for neighbours */

static void tab_answered(void *arg, const ClientReply *reply);

/* wants neighbours from start on, else whatever is free there; returns how many. */
static int
find_seats(const SeatMap *map, int start, int wants, int *ret_seats)
{
	for (int look = 0; look < SCAN_MAX && start + look + wants <= map->nfree; look++)
	{
		const int *run = &map->free[start + look];
		int		   length = 1;

		while (length < wants && map->seats[run[length]].row == map->seats[run[0]].row &&
			   map->seats[run[length]].col == map->seats[run[0]].col + length)
			length++;
		if (length == wants)
		{
			memcpy(ret_seats, run, sizeof(int) * (size_t) wants);
			return wants;
		}
	}
	if (wants > map->nfree)
		wants = map->nfree;
	if (start + wants > map->nfree)
		start = map->nfree - wants;
	memcpy(ret_seats, &map->free[start], sizeof(int) * (size_t) wants);
	return wants;
}

void
tab_choose(Tab *tab, const SeatMap *map, int wants, int among, uint64_t *random)
{
	int start = random_below(random, among < map->nfree ? among : map->nfree);

	tab->nseats = find_seats(map, start, wants, tab->seats);
	tab->map_seats = map->nseats;
	tab->total = 0;
	for (int i = 0; i < tab->nseats; i++)
	{
		const Seat *seat = &map->seats[tab->seats[i]];

		tab->total += seat->price;
		memcpy(tab->seat_ids[i], seat->id, ID_BYTES);
	}
}

static void
tab_send(evutil_socket_t fd, short what, void *arg)
{
	Tab		   *tab = arg;
	char		path[128];
	char		body[32 + TAB_SEATS_MAX * (ID_BYTES + 3)];
	int			length = snprintf(body, sizeof(body), "{\"seats\":[");
	SaleRequest request = {.client = tab->sale->client,
						   .method = "POST",
						   .path = path,
						   .body = body,
						   .user_id = tab->user_id,
						   .key = tab->key,
						   .extra = {"Concert-Pass", tab->pass}};

	(void) fd;
	(void) what;
	for (int i = 0; i < tab->nseats; i++)
		length += snprintf(body + length, sizeof(body) - (size_t) length, "%s\"%s\"",
						   i > 0 ? "," : "", tab->seat_ids[i]);
	snprintf(body + length, sizeof(body) - (size_t) length, "]}");
	snprintf(path, sizeof(path), "/v1/dates/%s/bookings", tab->sale->concert_date_id);
	tab->sent_us = sale_now_us();
	sale_send(tab->sale, &request, tab_answered, tab);
}

void
tab_reserve(Tab *tab)
{
	tab->retries = 0;
	tab->refused = false;
	tab->reason[0] = '\0';
	tab->booking_id[0] = '\0';
	tab_send(-1, 0, tab);
}

static void
tab_send_again(Tab *tab, bool busy, uint64_t jitter)
{
	int			   ms = (busy ? BUSY_MS : RETRY_MS * (tab->retries + 1)) + (int) (jitter % BUSY_MS);
	struct timeval pause = {ms / 1000, ms % 1000 * 1000};

	tab->retries++;
	sale_count(tab->sale, busy ? TALLY_REFUSED_BUSY : TALLY_RETRIES, 1);
	event_base_once(tab->sale->base, -1, EV_TIMEOUT, tab_send, tab, &pause);
}

static void
tab_answered(void *arg, const ClientReply *reply)
{
	Tab	   *tab = arg;
	json_t *answer = sale_answer(reply);
	int64_t took_us = sale_now_us() - tab->sent_us;
	bool	no_answer = sale_no_answer(reply);
	bool	busy;

	snprintf(tab->reason, sizeof(tab->reason), "%s", sale_text(answer, "code"));
	busy = reply->status == 409 && strcmp(tab->reason, "busy") == 0;
	if (reply->status == 201 || reply->status == 200)
	{
		snprintf(tab->booking_id, sizeof(tab->booking_id), "%s", sale_text(answer, "booking_id"));
		tab->expires_in_ms = (int) json_integer_value(json_object_get(answer, "expires_in_ms"));
	}
	json_decref(answer);
	if (reply->status != 0)
		tally_reserve_took(tab->sale->tally, took_us);
	if ((busy || no_answer) && tab->retries < RETRIES_MAX)
	{
		tab_send_again(tab, busy, (uint64_t) took_us);
		return;
	}
	tab->refused = tab->booking_id[0] == '\0' && !no_answer;
	tab->done(tab->arg, tab);
}
