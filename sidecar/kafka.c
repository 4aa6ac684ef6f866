/* SPDX-License-Identifier: PostgreSQL */
/*
 * Client set-up and the topics. Settings of the three kinds of client are const tables. With a real
 * broker missing topics are made through the Admin API and asked for again until all are there; a
 * broker that lets us make none is taken to have them made by its operator.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "clock.h"
#include "embedded.h"
#include "http.h"
#include "kafka.h"
#include "log.h"
#include "options.h"

#define KAFKA_ERROR_BYTES 512
#define KAFKA_WAKE_MAX_MS 200 /* a client's queue is looked at this often even if nothing woke it */
#define KAFKA_TOPICS_RETRY_MS 1000
#define KAFKA_TOPICS_TIMEOUT_MS 5000
#define KAFKA_LEAVE_STEP_MS 20
#define KAFKA_EMBEDDED "embedded"

#define TOPIC_KINDS 3
#define TOPIC_BASES (TOPICS / TOPIC_KINDS)

typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

struct Kafka
{
	struct event_base *base;
	char			  *bootstrap;
	Embedded		  *embedded; /* NULL: real brokers */
	KafkaClient		  *admin;	 /* while topics are being made */
	rd_kafka_queue_t  *admin_results;
	struct event	  *admin_retry;
	bool			   ready;
	char			   topics_error[KAFKA_ERROR_BYTES];
};

struct KafkaClient
{
	rd_kafka_t		 *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_queue_t *leaving; /* a consumer's last rebalance */
	struct event	 *wake_event;
	int				  wake_fd;
	KafkaDelivered	  delivered;
	KafkaRebalance	  rebalance;
	KafkaWake		  wake;
	void			 *arg;
};

static const char *const topic_bases[TOPIC_BASES] = {TOPIC_RESERVATION, TOPIC_PAYMENT, TOPIC_POINT,
													 TOPIC_NOTIFICATION};
static const char *const topic_kinds[TOPIC_KINDS] = {"", TOPIC_RETRY_SUFFIX, TOPIC_DLQ_SUFFIX};

static const Setting common_settings[] = {{"client.id", "concertd"},
										  {"log.queue", "true"},
										  {"log.connection.close", "false"},
										  {"socket.keepalive.enable", "true"},
										  {"reconnect.backoff.max.ms", "2000"},
										  {"topic.metadata.refresh.interval.ms", "30000"},
										  {NULL, NULL}};

/* A time-out of a message is not covered by the gapless guarantee, hence none. */
static const Setting ordered_producer_settings[] = {{"enable.idempotence", "true"},
													{"enable.gapless.guarantee", "true"},
													{"acks", "all"},
													{"message.timeout.ms", "0"},
													{"linger.ms", "1"},
													{"partitioner", "murmur2_random"},
													{"allow.auto.create.topics", "false"},
													{NULL, NULL}};

static const Setting producer_settings[] = {{"enable.idempotence", "true"},
											{"acks", "all"},
											{"linger.ms", "1"},
											{"partitioner", "murmur2_random"},
											{"allow.auto.create.topics", "false"},
											{NULL, NULL}};

/*
 * Whoever gets a partition next reads again what still waits in the queue, so it is bounded; not too
 * tightly, because librdkafka fetches nothing for a second once the bound is reached.
 */
static const Setting consumer_settings[] = {{"enable.auto.commit", "true"},
											{"auto.commit.interval.ms", "1000"},
											{"enable.auto.offset.store", "false"},
											{"auto.offset.reset", "earliest"},
											{"partition.assignment.strategy", "cooperative-sticky"},
											{"session.timeout.ms", "10000"},
											{"heartbeat.interval.ms", "1000"},
											{"max.poll.interval.ms", "60000"},
											{"queued.max.messages.kbytes", "16384"},
											{"fetch.error.backoff.ms", "100"},
											{NULL, NULL}};

/* The mock cluster answers an empty fetch only when its time is up. */
static const Setting embedded_consumer_settings[] = {{"fetch.wait.max.ms", "20"}, {NULL, NULL}};

static bool				topics_start(Kafka *kafka);
static void				topics_ask(evutil_socket_t fd, short what, void *arg);
static void				topics_woken(void *arg);
static bool				topics_answered(Kafka *kafka, const rd_kafka_event_t *event);
static bool				topic_usable(const rd_kafka_topic_result_t *result);
static void				topics_done(Kafka *kafka);
static bool				topics_check(void *arg, char *detail, size_t size);
static KafkaClient	   *client_open(Kafka *kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf);
static bool				client_connect_queue(KafkaClient *client, struct event_base *base,
											 rd_kafka_type_t type);
static int				consumer_leave(KafkaClient *client);
static rd_kafka_conf_t *conf_new(const Kafka *kafka);
static void				conf_table(rd_kafka_conf_t *conf, const Setting *settings);
static void				conf_set(rd_kafka_conf_t *conf, const char *name, const char *value);
static void				client_woken(evutil_socket_t fd, short what, void *arg);
static void				on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg);
static void				on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
									 rd_kafka_topic_partition_list_t *partitions, void *arg);
static void				on_error(rd_kafka_t *rk, int err, const char *reason, void *arg);
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);

Kafka *
kafka_open(struct event_base *base)
{
	Kafka	   *kafka = calloc(1, sizeof(Kafka));
	const char *brokers = options_current()->kafka_brokers;

	if (kafka == NULL)
		return NULL;
	kafka->base = base;
	snprintf(kafka->topics_error, sizeof(kafka->topics_error), "the brokers have not answered yet");
	if (strcmp(brokers, KAFKA_EMBEDDED) == 0)
	{
		kafka->embedded = embedded_open();
		kafka->ready = kafka->embedded != NULL;
		if (kafka->ready)
			kafka->bootstrap = strdup(embedded_bootstrap(kafka->embedded));
	}
	else
		kafka->bootstrap = strdup(brokers);
	if (kafka->bootstrap == NULL || (!kafka->ready && !topics_start(kafka)))
	{
		kafka_close(kafka);
		return NULL;
	}
	http_ready_check("kafka", topics_check, kafka);
	return kafka;
}

void
kafka_close(Kafka *kafka)
{
	if (kafka == NULL)
		return;
	topics_done(kafka);
	embedded_close(kafka->embedded);
	free(kafka->bootstrap);
	free(kafka);
}

bool
kafka_embedded(const Kafka *kafka)
{
	return kafka->embedded != NULL;
}

bool
kafka_ready(const Kafka *kafka)
{
	return kafka->ready;
}

void
kafka_topic_name(int i, char ret_name[TOPIC_NAME_BYTES])
{
	snprintf(ret_name, TOPIC_NAME_BYTES, "%s%s", topic_bases[i / TOPIC_KINDS],
			 topic_kinds[i % TOPIC_KINDS]);
}

KafkaClient *
kafka_ordered_producer(Kafka *kafka, KafkaDelivered delivered, KafkaWake wake, void *arg)
{
	rd_kafka_conf_t *conf = conf_new(kafka);
	KafkaClient		*client;

	conf_table(conf, ordered_producer_settings);
	client = client_open(kafka, RD_KAFKA_PRODUCER, conf);
	if (client != NULL)
	{
		client->delivered = delivered;
		client->wake = wake;
		client->arg = arg;
	}
	return client;
}

KafkaClient *
kafka_producer(Kafka *kafka, KafkaDelivered delivered, KafkaWake wake, void *arg)
{
	rd_kafka_conf_t *conf = conf_new(kafka);
	KafkaClient		*client;
	char			 timeout_ms[16];

	conf_table(conf, producer_settings);
	snprintf(timeout_ms, sizeof(timeout_ms), "%d", options_current()->kafka_timeout_ms);
	conf_set(conf, "message.timeout.ms", timeout_ms);
	client = client_open(kafka, RD_KAFKA_PRODUCER, conf);
	if (client != NULL)
	{
		client->delivered = delivered;
		client->wake = wake;
		client->arg = arg;
	}
	return client;
}

KafkaClient *
kafka_consumer(Kafka *kafka, const char *group, KafkaRebalance rebalance, KafkaWake wake, void *arg)
{
	rd_kafka_conf_t *conf = conf_new(kafka);
	KafkaClient		*client;

	conf_table(conf, consumer_settings);
	if (kafka_embedded(kafka))
		conf_table(conf, embedded_consumer_settings);
	conf_set(conf, "group.id", group);
	client = client_open(kafka, RD_KAFKA_CONSUMER, conf);
	if (client != NULL)
	{
		client->rebalance = rebalance;
		client->wake = wake;
		client->arg = arg;
	}
	return client;
}

void
kafka_client_close(KafkaClient *client)
{
	if (client == NULL)
		return;
	if (client->wake_event != NULL)
		event_free(client->wake_event);
	if (client->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(client->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(client->queue);
	}
	if (client->leaving != NULL)
		rd_kafka_queue_destroy(client->leaving);
	rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	if (client->wake_fd >= 0)
		close(client->wake_fd);
	free(client);
}

/*
 * Rebalances are told as they come. A message that was fetched before the group is left may still be on its way;
 * it is nobody's any more, and whoever gets its partition reads it.
 */
static void
leaving_serve(rd_kafka_queue_t *leaving)
{
	rd_kafka_message_t *message = rd_kafka_consume_queue(leaving, KAFKA_LEAVE_STEP_MS);

	if (message != NULL)
		rd_kafka_message_destroy(message);
}

void
kafka_consumers_leave(KafkaClient *const *clients, int count)
{
	int open = 0;

	for (int i = 0; i < count; i++)
		open += consumer_leave(clients[i]);
	for (int waited_ms = 0; open > 0 && waited_ms < KAFKA_LEAVE_TIMEOUT_MS;
		 waited_ms += KAFKA_LEAVE_STEP_MS)
	{
		open = 0;
		for (int i = 0; i < count; i++)
		{
			if (clients[i]->leaving == NULL || rd_kafka_consumer_closed(clients[i]->rk))
				continue;
			leaving_serve(clients[i]->leaving);
			open++;
		}
	}
}

rd_kafka_t *
kafka_handle(const KafkaClient *client)
{
	return client->rk;
}

void
kafka_poll(KafkaClient *client)
{
	rd_kafka_poll(client->rk, 0);
}

rd_kafka_message_t *
kafka_take(KafkaClient *client)
{
	rd_kafka_message_t *message = rd_kafka_consumer_poll(client->rk, 0);

	/* Errors of a consumer are about its connections and its group, and it heals them by itself. */
	while (message != NULL && message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		log_event(LOG_WARN_LEVEL, "kafka_consumer", NULL, "{s:s, s:s}", "client",
				  rd_kafka_name(client->rk), "why", rd_kafka_message_errstr(message));
		rd_kafka_message_destroy(message);
		message = rd_kafka_consumer_poll(client->rk, 0);
	}
	return message;
}

bool
kafka_fatal(const KafkaClient *client, char *ret_errstr, size_t size)
{
	return rd_kafka_fatal_error(client->rk, ret_errstr, size) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
topics_start(Kafka *kafka)
{
	static const uint64_t one = 1;

	kafka->admin = client_open(kafka, RD_KAFKA_PRODUCER, conf_new(kafka));
	if (kafka->admin == NULL)
		return false;
	kafka->admin->wake = topics_woken;
	kafka->admin->arg = kafka;
	kafka->admin_results = rd_kafka_queue_new(kafka->admin->rk);
	rd_kafka_queue_io_event_enable(kafka->admin_results, kafka->admin->wake_fd, &one, sizeof(one));
	kafka->admin_retry = evtimer_new(kafka->base, topics_ask, kafka);
	if (kafka->admin_retry == NULL)
		return false;
	topics_ask(-1, EV_TIMEOUT, kafka);
	return true;
}

static void
topics_ask(evutil_socket_t fd, short what, void *arg)
{
	Kafka					*kafka = arg;
	const Options			*options = options_current();
	rd_kafka_NewTopic_t		*topics[TOPICS];
	rd_kafka_AdminOptions_t *admin_options;
	char					 errstr[KAFKA_ERROR_BYTES];

	(void) fd;
	(void) what;
	admin_options = rd_kafka_AdminOptions_new(kafka->admin->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_AdminOptions_set_request_timeout(admin_options, KAFKA_TOPICS_TIMEOUT_MS, errstr,
											  sizeof(errstr));
	rd_kafka_AdminOptions_set_operation_timeout(admin_options, KAFKA_TOPICS_TIMEOUT_MS, errstr,
												sizeof(errstr));
	for (int i = 0; i < TOPICS; i++)
	{
		char name[TOPIC_NAME_BYTES];

		kafka_topic_name(i, name);
		topics[i] =
			rd_kafka_NewTopic_new(name, options->kafka_partitions,
								  options->kafka_replication_factor, errstr, sizeof(errstr));
	}
	rd_kafka_CreateTopics(kafka->admin->rk, topics, TOPICS, admin_options, kafka->admin_results);
	rd_kafka_NewTopic_destroy_array(topics, TOPICS);
	rd_kafka_AdminOptions_destroy(admin_options);
}

static void
topics_woken(void *arg)
{
	Kafka			 *kafka = arg;
	rd_kafka_event_t *event;
	bool			  done = false;

	kafka_poll(kafka->admin);
	while (!done && (event = rd_kafka_queue_poll(kafka->admin_results, 0)) != NULL)
	{
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
		{
			done = topics_answered(kafka, event);
			if (!done)
				clock_wait(kafka->admin_retry, KAFKA_TOPICS_RETRY_MS / 1000.0);
		}
		rd_kafka_event_destroy(event);
	}
	if (done)
	{
		kafka->ready = true;
		log_event(LOG_INFO_LEVEL, "kafka_topics_ready", NULL, "{s:s}", "bootstrap",
				  kafka->bootstrap);
		topics_done(kafka);
	}
}

static bool
topics_answered(Kafka *kafka, const rd_kafka_event_t *event)
{
	const rd_kafka_topic_result_t **results;
	size_t							count;
	bool							usable = true;

	if (rd_kafka_event_error((rd_kafka_event_t *) event) != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		snprintf(kafka->topics_error, sizeof(kafka->topics_error), "%s",
				 rd_kafka_event_error_string((rd_kafka_event_t *) event));
		log_event(LOG_WARN_LEVEL, "kafka_topics", NULL, "{s:s}", "why", kafka->topics_error);
		return false;
	}
	results = rd_kafka_CreateTopics_result_topics(
		rd_kafka_event_CreateTopics_result((rd_kafka_event_t *) event), &count);
	for (size_t i = 0; i < count; i++)
	{
		if (topic_usable(results[i]))
			continue;
		usable = false;
		snprintf(kafka->topics_error, sizeof(kafka->topics_error), "%s: %s",
				 rd_kafka_topic_result_name(results[i]),
				 rd_kafka_topic_result_error_string(results[i]));
		log_event(LOG_ERROR_LEVEL, "kafka_topic_failed", NULL, "{s:s}", "why", kafka->topics_error);
	}
	return usable;
}

static bool
topic_usable(const rd_kafka_topic_result_t *result)
{
	switch (rd_kafka_topic_result_error(result))
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
		case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
			return true;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			log_event(LOG_WARN_LEVEL, "kafka_topic_not_ours", NULL, "{s:s}", "topic",
					  rd_kafka_topic_result_name(result));
			return true;
		default:
			return false;
	}
}

static void
topics_done(Kafka *kafka)
{
	if (kafka->admin_retry != NULL)
		event_free(kafka->admin_retry);
	kafka->admin_retry = NULL;
	if (kafka->admin_results != NULL)
		rd_kafka_queue_destroy(kafka->admin_results);
	kafka->admin_results = NULL;
	kafka_client_close(kafka->admin);
	kafka->admin = NULL;
}

static bool
topics_check(void *arg, char *detail, size_t size)
{
	const Kafka *kafka = arg;

	if (kafka->ready)
		return true;
	snprintf(detail, size, "%s", kafka->topics_error);
	return false;
}

static KafkaClient *
client_open(Kafka *kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	KafkaClient *client = calloc(1, sizeof(KafkaClient));
	char		 errstr[KAFKA_ERROR_BYTES] = "out of memory";

	if (client == NULL)
		goto failed;
	client->wake_fd = -1;
	rd_kafka_conf_set_opaque(conf, client);
	if (type == RD_KAFKA_CONSUMER)
		rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	else
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
	client->rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));
	if (client->rk == NULL)
		goto failed;
	if (client_connect_queue(client, kafka->base, type))
		return client;
	kafka_client_close(client);
	return NULL;

failed:
	rd_kafka_conf_destroy(conf);
	log_event(LOG_ERROR_LEVEL, "kafka_client_failed", NULL, "{s:s}", "why", errstr);
	free(client);
	return NULL;
}

/* A consumer has one queue for all: messages, rebalances, errors and log lines. */
static bool
client_connect_queue(KafkaClient *client, struct event_base *base, rd_kafka_type_t type)
{
	static const struct timeval wake_max = {0, KAFKA_WAKE_MAX_MS * 1000};
	static const uint64_t		one = 1;

	if (type == RD_KAFKA_CONSUMER)
	{
		rd_kafka_poll_set_consumer(client->rk);
		client->queue = rd_kafka_queue_get_consumer(client->rk);
	}
	else
		client->queue = rd_kafka_queue_get_main(client->rk);
	rd_kafka_set_log_queue(client->rk, NULL);
	/*
	 * Readable from the start: the queue wakes only when it stops being empty, and it may not be.
	 */
	client->wake_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	if (client->wake_fd < 0)
		return false;
	rd_kafka_queue_io_event_enable(client->queue, client->wake_fd, &one, sizeof(one));
	client->wake_event =
		event_new(base, client->wake_fd, EV_READ | EV_PERSIST, client_woken, client);
	return client->wake_event != NULL && event_add(client->wake_event, &wake_max) == 0;
}

static int
consumer_leave(KafkaClient *client)
{
	rd_kafka_error_t *error;

	client->leaving = rd_kafka_queue_new(client->rk);
	error = rd_kafka_consumer_close_queue(client->rk, client->leaving);
	if (error == NULL)
		return 1;
	log_event(LOG_WARN_LEVEL, "kafka_leave", NULL, "{s:s}", "why", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return 0;
}

static rd_kafka_conf_t *
conf_new(const Kafka *kafka)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	conf_table(conf, common_settings);
	conf_set(conf, "bootstrap.servers", kafka->bootstrap);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	return conf;
}

static void
conf_table(rd_kafka_conf_t *conf, const Setting *settings)
{
	for (const Setting *setting = settings; setting->name != NULL; setting++)
		conf_set(conf, setting->name, setting->value);
}

static void
conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char errstr[KAFKA_ERROR_BYTES];

	if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
		log_event(LOG_ERROR_LEVEL, "kafka_setting", NULL, "{s:s, s:s}", "name", name, "why",
				  errstr);
}

static void
client_woken(evutil_socket_t fd, short what, void *arg)
{
	KafkaClient *client = arg;
	uint64_t	 count;

	if ((what & EV_READ) != 0 && read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_event(LOG_WARN_LEVEL, "kafka_wake", NULL, "{s:s}", "why", strerror(errno));
	if (client->wake != NULL)
		client->wake(client->arg);
}

static void
on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
	KafkaClient *client = arg;

	if (client->delivered != NULL)
		client->delivered(rk, message, client->arg);
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
			 void *arg)
{
	KafkaClient *client = arg;

	client->rebalance(rk, err, partitions, client->arg);
}

/* Connection troubles heal by themselves; of a producer that is beyond repair its owner tells. */
static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *arg)
{
	(void) arg;
	log_event(err == RD_KAFKA_RESP_ERR__FATAL ? LOG_DEBUG_LEVEL : LOG_WARN_LEVEL, "kafka_error",
			  NULL, "{s:s, s:s, s:s}", "client", rd_kafka_name(rk), "code", rd_kafka_err2name(err),
			  "why", reason);
}

/*
 * Warnings that are none here: the gapless guarantee is experimental (our tests are for that), an
 * offset was not committed (its message is only repeated), a producer ended (its owner tells).
 */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	static const char *const harmless[] = {"CONFWARN", "COMMITFAIL", "FATAL"};
	bool					 serious = level <= LOG_WARNING;

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		serious = serious && strcmp(facility, harmless[i]) != 0;
	log_event(serious ? LOG_WARN_LEVEL : LOG_DEBUG_LEVEL, "kafka_log", NULL, "{s:s, s:s, s:s}",
			  "client", rd_kafka_name(rk), "facility", facility, "text", text);
}
