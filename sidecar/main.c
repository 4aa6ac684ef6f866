/* SPDX-License-Identifier: PostgreSQL */
/*
 * concertd: the command line, and the daemon's life. The parts that the roles ask for are opened in
 * the order in which they need each other, run in one event loop, and are drained and closed the
 * other way round. The first SIGTERM or SIGINT drains, for api.drain_seconds at most; a second one
 * ends the process at once; SIGHUP reads the options and the keys again.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "admission.h"
#include "api.h"
#include "clock.h"
#include "consumer.h"
#include "db.h"
#include "hold.h"
#include "http.h"
#include "import.h"
#include "kafka.h"
#include "log.h"
#include "options.h"
#include "provider.h"
#include "reaper.h"
#include "redis.h"
#include "relay.h"
#include "room.h"
#include "secret.h"
#include "skip.h"
#include "token.h"

#define EXIT_MISUSE 2
#define ROOM_DB_SESSIONS 2
#define ROOM_DB_QUEUE_MAX 2000
#define ADMISSION_DB_QUEUE_MAX 100
#define SIGNAL_COUNT 3

typedef struct Daemon
{
	const char		  *config_path; /* NULL: defaults */
	struct event_base *base;
	struct event	  *signals[SIGNAL_COUNT];
	struct event	  *drain_timer;
	Db				  *api_db;
	Db				  *room_db;
	Db				  *admission_db;
	Redis			  *redis;
	TokenKeys		  *keys;
	Hold			  *hold;
	Room			  *room;
	Admission		  *admission;
	Kafka			  *kafka;
	Relay			  *relay;
	Consumer		  *consumer;
	Reaper			  *reaper;
	Secrets			  *provider_keys;	 /* what we show to the payment provider */
	Secrets			  *provider_secrets; /* what its messages are signed with */
	Provider		  *provider;
	Api				  *api;
	int				   undrained; /* parts that have not said yet that they are */
	bool			   draining;
	int				   status;
} Daemon;

typedef struct Command
{
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's own name */
	const char *usage;
} Command;

static int		  command_check_config(int argc, char **argv);
static bool		  check_secrets(const char *file);
static int		  command_outbox(int argc, char **argv);
static int		  print_help(void);
static bool		  load_options(const char *path);
static int		  daemon_run(const char *config_path);
static bool		  daemon_open(Daemon *daemon);
static bool		  daemon_open_redis(Daemon *daemon, unsigned roles);
static bool		  daemon_open_room(Daemon *daemon, unsigned roles);
static bool		  daemon_open_kafka(Daemon *daemon, unsigned roles);
static bool		  daemon_open_provider(Daemon *daemon, unsigned roles);
static bool		  daemon_open_secrets(const char *file, Secrets **ret_secrets);
static bool		  daemon_open_api(Daemon *daemon, unsigned roles);
static bool		  daemon_open_signals(Daemon *daemon);
static void		  daemon_close(Daemon *daemon);
static HoldConfig hold_config(void);
static RoomConfig room_config(void);
static void		  daemon_configure(Daemon *daemon);
static void		  reload_secrets(Secrets *secrets, const char *file);
static void		  on_stop(evutil_socket_t signal_number, short what, void *arg);
static void		  on_reload(evutil_socket_t signal_number, short what, void *arg);
static void		  on_drained(void *arg);
static void		  on_drain_timer(evutil_socket_t fd, short what, void *arg);
static void		  on_relay_refused(void *arg);
static bool		  database_check(void *arg, char *detail, size_t size);
static bool		  redis_check(void *arg, char *detail, size_t size);
static bool		  part_failed(const char *part);
static void		  raise_file_limit(void);

static const Command commands[] = {
	{"check-config", command_check_config,
	 "check-config FILE      say what is wrong with a configuration file"},
	{"import-venue", import_main,
	 "import-venue FILE …    make a concert date out of a venue file (--help tells more)"},
	{"outbox", command_outbox,
	 "outbox skip EVENT-ID   pass over an event that Kafka refuses for good"},
};

#define COMMAND_COUNT ((int) (sizeof(commands) / sizeof(commands[0])))

int
main(int argc, char **argv)
{
	const char *config_path = NULL;
	bool		print_config = false;

	for (int i = 0; argc > 1 && i < COMMAND_COUNT; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
			return print_help();
		if (strcmp(argv[i], "--version") == 0)
			return printf("concertd %s\n", CONCERT_VERSION) > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		if (strcmp(argv[i], "--print-config") == 0)
			print_config = true;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			config_path = argv[++i];
		else
		{
			fprintf(stderr, "concertd: \"%s\" is not understood; --help tells what is\n", argv[i]);
			return EXIT_MISUSE;
		}
	}
	if (!load_options(config_path))
		return EXIT_MISUSE;
	if (print_config)
		options_print_config(stdout);
	return print_config ? EXIT_SUCCESS : daemon_run(config_path);
}

static int
command_check_config(int argc, char **argv)
{
	const char *pass_file;
	char		errstr[OPTIONS_ERROR_BYTES];
	TokenKeys  *keys = NULL;

	if (argc != 2)
	{
		fprintf(stderr, "usage: concertd check-config FILE\n");
		return EXIT_MISUSE;
	}
	if (!load_options(argv[1]))
		return EXIT_FAILURE;
	pass_file = options_current()->keys_pass_file;
	if (pass_file[0] != '\0' && (keys = token_open(pass_file, errstr, sizeof(errstr))) == NULL)
	{
		fprintf(stderr, "concertd: keys.pass_file: %s\n", errstr);
		return EXIT_FAILURE;
	}
	token_close(keys);
	if (!check_secrets(options_current()->provider_key_file) ||
		!check_secrets(options_current()->provider_secret_file))
		return EXIT_FAILURE;
	printf("%s: good\n", argv[1]);
	return EXIT_SUCCESS;
}

static bool
check_secrets(const char *file)
{
	char	 errstr[OPTIONS_ERROR_BYTES];
	Secrets *secrets = file[0] != '\0' ? secret_open(file, errstr, sizeof(errstr)) : NULL;

	if (file[0] != '\0' && secrets == NULL)
		fprintf(stderr, "concertd: %s\n", errstr);
	secret_close(secrets);
	return file[0] == '\0' || secrets != NULL;
}

static int
command_outbox(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "skip") == 0)
		return skip_main(argc - 2, argv + 2);
	fprintf(stderr, "usage: concertd outbox skip EVENT-ID [CONNINFO]\n");
	return EXIT_MISUSE;
}

static int
print_help(void)
{
	printf("usage: concertd [--config FILE] [--print-config]\n"
		   "       concertd --version | --help\n");
	for (int i = 0; i < COMMAND_COUNT; i++)
		printf("       concertd %s\n", commands[i].usage);
	printf("\nOptions of the configuration file:\n");
	options_print_help(stdout);
	return EXIT_SUCCESS;
}

static bool
load_options(const char *path)
{
	char errstr[OPTIONS_ERROR_BYTES];

	if (options_load(path, errstr, sizeof(errstr)))
		return true;
	fprintf(stderr, "concertd: %s\n", errstr);
	return false;
}

static int
daemon_run(const char *config_path)
{
	Daemon daemon = {.config_path = config_path, .status = EXIT_SUCCESS};

	log_set_level((LogLevel) options_current()->log_level);
	signal(SIGPIPE, SIG_IGN);
	srand((unsigned) (time(NULL) ^ getpid()));
	raise_file_limit();
	if (daemon_open(&daemon))
	{
		log_event(LOG_INFO_LEVEL, "started", NULL, "{s:s, s:i}", "version", CONCERT_VERSION, "pid",
				  (int) getpid());
		event_base_dispatch(daemon.base);
	}
	else
		daemon.status = EXIT_FAILURE;
	daemon_close(&daemon);
	log_event(LOG_INFO_LEVEL, "stopped", NULL, "{s:i}", "status", daemon.status);
	return daemon.status;
}

static bool
daemon_open(Daemon *daemon)
{
	unsigned roles = options_current()->roles;

	daemon->base = event_base_new();
	return (daemon->base != NULL || part_failed("event loop")) && daemon_open_signals(daemon) &&
		daemon_open_redis(daemon, roles) && daemon_open_room(daemon, roles) &&
		daemon_open_kafka(daemon, roles) && daemon_open_provider(daemon, roles) &&
		daemon_open_api(daemon, roles);
}

/* All but a mere relay or provider mirrors the database in Redis. */
static bool
daemon_open_redis(Daemon *daemon, unsigned roles)
{
	const Options *options = options_current();
	HoldConfig	   config = hold_config();

	if ((roles & ~(ROLE_RELAY | ROLE_PROVIDER)) == 0)
		return true;
	daemon->redis = redis_open(daemon->base, options->redis_nodes, options->redis_timeout_ms);
	if (daemon->redis == NULL)
		return part_failed("redis");
	http_ready_check("redis", redis_check, daemon);
	daemon->room_db = db_open(daemon->base, options->db_conninfo, ROOM_DB_SESSIONS,
							  ROOM_DB_QUEUE_MAX, options->db_timeout_ms, "concertd-room");
	if (daemon->room_db == NULL)
		return part_failed("database");
	daemon->hold = hold_open(daemon->base, daemon->redis, daemon->room_db, &config);
	return daemon->hold != NULL || part_failed("hold");
}

/*
 * Without keys to sign with there is no waiting room; dates that need no pass are sold all the
 * same.
 */
static bool
daemon_open_room(Daemon *daemon, unsigned roles)
{
	const Options *options = options_current();
	RoomConfig	   config = room_config();
	char		   errstr[OPTIONS_ERROR_BYTES];

	if ((roles & (ROLE_API | ROLE_ADMISSION)) == 0)
		return true;
	if (options->keys_pass_file[0] == '\0')
	{
		log_event(LOG_WARN_LEVEL, "no_waiting_room", NULL, "{s:s}", "why",
				  "keys.pass_file is not set");
		return true;
	}
	daemon->keys = token_open(options->keys_pass_file, errstr, sizeof(errstr));
	if (daemon->keys == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "keys_unusable", NULL, "{s:s, s:s}", "file",
				  options->keys_pass_file, "why", errstr);
		return false;
	}
	daemon->room = room_open(daemon->base, daemon->redis, daemon->room_db, daemon->keys, &config);
	if (daemon->room == NULL)
		return part_failed("room");
	if ((roles & ROLE_ADMISSION) == 0)
		return true;
	daemon->admission_db = db_open(daemon->base, options->db_conninfo, 1, ADMISSION_DB_QUEUE_MAX,
								   options->db_timeout_ms, "concertd-admission");
	if (daemon->admission_db != NULL)
		daemon->admission = admission_open(daemon->base, daemon->room, daemon->admission_db);
	return daemon->admission != NULL || part_failed("admission");
}

static bool
daemon_open_kafka(Daemon *daemon, unsigned roles)
{
	if ((roles & (ROLE_RELAY | ROLE_CONSUMER)) != 0)
		daemon->kafka = kafka_open(daemon->base);
	if ((roles & ROLE_RELAY) != 0 && daemon->kafka != NULL)
		daemon->relay = relay_open(daemon->base, daemon->kafka, on_relay_refused, daemon);
	if ((roles & ROLE_CONSUMER) != 0 && daemon->kafka != NULL)
		daemon->consumer = consumer_open(daemon->base, daemon->kafka, daemon->hold);
	if ((roles & ROLE_REAPER) != 0)
		daemon->reaper = reaper_open(daemon->base, daemon->hold);
	if ((roles & ROLE_RELAY) != 0 && daemon->relay == NULL)
		return part_failed("relay");
	if ((roles & ROLE_CONSUMER) != 0 && daemon->consumer == NULL)
		return part_failed("consumer");
	return (roles & ROLE_REAPER) == 0 || daemon->reaper != NULL || part_failed("reaper");
}

/* Without an address there is nobody to ask; messages may come in all the same. */
static bool
daemon_open_provider(Daemon *daemon, unsigned roles)
{
	const Options *options = options_current();

	if (!daemon_open_secrets(options->provider_secret_file, &daemon->provider_secrets) ||
		!daemon_open_secrets(options->provider_key_file, &daemon->provider_keys))
		return false;
	if ((roles & ROLE_PROVIDER) == 0 || options->provider_url[0] == '\0')
		return true;
	daemon->provider = provider_open(daemon->base, daemon->provider_keys);
	return daemon->provider != NULL || part_failed("provider");
}

static bool
daemon_open_secrets(const char *file, Secrets **ret_secrets)
{
	char errstr[OPTIONS_ERROR_BYTES];

	if (file[0] == '\0' || (*ret_secrets = secret_open(file, errstr, sizeof(errstr))) != NULL)
		return true;
	log_event(LOG_ERROR_LEVEL, "secrets_unusable", NULL, "{s:s}", "why", errstr);
	return false;
}

/* Every process answers /metrics, /healthz and /readyz. */
static bool
daemon_open_api(Daemon *daemon, unsigned roles)
{
	const Options *options = options_current();
	ApiParts	   parts = {0};

	if ((roles & ROLE_API) != 0)
	{
		daemon->api_db = db_open(daemon->base, options->db_conninfo, options->db_pool_size,
								 options->db_queue_max, options->db_timeout_ms, "concertd-api");
		if (daemon->api_db == NULL)
			return part_failed("database");
		http_ready_check("database", database_check, daemon);
		parts = (ApiParts){.db = daemon->api_db,
						   .hold = daemon->hold,
						   .room = daemon->room,
						   .provider_secrets = daemon->provider_secrets};
	}
	daemon->api = api_open(daemon->base, &parts);
	return daemon->api != NULL || part_failed("api");
}

static bool
daemon_open_signals(Daemon *daemon)
{
	daemon->signals[0] = evsignal_new(daemon->base, SIGTERM, on_stop, daemon);
	daemon->signals[1] = evsignal_new(daemon->base, SIGINT, on_stop, daemon);
	daemon->signals[2] = evsignal_new(daemon->base, SIGHUP, on_reload, daemon);
	daemon->drain_timer = evtimer_new(daemon->base, on_drain_timer, daemon);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		if (daemon->signals[i] == NULL || event_add(daemon->signals[i], NULL) != 0)
			return part_failed("signals");
	return daemon->drain_timer != NULL || part_failed("signals");
}

/*
 * Work modules first; then Redis and the pools, which answers whatever still waits for them; then
 * those who waited. NULL is fine everywhere: opening may have stopped half-way.
 */
static void
daemon_close(Daemon *daemon)
{
	provider_close(daemon->provider);
	consumer_close(daemon->consumer);
	relay_close(daemon->relay);
	reaper_close(daemon->reaper);
	admission_close(daemon->admission);
	kafka_close(daemon->kafka);
	redis_close(daemon->redis);
	db_close(daemon->admission_db);
	db_close(daemon->room_db);
	db_close(daemon->api_db);
	room_close(daemon->room);
	hold_close(daemon->hold);
	api_close(daemon->api);
	token_close(daemon->keys);
	secret_close(daemon->provider_keys);
	secret_close(daemon->provider_secrets);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		if (daemon->signals[i] != NULL)
			event_free(daemon->signals[i]);
	if (daemon->drain_timer != NULL)
		event_free(daemon->drain_timer);
	if (daemon->base != NULL)
		event_base_free(daemon->base);
	libevent_global_shutdown();
}

static HoldConfig
hold_config(void)
{
	const Options *options = options_current();

	return (HoldConfig){.hold_seconds = options->hold_hold_seconds,
						.sold_mark_seconds = options->hold_mark_seconds,
						.blocked_mark_seconds = options->hold_blocked_seconds};
}

static RoomConfig
room_config(void)
{
	const Options *options = options_current();

	return (RoomConfig){.slot_seconds = options->room_slot_seconds,
						.lease_places = options->room_lease_places};
}

/* What SIGHUP changes in parts that keep a copy of their options. */
static void
daemon_configure(Daemon *daemon)
{
	const Options *options = options_current();
	HoldConfig	   hold = hold_config();
	RoomConfig	   room = room_config();
	char		   errstr[OPTIONS_ERROR_BYTES];

	log_set_level((LogLevel) options->log_level);
	if (daemon->hold != NULL)
		hold_configure(daemon->hold, &hold);
	if (daemon->room != NULL)
		room_configure(daemon->room, &room);
	if (daemon->keys != NULL &&
		!token_reload(daemon->keys, options->keys_pass_file, errstr, sizeof(errstr)))
		log_event(LOG_ERROR_LEVEL, "keys_unusable", NULL, "{s:s, s:s}", "file",
				  options->keys_pass_file, "why", errstr);
	reload_secrets(daemon->provider_secrets, options->provider_secret_file);
	reload_secrets(daemon->provider_keys, options->provider_key_file);
}

static void
reload_secrets(Secrets *secrets, const char *file)
{
	char errstr[OPTIONS_ERROR_BYTES];

	if (secrets != NULL && !secret_reload(secrets, file, errstr, sizeof(errstr)))
		log_event(LOG_ERROR_LEVEL, "secrets_unusable", NULL, "{s:s}", "why", errstr);
}

static void
on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	Daemon *daemon = arg;

	(void) what;
	log_event(LOG_INFO_LEVEL, daemon->draining ? "stopping_at_once" : "draining", NULL, "{s:i}",
			  "signal", (int) signal_number);
	if (daemon->draining)
		_exit(EXIT_FAILURE);
	daemon->draining = true;
	clock_wait(daemon->drain_timer, options_current()->api_drain_seconds);
	daemon->undrained =
		1 + (daemon->relay != NULL) + (daemon->consumer != NULL) + (daemon->provider != NULL);
	api_drain(daemon->api, on_drained, daemon);
	if (daemon->relay != NULL)
		relay_drain(daemon->relay, on_drained, daemon);
	if (daemon->consumer != NULL)
		consumer_drain(daemon->consumer, on_drained, daemon);
	if (daemon->provider != NULL)
		provider_drain(daemon->provider, on_drained, daemon);
}

static void
on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	Daemon *daemon = arg;
	char	errstr[OPTIONS_ERROR_BYTES];

	(void) signal_number;
	(void) what;
	if (!options_reload(daemon->config_path, errstr, sizeof(errstr)))
	{
		log_event(LOG_ERROR_LEVEL, "reload_refused", NULL, "{s:s}", "why", errstr);
		return;
	}
	daemon_configure(daemon);
	log_event(LOG_INFO_LEVEL, "reloaded", NULL, NULL);
}

static void
on_drained(void *arg)
{
	Daemon *daemon = arg;

	if (--daemon->undrained == 0)
		event_base_loopexit(daemon->base, NULL);
}

static void
on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	Daemon *daemon = arg;

	(void) fd;
	(void) what;
	log_event(LOG_WARN_LEVEL, "drain_timed_out", NULL, "{s:i}", "parts", daemon->undrained);
	event_base_loopexit(daemon->base, NULL);
}

static void
on_relay_refused(void *arg)
{
	Daemon *daemon = arg;

	daemon->status = EXIT_FAILURE;
	event_base_loopexit(daemon->base, NULL);
}

static bool
database_check(void *arg, char *detail, size_t size)
{
	const Daemon *daemon = arg;
	int			  sessions = db_connected(daemon->api_db);

	snprintf(detail, size, "%d sessions", sessions);
	return sessions > 0;
}

/* Under the policy "database" the sale goes on without Redis. */
static bool
redis_check(void *arg, char *detail, size_t size)
{
	const Daemon *daemon = arg;
	bool		  up = redis_up(daemon->redis);

	snprintf(detail, size, "%s", up ? "up" : "down");
	return up || options_current()->redis_loss_policy == LOSS_DATABASE;
}

static bool
part_failed(const char *part)
{
	log_event(LOG_ERROR_LEVEL, "not_started", NULL, "{s:s}", "part", part);
	return false;
}

/* Each connection is a descriptor. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
