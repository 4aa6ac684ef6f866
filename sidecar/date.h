/* SPDX-License-Identifier: PostgreSQL */
/*
 * The dates on sale, or about to be, as this process knows them: read again from
 * concert.sale_dates() every second, and at once (but not more often than a bound) when somebody
 * asks for one that is not known. While the database is away the last reading stays; opening and
 * closing go on by this machine's clock.
 */
#ifndef CONCERT_DATE_H
#define CONCERT_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "db.h"

#define DATE_ID_BYTES 37

typedef struct DateBook DateBook;

typedef enum DatePhase
{
	DATE_UNKNOWN, /* not on sale and not about to be, as far as was ever seen */
	DATE_COMING,  /* known, sale not open */
	DATE_OPEN,
	DATE_CLOSED
} DatePhase;

typedef struct SaleDate
{
	char	id[DATE_ID_BYTES];
	bool	admission_required;
	int		admission_cap;
	int		admission_rate; /* people per second */
	int		claim_seconds;
	int		pass_seconds;
	int64_t opens_at_ms; /* by clock_ms() */
	int64_t closes_at_ms;
	bool	listed; /* in the newest reading */
} SaleDate;

DateBook *date_open(struct event_base *base, Db *db);
void	  date_close(DateBook *book);

/* NULL when it was never seen. Valid until the loop turns. */
const SaleDate *date_find(const DateBook *book, const char *date_id);
DatePhase		date_phase(const SaleDate *date);

/* The i-th date, NULL behind the last. */
const SaleDate *date_at(const DateBook *book, int i);

/* done(ok) once the book has been read (again); ok = false: it could not. */
void date_refresh(DateBook *book, void (*done)(void *arg, bool ok), void *arg);

#endif
