/* SPDX-License-Identifier: PostgreSQL */
/*
 * The relay: outbox → Kafka, lane by lane (lane.h). It asks how many lanes there are, once the
 * topics exist, and starts each; every copy of concertd tries for every lane. With the embedded
 * broker, which forgets everything, it first makes sure that no event of this database was ever
 * relayed elsewhere.
 */
#ifndef CONCERTD_RELAY_H
#define CONCERTD_RELAY_H

#include <event2/event.h>

#include "kafka.h"

typedef struct Relay Relay;

/*
 * refused is called, once, when the embedded broker would miss earlier events: the caller must end
 * the process.
 */
Relay *relay_open(struct event_base *base, Kafka *kafka, void (*refused)(void *arg), void *arg);

/* Begins no new slice; drained is called once when none is under way, maybe at once. */
void relay_drain(Relay *relay, void (*drained)(void *arg), void *arg);
void relay_close(Relay *relay);

/*
 * conninfo and what makes the server drop a session that has gone silent; to be freed. NULL: it
 * cannot be parsed.
 */
char *relay_conninfo(const char *conninfo);

#endif
