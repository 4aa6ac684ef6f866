/* SPDX-License-Identifier: PostgreSQL */
/*
 * The way to the dead-letter topics: TOPIC.dlq gets the message as it was, key, value and headers,
 * with why, by which group and after how many attempts in headers of their own. The answer comes
 * when the brokers have it; a crash between that and the stored offset sends it again, with the same
 * ce_id.
 */
#ifndef CONCERTD_DEADLETTER_H
#define CONCERTD_DEADLETTER_H

#include <stdbool.h>

#include "kafka.h"

#define DLQ_GROUP "concert_group"
#define DLQ_REASON "concert_reason"
#define DLQ_ATTEMPTS "concert_attempts"
#define DLQ_TOPIC "concert_topic"
#define DLQ_PARTITION "concert_partition"
#define DLQ_OFFSET "concert_offset"

typedef struct DeadLetters DeadLetters;

typedef struct DeadLetter
{
	const rd_kafka_message_t *message;
	const char				 *group;
	const char				 *reason;
	int						  attempts;
} DeadLetter;

DeadLetters *deadletter_open(Kafka *kafka);

/* What has no answer yet never gets one. */
void deadletter_close(DeadLetters *letters);

/* false: not now, and done is not called. */
bool deadletter_send(DeadLetters *letters, const DeadLetter *letter,
					 void (*done)(void *arg, bool ok), void *arg)
	__attribute__((warn_unused_result));

#endif
