/* SPDX-License-Identifier: PostgreSQL */
/*
 * The admission role: lets people of the waiting room in, date by date, never above the cap (P7).
 *
 * One copy works at a time: the one whose own database session holds the admission lock; each
 * batch is recorded through that same session before anyone can claim it, so a copy that lost the
 * lock can record nothing. Plan (Redis) → record (PostgreSQL) → commit (Redis); whatever stops
 * between the steps is settled from PostgreSQL before the next plan.
 */
#ifndef CONCERT_ADMISSION_H
#define CONCERT_ADMISSION_H

#include <stdbool.h>

#include <event2/event.h>

#include "db.h"
#include "room.h"

typedef struct Admission Admission;

/* session must be a Db of pool size 1 that nobody else uses. */
Admission *admission_open(struct event_base *base, Room *room, Db *session);

/* Before redis, session and room: what they still answer is taken, and leads to nothing more. */
void admission_close(Admission *admission);

/* This copy holds the lock. */
bool admission_leads(const Admission *admission);

#endif
