/* SPDX-License-Identifier: PostgreSQL */
/*
 * Plain HTTP/1.1 to one server over a bounded pool of keep-alive connections: what a gateway in
 * front of many fans does. Requests wait in order for a free connection; a request is answered
 * exactly once, with status 0 when no answer came (the caller may send it again).
 */
#ifndef DEMO_CLIENT_H
#define DEMO_CLIENT_H

#include <stddef.h>

#include <event2/event.h>

#define CLIENT_HEADERS_MAX 6

typedef struct Client Client;

typedef struct ClientHeader
{
	const char *name;
	const char *value;
} ClientHeader;

/* Everything is copied. The list of headers ends with a NULL name. */
typedef struct ClientRequest
{
	const char	*method; /* "GET", "POST" or "DELETE" */
	const char	*path;
	const char	*body; /* JSON or NULL */
	ClientHeader headers[CLIENT_HEADERS_MAX + 1];
} ClientRequest;

typedef struct ClientReply
{
	int			status; /* 0: none came */
	const char *body;	/* NUL-terminated, valid during the callback */
	size_t		body_bytes;
	const char *etag; /* of these headers, or NULL */
	const char *cache_control;
	const char *retry_after;
} ClientReply;

typedef void (*ClientDone)(void *arg, const ClientReply *reply);

Client *client_open(struct event_base *base, const char *host, int port, int connections,
					int timeout_ms);
void	client_close(Client *client); /* without answering what is under way */
void	client_send(Client *client, const ClientRequest *request, ClientDone done, void *arg);

#endif
