/* SPDX-License-Identifier: PostgreSQL */
/*
 * One JSON object a line on stderr; a line is written with one write(2), so lines of two writers
 * never mix.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static LogLevel			 lowest_level = LOG_INFO_LEVEL;

static json_t *log_fields(const char *fmt, va_list args);
static json_t *log_timestamp(void);
static void	   log_write(const char *text, size_t len);

void
log_set_level(LogLevel lowest)
{
	lowest_level = lowest;
}

void
log_event(LogLevel level, const char *event, const char *correlation_id, const char *fmt, ...)
{
	json_t *line;
	char   *text;
	va_list args;

	if (level < lowest_level)
		return;
	line = json_object();
	json_object_set_new(line, "ts", log_timestamp());
	json_object_set_new(line, "level", json_string(level_names[level]));
	json_object_set_new(line, "event", json_string(event));
	if (correlation_id != NULL && correlation_id[0] != '\0')
		json_object_set_new(line, "correlation_id", json_string(correlation_id));
	if (fmt != NULL)
	{
		json_t *fields;

		va_start(args, fmt);
		fields = log_fields(fmt, args);
		va_end(args);
		json_object_update(line, fields);
		json_decref(fields);
	}
	text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	if (text == NULL)
		return;
	log_write(text, strlen(text));
	free(text);
}

static json_t *
log_fields(const char *fmt, va_list args)
{
	json_t *fields = json_vpack_ex(NULL, 0, fmt, args);

	if (json_is_object(fields))
		return fields;
	json_decref(fields);
	return json_pack("{s:s}", "fields", "unprintable");
}

static json_t *
log_timestamp(void)
{
	char			text[64];
	struct timespec now;
	struct tm		utc;
	size_t			len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, sizeof(text) - len, ".%03dZ", (int) (now.tv_nsec / 1000000));
	return json_string(text);
}

static void
log_write(const char *text, size_t len)
{
	char *line = malloc(len + 1);

	if (line == NULL)
		return;
	memcpy(line, text, len);
	line[len] = '\n';
	if (write(STDERR_FILENO, line, len + 1) < 0)
	{
		/* Nobody is left to tell. */
	}
	free(line);
}
