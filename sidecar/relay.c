/* SPDX-License-Identifier: PostgreSQL */
/*
 * From the first look at the database to the running lanes. Its questions go over a session of its
 * own, which ends when the lanes have theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db.h"
#include "http.h"
#include "lane.h"
#include "log.h"
#include "options.h"
#include "relay.h"
#include "sql.h"

#define RELAY_LANES_MAX 1024
#define RELAY_RETRY_MS 250
#define RELAY_DB_TIMEOUT_MS 10000
#define RELAY_DB_QUEUE_MAX 8
#define RELAY_APPLICATION "concertd-relay"
#define RELAY_CONNINFO_BYTES 8192

/* Columns of sql_outbox_stats(). */
enum
{
	STATS_LANE,
	STATS_EPOCH,
	STATS_N,
	STATS_SEQ
};

typedef enum RelayStep
{
	RELAY_WAITS, /* the timer asks */
	RELAY_ASKS,
	RELAY_REFUSED,
	RELAY_RUNS
} RelayStep;

struct Relay
{
	struct event_base *base;
	Kafka			  *kafka;
	char			  *conninfo;
	Db				  *db; /* until the lanes run */
	struct event	  *timer;
	RelayStep		   step;
	bool   new_database; /* its events were never relayed elsewhere, or the broker remembers them */
	int	   lane_count;
	Lane **lanes;
	void (*refused)(void *arg);
	void *refused_arg;
	void (*drained)(void *arg);
	void *drained_arg;
};

typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

/* Both ends notice a peer that is gone, and the server one that is silent, in about 5 seconds. */
static const Setting session_settings[] = {
	{"keepalives", "1"},
	{"keepalives_idle", "2"},
	{"keepalives_interval", "1"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", LANE_SILENT_MS},
	{NULL, NULL},
};
static const Setting server_settings[] = {
	{"idle_session_timeout", LANE_SILENT_MS},
	{"idle_in_transaction_session_timeout", LANE_SILENT_MS},
	{"tcp_user_timeout", LANE_SILENT_MS},
	{"tcp_keepalives_idle", "2"},
	{"tcp_keepalives_interval", "1"},
	{"tcp_keepalives_count", "3"},
	{NULL, NULL},
};

static void relay_timer(evutil_socket_t fd, short what, void *arg);
static void relay_wait(Relay *relay, int wait_ms);
static void relay_history(void *arg, const PGresult *res, const char *errstr);
static void relay_lanes(void *arg, const PGresult *res, const char *errstr);
static bool relay_answered(Relay *relay, const PGresult *res, const char *errstr);
static void relay_settled(void *arg);
static bool relay_check(void *arg, char *detail, size_t size);
static void options_add(char *options, const char *fmt, const char *name, const char *value);
static void conninfo_add(char *text, const char *keyword, const char *value);

Relay *
relay_open(struct event_base *base, Kafka *kafka, void (*refused)(void *arg), void *arg)
{
	Relay *relay = calloc(1, sizeof(Relay));

	if (relay == NULL)
		return NULL;
	relay->base = base;
	relay->kafka = kafka;
	relay->refused = refused;
	relay->refused_arg = arg;
	relay->new_database = !kafka_embedded(kafka);
	relay->conninfo = relay_conninfo(options_current()->db_conninfo);
	relay->timer = evtimer_new(base, relay_timer, relay);
	if (relay->conninfo != NULL)
		relay->db = db_open(base, relay->conninfo, 1, RELAY_DB_QUEUE_MAX, RELAY_DB_TIMEOUT_MS,
							RELAY_APPLICATION);
	if (relay->db == NULL || relay->timer == NULL)
	{
		relay_close(relay);
		return NULL;
	}
	http_ready_check("relay", relay_check, relay);
	relay_wait(relay, 0);
	return relay;
}

void
relay_drain(Relay *relay, void (*drained)(void *arg), void *arg)
{
	event_del(relay->timer);
	for (int i = 0; i < relay->lane_count; i++)
		lane_drain(relay->lanes[i]);
	relay->drained = drained;
	relay->drained_arg = arg;
	relay_settled(relay);
}

void
relay_close(Relay *relay)
{
	if (relay == NULL)
		return;
	if (relay->db != NULL)
		db_close(relay->db);
	for (int i = 0; i < relay->lane_count; i++)
		lane_close(relay->lanes[i]);
	free(relay->lanes);
	if (relay->timer != NULL)
		event_free(relay->timer);
	free(relay->conninfo);
	free(relay);
}

char *
relay_conninfo(const char *conninfo)
{
	char			 *errmsg = NULL;
	char			 *text = calloc(1, RELAY_CONNINFO_BYTES);
	char			  options[RELAY_CONNINFO_BYTES] = "";
	PQconninfoOption *given = PQconninfoParse(conninfo, &errmsg);

	if (given == NULL || text == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "relay_conninfo", NULL, "{s:s*}", "why", errmsg);
		PQfreemem(errmsg);
		PQconninfoFree(given);
		free(text);
		return NULL;
	}
	/*
	 * The last of a name given twice counts: what the operator says goes before what stands here.
	 */
	for (const Setting *setting = session_settings; setting->name != NULL; setting++)
		conninfo_add(text, setting->name, setting->value);
	for (const Setting *setting = server_settings; setting->name != NULL; setting++)
		options_add(options, "-c %s=%s ", setting->name, setting->value);
	for (const PQconninfoOption *option = given; option->keyword != NULL; option++)
		if (option->val != NULL && strcmp(option->keyword, "options") == 0)
			options_add(options, "%s%s", option->val, "");
		else if (option->val != NULL)
			conninfo_add(text, option->keyword, option->val);
	conninfo_add(text, "options", options);
	PQconninfoFree(given);
	return text;
}

static void
relay_timer(evutil_socket_t fd, short what, void *arg)
{
	Relay *relay = arg;
	bool   asked;

	(void) fd;
	(void) what;
	if (relay->step == RELAY_RUNS)
	{
		db_close(relay->db);
		relay->db = NULL;
		return;
	}
	if (relay->step != RELAY_WAITS)
		return;
	if (!kafka_ready(relay->kafka))
	{
		relay_wait(relay, RELAY_RETRY_MS);
		return;
	}
	relay->step = RELAY_ASKS;
	asked = relay->new_database ? sql_outbox_lanes(relay->db, relay_lanes, relay)
								: sql_outbox_stats(relay->db, relay_history, relay);
	if (!asked)
		relay_wait(relay, RELAY_RETRY_MS);
}

static void
relay_wait(Relay *relay, int wait_ms)
{
	if (relay->step == RELAY_ASKS)
		relay->step = RELAY_WAITS;
	clock_wait(relay->timer, wait_ms / 1000.0);
}

/*
 * The embedded broker is empty: whatever was acknowledged before is in no topic that anybody could
 * read.
 */
static void
relay_history(void *arg, const PGresult *res, const char *errstr)
{
	Relay *relay = arg;

	if (!relay_answered(relay, res, errstr))
		return;
	for (int i = 0; i < PQntuples(res); i++)
	{
		if (strtoll(PQgetvalue(res, i, STATS_SEQ), NULL, 10) == 0)
			continue;
		relay->step = RELAY_REFUSED;
		log_event(
			LOG_ERROR_LEVEL, "embedded_broker_refused", NULL, "{s:s, s:s}", "lane",
			PQgetvalue(res, i, STATS_LANE), "why",
			"events of this database were relayed before, and the embedded broker has none of "
			"them: name real brokers, or take a new database");
		relay->refused(relay->refused_arg);
		return;
	}
	relay->new_database = true;
	relay_wait(relay, 0);
}

static void
relay_lanes(void *arg, const PGresult *res, const char *errstr)
{
	Relay *relay = arg;
	int	   count;

	if (!relay_answered(relay, res, errstr))
		return;
	count = atoi(PQgetvalue(res, 0, 0));
	if (count < 1 || count > RELAY_LANES_MAX ||
		(relay->lanes = calloc(count, sizeof(Lane *))) == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "relay_lanes", NULL, "{s:i}", "lanes", count);
		relay_wait(relay, RELAY_RETRY_MS);
		return;
	}
	for (int i = 0; i < count; i++)
	{
		Lane *lane = lane_open(relay->base, relay->kafka, relay->conninfo, i, relay_settled, relay);

		if (lane != NULL)
			relay->lanes[relay->lane_count++] = lane;
		else
			log_event(LOG_ERROR_LEVEL, "lane_failed", NULL, "{s:i}", "lane", i);
	}
	relay->step = RELAY_RUNS;
	relay_wait(relay, 0);
}

static bool
relay_answered(Relay *relay, const PGresult *res, const char *errstr)
{
	if (res != NULL && errstr == NULL && PQntuples(res) > 0)
		return true;
	if (res != NULL)
		log_event(LOG_ERROR_LEVEL, "relay_start", NULL, "{s:s*}", "why", errstr);
	relay_wait(relay, RELAY_RETRY_MS);
	return false;
}

static void
relay_settled(void *arg)
{
	Relay *relay = arg;
	void (*drained)(void *arg) = relay->drained;

	for (int i = 0; i < relay->lane_count; i++)
		if (!lane_settled(relay->lanes[i]))
			return;
	relay->drained = NULL;
	if (drained != NULL)
		drained(relay->drained_arg);
}

static bool
relay_check(void *arg, char *detail, size_t size)
{
	const Relay *relay = arg;

	if (relay->step != RELAY_RUNS)
	{
		snprintf(detail, size, "waiting for %s",
				 kafka_ready(relay->kafka) ? "the database" : "Kafka");
		return false;
	}
	for (int i = 0; i < relay->lane_count; i++)
		if (!lane_ready(relay->lanes[i], detail, size))
			return false;
	return true;
}

static void
options_add(char *options, const char *fmt, const char *name, const char *value)
{
	size_t len = strlen(options);

	snprintf(options + len, RELAY_CONNINFO_BYTES - len, fmt, name, value);
}

static void
conninfo_add(char *text, const char *keyword, const char *value)
{
	size_t len = strlen(text);

	len += snprintf(text + len, RELAY_CONNINFO_BYTES - len, "%s='", keyword);
	for (; *value != '\0' && len + 4 < RELAY_CONNINFO_BYTES; value++)
	{
		if (*value == '\'' || *value == '\\')
			text[len++] = '\\';
		text[len++] = *value;
	}
	snprintf(text + len, RELAY_CONNINFO_BYTES - len, "' ");
}
