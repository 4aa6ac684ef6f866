/* SPDX-License-Identifier: PostgreSQL */
/*
 * Counters, gauges and histograms of the whole daemon in one table, printed in Prometheus' text
 * format at /metrics. Adding a metric is adding a row to METRICS. A metric has no label, one, or
 * two ("route,status", whose value is then given as "reserve,201"). Label values must come from
 * closed lists: a metric keeps at most METRIC_SERIES_MAX of them and counts all further ones under
 * "other".
 */
#ifndef CONCERTD_METRICS_H
#define CONCERTD_METRICS_H

#include <stddef.h>

#define METRIC_SERIES_MAX 256

/* X(ID, name, kind, help, label names or NULL) */
#define METRICS(X)                                                                                 \
	X(METRIC_HTTP_REQUESTS, "concert_http_requests_total", COUNTER, "HTTP requests answered",      \
	  "route,status")                                                                              \
	X(METRIC_HTTP_SECONDS, "concert_http_request_seconds", HISTOGRAM,                              \
	  "time from a request's last byte to its answer", "route")                                    \
	X(METRIC_HTTP_IN_FLIGHT, "concert_http_requests_in_flight", GAUGE,                             \
	  "HTTP requests waiting for an answer", NULL)                                                 \
	X(METRIC_HTTP_CLIENT_GONE, "concert_http_client_gone_total", COUNTER,                          \
	  "clients that left before their answer", NULL)                                               \
	X(METRIC_RESERVE_SECONDS, "concert_reserve_seconds", HISTOGRAM,                                \
	  "time of a booking call, hold and database included", NULL)                                  \
	X(METRIC_REFUSALS, "concert_refusals_total", COUNTER, "refusals by reason", "reason")          \
	X(METRIC_SEAT_MAP_READS, "concert_seat_map_reads_total", COUNTER,                              \
	  "seat map answers by where they came from", "source")                                        \
	X(METRIC_DB_CALLS, "concert_db_calls_total", COUNTER, "database calls by outcome",             \
	  "pool,outcome")                                                                              \
	X(METRIC_DB_SECONDS, "concert_db_call_seconds", HISTOGRAM,                                     \
	  "time of a database call, queue wait included", "pool")                                      \
	X(METRIC_DB_QUEUED, "concert_db_queued", GAUGE, "database calls waiting for a connection",     \
	  "pool")                                                                                      \
	X(METRIC_DB_CONNECTIONS, "concert_db_connections", GAUGE, "open database connections", "pool") \
	X(METRIC_REDIS_SECONDS, "concert_redis_call_seconds", HISTOGRAM, "time of a Redis call", NULL) \
	X(METRIC_REDIS_CALLS, "concert_redis_calls_total", COUNTER, "Redis calls by outcome",          \
	  "outcome")                                                                                   \
	X(METRIC_REDIS_UP, "concert_redis_up", GAUGE, "1 when Redis answers", NULL)                    \
	X(METRIC_HOLDS_TAKEN, "concert_hold_taken_total", COUNTER, "seats held", NULL)                 \
	X(METRIC_HOLDS_REFUSED, "concert_hold_refused_total", COUNTER,                                 \
	  "holds refused by Redis, by reason", "reason")                                               \
	X(METRIC_HOLDS_RELEASED, "concert_hold_released_total", COUNTER, "seats released from a hold", \
	  NULL)                                                                                        \
	X(METRIC_HOLDS_EXPIRED, "concert_hold_expired_total", COUNTER, "holds and marks that lapsed",  \
	  NULL)                                                                                        \
	X(METRIC_HOLDS_REPAIRED, "concert_hold_repaired_total", COUNTER,                               \
	  "marks that the sweeper corrected", NULL)                                                    \
	X(METRIC_HOLDS_REBUILT, "concert_hold_rebuilt_total", COUNTER,                                 \
	  "dates rebuilt after Redis came back empty", NULL)                                           \
	X(METRIC_ROOM_JOINED, "concert_room_joined_total", COUNTER, "places given out", NULL)          \
	X(METRIC_ROOM_CHECKS, "concert_room_checks_total", COUNTER, "place checks by state", "state")  \
	X(METRIC_ROOM_ADMITTED, "concert_room_admitted_total", COUNTER, "people admitted", NULL)       \
	X(METRIC_ROOM_LOST, "concert_room_lost_total", COUNTER,                                        \
	  "admitted people who did not claim in time", NULL)                                           \
	X(METRIC_ROOM_WAITING, "concert_room_waiting", GAUGE, "places given out and not yet served",   \
	  "date")                                                                                      \
	X(METRIC_ROOM_ACTIVE, "concert_room_active", GAUGE, "admitted people whose pass lives",        \
	  "date")                                                                                      \
	X(METRIC_RELAY_EVENTS, "concert_relay_events_total", COUNTER, "events acknowledged by Kafka",  \
	  "lane")                                                                                      \
	X(METRIC_RELAY_SLICES, "concert_relay_slices_total", COUNTER,                                  \
	  "slices whose cursor was written", "lane")                                                   \
	X(METRIC_RELAY_SECONDS, "concert_relay_slice_seconds", HISTOGRAM,                              \
	  "time from reading a slice to its cursor", NULL)                                             \
	X(METRIC_RELAY_ERRORS, "concert_relay_errors_total", COUNTER, "relay faults by kind", "kind")  \
	X(METRIC_RELAY_LAG, "concert_relay_oldest_unacked_seconds", GAUGE,                             \
	  "age of the oldest event not acknowledged", "lane")                                          \
	X(METRIC_RELAY_UNACKED, "concert_relay_unacked", GAUGE, "events not acknowledged", "lane")     \
	X(METRIC_CONSUMER_EVENTS, "concert_consumer_events_total", COUNTER,                            \
	  "events consumed by group and outcome", "group,outcome")                                     \
	X(METRIC_CONSUMER_SECONDS, "concert_consumer_batch_seconds", HISTOGRAM,                        \
	  "time of one batch of a group", "group")                                                     \
	X(METRIC_CONSUMER_LAG, "concert_consumer_lag", GAUGE, "messages behind the end of the topics", \
	  "group")                                                                                     \
	X(METRIC_CONSUMER_DLQ, "concert_consumer_dlq_total", COUNTER,                                  \
	  "events sent to a dead-letter topic", "group")                                               \
	X(METRIC_REAPER_EXPIRED, "concert_reaper_expired_total", COUNTER,                              \
	  "reservations that the reaper expired", NULL)                                                \
	X(METRIC_REAPER_ERRORS, "concert_reaper_errors_total", COUNTER, "reaper faults by task",       \
	  "task")                                                                                      \
	X(METRIC_REAPER_MISSING, "concert_reaper_missing_total", COUNTER,                              \
	  "reaper tasks that the extension's version does not know", "task")                           \
	X(METRIC_PROVIDER_CALLS, "concert_provider_calls_total", COUNTER,                              \
	  "questions to the payment provider by kind and outcome", "kind,outcome")                     \
	X(METRIC_PROVIDER_SECONDS, "concert_provider_call_seconds", HISTOGRAM,                         \
	  "time of a question to the payment provider", "kind")                                        \
	X(METRIC_PROVIDER_IN_FLIGHT, "concert_provider_in_flight", GAUGE,                              \
	  "questions to the payment provider that are under way", NULL)                                \
	X(METRIC_PROVIDER_BREAKER, "concert_provider_breaker", GAUGE,                                  \
	  "0: the provider is asked, 1: one question goes first, 2: it is not asked", NULL)            \
	X(METRIC_PROVIDER_MESSAGES, "concert_provider_messages_total", COUNTER,                        \
	  "what the provider said, by type and outcome", "type,outcome")                               \
	X(METRIC_PROVIDER_SIGNATURES, "concert_provider_signatures_total", COUNTER,                    \
	  "signatures of messages by verdict", "verdict")                                              \
	X(METRIC_LAG, "concert_lag", GAUGE, "what is under way in the database", "name")

typedef enum MetricId
{
#define METRIC_ENUM(id, name, kind, help, label) id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
		METRIC_COUNT
} MetricId;

void metric_add(MetricId id, const char *label_value, double value);
void metric_set(MetricId id, const char *label_value, double value);
void metric_observe(MetricId id, const char *label_value, double seconds);

/* The whole table as text; the caller frees it. NULL when out of memory. */
char *metrics_text(size_t *ret_len);

#endif
