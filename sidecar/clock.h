/* SPDX-License-Identifier: PostgreSQL */
/*
 * Time inside the daemon: seconds or milliseconds of a clock that only moves forward, and timers of
 * the loop set by them. Never compared with another machine's clock or the database's.
 */
#ifndef CONCERTD_CLOCK_H
#define CONCERTD_CLOCK_H

#include <stdint.h>
#include <time.h>

#include <event2/event.h>

static inline double
clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static inline int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * The timer's callback runs that long from now; less than zero counts as zero. Replaces what it was
 * set to.
 */
static inline void
clock_wait(struct event *timer, double seconds)
{
	struct timeval wait = {0, 0};

	if (seconds > 0)
	{
		wait.tv_sec = (time_t) seconds;
		wait.tv_usec = (suseconds_t) ((seconds - wait.tv_sec) * 1e6);
	}
	evtimer_add(timer, &wait);
}

static inline void
clock_wait_ms(struct event *timer, int64_t ms)
{
	struct timeval wait = {0, 0};

	if (ms > 0)
		wait = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	evtimer_add(timer, &wait);
}

#endif
