/* SPDX-License-Identifier: PostgreSQL */
/*
 * The demo's auditor. Shares no code with concertd. While the sale runs it consumes every topic
 * from the first offset, because the embedded broker forgets, and counts in the database once a
 * second for the status file. SIGUSR1 says that the sale is over: it then waits, a bounded time,
 * until every event has reached Kafka and every consumer and every payment is settled, and writes all its counts. Exit status
 * 1: it could not see something through; the counts themselves are for its caller to judge.
 */
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit.h"

#define TOPICS_TIMEOUT_MS 60000
#define METADATA_TIMEOUT_MS 2000
#define POLL_MS 200
#define STATUS_MS 1000
#define STATUS_MS_MAX 5000
#define GLANCE_PART 20 /* a look at the database takes at most this part of the time */
#define SETTLE_MS 500  /* between two exact looks while settling */
#define SETTLE_SECONDS_DEFAULT 60
#define DELIVERY_BYTES_MAX 2048

static const char *const topics[] = {"concert.reservation", "concert.payment", "concert.point",
									 "concert.notification"};

#define TOPICS_TOTAL (sizeof(topics) / sizeof(topics[0]))

typedef struct Auditor
{
	const char *conninfo;
	const char *brokers;
	const char *status_path;
	long		settle_seconds;
	Audit	   *audit;
	rd_kafka_t *consumer;
	char	   *rows; /* deliveries not handed to the audit yet */
	size_t		rows_bytes;
	size_t		rows_room;
} Auditor;

static volatile sig_atomic_t sale_over;
static volatile sig_atomic_t stopped;

static void
on_signal(int number)
{
	if (number == SIGUSR1)
		sale_over = 1;
	else
		stopped = 1;
}

static long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool
open_consumer(Auditor *auditor)
{
	const char *const settings[][2] = {
		{"bootstrap.servers", auditor->brokers},
		{"group.id", "concert-demo-auditor"},
		{"enable.auto.commit", "false"},
		{"enable.auto.offset.store", "false"},
		{"auto.offset.reset", "error"},
		{"fetch.wait.max.ms", "100"},
		{"log_level", "3"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char			 error[512];

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof(error)) !=
			RD_KAFKA_CONF_OK)
		{
			fprintf(stderr, "auditor: %s\n", error);
			rd_kafka_conf_destroy(conf);
			return false;
		}
	auditor->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (auditor->consumer == NULL)
	{
		fprintf(stderr, "auditor: %s\n", error);
		rd_kafka_conf_destroy(conf);
		return false;
	}
	rd_kafka_poll_set_consumer(auditor->consumer);
	return true;
}

/* How many partitions the topic has; 0: not there yet. */
static int
count_partitions(Auditor *auditor, const char *topic)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_topic_t			   *handle = rd_kafka_topic_new(auditor->consumer, topic, NULL);
	int								partitions = 0;

	if (rd_kafka_metadata(auditor->consumer, 0, handle, &metadata, METADATA_TIMEOUT_MS) ==
		RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			partitions = metadata->topics[0].partition_cnt;
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_topic_destroy(handle);
	return partitions;
}

/* All partitions of all topics, from their first message. */
static bool
assign_topics(Auditor *auditor)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
	long							 deadline = now_ms() + TOPICS_TIMEOUT_MS;
	bool							 good = true;

	for (size_t i = 0; i < TOPICS_TOTAL && good; i++)
	{
		int partitions = 0;

		while ((partitions = count_partitions(auditor, topics[i])) == 0 && now_ms() < deadline &&
			   !stopped)
			rd_kafka_poll(auditor->consumer, POLL_MS);
		good = partitions > 0;
		if (!good)
			fprintf(stderr, "auditor: topic %s is not there\n", topics[i]);
		for (int p = 0; p < partitions; p++)
			rd_kafka_topic_partition_list_add(list, topics[i], p)->offset =
				RD_KAFKA_OFFSET_BEGINNING;
	}
	if (good && rd_kafka_assign(auditor->consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		fprintf(stderr, "auditor: could not assign the topics' partitions\n");
		good = false;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return good;
}

/* Writes a COPY field; what is not printable ASCII becomes '?', which then matches no event. */
static size_t
put_field(char *out, const void *bytes, size_t length, char end)
{
	const unsigned char *in = bytes;
	size_t				 n = 0;

	for (size_t i = 0; i < length && n < DELIVERY_BYTES_MAX / 8; i++)
		out[n++] = in[i] > ' ' && in[i] < 0x7f && in[i] != '\\' ? (char) in[i] : '?';
	out[n++] = end;
	return n;
}

static size_t
put_header(char *out, const rd_kafka_headers_t *headers, const char *name, char end)
{
	const void *value = "";
	size_t		length = 0;

	if (headers != NULL)
		rd_kafka_header_get_last(headers, name, &value, &length);
	return put_field(out, value, length, end);
}

static void
keep_delivery(Auditor *auditor, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers = NULL;
	const char		   *topic = rd_kafka_topic_name(message->rkt);
	char			   *out;

	if (auditor->rows_room - auditor->rows_bytes < DELIVERY_BYTES_MAX)
	{
		auditor->rows_room = auditor->rows_room * 2 + DELIVERY_BYTES_MAX;
		auditor->rows = realloc(auditor->rows, auditor->rows_room);
		if (auditor->rows == NULL)
			abort();
	}
	rd_kafka_message_headers(message, &headers);
	out = auditor->rows + auditor->rows_bytes;
	out += put_field(out, topic, strlen(topic), '\t');
	out += sprintf(out, "%d\t%lld\t", message->partition, (long long) message->offset);
	out += put_field(out, message->key, message->key_len, '\t');
	out += put_header(out, headers, "ce_id", '\t');
	out += put_header(out, headers, "ce_type", '\n');
	auditor->rows_bytes = (size_t) (out - auditor->rows);
}

/* Takes what Kafka has, for at most that long. */
static bool
consume(Auditor *auditor, long ms)
{
	long deadline = now_ms() + ms;
	long left;
	bool good = true;

	while (good && !stopped && (left = deadline - now_ms()) > 0)
	{
		rd_kafka_message_t *message =
			rd_kafka_consumer_poll(auditor->consumer, (int) (left < POLL_MS ? left : POLL_MS));

		if (message == NULL)
			continue;
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			keep_delivery(auditor, message);
		else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
		{
			fprintf(stderr, "auditor: %s\n", rd_kafka_message_errstr(message));
			good = false;
		}
		rd_kafka_message_destroy(message);
	}
	if (good && auditor->rows_bytes > 0)
		good = audit_add_deliveries(auditor->audit, auditor->rows, auditor->rows_bytes);
	auditor->rows_bytes = 0;
	return good;
}

/* The status file is replaced whole; with finished it holds every count. */
static bool
publish(Auditor *auditor, const AuditProgress *progress, bool finished)
{
	char  path_new[4096];
	FILE *file;
	bool  good = true;

	snprintf(path_new, sizeof(path_new), "%s.new", auditor->status_path);
	file = fopen(path_new, "w");
	if (file == NULL)
	{
		perror(path_new);
		return false;
	}
	fprintf(file, "committed=%ld\nrelayed=%ld\napplied=%ld\n", progress->committed,
			progress->delivered, progress->applied);
	if (finished)
		good = audit_report(auditor->audit, file);
	fprintf(file, "finished=%d\n", finished && good ? 1 : 0);
	return fclose(file) == 0 && rename(path_new, auditor->status_path) == 0 && good;
}

/* Looks seldom enough that looking costs a small part of the time. */
static bool
watch(Auditor *auditor)
{
	AuditProgress progress = {0};
	long		  pause_ms = 0;

	while (!sale_over && !stopped)
	{
		long start_ms;

		if (!consume(auditor, pause_ms))
			return false;
		start_ms = now_ms();
		if (!audit_glance(auditor->audit, &progress) || !publish(auditor, &progress, false))
			return false;
		pause_ms = (now_ms() - start_ms) * GLANCE_PART;
		if (pause_ms < STATUS_MS)
			pause_ms = STATUS_MS;
		if (pause_ms > STATUS_MS_MAX)
			pause_ms = STATUS_MS_MAX;
	}
	return !stopped;
}

/* Until nothing is under way twice in a row, or nothing more can be hoped for. */
static bool
settle(Auditor *auditor, AuditProgress *ret_progress)
{
	long deadline = now_ms() + auditor->settle_seconds * 1000;
	long before = -1;

	while (!stopped && now_ms() < deadline)
	{
		AuditProgress *now = ret_progress;

		if (!consume(auditor, SETTLE_MS) || !audit_progress(auditor->audit, now) ||
			!publish(auditor, now, false))
			return false;
		if (now->lapsed == 0 && now->unsettled == 0 && now->delivered == now->committed &&
			now->applied == now->committed && now->committed == before)
			return true;
		before = now->committed;
	}
	if (!stopped)
		fprintf(
			stderr,
			"auditor: not everything was through after %ld s: committed %ld, in Kafka %ld, applied %ld, lapsed %ld, unsettled %ld\n",
			auditor->settle_seconds, ret_progress->committed, ret_progress->delivered,
			ret_progress->applied, ret_progress->lapsed, ret_progress->unsettled);
	return !stopped;
}

static bool
read_arguments(Auditor *auditor, int argc, char **argv)
{
	static const struct option longs[] = {{"conninfo", required_argument, NULL, 'c'},
										  {"brokers", required_argument, NULL, 'b'},
										  {"status", required_argument, NULL, 's'},
										  {"settle-seconds", required_argument, NULL, 't'},
										  {0}};
	int						   id;

	while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1)
	{
		if (id == 'c')
			auditor->conninfo = optarg;
		else if (id == 'b')
			auditor->brokers = optarg;
		else if (id == 's')
			auditor->status_path = optarg;
		else if (id != 't' || (auditor->settle_seconds = atol(optarg)) <= 0)
			return false;
	}
	return optind == argc && auditor->conninfo != NULL && auditor->brokers != NULL &&
		auditor->status_path != NULL;
}

int
main(int argc, char **argv)
{
	Auditor		  auditor = {.settle_seconds = SETTLE_SECONDS_DEFAULT};
	AuditProgress progress = {0};
	const int	  signals[] = {SIGUSR1, SIGTERM, SIGINT};
	bool		  good;

	if (!read_arguments(&auditor, argc, argv))
	{
		fprintf(
			stderr,
			"usage: %s --conninfo STRING --brokers HOST:PORT --status FILE [--settle-seconds N]\n",
			argv[0]);
		return 2;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &(struct sigaction){.sa_handler = on_signal}, NULL);
	auditor.audit = audit_open(auditor.conninfo);
	good = auditor.audit != NULL && open_consumer(&auditor) && assign_topics(&auditor) &&
		watch(&auditor) && settle(&auditor, &progress) && publish(&auditor, &progress, true);
	if (auditor.consumer != NULL)
	{
		rd_kafka_consumer_close(auditor.consumer);
		rd_kafka_destroy(auditor.consumer);
	}
	audit_close(auditor.audit);
	free(auditor.rows);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
