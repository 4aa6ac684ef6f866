/* SPDX-License-Identifier: PostgreSQL */
/*
 * The consumers: every group of the table in effect.h (group.h says how one works), with the
 * database sessions and the dead-letter producer that they share. Several copies of concertd share
 * the partitions of each group.
 */
#ifndef CONCERTD_CONSUMER_H
#define CONCERTD_CONSUMER_H

#include <event2/event.h>

#include "hold.h"
#include "kafka.h"

typedef struct Consumer Consumer;

Consumer *consumer_open(struct event_base *base, Kafka *kafka, Hold *hold);

/* Begins nothing new; drained is called once when no batch is under way, maybe at once. */
void consumer_drain(Consumer *consumer, void (*drained)(void *arg), void *arg);

/* Leaves the groups, which may take a moment. hold must still be open. */
void consumer_close(Consumer *consumer);

#endif
