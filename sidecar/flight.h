/* SPDX-License-Identifier: PostgreSQL */
/*
 * One flight per key: whoever asks for the same thing while it is being fetched waits for the
 * same answer. The number of waiters and their time are bounded; a flight that takes longer goes
 * on without them, and who comes meanwhile is told no at once. Callbacks run from the event loop.
 */
#ifndef CONCERT_FLIGHT_H
#define CONCERT_FLIGHT_H

#include <stdbool.h>

#include <event2/event.h>

#define FLIGHT_WAITERS_MAX 20000 /* of one key */
#define FLIGHT_KEY_BYTES 64

typedef struct Flight Flight;

/*
 * Begins to fetch; flight_land() must follow from the loop. false: could not, nothing will
 * follow.
 */
typedef bool (*FlightStart)(void *owner, const char *key);
typedef void (*FlightDone)(void *arg, bool ok);

Flight *flight_open(struct event_base *base, int wait_ms, FlightStart start, void *owner);

/* Waiters are told no. */
void flight_close(Flight *flight);

void flight_join(Flight *flight, const char *key, FlightDone done, void *arg);
void flight_land(Flight *flight, const char *key, bool ok);

/* How many wait for this key. */
int flight_waiting(const Flight *flight, const char *key);

/* Calls fn from the next turn of the loop. */
void flight_later(struct event_base *base, void (*fn)(void *arg), void *arg);

#endif
