/* SPDX-License-Identifier: PostgreSQL */
/*
 * The messages of one partition that a consumer holds, in order, from being read to being settled.
 * Its offset moves only over a settled head, so nothing behind an unsettled message is ever
 * skipped. A partition that the group lost keeps what somebody is still at work on (busy) until
 * that is answered, and then goes away without its offset being stored. A partition with failures
 * is tried one message at a time.
 */
#ifndef CONCERTD_PARTITION_H
#define CONCERTD_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "effect.h"

#define MESSAGE_WHY_BYTES 256

typedef enum MessageState
{
	MESSAGE_QUEUED,
	MESSAGE_WORKING, /* in a batch */
	MESSAGE_SETTLED, /* applied, or in the dead-letter topic */
	MESSAGE_DEAD,	 /* will never be applied; goes to the dead-letter topic when it is the head */
	MESSAGE_DYING	 /* on its way there */
} MessageState;

typedef struct Partition Partition;

typedef struct Message
{
	struct Message	   *next;
	Partition		   *partition;
	rd_kafka_message_t *kafka;
	EffectEvent			event;
	char			   *text; /* of event.key and event.payload */
	MessageState		state;
	int					attempts;				/* that failed by the event's own fault */
	bool				begun;					/* what comes before its statement is done */
	char				why[MESSAGE_WHY_BYTES]; /* of its last failure */
} Message;

struct Partition
{
	Partition *next;
	void	  *owner; /* the group */
	char	  *topic;
	int32_t	   number;
	Message	  *head;
	Message	  *tail;
	int		   count;
	int		   busy; /* messages WORKING or DYING */
	bool	   lost;
	int		   failures; /* of the head, in a row */
	double	   failing_since;
	double	   retry_at;
};

/* The group's live partition; made when it is new. NULL: out of memory. */
Partition *partition_of(Partition **list, const char *topic, int32_t number, void *owner);

/* Takes over kafka. NULL: out of memory, kafka is destroyed. */
Message *partition_push(Partition *partition, rd_kafka_message_t *kafka, const Effect *effect);

/* Drops the settled heads. Returns how many; ret_offset is the one to store then. */
int partition_pop(Partition *partition, int64_t *ret_offset);

/* No longer ours, all of it or (topic NULL) all of them. */
void partition_lose(Partition **list, const char *topic, int32_t number);

/*
 * count messages of it are no longer worked on. false: it was lost, and is gone when nobody is at
 * work on it.
 */
bool partition_answered(Partition **list, Partition *partition, int count);

/* The first becomes the last, so that all get their turn. */
void partition_rotate(Partition **list);

void partition_free_all(Partition **list);

#endif
