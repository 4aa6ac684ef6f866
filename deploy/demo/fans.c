/* SPDX-License-Identifier: PostgreSQL */
/*
 * The demo's load: many seeded fans who know nothing but plain HTTP to concertd. Ends when the
 * last fan is through, at the deadline or on a signal, and leaves its numbers in the status
 * file. Exit status 1: a seat was paid for twice, a payment came to no end, or the deadline cut the sale short.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fan.h"
#include "random.h"

#define FANS_MAX 1000000
#define CONNECTIONS_MAX 128
#define PUBLISH_MS 500
#define BURST_PERCENT 60 /* come in the first moments, the others evenly over the whole time */
#define BURST_PART 10	 /* of the time of arrival is the burst */
#define QUEUE_PART 2	 /* of the connections are for those who wait */

typedef struct Settings
{
	const char *host;
	const char *concert_date_id;
	const char *currency;
	const char *provider;
	const char *status;
	long		port;
	long		fans;
	long		seed;
	long		connections;
	long		limit;
	long		arrive_seconds;
	long		deadline_seconds;
	long		request_timeout_ms;
} Settings;

typedef struct Load
{
	Settings	  settings;
	Sale		  sale;
	Fan			**fans;
	struct event *publish;
	struct event *deadline;
	struct event *signals[2];
	bool		  cut_short;
} Load;

typedef struct SettingRow
{
	const char	*name;
	const char **text; /* one of the two */
	long		*number;
	long		 min;
	long		 max;
} SettingRow;

static bool
read_setting(const SettingRow *row, const char *value)
{
	char *end = NULL;

	if (row->text != NULL)
	{
		*row->text = value;
		return true;
	}
	*row->number = strtol(value, &end, 10);
	return end != value && *end == '\0' && *row->number >= row->min && *row->number <= row->max;
}

static bool
read_settings(Settings *settings, int argc, char **argv)
{
	const SettingRow rows[] = {
		{"host", &settings->host, NULL, 0, 0},
		{"port", NULL, &settings->port, 1, 65535},
		{"date", &settings->concert_date_id, NULL, 0, 0},
		{"currency", &settings->currency, NULL, 0, 0},
		{"provider", &settings->provider, NULL, 0, 0},
		{"status", &settings->status, NULL, 0, 0},
		{"fans", NULL, &settings->fans, 1, FANS_MAX},
		{"seed", NULL, &settings->seed, 0, 1000000000},
		{"connections", NULL, &settings->connections, QUEUE_PART, CONNECTIONS_MAX},
		{"limit", NULL, &settings->limit, 1, 1000},
		{"arrive-seconds", NULL, &settings->arrive_seconds, 1, 3600},
		{"deadline-seconds", NULL, &settings->deadline_seconds, 1, 86400},
		{"request-timeout-ms", NULL, &settings->request_timeout_ms, 100, 600000},
	};
	enum
	{
		ROWS = sizeof(rows) / sizeof(rows[0])
	};
	struct option longs[ROWS + 1] = {0};
	int			  id;

	for (int i = 0; i < ROWS; i++)
		longs[i] = (struct option){rows[i].name, required_argument, NULL, i};
	while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if (id == '?' || !read_setting(&rows[id], optarg))
			return false;
	return optind == argc && settings->concert_date_id != NULL && settings->port != 0;
}

static void
load_publish(evutil_socket_t fd, short what, void *arg)
{
	Load *load = arg;

	(void) fd;
	(void) what;
	if (!tally_publish(load->sale.tally, false))
		perror(load->settings.status);
	if (!seatmap_sold_out(load->sale.map))
		return;
	for (long i = 0; i < load->settings.fans; i++)
		fan_hear_sold_out(load->fans[i]);
}

static void
load_cut_short(evutil_socket_t fd, short what, void *arg)
{
	Load *load = arg;

	(void) fd;
	(void) what;
	load->cut_short = true;
	event_base_loopbreak(load->sale.base);
}

static Client *
open_client(const Load *load, long connections)
{
	const Settings *settings = &load->settings;

	return client_open(load->sale.base, settings->host, (int) settings->port, (int) connections,
					   (int) settings->request_timeout_ms);
}

static void
load_open(Load *load)
{
	const Settings *settings = &load->settings;
	Sale		   *sale = &load->sale;
	struct timeval	publish = {PUBLISH_MS / 1000, PUBLISH_MS % 1000 * 1000};
	long			queue_connections = settings->connections / QUEUE_PART;
	struct timeval	deadline = {settings->deadline_seconds, 0};

	sale->base = event_base_new();
	sale->client = open_client(load, settings->connections - queue_connections);
	sale->queue_client = open_client(load, queue_connections);
	sale->map = seatmap_open(sale->base, sale->client, settings->concert_date_id);
	sale->tally = tally_open(settings->status);
	sale->concert_date_id = settings->concert_date_id;
	sale->currency = settings->currency;
	sale->provider = settings->provider;
	sale->seed = (uint64_t) settings->seed;
	sale->seats_per_fan_max = (int) settings->limit;
	sale->fans_left = (int) settings->fans;
	sale_count(sale, TALLY_FANS, settings->fans);

	load->publish = event_new(sale->base, -1, EV_PERSIST, load_publish, load);
	load->deadline = event_new(sale->base, -1, 0, load_cut_short, load);
	load->signals[0] = evsignal_new(sale->base, SIGINT, load_cut_short, load);
	load->signals[1] = evsignal_new(sale->base, SIGTERM, load_cut_short, load);
	event_add(load->publish, &publish);
	event_add(load->deadline, &deadline);
	event_add(load->signals[0], NULL);
	event_add(load->signals[1], NULL);
}

static void
load_send_fans(Load *load)
{
	uint64_t random = load->sale.seed;
	int		 all_ms = (int) load->settings.arrive_seconds * 1000;

	load->fans = calloc((size_t) load->settings.fans, sizeof(Fan *));
	for (long i = 0; i < load->settings.fans; i++)
	{
		bool burst = random_percent(&random, BURST_PERCENT);

		load->fans[i] = fan_new(&load->sale, (int) i + 1);
		fan_arrive(load->fans[i], random_below(&random, burst ? all_ms / BURST_PART : all_ms));
	}
}

static void
load_close(Load *load)
{
	for (long i = 0; i < load->settings.fans; i++)
		fan_free(load->fans[i]);
	free(load->fans);
	event_free(load->publish);
	event_free(load->deadline);
	event_free(load->signals[0]);
	event_free(load->signals[1]);
	seatmap_close(load->sale.map);
	client_close(load->sale.client);
	client_close(load->sale.queue_client);
	tally_close(load->sale.tally);
	free(load->sale.owners);
	event_base_free(load->sale.base);
}

int
main(int argc, char **argv)
{
	Load load = {.settings = {.host = "127.0.0.1",
							  .currency = "PTS",
							  .provider = "",
							  .fans = 1000,
							  .seed = 1,
							  .connections = 96,
							  .limit = 4,
							  .arrive_seconds = 30,
							  .deadline_seconds = 600,
							  .request_timeout_ms = 10000}};
	bool good;

	if (!read_settings(&load.settings, argc, argv))
	{
		fprintf(
			stderr,
			"usage: %s --port N --date ID [--host H] [--fans N] [--seed N] [--status FILE] [--currency PTS] [--provider NAME]\n"
			"  [--connections N] [--limit N] [--arrive-seconds N] [--deadline-seconds N] [--request-timeout-ms N]\n",
			argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	load_open(&load);
	load_send_fans(&load);
	event_base_dispatch(load.sale.base);

	good = !load.cut_short && tally_value(load.sale.tally, TALLY_SOLD_TWICE) == 0 &&
		tally_value(load.sale.tally, TALLY_PAYMENTS_STUCK) == 0;
	if (load.cut_short)
		fprintf(stderr, "cut short, %d fans were not through\n", load.sale.fans_left);
	if (!tally_publish(load.sale.tally, true))
		perror(load.settings.status);
	load_close(&load);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
