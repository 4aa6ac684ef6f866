/* SPDX-License-Identifier: PostgreSQL */
/*
 * A circuit breaker. CLOSED lets everything through; so many failures in a row open it, and nothing
 * is sent for a while; then it is HALF_OPEN and lets one call through, whose end closes it or opens
 * it again. Each call keeps the ticket of its beginning: the end of one that began before the
 * breaker last changed says nothing about now. Time is the caller's.
 */
#ifndef CONCERTD_BREAKER_H
#define CONCERTD_BREAKER_H

#include <stdbool.h>

typedef enum BreakerState
{
	BREAKER_CLOSED,
	BREAKER_HALF_OPEN,
	BREAKER_OPEN
} BreakerState;

typedef struct Breaker
{
	BreakerState state;
	int			 failures; /* in a row */
	bool		 probing;  /* the one call of HALF_OPEN is under way */
	double		 open_until_seconds;
	unsigned	 period; /* counts changes of state: the ticket */
} Breaker;

/* How many calls may begin now, at most most. */
int breaker_allows(Breaker *breaker, double now_seconds, int most);

/* A call begins; returns its ticket for breaker_end(). */
unsigned breaker_begin(Breaker *breaker);

/* It has ended. True: the breaker has changed its state. */
bool breaker_end(Breaker *breaker, unsigned ticket, bool good, double now_seconds, int failures_max,
				 double open_seconds);

#endif
