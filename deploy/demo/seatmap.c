/* SPDX-License-Identifier: PostgreSQL */
#include "seatmap.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define RETRY_MS 500 /* after an answer that was none */
#define ETAG_BYTES_MAX 128
#define MAX_AGE_SECONDS_MAX 60

typedef struct Want
{
	STAILQ_ENTRY(Want) next;
	SeatMapReady ready;
	void		*arg;
} Want;

struct SeatMapCache
{
	struct event_base *base;
	Client			  *client;
	char			   path[128];
	char			   etag[ETAG_BYTES_MAX];
	SeatMap			   map;
	bool			   known;
	bool			   fetching;
	struct timeval	   good_until;
	long			   fetches;
	STAILQ_HEAD(, Want) wants;
	struct event *deliver;
	struct event *retry;
};

static void seatmap_fetch(SeatMapCache *cache);
static void seatmap_arrived(void *arg, const ClientReply *reply);
static bool seatmap_parse(SeatMap *map, const ClientReply *reply);
static void seatmap_deliver(evutil_socket_t fd, short what, void *arg);
static void seatmap_retry(evutil_socket_t fd, short what, void *arg);

SeatMapCache *
seatmap_open(struct event_base *base, Client *client, const char *concert_date_id)
{
	SeatMapCache *cache = calloc(1, sizeof(SeatMapCache));

	cache->base = base;
	cache->client = client;
	snprintf(cache->path, sizeof(cache->path), "/v1/dates/%s/seats", concert_date_id);
	STAILQ_INIT(&cache->wants);
	cache->deliver = event_new(base, -1, 0, seatmap_deliver, cache);
	cache->retry = event_new(base, -1, 0, seatmap_retry, cache);
	return cache;
}

void
seatmap_close(SeatMapCache *cache)
{
	Want *want;

	while ((want = STAILQ_FIRST(&cache->wants)) != NULL)
	{
		STAILQ_REMOVE_HEAD(&cache->wants, next);
		free(want);
	}
	event_free(cache->deliver);
	event_free(cache->retry);
	free(cache->map.seats);
	free(cache->map.free);
	free(cache);
}

bool
seatmap_sold_out(const SeatMapCache *cache)
{
	return cache->known && cache->map.nfree == 0 && cache->map.npending == 0;
}

long
seatmap_fetches(const SeatMapCache *cache)
{
	return cache->fetches;
}

/* The answer always comes from the loop, never before this returns. */
void
seatmap_want(SeatMapCache *cache, SeatMapReady ready, void *arg)
{
	Want		  *want = malloc(sizeof(Want));
	struct timeval now;

	*want = (Want){.ready = ready, .arg = arg};
	STAILQ_INSERT_TAIL(&cache->wants, want, next);
	if (cache->fetching)
		return;
	event_base_gettimeofday_cached(cache->base, &now);
	if (cache->known && evutil_timercmp(&now, &cache->good_until, <))
		event_active(cache->deliver, EV_TIMEOUT, 0);
	else
		seatmap_fetch(cache);
}

static void
seatmap_deliver(evutil_socket_t fd, short what, void *arg)
{
	SeatMapCache *cache = arg;
	Want		 *want;

	(void) fd;
	(void) what;
	while (!cache->fetching && (want = STAILQ_FIRST(&cache->wants)) != NULL)
	{
		STAILQ_REMOVE_HEAD(&cache->wants, next);
		want->ready(want->arg, &cache->map);
		free(want);
	}
}

static void
seatmap_retry(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	seatmap_fetch(arg);
}

static void
seatmap_fetch(SeatMapCache *cache)
{
	ClientRequest request = {.method = "GET", .path = cache->path};

	if (cache->known && cache->etag[0] != '\0')
		request.headers[0] = (ClientHeader){"If-None-Match", cache->etag};
	cache->fetching = true;
	cache->fetches++;
	client_send(cache->client, &request, seatmap_arrived, cache);
}

static long
max_age_seconds(const char *cache_control)
{
	const char *max_age = cache_control != NULL ? strstr(cache_control, "max-age=") : NULL;
	long		seconds = max_age != NULL ? strtol(max_age + strlen("max-age="), NULL, 10) : 0;

	return seconds < 0 ? 0 : seconds > MAX_AGE_SECONDS_MAX ? MAX_AGE_SECONDS_MAX : seconds;
}

static void
seatmap_arrived(void *arg, const ClientReply *reply)
{
	SeatMapCache  *cache = arg;
	struct timeval age = {max_age_seconds(reply->cache_control), 0};
	struct timeval now;

	if (!(reply->status == 304 && cache->known) &&
		!(reply->status == 200 && seatmap_parse(&cache->map, reply)))
	{
		struct timeval pause = {RETRY_MS / 1000, RETRY_MS % 1000 * 1000};

		event_add(cache->retry, &pause);
		return;
	}
	cache->known = true;
	cache->fetching = false;
	if (reply->status == 200)
		snprintf(cache->etag, sizeof(cache->etag), "%s", reply->etag != NULL ? reply->etag : "");
	event_base_gettimeofday_cached(cache->base, &now);
	evutil_timeradd(&now, &age, &cache->good_until);
	event_active(cache->deliver, EV_TIMEOUT, 0);
}

static int
compare_seats(const void *left, const void *right)
{
	const Seat *a = left;
	const Seat *b = right;

	if (a->price != b->price)
		return a->price > b->price ? -1 : 1;
	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	return a->col < b->col ? -1 : a->col > b->col;
}

static bool
parse_seat(json_t *entry, json_t *sections, Seat *seat)
{
	const char *id;
	const char *label;
	const char *state;

	if (json_unpack(entry, "[s, i, i, i, s, s]", &id, &seat->section, &seat->row, &seat->col,
					&label, &state) != 0)
		return false;
	snprintf(seat->id, sizeof(seat->id), "%s", id);
	seat->state = state[0];
	seat->price = json_integer_value(
		json_object_get(json_array_get(sections, (size_t) seat->section), "price"));
	return true;
}

/* Leaves the map as it was if the answer is not one. */
static bool
seatmap_parse(SeatMap *map, const ClientReply *reply)
{
	json_t *root = json_loadb(reply->body, reply->body_bytes, 0, NULL);
	json_t *list = json_object_get(root, "seats");
	int		nseats = (int) json_array_size(list);
	Seat   *seats = calloc((size_t) nseats + 1, sizeof(Seat));
	bool	good = json_is_array(list);

	for (int i = 0; i < nseats && good; i++)
		good = parse_seat(json_array_get(list, (size_t) i), json_object_get(root, "sections"),
						  &seats[i]);
	json_decref(root);
	if (!good)
	{
		free(seats);
		return false;
	}
	qsort(seats, (size_t) nseats, sizeof(Seat), compare_seats);
	free(map->seats);
	free(map->free);
	*map = (SeatMap){
		.seats = seats, .nseats = nseats, .free = malloc(sizeof(int) * ((size_t) nseats + 1))};
	for (int i = 0; i < nseats; i++)
	{
		if (seats[i].state == 'f')
			map->free[map->nfree++] = i;
		else if (seats[i].state == 'p')
			map->npending++;
	}
	return true;
}
