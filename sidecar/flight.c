/* SPDX-License-Identifier: PostgreSQL */
/*
 * Flights are few (dates under way), so they stand in a list; their waiters wait in the order of
 * coming.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "flight.h"

typedef struct Waiter
{
	STAILQ_ENTRY(Waiter) link;
	FlightDone done;
	void	  *arg;
} Waiter;

STAILQ_HEAD(WaiterList, Waiter);

typedef struct Trip
{
	LIST_ENTRY(Trip) link;
	Flight			 *flight;
	char			  key[FLIGHT_KEY_BYTES];
	bool			  under_way;
	bool			  late;
	struct WaiterList waiters;
	int				  waiter_count;
	struct event	 *timer;
} Trip;

struct Flight
{
	struct event_base *base;
	int				   wait_ms;
	FlightStart		   start;
	void			  *owner;
	LIST_HEAD(, Trip) trips;
};

typedef struct Later
{
	void (*fn)(void *arg);
	void *arg;
} Later;

static Trip *trip_find(const Flight *flight, const char *key);
static Trip *trip_new(Flight *flight, const char *key);
static void	 trip_free(Trip *trip);
static void	 trip_late(evutil_socket_t fd, short what, void *arg);
static void	 waiters_call(struct WaiterList *waiters, bool ok);
static void	 later_run(evutil_socket_t fd, short what, void *arg);

Flight *
flight_open(struct event_base *base, int wait_ms, FlightStart start, void *owner)
{
	Flight *flight = calloc(1, sizeof(Flight));

	flight->base = base;
	flight->wait_ms = wait_ms;
	flight->start = start;
	flight->owner = owner;
	LIST_INIT(&flight->trips);
	return flight;
}

void
flight_close(Flight *flight)
{
	Trip *trip;

	if (flight == NULL)
		return;
	while ((trip = LIST_FIRST(&flight->trips)) != NULL)
		trip_free(trip);
	free(flight);
}

/* Who cannot wait is put on a trip's list all the same, but for one turn of the loop only. */
void
flight_join(Flight *flight, const char *key, FlightDone done, void *arg)
{
	Trip   *trip = trip_find(flight, key);
	Waiter *waiter = malloc(sizeof(Waiter));

	*waiter = (Waiter){.done = done, .arg = arg};
	if (trip == NULL)
	{
		trip = trip_new(flight, key);
		trip->under_way = flight->start(flight->owner, key);
		clock_wait_ms(trip->timer, trip->under_way ? flight->wait_ms : 0);
	}
	STAILQ_INSERT_TAIL(&trip->waiters, waiter, link);
	if (++trip->waiter_count > FLIGHT_WAITERS_MAX || trip->late)
		event_active(trip->timer, EV_TIMEOUT, 0);
}

void
flight_land(Flight *flight, const char *key, bool ok)
{
	Trip			 *trip = trip_find(flight, key);
	struct WaiterList waiters = STAILQ_HEAD_INITIALIZER(waiters);

	if (trip == NULL)
		return;
	STAILQ_CONCAT(&waiters, &trip->waiters);
	trip_free(trip);
	waiters_call(&waiters, ok);
}

int
flight_waiting(const Flight *flight, const char *key)
{
	const Trip *trip = trip_find(flight, key);

	return trip != NULL ? trip->waiter_count : 0;
}

void
flight_later(struct event_base *base, void (*fn)(void *arg), void *arg)
{
	Later				*later = malloc(sizeof(Later));
	const struct timeval now = {0};

	*later = (Later){.fn = fn, .arg = arg};
	event_base_once(base, -1, EV_TIMEOUT, later_run, later, &now);
}

static Trip *
trip_find(const Flight *flight, const char *key)
{
	Trip *trip;

	LIST_FOREACH(trip, &flight->trips, link)
	if (strcmp(trip->key, key) == 0)
		return trip;
	return NULL;
}

static Trip *
trip_new(Flight *flight, const char *key)
{
	Trip *trip = calloc(1, sizeof(Trip));

	trip->flight = flight;
	snprintf(trip->key, sizeof(trip->key), "%s", key);
	trip->timer = evtimer_new(flight->base, trip_late, trip);
	STAILQ_INIT(&trip->waiters);
	LIST_INSERT_HEAD(&flight->trips, trip, link);
	return trip;
}

static void
trip_free(Trip *trip)
{
	LIST_REMOVE(trip, link);
	event_free(trip->timer);
	waiters_call(&trip->waiters, false);
	free(trip);
}

static void
trip_late(evutil_socket_t fd, short what, void *arg)
{
	Trip			 *trip = arg;
	struct WaiterList waiters = STAILQ_HEAD_INITIALIZER(waiters);

	(void) fd;
	(void) what;
	STAILQ_CONCAT(&waiters, &trip->waiters);
	trip->waiter_count = 0;
	trip->late = true;
	if (!trip->under_way)
		trip_free(trip);
	waiters_call(&waiters, false);
}

static void
waiters_call(struct WaiterList *waiters, bool ok)
{
	Waiter *waiter;

	while ((waiter = STAILQ_FIRST(waiters)) != NULL)
	{
		FlightDone done = waiter->done;
		void	  *arg = waiter->arg;

		STAILQ_REMOVE_HEAD(waiters, link);
		free(waiter);
		done(arg, ok);
	}
}

static void
later_run(evutil_socket_t fd, short what, void *arg)
{
	Later later = *(Later *) arg;

	(void) fd;
	(void) what;
	free(arg);
	later.fn(later.arg);
}
