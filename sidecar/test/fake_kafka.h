/* SPDX-License-Identifier: PostgreSQL */
/*
 * For tests: a broker whose answers can be scripted. It is librdkafka's mock cluster, with one
 * topic of one partition beside its dead-letter topic; concertd's Kafka is opened against it as
 * against a real broker.
 */
#ifndef CONCERT_TEST_FAKE_KAFKA_H
#define CONCERT_TEST_FAKE_KAFKA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kafka.h"
#include "options.h"

#include <librdkafka/rdkafka_mock.h> /* wants rdkafka.h before it */

#define FAKE_TOPIC "concert.point"
#define FAKE_PRODUCE_REQUEST 0

typedef struct FakeKafka
{
	rd_kafka_t				*handle;
	rd_kafka_mock_cluster_t *cluster;
	Kafka					*kafka;
} FakeKafka;

static inline bool
fake_kafka_open(FakeKafka *fake, struct event_base *base)
{
	char			 path[] = "/tmp/concertd-test.XXXXXX";
	char			 errstr[OPTIONS_ERROR_BYTES];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int				 fd = mkstemp(path);
	bool			 loaded;

	rd_kafka_conf_set_log_cb(conf, NULL);
	fake->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	fake->cluster = rd_kafka_mock_cluster_new(fake->handle, 1);
	rd_kafka_mock_topic_create(fake->cluster, FAKE_TOPIC, 1, 1);
	rd_kafka_mock_topic_create(fake->cluster, FAKE_TOPIC TOPIC_DLQ_SUFFIX, 1, 1);
	dprintf(
		fd,
		"[kafka]\nbrokers = %s\ntimeout_ms = 5000\n[consumer]\nretry_min_ms = 100\nretry_max_ms = 1500\n",
		rd_kafka_mock_cluster_bootstraps(fake->cluster));
	close(fd);
	loaded = options_load(path, errstr, sizeof(errstr));
	unlink(path);
	fake->kafka = loaded ? kafka_open(base) : NULL;
	return fake->kafka != NULL;
}

static inline void
fake_kafka_close(FakeKafka *fake)
{
	kafka_close(fake->kafka);
	rd_kafka_mock_cluster_destroy(fake->cluster);
	rd_kafka_destroy(fake->handle);
}

static inline rd_kafka_resp_err_t
fake_kafka_send(KafkaClient *producer, const char *key, const char *value,
				rd_kafka_headers_t *headers, void *opaque)
{
	rd_kafka_resp_err_t err = rd_kafka_producev(
		kafka_handle(producer), RD_KAFKA_V_TOPIC(FAKE_TOPIC), RD_KAFKA_V_KEY(key, strlen(key)),
		RD_KAFKA_V_VALUE((void *) value, strlen(value)), RD_KAFKA_V_HEADERS(headers),
		RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return err;
}

/* Reads one topic from its first message on, as a member of no group. */
static inline void
fake_kafka_assign(KafkaClient *consumer, const char *topic)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(all, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(kafka_handle(consumer), all);
	rd_kafka_topic_partition_list_destroy(all);
}

#endif
