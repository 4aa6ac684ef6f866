/* SPDX-License-Identifier: PostgreSQL */
/*
 * An event as a Kafka message: CloudEvents 1.0, binary mode. The names of the headers stand here
 * once, for the relay that writes them and the consumers that read them. An event's own headers (a
 * JSON object of the outbox row) go along under their own names, correlation_id as
 * ce_correlationid; none of them can replace a ce_ header.
 */
#ifndef CONCERTD_CLOUDEVENT_H
#define CONCERTD_CLOUDEVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#define CLOUDEVENT_ID_BYTES 37
#define CLOUDEVENT_TYPE_BYTES 128
#define CLOUDEVENT_CORRELATION_BYTES 65

#define CE_SPECVERSION "ce_specversion"
#define CE_ID "ce_id"
#define CE_TYPE "ce_type"
#define CE_SOURCE "ce_source"
#define CE_TIME "ce_time"
#define CE_CORRELATION "ce_correlationid"

/* What a consumer needs of a message beside its value. */
typedef struct CloudEvent
{
	char id[CLOUDEVENT_ID_BYTES];
	char type[CLOUDEVENT_TYPE_BYTES];
	char correlation_id[CLOUDEVENT_CORRELATION_BYTES];
} CloudEvent;

/* created_at is RFC 3339 text; own_headers the JSON object. NULL: out of memory. */
rd_kafka_headers_t *cloudevent_headers(const char *id, const char *type, const char *created_at,
									   const char *own_headers);

/*
 * false: no event of ours; ret_why, a constant, says what is missing, and ret_event holds what was
 * there.
 */
bool cloudevent_read(const rd_kafka_message_t *message, CloudEvent *ret_event,
					 const char **ret_why);

/* "" when there is none. */
void cloudevent_correlation(const rd_kafka_headers_t *headers, char *ret_value, size_t size);

#endif
