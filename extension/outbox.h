/* SPDX-License-Identifier: PostgreSQL */
/* The transactional outbox, as the rest of the extension sees it; see outbox.c. */
#ifndef CONCERT_OUTBOX_H
#define CONCERT_OUTBOX_H

#include "json.h"

#define TOPIC_PREFIX "concert." /* ours; of these only notifications are anybody's */
#define TOPIC_RESERVATION "concert.reservation"
#define TOPIC_PAYMENT "concert.payment"
#define TOPIC_POINT "concert.point"
#define TOPIC_NOTIFICATION "concert.notification"

/*
 * Appends an event in the current transaction and returns its id. Takes the lock of (topic,
 * key), the last in the lock order, before the event's number. Called between plan_begin()
 * and plan_end(); payload is an object, correlation_id may be NULL.
 */
extern pg_uuid_t outbox_emit(const char *topic, const char *key, const char *type, Jsonb *payload,
							 const char *correlation_id);

/*
 * The same without the lock, for a key that this very transaction has made up: whoever else emits
 * for it has seen this commit.
 */
extern pg_uuid_t outbox_emit_first(const char *topic, const char *key, const char *type,
								   Jsonb *payload, const char *correlation_id);

#endif /* CONCERT_OUTBOX_H */
