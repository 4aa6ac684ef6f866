/* SPDX-License-Identifier: PostgreSQL */
/*
 * Seat holds and marks in Redis: the fast "no" before the database is asked.
 *
 * One hash per date, {date}:seats, says of each seat who holds it (hold) or what the database
 * said of it (mark: pending, sold, blocked, freed). It is a cache: every entry lapses, and the
 * database alone decides who has a seat. A hash without its generation field is cold and is
 * rebuilt from concert.seat_states() once, however many callers find it so. Ids are lower-case
 * UUID strings. Callbacks run from the event loop, never from inside the call.
 */
#ifndef CONCERT_HOLD_H
#define CONCERT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "db.h"
#include "redis.h"

#define HOLD_SEATS_MAX 1000 /* seats in one hold_take() */

typedef struct Hold Hold;

typedef struct HoldConfig
{
	int hold_seconds;		  /* life of a hold, and of a remembered refusal */
	int sold_mark_seconds;	  /* how long "sold" is believed before the database is asked again */
	int blocked_mark_seconds; /* same for "blocked", and for marks whose fence is not known */
} HoldConfig;

typedef enum HoldStatus
{
	HOLD_OK,		   /* all seats are held for the user; fence goes to reserve() */
	HOLD_REFUSED,	   /* none is; refusals name every refused seat */
	HOLD_KEY_MISMATCH, /* this idempotency key was refused other seats a moment ago */
	HOLD_UNAVAILABLE   /* Redis cannot say: the database decides alone, or nobody does */
} HoldStatus;

typedef struct HoldRefusal
{
	const char *seat_id;
	const char *reason;		  /* "held", "sold" or "blocked" */
	int64_t		remaining_ms; /* of "held"; 0 otherwise */
} HoldRefusal;

/*
 * What the database said of one seat. fence 0 = not known (a refusal does not carry it): such a
 * mark is short-lived and gives way to anything better known. user_id may be NULL or "" except
 * for pending.
 */
typedef struct SeatMark
{
	const char *seat_id;
	const char *state; /* "free", "pending", "sold" or "blocked" */
	const char *user_id;
	int64_t		fence;
	int64_t		remaining_ms; /* of "pending"; others live by HoldConfig */
} SeatMark;

/* Strings belong to the caller of the callback. refusals is NULL unless HOLD_REFUSED. */
typedef void (*HoldTaken)(void *arg, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
						  int refusal_count);

/* What a sweep saw and did. */
typedef struct HoldSweep
{
	bool	ok; /* false: Redis or the database did not answer; the rest was left */
	int64_t seats_seen;
	int64_t marks_repaired; /* marks that said something else than the database */
	int64_t holds_lapsed;
} HoldSweep;

Hold *hold_open(struct event_base *base, Redis *redis, Db *db, const HoldConfig *config);
void  hold_configure(Hold *hold, const HoldConfig *config);
void  hold_close(Hold *hold);

/*
 * All seats or none, for hold_seconds. The user's own live hold is taken over (a double click
 * gets the same fence); the user's own pending and sold seats pass, so that the database can
 * repeat its answer for the same idempotency key or give its own refusal. idempotency_key may be
 * NULL.
 */
void hold_take(Hold *hold, const char *date_id, const char *user_id, const char *idempotency_key,
			   int seat_count, const char *const *seat_ids, HoldTaken done, void *arg);

/* Gives back what is still held by this user under this fence. Nothing is reported: holds lapse. */
void hold_release(Hold *hold, const char *date_id, const char *user_id, int64_t fence,
				  int seat_count, const char *const *seat_ids);

/*
 * Mirrors what the database said; order is by fence, then pending < sold < free, so an old event
 * cannot undo a newer one. done may be NULL; ok = every mark reached Redis (written, or
 * outdated).
 */
void hold_mark(Hold *hold, const char *date_id, int count, const SeatMark *marks,
			   void (*done)(void *arg, bool ok), void *arg);

/* Compares every mark of the date with the database and repairs it; drops lapsed holds. */
void hold_sweep(Hold *hold, const char *date_id, void (*done)(void *arg, const HoldSweep *sweep),
				void *arg);

#endif
