/* SPDX-License-Identifier: PostgreSQL */
/*
 * The daemon's log: one JSON object a line on stderr, always with "ts", "level" and "event", and
 * with "correlation_id" where a request, an event or a call is the cause. The lowest level that
 * knows a cause logs it, once. Nothing secret is ever logged.
 */
#ifndef CONCERTD_LOG_H
#define CONCERTD_LOG_H

typedef enum
{
	LOG_DEBUG_LEVEL,
	LOG_INFO_LEVEL,
	LOG_WARN_LEVEL,
	LOG_ERROR_LEVEL
} LogLevel;

/*
 * fmt is a jansson json_pack() object format ("{s:i, s:s*}", "lane", 3, "why", text) or NULL. Text
 * that is not UTF-8 makes json_pack() refuse the whole object; the line is then logged with
 * "fields":"unprintable".
 */
void log_event(LogLevel level, const char *event, const char *correlation_id, const char *fmt, ...);
void log_set_level(LogLevel lowest);

#endif
