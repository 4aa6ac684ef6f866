/* SPDX-License-Identifier: PostgreSQL */
/*
 * Lists are short (the partitions of one group in one process), so they are searched from the
 * front.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition.h"

static bool message_read(Message *message, const Effect *effect);
static void message_free(Message *message);
static void partition_remove(Partition **list, Partition *partition);
static void partition_free(Partition *partition);

Partition *
partition_of(Partition **list, const char *topic, int32_t number, void *owner)
{
	Partition *partition;

	for (partition = *list; partition != NULL; partition = partition->next)
		if (!partition->lost && partition->number == number && strcmp(partition->topic, topic) == 0)
			return partition;
	partition = calloc(1, sizeof(Partition));
	if (partition == NULL || (partition->topic = strdup(topic)) == NULL)
	{
		free(partition);
		return NULL;
	}
	partition->owner = owner;
	partition->number = number;
	partition->next = *list;
	*list = partition;
	return partition;
}

Message *
partition_push(Partition *partition, rd_kafka_message_t *kafka, const Effect *effect)
{
	Message *message = calloc(1, sizeof(Message));

	if (message == NULL)
	{
		rd_kafka_message_destroy(kafka);
		return NULL;
	}
	message->partition = partition;
	message->kafka = kafka;
	if (!message_read(message, effect))
	{
		message_free(message);
		return NULL;
	}
	if (partition->tail == NULL)
		partition->head = message;
	else
		partition->tail->next = message;
	partition->tail = message;
	partition->count++;
	return message;
}

int
partition_pop(Partition *partition, int64_t *ret_offset)
{
	int		 popped = 0;
	Message *message;

	while ((message = partition->head) != NULL && message->state == MESSAGE_SETTLED)
	{
		*ret_offset = message->kafka->offset + 1;
		partition->head = message->next;
		if (partition->head == NULL)
			partition->tail = NULL;
		partition->count--;
		message_free(message);
		popped++;
	}
	return popped;
}

void
partition_lose(Partition **list, const char *topic, int32_t number)
{
	Partition *next;

	for (Partition *partition = *list; partition != NULL; partition = next)
	{
		next = partition->next;
		if (topic != NULL && (partition->number != number || strcmp(partition->topic, topic) != 0))
			continue;
		partition->lost = true;
		if (partition->busy == 0)
			partition_remove(list, partition);
	}
}

bool
partition_answered(Partition **list, Partition *partition, int count)
{
	partition->busy -= count;
	if (!partition->lost)
		return true;
	if (partition->busy == 0)
		partition_remove(list, partition);
	return false;
}

void
partition_rotate(Partition **list)
{
	Partition  *first = *list;
	Partition **end = list;

	if (first == NULL)
		return;
	*list = first->next;
	first->next = NULL;
	while (*end != NULL)
		end = &(*end)->next;
	*end = first;
}

void
partition_free_all(Partition **list)
{
	while (*list != NULL)
		partition_remove(list, *list);
}

/* Kafka's keys and values end where their length says; ours end with NUL too. */
static bool
message_read(Message *message, const Effect *effect)
{
	const rd_kafka_message_t *kafka = message->kafka;
	const char				 *why = NULL;

	message->text = malloc(kafka->key_len + kafka->len + 2);
	if (message->text == NULL)
		return false;
	if (kafka->key_len > 0)
		memcpy(message->text, kafka->key, kafka->key_len);
	message->text[kafka->key_len] = '\0';
	if (kafka->len > 0)
		memcpy(message->text + kafka->key_len + 1, kafka->payload, kafka->len);
	message->text[kafka->key_len + 1 + kafka->len] = '\0';
	message->event.topic = message->partition->topic;
	message->event.key = message->text;
	message->event.payload = message->text + kafka->key_len + 1;
	if (cloudevent_read(kafka, &message->event.head, &why) && effect->defect != NULL)
		why = effect->defect(&message->event);
	if (why != NULL)
	{
		snprintf(message->why, sizeof(message->why), "%s", why);
		message->state = MESSAGE_DEAD;
		message->attempts = 1;
	}
	return true;
}

static void
message_free(Message *message)
{
	rd_kafka_message_destroy(message->kafka);
	free(message->text);
	free(message);
}

static void
partition_remove(Partition **list, Partition *partition)
{
	while (*list != partition)
		list = &(*list)->next;
	*list = partition->next;
	partition_free(partition);
}

static void
partition_free(Partition *partition)
{
	Message *next;

	for (Message *message = partition->head; message != NULL; message = next)
	{
		next = message->next;
		message_free(message);
	}
	free(partition->topic);
	free(partition);
}
