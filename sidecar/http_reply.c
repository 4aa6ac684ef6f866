/* SPDX-License-Identifier: PostgreSQL */
/*
 * Answers on their way out. An answer is kept with its request until the connection takes it: at
 * once inside http_access(), or in a later one after the connection was resumed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "http_private.h"
#include "log.h"
#include "metrics.h"
#include "problem.h"

#define LABEL_BYTES 96 /* of a metric: route and status */

struct HttpBlob
{
	int	   refs;
	size_t len;
	char   bytes[];
};

static void request_add_headers(HttpRequest *request);
static void request_answer(HttpRequest *request, int status, const char *content_type,
						   struct MHD_Response *response);
static void request_log(const HttpRequest *request, const char *route, double seconds);
static void blob_unref(void *blob);

void
http_set_header(HttpRequest *request, const char *name, const char *value)
{
	char **header = request->headers[request->header_count];

	if (request->header_count == HTTP_HEADERS_MAX)
		return;
	header[0] = strdup(name);
	header[1] = strdup(value);
	request->header_count++;
}

HttpBlob *
http_blob_new(const char *bytes, size_t len)
{
	HttpBlob *blob = malloc(sizeof(HttpBlob) + len);

	if (blob == NULL)
		return NULL;
	blob->refs = 1;
	blob->len = len;
	memcpy(blob->bytes, bytes, len);
	return blob;
}

HttpBlob *
http_blob_ref(HttpBlob *blob)
{
	blob->refs++;
	return blob;
}

void
http_blob_unref(HttpBlob *blob)
{
	if (blob != NULL && --blob->refs == 0)
		free(blob);
}

void
http_reply_json(HttpRequest *request, int status, json_t *body)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (text == NULL)
	{
		problem_reply(request, PROBLEM_INTERNAL, NULL);
		return;
	}
	request_answer(request, status, "application/json",
				   MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

void
http_reply_text(HttpRequest *request, int status, const char *content_type, const char *text,
				size_t len)
{
	request_answer(request, status, content_type,
				   MHD_create_response_from_buffer(len, (void *) text, MHD_RESPMEM_MUST_COPY));
}

void
http_reply_blob(HttpRequest *request, int status, const char *content_type, HttpBlob *blob)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		blob->len, blob->bytes, blob_unref, blob);

	if (response != NULL)
		http_blob_ref(blob);
	request_answer(request, status, content_type, response);
}

void
http_reply_file(HttpRequest *request, const char *content_type, int fd, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_fd(len, fd);

	if (response == NULL)
		close(fd);
	request_answer(request, 200, content_type, response);
}

void
http_reply_empty(HttpRequest *request, int status)
{
	request_answer(request, status, NULL,
				   MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT));
}

HttpResult
request_send(HttpRequest *request)
{
	HttpResult queued = MHD_NO;

	if (request->response == NULL)
		return MHD_NO;
	request_add_headers(request);
	queued = MHD_queue_response(request->connection, (unsigned) request->status, request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return queued;
}

static void
request_add_headers(HttpRequest *request)
{
	struct MHD_Response *response = request->response;
	bool				 cache = false;

	for (int i = 0; i < request->header_count; i++)
	{
		if (request->headers[i][0] == NULL || request->headers[i][1] == NULL)
			continue;
		cache = cache || strcasecmp(request->headers[i][0], "Cache-Control") == 0;
		MHD_add_response_header(response, request->headers[i][0], request->headers[i][1]);
	}
	if (!cache)
		MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Request-Id", request->correlation_id);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (request->http->draining)
		MHD_add_response_header(response, "Connection", "close");
}

/* A response that could not be made closes the connection. */
static void
request_answer(HttpRequest *request, int status, const char *content_type,
			   struct MHD_Response *response)
{
	Http	   *http = request->http;
	const char *route = request->route != NULL ? request->route->name : "none";
	double		seconds = clock_seconds() - request->since_seconds;
	bool		handled = request->handling;
	char		label[LABEL_BYTES];

	request->status = status;
	request->response = response;
	request->handling = false;
	if (http == NULL)
	{
		request_free(request);
		return;
	}
	if (response != NULL && content_type != NULL)
		MHD_add_response_header(response, "Content-Type", content_type);
	snprintf(label, sizeof(label), "%s,%d", route, status);
	metric_add(METRIC_HTTP_REQUESTS, label, 1);
	if (handled)
	{
		metric_observe(METRIC_HTTP_SECONDS, route, seconds);
		metric_set(METRIC_HTTP_IN_FLIGHT, NULL, --http->handling);
	}
	request_log(request, route, seconds);
	if (request->connection == NULL)
		request_free(request);
	else if (request->suspended)
	{
		request->suspended = false;
		MHD_resume_connection(request->connection);
		http_wake(http);
	}
}

static void
request_log(const HttpRequest *request, const char *route, double seconds)
{
	bool	 reads = request->route == NULL || strcmp(request->route->method, "GET") == 0;
	LogLevel level = reads ? LOG_DEBUG_LEVEL : LOG_INFO_LEVEL;

	if (request->status >= 500)
		level = LOG_WARN_LEVEL;
	log_event(level, "http_request", request->correlation_id, "{s:s, s:i, s:i}", "route", route,
			  "status", request->status, "elapsed_us", (int) (seconds * 1e6));
}

static void
blob_unref(void *blob)
{
	http_blob_unref(blob);
}
