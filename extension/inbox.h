/* SPDX-License-Identifier: PostgreSQL */
/* The consumers' inbox, as their effects see it; see inbox.c. */
#ifndef CONCERT_INBOX_H
#define CONCERT_INBOX_H

#include "concert.h"

#define CONSUMER_TICKET "ticket"
#define CONSUMER_POINT_CHARGE "point-charge"

/*
 * Records that the consumer has the event. REASON_NONE: for the first time, so that its effect
 * belongs in this transaction. Called between plan_begin() and plan_end().
 */
extern Reason inbox_record(const char *consumer, const pg_uuid_t *event_id);

#endif /* CONCERT_INBOX_H */
