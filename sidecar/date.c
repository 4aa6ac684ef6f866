/* SPDX-License-Identifier: PostgreSQL */
/*
 * A small array, replaced as a whole by each reading but for dates that have left it: they stay,
 * closed, so that their queues can say that the sale is over. Readings are one flight: many who
 * ask cost one query.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "date.h"
#include "flight.h"
#include "log.h"
#include "sql.h"

#define REFRESH_MS 1000
#define REFRESH_AGAIN_MS 200 /* a reading younger than this is not repeated for an unknown date */
#define WAIT_MS 2000
#define DATES_MAX 10000
#define BOOK_KEY "dates" /* the book's only flight */

typedef enum DateColumn
{
	COLUMN_ID,
	COLUMN_OPENS_IN_MS,
	COLUMN_CLOSES_IN_MS,
	COLUMN_ADMISSION,
	COLUMN_CAP,
	COLUMN_RATE,
	COLUMN_CLAIM_SECONDS,
	COLUMN_PASS_SECONDS
} DateColumn;

typedef struct Answer
{
	void (*done)(void *arg, bool ok);
	void *arg;
} Answer;

struct DateBook
{
	struct event_base *base;
	Db				  *db;
	Flight			  *readings;
	struct event	  *timer;
	int64_t			   read_ms; /* when the last reading succeeded */
	SaleDate		  *dates;
	int				   count;
};

static void		 book_answer(void *arg);
static void		 book_timer(evutil_socket_t fd, short what, void *arg);
static void		 book_refreshed(void *arg, bool ok);
static bool		 book_start(void *owner, const char *key);
static void		 book_read(void *arg, const PGresult *res, const char *errstr);
static SaleDate *book_entry(DateBook *book, const char *date_id);
static int64_t	 column(const PGresult *res, int row, DateColumn at);

DateBook *
date_open(struct event_base *base, Db *db)
{
	DateBook *book = calloc(1, sizeof(DateBook));

	book->base = base;
	book->db = db;
	book->read_ms = -REFRESH_AGAIN_MS;
	book->readings = flight_open(base, WAIT_MS, book_start, book);
	book->timer = evtimer_new(base, book_timer, book);
	clock_wait_ms(book->timer, 0);
	return book;
}

void
date_close(DateBook *book)
{
	if (book == NULL)
		return;
	flight_close(book->readings);
	event_free(book->timer);
	free(book->dates);
	free(book);
}

const SaleDate *
date_find(const DateBook *book, const char *date_id)
{
	for (int i = 0; i < book->count; i++)
		if (strcmp(book->dates[i].id, date_id) == 0)
			return &book->dates[i];
	return NULL;
}

DatePhase
date_phase(const SaleDate *date)
{
	int64_t now_ms = clock_ms();

	if (date == NULL)
		return DATE_UNKNOWN;
	if (!date->listed || now_ms >= date->closes_at_ms)
		return DATE_CLOSED;
	return now_ms >= date->opens_at_ms ? DATE_OPEN : DATE_COMING;
}

const SaleDate *
date_at(const DateBook *book, int i)
{
	return i < book->count ? &book->dates[i] : NULL;
}

/* A fresh book is not read again: ids made up by callers must not become queries. */
void
date_refresh(DateBook *book, void (*done)(void *arg, bool ok), void *arg)
{
	Answer *answer;

	if (clock_ms() - book->read_ms >= REFRESH_AGAIN_MS)
	{
		flight_join(book->readings, BOOK_KEY, done, arg);
		return;
	}
	answer = malloc(sizeof(Answer));
	*answer = (Answer){.done = done, .arg = arg};
	flight_later(book->base, book_answer, answer);
}

static void
book_answer(void *arg)
{
	Answer answer = *(Answer *) arg;

	free(arg);
	answer.done(answer.arg, true);
}

static void
book_timer(evutil_socket_t fd, short what, void *arg)
{
	DateBook *book = arg;

	(void) fd;
	(void) what;
	clock_wait_ms(book->timer, REFRESH_MS);
	flight_join(book->readings, BOOK_KEY, book_refreshed, book);
}

static void
book_refreshed(void *arg, bool ok)
{
	(void) arg;
	(void) ok;
}

static bool
book_start(void *owner, const char *key)
{
	DateBook *book = owner;

	(void) key;
	return sql_sale_dates(book->db, book_read, book);
}

static void
book_read(void *arg, const PGresult *res, const char *errstr)
{
	DateBook *book = arg;
	int64_t	  now_ms = clock_ms();

	for (int i = 0; errstr == NULL && i < book->count; i++)
		book->dates[i].listed = false;
	for (int i = 0; errstr == NULL && i < PQntuples(res); i++)
	{
		SaleDate *date = book_entry(book, PQgetvalue(res, i, COLUMN_ID));

		if (date == NULL)
			break;
		date->listed = true;
		date->opens_at_ms = now_ms + column(res, i, COLUMN_OPENS_IN_MS);
		date->closes_at_ms = now_ms + column(res, i, COLUMN_CLOSES_IN_MS);
		date->admission_required = strcmp(PQgetvalue(res, i, COLUMN_ADMISSION), "required") == 0;
		date->admission_cap = (int) column(res, i, COLUMN_CAP);
		date->admission_rate = (int) column(res, i, COLUMN_RATE);
		date->claim_seconds = (int) column(res, i, COLUMN_CLAIM_SECONDS);
		date->pass_seconds = (int) column(res, i, COLUMN_PASS_SECONDS);
	}
	if (errstr == NULL)
		book->read_ms = now_ms;
	else
		log_event(LOG_WARN_LEVEL, "dates_not_read", NULL, "{s:s}", "error", errstr);
	flight_land(book->readings, BOOK_KEY, errstr == NULL);
}

/* NULL when there are too many. */
static SaleDate *
book_entry(DateBook *book, const char *date_id)
{
	SaleDate *date = (SaleDate *) date_find(book, date_id);
	SaleDate *grown;

	if (date != NULL)
		return date;
	if (book->count == DATES_MAX)
	{
		log_event(LOG_ERROR_LEVEL, "too_many_dates", NULL, "{s:i}", "max", DATES_MAX);
		return NULL;
	}
	grown = realloc(book->dates, (size_t) (book->count + 1) * sizeof(SaleDate));
	if (grown == NULL)
		return NULL;
	book->dates = grown;
	date = &book->dates[book->count++];
	*date = (SaleDate){0};
	snprintf(date->id, sizeof(date->id), "%s", date_id);
	return date;
}

static int64_t
column(const PGresult *res, int row, DateColumn at)
{
	return strtoll(PQgetvalue(res, row, at), NULL, 10);
}
