/* SPDX-License-Identifier: PostgreSQL */
/*
 * Requests on their way in: what a handler may read of one, and what decides about it before any
 * handler does. All of it is hostile until it has been looked at here.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <uuid.h>

#include "clock.h"
#include "http_private.h"
#include "metrics.h"
#include "options.h"
#include "problem.h"

#define PATH_BYTES_MAX 1024
#define BODY_FIRST_BYTES 512
/* A body this many times over the limit is not even read to its end. */
#define BODY_DISCARD_FACTOR 4
/* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define TRACEPARENT_BYTES 55
#define TRACE_ID_AT 3
#define TRACE_ID_BYTES 32

/*
 * Two values of one of these could be read as one thing by a gateway and as another here, and so
 * could a body with both a length and chunks.
 */
static const char *const single_headers[] = {
	"Content-Length",  "Transfer-Encoding", "Host",			"X-User-Id",	"X-Role",
	"Idempotency-Key", "Concert-Place",		"Concert-Pass", "X-Request-Id", "Provider-Signature"};

#define SINGLE_HEADER_COUNT ((int) (sizeof(single_headers) / sizeof(single_headers[0])))

static void		  request_correlate(HttpRequest *request);
static bool		  request_take_trace_id(HttpRequest *request);
static void		  request_route(HttpRequest *request, const char *method);
static bool		  request_is_ambiguous(HttpRequest *request);
static HttpResult request_count_header(void *counts, enum MHD_ValueKind kind, const char *name,
									   const char *value);
static bool		  request_admit(HttpRequest *request, const char *method);
static bool		  text_is_clean(const char *text);

const char *
http_path(const HttpRequest *request)
{
	return request->path;
}

const char *
http_path_param(const HttpRequest *request, int i)
{
	return i < request->params.count ? request->params.values[i] : NULL;
}

const char *
http_query(const HttpRequest *request, const char *name)
{
	const char *value = request->connection != NULL
		? MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name)
		: NULL;

	return value != NULL && text_is_clean(value) ? value : NULL;
}

const char *
http_header(const HttpRequest *request, const char *name)
{
	const char *value = request->connection != NULL
		? MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name)
		: NULL;

	return value != NULL && text_is_clean(value) ? value : NULL;
}

const char *
http_correlation_id(const HttpRequest *request)
{
	return request->correlation_id;
}

const char *
http_idempotency_key(const HttpRequest *request)
{
	const char *key = http_header(request, "Idempotency-Key");

	return key != NULL && key[0] != '\0' && strlen(key) <= HTTP_KEY_BYTES_MAX ? key : NULL;
}

bool
http_trusted(const HttpRequest *request)
{
	Http						   *http = request->http;
	const char					   *text = options_current()->api_trusted;
	const union MHD_ConnectionInfo *info;
	char							errstr[128];

	if (http == NULL || request->connection == NULL)
		return false;
	if (http->trust_text != text && !trust_parse(text, &http->trust, errstr, sizeof(errstr)))
		http->trust.count = 0;
	http->trust_text = text;
	info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	return info != NULL && trust_has(&http->trust, info->client_addr);
}

const char *
http_body(const HttpRequest *request, size_t *ret_len)
{
	*ret_len = request->body_len;
	return request->body_len > 0 ? request->body : "";
}

json_t *
http_body_object(HttpRequest *request)
{
	json_error_t error;
	json_t		*body;

	if (request->body_len == 0)
		return json_object();
	body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(body))
		return body;
	problem_reply(request, PROBLEM_BAD_REQUEST,
				  body != NULL ? "The body is not a JSON object."
							   : "The body is not JSON in UTF-8.");
	json_decref(body);
	return NULL;
}

HttpRequest *
request_begin(Http *http, struct MHD_Connection *connection, const char *url, const char *method)
{
	HttpRequest *request = calloc(1, sizeof(HttpRequest));

	if (request == NULL)
		return NULL;
	request->http = http;
	request->connection = connection;
	request->since_seconds = clock_seconds();
	request->head = strcmp(method, "HEAD") == 0;
	request->path = strdup(url);
	if (request->path == NULL)
	{
		free(request);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&http->requests, request, link);
	http->open_requests++;
	request_correlate(request);
	request_route(request, method);
	return request;
}

/*
 * An escaped NUL must not end a path early: it becomes a control character, which no path may have.
 */
size_t
request_unescape(void *arg, struct MHD_Connection *connection, char *text)
{
	size_t len = MHD_http_unescape(text);

	(void) arg;
	(void) connection;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = '\1';
	return len;
}

HttpResult
request_take_body(HttpRequest *request, const char *data, size_t *size)
{
	size_t limit = (size_t) options_current()->api_body_bytes;
	size_t needed = request->body_len + *size;

	request->body_seen += *size;
	if (request->body_seen > limit * BODY_DISCARD_FACTOR)
		return MHD_NO;
	if (needed <= limit && needed > request->body_size)
	{
		size_t grown = request->body_size > 0 ? request->body_size : BODY_FIRST_BYTES;
		char  *body;

		while (grown < needed)
			grown *= 2;
		body = realloc(request->body, grown);
		if (body == NULL)
			return MHD_NO;
		request->body = body;
		request->body_size = grown;
	}
	if (needed <= limit)
	{
		memcpy(request->body + request->body_len, data, *size);
		request->body_len = needed;
	}
	*size = 0;
	return MHD_YES;
}

void
request_handle(HttpRequest *request)
{
	request->complete = true;
	if (request->body_seen > request->body_len)
	{
		problem_reply(request, PROBLEM_TOO_LARGE, NULL);
		return;
	}
	request->handling = true;
	request->http->handling++;
	metric_set(METRIC_HTTP_IN_FLIGHT, NULL, request->http->handling);
	request->since_seconds = clock_seconds();
	request->route->handler(request, request->http->arg);
}

void
request_free(HttpRequest *request)
{
	if (request->http != NULL)
		TAILQ_REMOVE(&request->http->requests, request, link);
	if (request->response != NULL)
		MHD_destroy_response(request->response);
	for (int i = 0; i < request->header_count; i++)
	{
		free(request->headers[i][0]);
		free(request->headers[i][1]);
	}
	free(request->body);
	free(request->path);
	free(request);
}

static void
request_correlate(HttpRequest *request)
{
	const char *id = http_header(request, "X-Request-Id");
	uuid_t		uuid;

	if (id != NULL && id[0] != '\0' && strlen(id) < HTTP_CORRELATION_ID_BYTES)
	{
		snprintf(request->correlation_id, sizeof(request->correlation_id), "%s", id);
		return;
	}
	if (request_take_trace_id(request))
		return;
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, request->correlation_id);
}

/* The trace-id of a W3C traceparent: 32 lower-case hex digits, not all zero. */
static bool
request_take_trace_id(HttpRequest *request)
{
	static const char hex[] = "0123456789abcdef";
	const char		 *parent = http_header(request, "traceparent");
	const char		 *id = parent != NULL ? parent + TRACE_ID_AT : NULL;

	if (parent == NULL || strlen(parent) < TRACEPARENT_BYTES || parent[2] != '-' ||
		strspn(id, hex) != TRACE_ID_BYTES || id[TRACE_ID_BYTES] != '-' ||
		strspn(id, "0") >= TRACE_ID_BYTES)
		return false;
	snprintf(request->correlation_id, sizeof(request->correlation_id), "%.*s", TRACE_ID_BYTES, id);
	return true;
}

/* Refuses at once what no body can mend. */
static void
request_route(HttpRequest *request, const char *method)
{
	const char *wanted = request->head ? "GET" : method;
	bool		path_known = false;
	char		allow[64] = "";

	if (strlen(request->path) > PATH_BYTES_MAX || !text_is_clean(request->path))
	{
		problem_reply(request, PROBLEM_BAD_REQUEST, "The path is too long or not UTF-8.");
		return;
	}
	if (request_is_ambiguous(request))
	{
		problem_reply(request, PROBLEM_BAD_REQUEST, "A header that must stand once stands twice.");
		return;
	}
	for (int i = 0; i < request->http->route_count; i++)
	{
		const HttpRoute *route = &request->http->routes[i];
		bool			 method_fits = strcmp(route->method, wanted) == 0;

		if (strchr(route->pattern, '*') != NULL && (path_known || !method_fits))
			continue;
		if (!route_match(route->pattern, request->path, &request->params))
			continue;
		if (method_fits)
		{
			request->route = route;
			request->complete = !request_admit(request, method);
			return;
		}
		path_known = true;
		snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow), "%s%s",
				 allow[0] != '\0' ? ", " : "", route->method);
	}
	if (path_known)
		http_set_header(request, "Allow", allow);
	problem_reply(request, path_known ? PROBLEM_METHOD_NOT_ALLOWED : PROBLEM_NOT_FOUND, NULL);
}

static bool
request_is_ambiguous(HttpRequest *request)
{
	int counts[SINGLE_HEADER_COUNT] = {0};

	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, request_count_header, counts);
	for (int i = 0; i < SINGLE_HEADER_COUNT; i++)
		if (counts[i] > 1)
			return true;
	return counts[0] + counts[1] > 1;
}

static HttpResult
request_count_header(void *counts, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void) kind;
	(void) value;
	for (int i = 0; i < SINGLE_HEADER_COUNT; i++)
		if (strcasecmp(single_headers[i], name) == 0)
			((int *) counts)[i]++;
	return MHD_YES;
}

static bool
request_admit(HttpRequest *request, const char *method)
{
	const Options *options = options_current();
	const char	  *length = http_header(request, "Content-Length");
	const char	  *type = http_header(request, "Content-Type");
	bool		   has_body = (length != NULL && strcmp(length, "0") != 0) ||
		http_header(request, "Transfer-Encoding") != NULL;

	if ((request->route->flags & HTTP_NO_LIMIT) == 0 &&
		request->http->handling >= options->api_requests_max)
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
	else if ((request->route->flags & HTTP_NEEDS_KEY) != 0 && http_idempotency_key(request) == NULL)
		problem_reply(request, PROBLEM_KEY_MISSING, "It must have 1 to 128 bytes of UTF-8.");
	else if (length != NULL &&
			 strtoull(length, NULL, 10) > (unsigned long long) options->api_body_bytes)
		problem_reply(request, PROBLEM_TOO_LARGE, NULL);
	else if (has_body && strcmp(method, "POST") == 0 &&
			 (type == NULL || strncasecmp(type, "application/json", 16) != 0 ||
			  (type[16] != '\0' && type[16] != ';' && type[16] != ' ')))
		problem_reply(request, PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL);
	else
		return true;
	return false;
}

/* UTF-8 without control characters: what may go into logs, SQL and answers. */
static bool
text_is_clean(const char *text)
{
	json_t *string;

	for (const char *c = text; *c != '\0'; c++)
		if (iscntrl((unsigned char) *c) && (unsigned char) *c < 0x80)
			return false;
	string = json_string(text);
	json_decref(string);
	return string != NULL;
}
