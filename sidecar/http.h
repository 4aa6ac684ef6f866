/* SPDX-License-Identifier: PostgreSQL */
/*
 * The HTTP server: libmicrohttpd inside the libevent loop. A request is read whole (headers and
 * body are bounded), handed to its route's handler and suspended until http_reply*() gives the
 * answer, at once or later. Every request is answered exactly once by its handler, also when the
 * client has gone meanwhile: the answer is then dropped here. What a handler gets is valid until it
 * answers.
 */
#ifndef CONCERTD_HTTP_H
#define CONCERTD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>
#include <jansson.h>

/* The longest that is taken over from a caller; the correlation id with its NUL. */
#define HTTP_CORRELATION_ID_BYTES 65
#define HTTP_KEY_BYTES_MAX 128

typedef struct Http		   Http;
typedef struct HttpRequest HttpRequest;
typedef void (*HttpHandler)(HttpRequest *request, void *arg);

typedef struct HttpRoute
{
	const char *method;	 /* "GET", "POST", "DELETE" */
	const char *pattern; /* "/v1/dates/{id}/seats"; see route.h */
	const char *name;	 /* the metrics' label */
	HttpHandler handler;
	unsigned	flags; /* HTTP_… */
} HttpRoute;

#define HTTP_NEEDS_KEY 1u /* Idempotency-Key is required */
#define HTTP_NO_LIMIT 2u  /* answered also when api.requests_max are waiting and while draining */

/* routes stay the caller's and must outlive it. NULL: the cause is logged. */
Http *http_open(struct event_base *base, const HttpRoute *routes, int route_count, void *arg);
void  http_close(Http *http);

/* Stops accepting; drained is called once when no request is in flight (maybe at once). */
void http_drain(Http *http, void (*drained)(void *arg), void *arg);
int	 http_port(const Http *http);

/*
 * What came. A header's or parameter's value is NULL when absent; NUL-terminated, checked to be
 * UTF-8.
 */
const char *http_path(const HttpRequest *request);
const char *http_path_param(const HttpRequest *request, int i);
const char *http_query(const HttpRequest *request, const char *name);
const char *http_header(const HttpRequest *request, const char *name);
const char *http_correlation_id(const HttpRequest *request);
const char *http_idempotency_key(const HttpRequest *request);
bool		http_trusted(const HttpRequest *request);

/* The body as it came; "" when there is none. */
const char *http_body(const HttpRequest *request, size_t *ret_len);

/*
 * The body as a JSON object, an empty one as {}; the caller drops it. NULL: it is none, and the
 * request is already answered with its problem.
 */
json_t *http_body_object(HttpRequest *request);

/* Extra header of the answer, before http_reply_…(). Both are copied; at most HTTP_HEADERS_MAX. */
#define HTTP_HEADERS_MAX 8
void http_set_header(HttpRequest *request, const char *name, const char *value);

/* A body that several answers share. */
typedef struct HttpBlob HttpBlob;
HttpBlob			   *http_blob_new(const char *bytes, size_t len);
HttpBlob			   *http_blob_ref(HttpBlob *blob);
void					http_blob_unref(HttpBlob *blob);

/*
 * The answer; the request is not to be touched after it. http_reply_json takes over body,
 * http_reply_file fd.
 */
void http_reply_json(HttpRequest *request, int status, json_t *body);
void http_reply_text(HttpRequest *request, int status, const char *content_type, const char *text,
					 size_t len);
void http_reply_blob(HttpRequest *request, int status, const char *content_type, HttpBlob *blob);
void http_reply_file(HttpRequest *request, const char *content_type, int fd, size_t len);
void http_reply_empty(HttpRequest *request, int status);

/*
 * Readiness: any module registers a check once; /readyz is red while one returns false, with what
 * it wrote into detail. The name is kept, not copied.
 */
typedef bool (*HttpReadyCheck)(void *arg, char *detail, size_t size);
void	http_ready_check(const char *name, HttpReadyCheck check, void *arg);
json_t *http_ready_report(bool *ret_ready);

#endif
