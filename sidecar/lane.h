/* SPDX-License-Identifier: PostgreSQL */
/*
 * One lane of the outbox on its way to Kafka. It has a session of its own, which holds the lane's
 * lock, and a producer of its own. It sends one slice at a time, in order, and writes the cursor
 * when Kafka has all of it; whatever goes wrong, it forgets what it was doing and begins again at
 * the database's cursor. So a crash repeats at most the slice under way, with the same event ids,
 * and nothing is passed over. A lane that another copy holds is asked for again every second. An
 * event that Kafka refuses for good stops the lane, named in lane_ready().
 */
#ifndef CONCERTD_LANE_H
#define CONCERTD_LANE_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "kafka.h"

/*
 * A lane's session is never silent this long, in milliseconds, so the server may drop one that is.
 */
#define LANE_SILENT_MS "5000"

typedef struct Lane Lane;

/* settled is called whenever no slice is under way any more while the lane is draining. */
Lane *lane_open(struct event_base *base, Kafka *kafka, const char *conninfo, int number,
				void (*settled)(void *arg), void *arg);
void  lane_drain(Lane *lane);
bool  lane_settled(const Lane *lane);
void  lane_close(Lane *lane);

/*
 * false: it stands still, or has not caught up for relay.lag_seconds_max; detail says which lane
 * and why.
 */
bool lane_ready(const Lane *lane, char *detail, size_t size);

#endif
