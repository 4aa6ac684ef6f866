/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the fans saw: counters, and how long reserve took. One table names every counter; the
 * status file has a line name=value for each, is replaced whole and can be read by a shell.
 */
#ifndef DEMO_TALLY_H
#define DEMO_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* X(ID, name): the first ones are what is so now, the others count up */
#define TALLY(X)                                  \
	X(WAITING, "waiting")                         \
	X(HELD, "held")                               \
	X(FANS, "fans")                               \
	X(DONE, "done")                               \
	X(JOINED, "joined")                           \
	X(LEFT_QUEUE, "left_queue")                   \
	X(LOST_PLACE, "lost_place")                   \
	X(ADMITTED, "admitted")                       \
	X(TURNED_AWAY, "turned_away")                 \
	X(BOOKED, "booked")                           \
	X(REFUSED, "refused")                         \
	X(REFUSED_SOLD, "refused_sold")               \
	X(REFUSED_HELD, "refused_held")               \
	X(REFUSED_BUSY, "refused_busy")               \
	X(REFUSED_OTHER, "refused_other")             \
	X(SOLD, "sold")                               \
	X(PAID, "paid")                               \
	X(PAID_BY_PROVIDER, "paid_by_provider")       \
	X(PAID_SPLIT, "paid_split")                   \
	X(PAID_LATE, "paid_late")                     \
	X(PAYMENTS_FAILED, "payments_failed")         \
	X(MONEY_BACK, "money_back")                   \
	X(PAYMENTS_STUCK, "payments_stuck")           \
	X(TOO_POOR, "too_poor")                       \
	X(TOPPED_UP, "topped_up")                     \
	X(CANCELLED, "cancelled")                     \
	X(ABANDONED, "abandoned")                     \
	X(EXPIRED, "expired")                         \
	X(GAVE_UP, "gave_up")                         \
	X(DOUBLE_CLICKS, "double_clicks")             \
	X(DOUBLE_CLICKS_SPLIT, "double_clicks_split") \
	X(TWO_TABS, "two_tabs")                       \
	X(SOLD_TWICE, "sold_twice")                   \
	X(REQUESTS, "requests")                       \
	X(RETRIES, "retries")                         \
	X(FAULTS, "faults")

typedef enum TallyId
{
#define TALLY_ENUM(id, name) TALLY_##id,
	TALLY(TALLY_ENUM)
#undef TALLY_ENUM
		TALLY_TOTAL
} TallyId;

typedef struct Tally Tally;

Tally *tally_open(const char *status_path); /* NULL path: no status file */
void   tally_close(Tally *tally);
void   tally_add(Tally *tally, TallyId id, long count);
long   tally_value(const Tally *tally, TallyId id);
void   tally_reserve_took(Tally *tally, int64_t us);
double tally_reserve_ms(const Tally *tally, double percentile);

/* Writes the status file; finished says that these are the last numbers. False: could not. */
bool tally_publish(const Tally *tally, bool finished);

#endif
