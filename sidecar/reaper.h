/* SPDX-License-Identifier: PostgreSQL */
/*
 * The reaper: makes timely what nothing waits for. Every reaper.interval_ms one pass: reservations
 * whose time is over expire, the gauges of what is under way are read; at slower paces the marks in
 * Redis are compared with the database, accounts without a floor are summed up and the rings of
 * tables are turned. One pass at a time, each step bounded; several copies do no harm. A step that
 * the extension's version does not know is left out.
 */
#ifndef CONCERTD_REAPER_H
#define CONCERTD_REAPER_H

#include <event2/event.h>

#include "hold.h"

typedef struct Reaper Reaper;

Reaper *reaper_open(struct event_base *base, Hold *hold);
void	reaper_close(Reaper *reaper);

#endif
