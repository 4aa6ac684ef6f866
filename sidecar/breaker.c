/* SPDX-License-Identifier: PostgreSQL */
#include "breaker.h"

static void breaker_become(Breaker *breaker, BreakerState state);

int
breaker_allows(Breaker *breaker, double now_seconds, int most)
{
	if (breaker->state == BREAKER_OPEN && now_seconds >= breaker->open_until_seconds)
		breaker_become(breaker, BREAKER_HALF_OPEN);
	switch (breaker->state)
	{
		case BREAKER_CLOSED:
			return most;
		case BREAKER_HALF_OPEN:
			return breaker->probing || most < 1 ? 0 : 1;
		case BREAKER_OPEN:
			break;
	}
	return 0;
}

unsigned
breaker_begin(Breaker *breaker)
{
	if (breaker->state == BREAKER_HALF_OPEN)
		breaker->probing = true;
	return breaker->period;
}

bool
breaker_end(Breaker *breaker, unsigned ticket, bool good, double now_seconds, int failures_max,
			double open_seconds)
{
	if (ticket != breaker->period)
		return false;
	breaker->failures = good ? 0 : breaker->failures + 1;
	if (good && breaker->state == BREAKER_HALF_OPEN)
	{
		breaker_become(breaker, BREAKER_CLOSED);
		return true;
	}
	if (good || (breaker->state == BREAKER_CLOSED && breaker->failures < failures_max))
		return false;
	breaker_become(breaker, BREAKER_OPEN);
	breaker->open_until_seconds = now_seconds + open_seconds;
	return true;
}

static void
breaker_become(Breaker *breaker, BreakerState state)
{
	breaker->state = state;
	breaker->probing = false;
	breaker->period++;
}
