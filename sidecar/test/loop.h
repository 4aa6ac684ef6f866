/* SPDX-License-Identifier: PostgreSQL */
/* For tests: runs an event loop until something has come to pass, never longer than a bound. */
#ifndef CONCERT_TEST_LOOP_H
#define CONCERT_TEST_LOOP_H

#include <stdbool.h>

#include "../clock.h"

#define LOOP_WAIT_MS 10000

static inline void
loop_tick(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
}

/* true when the condition came true in time. */
static inline bool
loop_until(struct event_base *base, bool (*condition)(const void *arg), const void *arg,
		   int wait_ms)
{
	const struct timeval tick_length = {.tv_usec = 1000};
	int64_t				 deadline_ms = clock_ms() + wait_ms;
	struct event		*tick = event_new(base, -1, EV_PERSIST, loop_tick, NULL);
	bool				 met;

	event_add(tick, &tick_length);
	while (!(met = condition(arg)) && clock_ms() < deadline_ms)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(tick);
	return met;
}

static inline bool
loop_never(const void *arg)
{
	(void) arg;
	return false;
}

/* Lets the loop work for a while. */
static inline void
loop_run(struct event_base *base, int run_ms)
{
	loop_until(base, loop_never, NULL, run_ms);
}

static inline bool
loop_int_reached(const void *arg)
{
	const int *pair = arg;

	return pair[0] >= pair[1];
}

#endif
