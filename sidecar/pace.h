/* SPDX-License-Identifier: PostgreSQL */
/*
 * So many a second, evenly: a bucket that fills at that rate and holds a tenth of a second's worth,
 * one at least. Time is the caller's.
 */
#ifndef CONCERTD_PACE_H
#define CONCERTD_PACE_H

typedef struct Pace
{
	double saved;
	double since_seconds;
} Pace;

/* How many may be spent now. */
int pace_allows(Pace *pace, double now_seconds, int per_second);

void pace_spend(Pace *pace, int count);

#endif
