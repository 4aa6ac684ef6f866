/* SPDX-License-Identifier: PostgreSQL */
#include "pace.h"

#define SAVED_SECONDS_MAX 0.1

int
pace_allows(Pace *pace, double now_seconds, int per_second)
{
	double most = per_second * SAVED_SECONDS_MAX < 1 ? 1 : per_second * SAVED_SECONDS_MAX;

	pace->saved += (now_seconds - pace->since_seconds) * per_second;
	pace->since_seconds = now_seconds;
	if (pace->saved > most)
		pace->saved = most;
	return pace->saved < 1 ? 0 : (int) pace->saved;
}

void
pace_spend(Pace *pace, int count)
{
	pace->saved -= count;
}
