/* SPDX-License-Identifier: PostgreSQL */
/*
 * Kafka inside the libevent loop: where the brokers are, the topics, and clients whose librdkafka
 * queue wakes the loop through an eventfd. kafka.brokers = embedded starts librdkafka's mock
 * cluster in this process, on a real TCP port that other programs may use; it forgets everything at
 * exit. librdkafka's own threads never call back: every callback, log lines too, runs in the loop,
 * inside kafka_poll(), kafka_take() or a close.
 */
#ifndef CONCERTD_KAFKA_H
#define CONCERTD_KAFKA_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

#define TOPIC_RESERVATION "concert.reservation"
#define TOPIC_PAYMENT "concert.payment"
#define TOPIC_POINT "concert.point"
#define TOPIC_NOTIFICATION "concert.notification"
#define TOPIC_RETRY_SUFFIX ".retry"
#define TOPIC_DLQ_SUFFIX ".dlq"
#define TOPICS 12			 /* the four, each with its retry and its dead-letter topic */
#define TOPIC_NAME_BYTES 250 /* Kafka allows 249 characters */

#define KAFKA_LEAVE_TIMEOUT_MS 5000 /* for all consumers together to leave their groups */

typedef struct Kafka	   Kafka;
typedef struct KafkaClient KafkaClient;

/* Something may be waiting in the client's queue; called now and then when nothing is, too. */
typedef void (*KafkaWake)(void *arg);
typedef void (*KafkaDelivered)(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg);
typedef void (*KafkaRebalance)(rd_kafka_t *rk, rd_kafka_resp_err_t err,
							   rd_kafka_topic_partition_list_t *partitions, void *arg);

/*
 * Starts the mock cluster, or asks the brokers for the topics until all exist. NULL: the cause is
 * logged.
 */
Kafka *kafka_open(struct event_base *base);
void   kafka_close(Kafka *kafka);

bool kafka_embedded(const Kafka *kafka);

/* i counts from 0 to TOPICS - 1. */
void kafka_topic_name(int i, char ret_name[TOPIC_NAME_BYTES]);

/* All topics exist: true from then on. */
bool kafka_ready(const Kafka *kafka);

/*
 * A producer that keeps order: idempotent, acks=all, no message ever times out, and the first one
 * that the broker refuses for good ends the producer (delivery error, then kafka_fatal()), so that
 * nothing behind it overtakes it. wake calls kafka_poll(); deliveries arrive inside it.
 */
KafkaClient *kafka_ordered_producer(Kafka *kafka, KafkaDelivered delivered, KafkaWake wake,
									void *arg);

/*
 * A producer whose messages stand alone: one that fails or is older than kafka.timeout_ms is
 * reported and forgotten.
 */
KafkaClient *kafka_producer(Kafka *kafka, KafkaDelivered delivered, KafkaWake wake, void *arg);

/*
 * A member of a group; offsets are what rd_kafka_offset_store() was told, committed in the
 * background.
 */
KafkaClient *kafka_consumer(Kafka *kafka, const char *group, KafkaRebalance rebalance,
							KafkaWake wake, void *arg);

/*
 * A producer forgets what is not acknowledged. Never inside a callback of its own; messages taken
 * from it are gone.
 */
void kafka_client_close(KafkaClient *client);

/*
 * Consumers leave their groups, all at once; their rebalance callbacks run. They are still to be
 * closed.
 */
void kafka_consumers_leave(KafkaClient *const *clients, int count);

rd_kafka_t *kafka_handle(const KafkaClient *client);
void		kafka_poll(KafkaClient *client);

/* The next message of a consumer; NULL: none now. The caller destroys it. */
rd_kafka_message_t *kafka_take(KafkaClient *client);

/* true once a producer is beyond repair. */
bool kafka_fatal(const KafkaClient *client, char *ret_errstr, size_t size);

#endif
