/* SPDX-License-Identifier: PostgreSQL */
/*
 * One consumer group of this process: reads, applies and settles. Up to consumer.batch_rows
 * messages are one transaction; when it fails, its messages are tried one by one, and only one that
 * fails by itself is to blame. A failure that may pass (no database, 40001 …) is tried again for
 * ever, with growing pauses; one that is the event's own (class 22, 23 or ours)
 * consumer.attempts_max times, then the event goes to the dead-letter topic. Meanwhile its
 * partition waits, and others go on. Offsets are stored when all is committed.
 */
#ifndef CONCERTD_GROUP_H
#define CONCERTD_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "deadletter.h"
#include "effect.h"
#include "kafka.h"

typedef struct Group Group;

/* settled is called whenever nothing is under way any more while the group is draining. */
Group *group_open(struct event_base *base, Kafka *kafka, const Effect *effect,
				  const EffectTools *tools, DeadLetters *letters, void (*settled)(void *arg),
				  void *arg);
void   group_drain(Group *group);
bool   group_settled(const Group *group);

/*
 * The end has four steps, for all groups together: kafka_consumers_leave() of their clients,
 * group_stop(), the database and the dead letters are closed (whereby what is under way is
 * answered), group_close().
 */
KafkaClient *group_client(Group *group);
void		 group_stop(Group *group);
void		 group_close(Group *group);

/* false: it has not got on for relay.lag_seconds_max; detail says why. */
bool group_ready(const Group *group, char *detail, size_t size);

/* true: the same event would fail the same way however often it is tried. */
bool group_failure_is_final(const char *sqlstate);

/* The pause after the nth failure in a row. */
int group_retry_ms(int failures);

#endif
