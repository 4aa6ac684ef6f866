/* SPDX-License-Identifier: PostgreSQL */
/* One producer for all groups; a letter under way is a Sent, linked so that a close finds it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "deadletter.h"
#include "log.h"

#define NUMBER_BYTES 24
#define ERROR_BYTES 256

typedef struct Sent
{
	struct Sent	 *next;
	struct Sent **link;
	void (*done)(void *arg, bool ok);
	void *arg;
} Sent;

struct DeadLetters
{
	Kafka		*kafka;
	KafkaClient *producer;
	Sent		*sent;
};

static rd_kafka_headers_t *letter_headers(const DeadLetter *letter);
static void				   letter_polled(void *arg);
static void letter_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg);
static void header_number(rd_kafka_headers_t *headers, const char *name, int64_t value);
static void sent_free(Sent *sent);

DeadLetters *
deadletter_open(Kafka *kafka)
{
	DeadLetters *letters = calloc(1, sizeof(DeadLetters));

	if (letters == NULL)
		return NULL;
	letters->kafka = kafka;
	letters->producer = kafka_producer(kafka, letter_delivered, letter_polled, letters);
	if (letters->producer != NULL)
		return letters;
	free(letters);
	return NULL;
}

void
deadletter_close(DeadLetters *letters)
{
	if (letters == NULL)
		return;
	kafka_client_close(letters->producer);
	while (letters->sent != NULL)
		sent_free(letters->sent);
	free(letters);
}

bool
deadletter_send(DeadLetters *letters, const DeadLetter *letter, void (*done)(void *arg, bool ok),
				void *arg)
{
	const rd_kafka_message_t *message = letter->message;
	rd_kafka_headers_t		 *headers = letter_headers(letter);
	Sent					 *sent = calloc(1, sizeof(Sent));
	char					  topic[TOPIC_NAME_BYTES];
	rd_kafka_resp_err_t		  err;

	if (headers == NULL || sent == NULL)
	{
		if (headers != NULL)
			rd_kafka_headers_destroy(headers);
		free(sent);
		return false;
	}
	snprintf(topic, sizeof(topic), "%s%s", rd_kafka_topic_name(message->rkt), TOPIC_DLQ_SUFFIX);
	err = rd_kafka_producev(kafka_handle(letters->producer), RD_KAFKA_V_TOPIC(topic),
							RD_KAFKA_V_KEY(message->key, message->key_len),
							RD_KAFKA_V_VALUE(message->payload, message->len),
							RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							RD_KAFKA_V_OPAQUE(sent), RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		log_event(LOG_WARN_LEVEL, "dead_letter_failed", NULL, "{s:s, s:s}", "topic", topic, "why",
				  rd_kafka_err2str(err));
		rd_kafka_headers_destroy(headers);
		free(sent);
		return false;
	}
	sent->done = done;
	sent->arg = arg;
	sent->next = letters->sent;
	sent->link = &letters->sent;
	if (sent->next != NULL)
		sent->next->link = &sent->next;
	letters->sent = sent;
	return true;
}

static rd_kafka_headers_t *
letter_headers(const DeadLetter *letter)
{
	rd_kafka_headers_t *own = NULL;
	rd_kafka_headers_t *headers;

	rd_kafka_message_headers(letter->message, &own);
	headers = own == NULL ? rd_kafka_headers_new(6) : rd_kafka_headers_copy(own);
	if (headers == NULL)
		return NULL;
	rd_kafka_header_add(headers, DLQ_GROUP, -1, letter->group, -1);
	rd_kafka_header_add(headers, DLQ_REASON, -1, letter->reason, -1);
	header_number(headers, DLQ_ATTEMPTS, letter->attempts);
	rd_kafka_header_add(headers, DLQ_TOPIC, -1, rd_kafka_topic_name(letter->message->rkt), -1);
	header_number(headers, DLQ_PARTITION, letter->message->partition);
	header_number(headers, DLQ_OFFSET, letter->message->offset);
	return headers;
}

static void
letter_polled(void *arg)
{
	DeadLetters *letters = arg;
	char		 errstr[ERROR_BYTES];

	kafka_poll(letters->producer);
	if (letters->sent == NULL && kafka_fatal(letters->producer, errstr, sizeof(errstr)))
	{
		/* Only a new client can follow; until there is one the broken one refuses letters. */
		KafkaClient *fresh =
			kafka_producer(letters->kafka, letter_delivered, letter_polled, letters);

		if (fresh != NULL)
		{
			kafka_client_close(letters->producer);
			letters->producer = fresh;
		}
	}
}

static void
letter_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
	Sent *sent = message->_private;
	bool  ok = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;

	(void) rk;
	(void) arg;
	if (!ok)
		log_event(LOG_WARN_LEVEL, "dead_letter_failed", NULL, "{s:s, s:s}", "topic",
				  rd_kafka_topic_name(message->rkt), "why", rd_kafka_err2str(message->err));
	sent->done(sent->arg, ok);
	sent_free(sent);
}

static void
header_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
	char text[NUMBER_BYTES];

	snprintf(text, sizeof(text), "%" PRId64, value);
	rd_kafka_header_add(headers, name, -1, text, -1);
}

static void
sent_free(Sent *sent)
{
	*sent->link = sent->next;
	if (sent->next != NULL)
		sent->next->link = sent->link;
	free(sent);
}
