/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the files of the HTTP server share: http.c runs it, http_request.c takes requests in,
 * http_reply.c sends answers out. A request has two owners: the connection, until libmicrohttpd
 * reports it completed, and the handler, until it answers. It is freed when both are done. Between
 * the two the connection is suspended; a client that leaves meanwhile is noticed when the answer
 * cannot be written.
 */
#ifndef CONCERTD_HTTP_PRIVATE_H
#define CONCERTD_HTTP_PRIVATE_H

#include <sys/queue.h>

#include <microhttpd.h>

#include "http.h"
#include "route.h"
#include "trust.h"

#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result HttpResult;
#else
typedef int HttpResult;
#endif

struct HttpRequest
{
	TAILQ_ENTRY(HttpRequest) link;
	Http				  *http;
	struct MHD_Connection *connection; /* NULL: the client is gone */
	const HttpRoute		  *route;
	RouteParams			   params;
	char				  *path;
	char				   correlation_id[HTTP_CORRELATION_ID_BYTES];
	char				  *body;
	size_t				   body_len;
	size_t				   body_size;
	size_t				   body_seen; /* more than body_len: too much came and was dropped */
	double				   since_seconds;
	bool				   head;
	bool				   complete; /* read whole, and handed to its handler or refused */
	bool				   handling; /* the handler has not answered */
	bool				   suspended;
	int					   status; /* of the answer, 0 before it */
	struct MHD_Response	  *response;
	int					   header_count;
	char				  *headers[HTTP_HEADERS_MAX][2];
};

struct Http
{
	struct event_base *base;
	struct MHD_Daemon *daemon;
	const HttpRoute	  *routes;
	int				   route_count;
	void			  *arg;
	struct event	  *readable;
	struct event	  *timer;
	Trust			   trust;
	const char		  *trust_text; /* what trust was parsed from */
	TAILQ_HEAD(, HttpRequest) requests;
	int	 handling;
	int	 open_requests;
	bool draining;
	bool closing;
	void (*drained)(void *arg);
	void *drained_arg;
};

/* NULL: out of memory. A request that is answered already has a status. */
HttpRequest *request_begin(Http *http, struct MHD_Connection *connection, const char *url,
						   const char *method);
HttpResult	 request_take_body(HttpRequest *request, const char *data, size_t *size);
void		 request_handle(HttpRequest *request);
HttpResult	 request_send(HttpRequest *request);
void		 request_free(HttpRequest *request);

/* For MHD_OPTION_UNESCAPE_CALLBACK. */
size_t request_unescape(void *arg, struct MHD_Connection *connection, char *text);

/* Lets the server run in this turn of the loop, once, however many answers ask for it. */
void http_wake(Http *http);

#endif
