/* SPDX-License-Identifier: PostgreSQL */
/* The mock cluster needs a client handle of its own to live in; nobody produces with that. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embedded.h"
#include "kafka.h"
#include "log.h"
#include "options.h"

#include <librdkafka/rdkafka_mock.h> /* wants rdkafka.h before it */

#define EMBEDDED_BROKERS 1
#define EMBEDDED_ERROR_BYTES 512

struct Embedded
{
	rd_kafka_t				*handle;
	rd_kafka_mock_cluster_t *cluster;
	char					*address_file; /* written by us, removed at close */
};

static bool embedded_topics(Embedded *embedded);
static bool embedded_write_address(Embedded *embedded);

Embedded *
embedded_open(void)
{
	Embedded		*embedded = calloc(1, sizeof(Embedded));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char			 errstr[EMBEDDED_ERROR_BYTES] = "out of memory";

	rd_kafka_conf_set_log_cb(conf, NULL);
	if (embedded != NULL)
		embedded->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	if (embedded == NULL || embedded->handle == NULL)
		rd_kafka_conf_destroy(conf);
	else if ((embedded->cluster = rd_kafka_mock_cluster_new(embedded->handle, EMBEDDED_BROKERS)) ==
			 NULL)
		snprintf(errstr, sizeof(errstr), "the mock cluster could not be started");
	if (embedded == NULL || embedded->cluster == NULL)
		log_event(LOG_ERROR_LEVEL, "embedded_broker_failed", NULL, "{s:s}", "why", errstr);
	else if (embedded_topics(embedded) && embedded_write_address(embedded))
	{
		log_event(LOG_INFO_LEVEL, "embedded_broker", NULL, "{s:s}", "bootstrap",
				  embedded_bootstrap(embedded));
		return embedded;
	}
	embedded_close(embedded);
	return NULL;
}

void
embedded_close(Embedded *embedded)
{
	if (embedded == NULL)
		return;
	if (embedded->address_file != NULL)
		unlink(embedded->address_file);
	if (embedded->cluster != NULL)
		rd_kafka_mock_cluster_destroy(embedded->cluster);
	if (embedded->handle != NULL)
		rd_kafka_destroy(embedded->handle);
	free(embedded->address_file);
	free(embedded);
}

const char *
embedded_bootstrap(const Embedded *embedded)
{
	return rd_kafka_mock_cluster_bootstraps(embedded->cluster);
}

static bool
embedded_topics(Embedded *embedded)
{
	for (int i = 0; i < TOPICS; i++)
	{
		char				name[TOPIC_NAME_BYTES];
		rd_kafka_resp_err_t err;

		kafka_topic_name(i, name);
		err = rd_kafka_mock_topic_create(embedded->cluster, name,
										 options_current()->kafka_partitions, EMBEDDED_BROKERS);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			log_event(LOG_ERROR_LEVEL, "kafka_topic_failed", NULL, "{s:s, s:s}", "topic", name,
					  "why", rd_kafka_err2str(err));
			return false;
		}
	}
	return true;
}

/* Whoever reads the file reads all of it or none: it is renamed into place. */
static bool
embedded_write_address(Embedded *embedded)
{
	const char *path = options_current()->kafka_embedded_address_file;
	char	   *text = NULL;
	char	   *temporary = NULL;
	int			len;
	int			fd = -1;
	bool		ok = false;

	if (path[0] == '\0')
		return true;
	len = asprintf(&text, "%s\n", embedded_bootstrap(embedded));
	if (len > 0 && asprintf(&temporary, "%s.%d", path, (int) getpid()) > 0)
	{
		fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		ok = fd >= 0 && write(fd, text, len) == len && rename(temporary, path) == 0 &&
			(embedded->address_file = strdup(path)) != NULL;
	}
	if (!ok)
		log_event(LOG_ERROR_LEVEL, "kafka_address_file", NULL, "{s:s, s:s}", "path", path, "why",
				  strerror(errno));
	if (fd >= 0)
		close(fd);
	free(temporary);
	free(text);
	return ok;
}
