/* SPDX-License-Identifier: PostgreSQL */
/* CloudEvents headers, written and read. */
#include <string.h>

#include <jansson.h>
#include <uuid/uuid.h>

#include "cloudevent.h"

#define OWN_CORRELATION "correlation_id"
#define CE_PREFIX "ce_"
#define EVENT_ID_VERSION 7

static void headers_add(rd_kafka_headers_t *headers, const char *name, const char *value);
static bool header_text(const rd_kafka_headers_t *headers, const char *name, char *ret_value,
						size_t size);

rd_kafka_headers_t *
cloudevent_headers(const char *id, const char *type, const char *created_at,
				   const char *own_headers)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
	json_t			   *own = json_loads(own_headers, 0, NULL);
	const char		   *name;
	json_t			   *value;

	if (headers == NULL)
	{
		json_decref(own);
		return NULL;
	}
	headers_add(headers, CE_SPECVERSION, "1.0");
	headers_add(headers, CE_ID, id);
	headers_add(headers, CE_TYPE, type);
	headers_add(headers, CE_SOURCE, "/concert");
	headers_add(headers, CE_TIME, created_at);
	headers_add(headers, "content-type", "application/json");
	json_object_foreach(own, name, value)
	{
		if (!json_is_string(value) || strncmp(name, CE_PREFIX, strlen(CE_PREFIX)) == 0)
			continue;
		headers_add(headers, strcmp(name, OWN_CORRELATION) == 0 ? CE_CORRELATION : name,
					json_string_value(value));
	}
	json_decref(own);
	return headers;
}

bool
cloudevent_read(const rd_kafka_message_t *message, CloudEvent *ret_event, const char **ret_why)
{
	rd_kafka_headers_t *headers = NULL;
	bool				has_id;
	bool				has_type;
	uuid_t				id;

	rd_kafka_message_headers(message, &headers);
	has_id = header_text(headers, CE_ID, ret_event->id, sizeof(ret_event->id));
	has_type = header_text(headers, CE_TYPE, ret_event->type, sizeof(ret_event->type));
	cloudevent_correlation(headers, ret_event->correlation_id, sizeof(ret_event->correlation_id));
	if (!has_id)
		*ret_why = "no " CE_ID;
	else if (!has_type)
		*ret_why = "no " CE_TYPE;
	else if (uuid_parse(ret_event->id, id) != 0)
		*ret_why = CE_ID " is not a UUID";
	else if (id[6] >> 4 != EVENT_ID_VERSION)
		*ret_why = CE_ID " is not a version 7 UUID";
	else
		return true;
	return false;
}

void
cloudevent_correlation(const rd_kafka_headers_t *headers, char *ret_value, size_t size)
{
	header_text(headers, CE_CORRELATION, ret_value, size);
}

static void
headers_add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
	rd_kafka_header_add(headers, name, -1, value, -1);
}

/* A value that does not fit counts as absent: cut short, a wrong id might look like a right one. */
static bool
header_text(const rd_kafka_headers_t *headers, const char *name, char *ret_value, size_t size)
{
	const void *value;
	size_t		len;

	ret_value[0] = '\0';
	if (headers == NULL ||
		rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		value == NULL || len >= size)
		return false;
	memcpy(ret_value, value, len);
	ret_value[len] = '\0';
	return true;
}
