/* SPDX-License-Identifier: PostgreSQL */
/*
 * Every option of the daemon, once: the rows of OPTIONS make the fields of Options, the INI file's
 * keys, their checks, --help, --print-config and reload. An option of section "" stands before the
 * first section. min and max bound an INT's value and a text's length in bytes. FILE options hold
 * paths of secrets and can be overridden by the environment variable CONCERTD_<SECTION>_<KEY>. Text
 * stays valid until the process ends, also across reloads; a reload changes only rows marked
 * RELOAD.
 */
#ifndef CONCERTD_OPTIONS_H
#define CONCERTD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define ROLE_API 1u
#define ROLE_ADMISSION 2u
#define ROLE_RELAY 4u
#define ROLE_CONSUMER 8u
#define ROLE_REAPER 16u
#define ROLE_PROVIDER 32u

typedef enum LossPolicy
{
	LOSS_DATABASE,
	LOSS_STOP
} LossPolicy;

typedef const char *OptionText;
typedef const char *OptionFile;
typedef int			OptionInt;
typedef int			OptionChoice; /* index into the row's words, which stand joined by '|' */
typedef unsigned	OptionSet;	  /* one bit for each of the row's words */

#define KEEP false
#define RELOAD true

/* X(type, field, section, key, default, min, max, words or NULL, reloadable, doc) */
#define OPTIONS(X)                                                                                           \
	X(Set, roles, "", "roles", "api,admission,relay,consumer,reaper,provider", 0, 0,                         \
	  "api|admission|relay|consumer|reaper|provider", KEEP,                                                  \
	  "what this process does; admission runs on one copy at a time")                                        \
	X(Text, api_listen, "api", "listen", "127.0.0.1:8080", 1, 255, NULL, KEEP,                               \
	  "address and port of the HTTP server; port 0 takes a free one")                                        \
	X(Text, api_trusted, "api", "trusted", "127.0.0.0/8, ::1/128", 0, 4000, NULL, RELOAD,                    \
	  "addresses or networks whose X-User-Id and X-Role are believed")                                       \
	X(Text, api_web_dir, "api", "web_dir", "", 0, 4000, NULL, KEEP,                                          \
	  "folder of the static files at /; empty for the one that was installed")                               \
	X(Int, api_worker_connections, "api", "worker_connections", "10000", 1, 100000, NULL, KEEP,              \
	  "HTTP connections at once")                                                                            \
	X(Int, api_requests_max, "api", "requests_max", "8192", 1, 100000, NULL, RELOAD,                         \
	  "HTTP requests waiting for an answer at once; more are told 503")                                      \
	X(Int, api_connection_bytes, "api", "connection_bytes", "16384", 4096, 1048576, NULL, KEEP,              \
	  "memory of one connection, which bounds a request's headers")                                          \
	X(Int, api_body_bytes, "api", "body_bytes", "65536", 256, 16777216, NULL, RELOAD,                        \
	  "largest request body")                                                                                \
	X(Int, api_idle_seconds, "api", "idle_seconds", "30", 1, 3600, NULL, KEEP,                               \
	  "a silent connection is closed after this")                                                            \
	X(Int, api_drain_seconds, "api", "drain_seconds", "10", 0, 3600, NULL, RELOAD,                           \
	  "time that requests in flight get after SIGTERM")                                                      \
	X(Int, api_seat_map_ms, "api", "seat_map_ms", "1000", 0, 60000, NULL, RELOAD,                            \
	  "age up to which a cached seat map is given out")                                                      \
	X(Int, api_seat_map_dates, "api", "seat_map_dates", "64", 1, 10000, NULL, KEEP,                          \
	  "dates whose seat map is cached at once")                                                              \
	X(Text, db_conninfo, "db", "conninfo", "dbname=concert", 1, 4000, NULL, KEEP,                            \
	  "libpq connection string, without a password: name a passfile instead")                                \
	X(Int, db_pool_size, "db", "pool_size", "8", 1, 64, NULL, KEEP,                                          \
	  "database sessions of the HTTP API")                                                                   \
	X(Int, db_queue_max, "db", "queue_max", "2000", 1, 100000, NULL, KEEP,                                   \
	  "database calls that may wait for a session")                                                          \
	X(Int, db_timeout_ms, "db", "timeout_ms", "3000", 10, 600000, NULL, KEEP,                                \
	  "deadline of a database call, waiting for a session included")                                         \
	X(Text, redis_nodes, "redis", "nodes", "127.0.0.1:6379", 1, 4000, NULL, KEEP,                            \
	  "Redis Cluster nodes to begin with, host:port separated by commas")                                    \
	X(Int, redis_timeout_ms, "redis", "timeout_ms", "500", 1, 60000, NULL, KEEP,                             \
	  "deadline of a Redis call")                                                                            \
	X(Choice, redis_loss_policy, "redis", "loss_policy", "database", 0, 0, "database|stop",                  \
	  RELOAD, "while Redis is lost: sell by the database alone, or stop")                                    \
	X(Int, hold_hold_seconds, "hold", "hold_seconds", "60", 1, 3600, NULL, RELOAD,                           \
	  "how long Redis keeps a seat for one person before the database is asked")                             \
	X(Int, hold_mark_seconds, "hold", "mark_seconds", "60", 1, 86400, NULL, RELOAD,                          \
	  "how long a sold mark is believed before the database is asked again")                                 \
	X(Int, hold_blocked_seconds, "hold", "blocked_seconds", "10", 1, 86400, NULL, RELOAD,                    \
	  "the same for a blocked mark, and for one whose fence is not known")                                   \
	X(Int, hold_seats_max, "hold", "seats_max", "64", 1, 1000, NULL, RELOAD,                                 \
	  "seats of one booking call")                                                                           \
	X(Int, room_slot_seconds, "room", "slot_seconds", "10", 1, 300, NULL, KEEP,                              \
	  "length of a presence slot; being heard in this one or the last is being present")                     \
	X(Int, room_lease_places, "room", "lease_places", "1000", 1, 1000000, NULL, RELOAD,                      \
	  "place numbers leased from the database at once")                                                      \
	X(Int, admission_interval_ms, "admission", "interval_ms", "200", 10, 60000, NULL, RELOAD,                \
	  "how often people are admitted")                                                                       \
	X(Text, kafka_brokers, "kafka", "brokers", "127.0.0.1:9092", 1, 4000, NULL, KEEP,                        \
	  "host:port separated by commas, or embedded")                                                          \
	X(Int, kafka_timeout_ms, "kafka", "timeout_ms", "30000", 100, 600000, NULL, KEEP,                        \
	  "deadline of a message to a dead-letter topic before it is tried again")                               \
	X(Text, kafka_embedded_address_file, "kafka", "embedded_address_file", "", 0, 4000, NULL,                \
	  KEEP, "file that gets the address of the embedded broker; empty for none")                             \
	X(Int, kafka_partitions, "kafka", "partitions", "8", 1, 10000, NULL, KEEP,                               \
	  "partitions of a topic that concertd makes")                                                           \
	X(Int, kafka_replication_factor, "kafka", "replication_factor", "1", 1, 100, NULL, KEEP,                 \
	  "copies of a topic that concertd makes; 3 in production")                                              \
	X(Int, relay_slice_rows, "relay", "slice_rows", "500", 1, 10000, NULL, RELOAD,                           \
	  "events of one slice")                                                                                 \
	X(Int, relay_poll_min_ms, "relay", "poll_min_ms", "2", 1, 10000, NULL, RELOAD,                           \
	  "shortest pause between two looks at an empty lane")                                                   \
	X(Int, relay_poll_max_ms, "relay", "poll_max_ms", "50", 1, 4000, NULL, RELOAD,                           \
	  "longest pause between two looks at an empty lane")                                                    \
	X(Int, relay_lag_seconds_max, "relay", "lag_seconds_max", "30", 1, 86400, NULL, RELOAD,                  \
	  "readiness turns red when a lane's oldest event is older")                                             \
	X(Int, consumer_batch_rows, "consumer", "batch_rows", "100", 1, 500, NULL, RELOAD,                       \
	  "events of one inbox transaction")                                                                     \
	X(Int, consumer_attempts_max, "consumer", "attempts_max", "5", 1, 100, NULL, RELOAD,                     \
	  "attempts before an event goes to the dead-letter topic")                                              \
	X(Int, consumer_retry_min_ms, "consumer", "retry_min_ms", "100", 1, 60000, NULL, RELOAD,                 \
	  "pause before the second attempt at an event; doubles with each further one")                          \
	X(Int, consumer_retry_max_ms, "consumer", "retry_max_ms", "5000", 1, 600000, NULL, RELOAD,               \
	  "longest pause before an event is tried again")                                                        \
	X(Int, reaper_interval_ms, "reaper", "interval_ms", "1000", 10, 3600000, NULL, RELOAD,                   \
	  "how often the reaper looks")                                                                          \
	X(Int, reaper_sweep_ms, "reaper", "sweep_ms", "5000", 100, 3600000, NULL, RELOAD,                        \
	  "how often the marks in Redis are compared with the database")                                         \
	X(Int, reaper_rotate_ms, "reaper", "rotate_ms", "60000", 100, 86400000, NULL, RELOAD,                    \
	  "how often the rings of requests and of the inbox are turned if they are due")                         \
	X(Int, reaper_outbox_rotate_ms, "reaper", "outbox_rotate_ms", "3600000", 100, 86400000, NULL,            \
	  RELOAD, "how often the outbox's ring is turned; acked events are kept for three turns")                \
	X(Int, reaper_checkpoint_ms, "reaper", "checkpoint_ms", "10000", 100, 86400000, NULL, RELOAD,            \
	  "how often accounts without a floor are summed up, and lapsed transfers written down")                 \
	X(Text, provider_name, "provider", "name", "", 0, 64, NULL, KEEP,                                        \
	  "the payment provider as payments, the ledger and /v1/provider/NAME/messages name it; empty for none") \
	X(Text, provider_url, "provider", "url", "", 0, 1000, NULL, KEEP,                                        \
	  "where its API begins: https://…; http:// is good on loopback only")                                   \
	X(Text, provider_ca_file, "provider", "ca_file", "", 0, 4000, NULL, KEEP,                                \
	  "certificates that its server is to be signed by; empty for the system's")                             \
	X(File, provider_key_file, "provider", "key_file", "", 0, 4000, NULL, KEEP,                              \
	  "file of the key that we show to the provider; re-read on SIGHUP; empty for none")                     \
	X(File, provider_secret_file, "provider", "secret_file", "", 0, 4000, NULL, KEEP,                        \
	  "file of the secrets, one or two, that sign its messages; re-read on SIGHUP; empty: none come in")     \
	X(Int, provider_signature_seconds, "provider", "signature_seconds", "300", 1, 86400, NULL,               \
	  RELOAD, "how far a message's time of signing may be from now")                                         \
	X(Int, provider_in_flight_max, "provider", "in_flight_max", "16", 1, 1000, NULL, KEEP,                   \
	  "questions to the provider at once")                                                                   \
	X(Int, provider_rate, "provider", "rate", "50", 1, 10000, NULL, RELOAD,                                  \
	  "questions to the provider in a second")                                                               \
	X(Int, provider_timeout_ms, "provider", "timeout_ms", "10000", 100, 600000, NULL, RELOAD,                \
	  "deadline of a question")                                                                              \
	X(Int, provider_lease_seconds, "provider", "lease_seconds", "30", 1, 3600, NULL, RELOAD,                 \
	  "for how long a question is this copy's; more than its deadline")                                      \
	X(Int, provider_poll_ms, "provider", "poll_ms", "200", 10, 60000, NULL, RELOAD,                          \
	  "pause between two looks for what to ask")                                                             \
	X(Int, provider_breaker_failures, "provider", "breaker_failures", "5", 1, 1000, NULL, RELOAD,            \
	  "failures in a row after which nothing is asked for a while")                                          \
	X(Int, provider_breaker_seconds, "provider", "breaker_seconds", "10", 1, 3600, NULL, RELOAD,             \
	  "how long that while is; then one question goes first")                                                \
	X(File, keys_pass_file, "keys", "pass_file", "", 0, 4000, NULL, KEEP,                                    \
	  "file of the keys that sign places and passes; re-read on SIGHUP")                                     \
	X(Choice, log_level, "log", "level", "info", 0, 0, "debug|info|warn|error", RELOAD,                      \
	  "lowest level that is logged")

typedef struct Options
{
#define OPTION_FIELD(type, field, section, key, default_value, min, max, words, reload, doc) \
	Option##type field;
	OPTIONS(OPTION_FIELD)
#undef OPTION_FIELD
} Options;

#define OPTIONS_ERROR_BYTES 512

/* What is in force. Before options_load() it holds the defaults. */
const Options *options_current(void);

/*
 * path NULL: defaults and environment only. On failure errstr names file:line, value and what was
 * expected.
 */
bool options_load(const char *path, char *errstr, size_t size) __attribute__((warn_unused_result));

/*
 * Reads path again; nothing changes unless all of it is good. Changed KEEP rows are named in a log
 * line.
 */
bool options_reload(const char *path, char *errstr, size_t size)
	__attribute__((warn_unused_result));

void options_print_help(FILE *out);
void options_print_config(FILE *out);

#endif
