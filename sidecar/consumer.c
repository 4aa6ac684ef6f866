/* SPDX-License-Identifier: PostgreSQL */
/* All groups of this process, their readiness and their end. */
#include <stdlib.h>

#include "consumer.h"
#include "deadletter.h"
#include "effect.h"
#include "group.h"
#include "http.h"
#include "options.h"

#define CONSUMER_DB_QUEUE_MAX 512
#define CONSUMER_DB_TIMEOUT_MS 30000 /* a batch may be long, and its failure is expensive */
#define CONSUMER_APPLICATION "concertd-consumer"

struct Consumer
{
	EffectTools	 tools;
	DeadLetters *letters;
	Group		*groups[EFFECT_GROUPS];
	int			 group_count;
	void (*drained)(void *arg);
	void *drained_arg;
};

static void consumer_settled(void *arg);
static bool consumer_check(void *arg, char *detail, size_t size);

Consumer *
consumer_open(struct event_base *base, Kafka *kafka, Hold *hold)
{
	Consumer *consumer = calloc(1, sizeof(Consumer));

	if (consumer == NULL)
		return NULL;
	consumer->tools.hold = hold;
	consumer->tools.db =
		db_open(base, options_current()->db_conninfo, EFFECT_GROUPS, CONSUMER_DB_QUEUE_MAX,
				CONSUMER_DB_TIMEOUT_MS, CONSUMER_APPLICATION);
	consumer->letters = deadletter_open(kafka);
	for (int i = 0; consumer->tools.db != NULL && consumer->letters != NULL && i < EFFECT_GROUPS;
		 i++)
	{
		Group *group = group_open(base, kafka, &effects[i], &consumer->tools, consumer->letters,
								  consumer_settled, consumer);

		if (group == NULL)
			break;
		consumer->groups[consumer->group_count++] = group;
	}
	if (consumer->group_count < EFFECT_GROUPS)
	{
		consumer_close(consumer);
		return NULL;
	}
	http_ready_check("consumer", consumer_check, consumer);
	return consumer;
}

void
consumer_drain(Consumer *consumer, void (*drained)(void *arg), void *arg)
{
	for (int i = 0; i < consumer->group_count; i++)
		group_drain(consumer->groups[i]);
	consumer->drained = drained;
	consumer->drained_arg = arg;
	consumer_settled(consumer);
}

void
consumer_close(Consumer *consumer)
{
	KafkaClient *clients[EFFECT_GROUPS];

	if (consumer == NULL)
		return;
	for (int i = 0; i < consumer->group_count; i++)
		clients[i] = group_client(consumer->groups[i]);
	kafka_consumers_leave(clients, consumer->group_count);
	for (int i = 0; i < consumer->group_count; i++)
		group_stop(consumer->groups[i]);
	if (consumer->tools.db != NULL)
		db_close(consumer->tools.db);
	deadletter_close(consumer->letters);
	for (int i = 0; i < consumer->group_count; i++)
		group_close(consumer->groups[i]);
	free(consumer);
}

static void
consumer_settled(void *arg)
{
	Consumer *consumer = arg;
	void (*drained)(void *arg) = consumer->drained;

	for (int i = 0; i < consumer->group_count; i++)
		if (!group_settled(consumer->groups[i]))
			return;
	consumer->drained = NULL;
	if (drained != NULL)
		drained(consumer->drained_arg);
}

static bool
consumer_check(void *arg, char *detail, size_t size)
{
	const Consumer *consumer = arg;

	for (int i = 0; i < consumer->group_count; i++)
		if (!group_ready(consumer->groups[i], detail, size))
			return false;
	return true;
}
