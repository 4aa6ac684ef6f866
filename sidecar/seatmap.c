/* SPDX-License-Identifier: PostgreSQL */
/*
 * A list of dates in the order of their last use; an entry that is being fetched is never thrown
 * away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/evp.h>

#include "caller.h"
#include "clock.h"
#include "metrics.h"
#include "options.h"
#include "problem.h"
#include "seatmap.h"
#include "sql.h"

/* A large map may take the database long: it is asked for at most this share of the time. */
#define REST_FACTOR 3
#define ETAG_DIGEST_BYTES 16
#define ETAG_BYTES (2 * ETAG_DIGEST_BYTES + 3) /* in quotes, with its NUL */

typedef struct Waiter
{
	TAILQ_ENTRY(Waiter) link;
	HttpRequest *request;
} Waiter;

TAILQ_HEAD(Waiters, Waiter);

typedef struct Entry
{
	TAILQ_ENTRY(Entry) link;
	SeatMap		  *map;
	char		   date_id[ID_BYTES];
	char		   etag[ETAG_BYTES];
	HttpBlob	  *body;		  /* NULL before the first answer */
	double		   asked_seconds; /* when the database was asked last */
	double		   fresh_until_seconds;
	bool		   fetching;
	struct Waiters waiters;
} Entry;

TAILQ_HEAD(Entries, Entry);

struct SeatMap
{
	Db			  *db;
	struct Entries entries;
	int			   count;
};

static Entry *seatmap_entry(SeatMap *map, const char *date_id);
static bool	  seatmap_make_room(SeatMap *map);
static void	  entry_fetch(Entry *entry);
static void	  entry_fetched(void *arg, const PGresult *res, const char *errstr);
static bool	  entry_store(Entry *entry, const char *json);
static void	  entry_send(Entry *entry, HttpRequest *request, const char *source);
static void	  entry_free(Entry *entry);

SeatMap *
seatmap_open(Db *db)
{
	SeatMap *map = calloc(1, sizeof(SeatMap));

	if (map == NULL)
		return NULL;
	map->db = db;
	TAILQ_INIT(&map->entries);
	return map;
}

void
seatmap_close(SeatMap *map)
{
	Entry *entry;

	if (map == NULL)
		return;
	while ((entry = TAILQ_FIRST(&map->entries)) != NULL)
	{
		TAILQ_REMOVE(&map->entries, entry, link);
		entry_free(entry);
	}
	free(map);
}

void
seatmap_answer(SeatMap *map, HttpRequest *request, const char *date_id)
{
	Entry  *entry = seatmap_entry(map, date_id);
	Waiter *waiter;

	if (entry == NULL)
	{
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
		return;
	}
	if (entry->body != NULL && clock_seconds() < entry->fresh_until_seconds)
	{
		entry_send(entry, request, "cache");
		return;
	}
	waiter = malloc(sizeof(Waiter));
	if (waiter == NULL)
	{
		problem_reply(request, PROBLEM_INTERNAL, NULL);
		return;
	}
	waiter->request = request;
	TAILQ_INSERT_TAIL(&entry->waiters, waiter, link);
	if (!entry->fetching)
		entry_fetch(entry);
}

/* The date's entry, made if need be, at the front of the list. */
static Entry *
seatmap_entry(SeatMap *map, const char *date_id)
{
	Entry *entry;

	TAILQ_FOREACH(entry, &map->entries, link)
	if (strcmp(entry->date_id, date_id) == 0)
		break;
	if (entry != NULL)
		TAILQ_REMOVE(&map->entries, entry, link);
	else if (!seatmap_make_room(map) || (entry = calloc(1, sizeof(Entry))) == NULL)
		return NULL;
	else
	{
		entry->map = map;
		snprintf(entry->date_id, sizeof(entry->date_id), "%s", date_id);
		TAILQ_INIT(&entry->waiters);
		map->count++;
	}
	TAILQ_INSERT_HEAD(&map->entries, entry, link);
	return entry;
}

static bool
seatmap_make_room(SeatMap *map)
{
	Entry *entry;

	if (map->count < options_current()->api_seat_map_dates)
		return true;
	TAILQ_FOREACH_REVERSE(entry, &map->entries, Entries, link)
	if (!entry->fetching)
		break;
	if (entry == NULL)
		return false;
	TAILQ_REMOVE(&map->entries, entry, link);
	map->count--;
	entry_free(entry);
	return true;
}

static void
entry_fetch(Entry *entry)
{
	Waiter *waiter;

	entry->asked_seconds = clock_seconds();
	entry->fetching = sql_seat_map_json(entry->map->db, entry->date_id, entry_fetched, entry);
	if (entry->fetching)
		return;
	while ((waiter = TAILQ_FIRST(&entry->waiters)) != NULL)
	{
		TAILQ_REMOVE(&entry->waiters, waiter, link);
		problem_reply(waiter->request, PROBLEM_OVERLOADED, NULL);
		free(waiter);
	}
}

static void
entry_fetched(void *arg, const PGresult *res, const char *errstr)
{
	Entry		  *entry = arg;
	bool		   known = errstr == NULL && strcmp(PQgetvalue(res, 0, 1), "t") == 0;
	bool		   stored = known && entry_store(entry, PQgetvalue(res, 0, 0));
	struct Waiters waiters = TAILQ_HEAD_INITIALIZER(waiters);
	Waiter		  *waiter;

	entry->fetching = false;
	TAILQ_CONCAT(&waiters, &entry->waiters, link);
	while ((waiter = TAILQ_FIRST(&waiters)) != NULL)
	{
		TAILQ_REMOVE(&waiters, waiter, link);
		if (stored)
			entry_send(entry, waiter->request, "database");
		else if (errstr != NULL)
			problem_database(waiter->request, res, errstr);
		else if (!known)
			problem_refuse(waiter->request, "unknown", NULL, NULL);
		else
			problem_reply(waiter->request, PROBLEM_INTERNAL, NULL);
		free(waiter);
	}
}

static bool
entry_store(Entry *entry, const char *json)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t		  len = strlen(json);
	HttpBlob	 *body = http_blob_new(json, len);
	double		  took_seconds;
	double		  fresh_seconds;

	if (body == NULL || EVP_Digest(json, len, digest, NULL, EVP_sha256(), NULL) != 1)
	{
		http_blob_unref(body);
		return false;
	}
	http_blob_unref(entry->body);
	entry->body = body;
	took_seconds = clock_seconds() - entry->asked_seconds;
	fresh_seconds = options_current()->api_seat_map_ms / 1e3;
	if (fresh_seconds < took_seconds * REST_FACTOR)
		fresh_seconds = took_seconds * REST_FACTOR;
	entry->fresh_until_seconds = entry->asked_seconds + fresh_seconds;
	entry->etag[0] = '"';
	for (int i = 0; i < ETAG_DIGEST_BYTES; i++)
		snprintf(entry->etag + 1 + 2 * i, 3, "%02x", digest[i]);
	snprintf(entry->etag + ETAG_BYTES - 2, 2, "\"");
	return true;
}

static void
entry_send(Entry *entry, HttpRequest *request, const char *source)
{
	const char *known = http_header(request, "If-None-Match");

	http_set_header(request, "ETag", entry->etag);
	http_set_header(request, "Cache-Control", "max-age=1");
	if (known != NULL && (strstr(known, entry->etag) != NULL || strcmp(known, "*") == 0))
	{
		metric_add(METRIC_SEAT_MAP_READS, "unchanged", 1);
		http_reply_empty(request, 304);
		return;
	}
	metric_add(METRIC_SEAT_MAP_READS, source, 1);
	http_reply_blob(request, 200, "application/json", entry->body);
}

static void
entry_free(Entry *entry)
{
	http_blob_unref(entry->body);
	free(entry);
}
