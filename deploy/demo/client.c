/* SPDX-License-Identifier: PostgreSQL */
#include "client.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A request in wait of a connection, or on one. */
typedef struct Call
{
	TAILQ_ENTRY(Call) next;
	struct Connection	  *connection;
	ClientDone			   done;
	void				  *arg;
	enum evhttp_cmd_type   method;
	struct evhttp_request *request;
	char				   path[];
} Call;

typedef struct Connection
{
	Client					 *client;
	struct evhttp_connection *http;
	TAILQ_ENTRY(Connection) next_idle;
} Connection;

struct Client
{
	struct event_base *base;
	char			   host_header[64];
	int				   nconnections;
	Connection		  *connections;
	TAILQ_HEAD(, Connection) idle;
	TAILQ_HEAD(, Call) waiting;
	struct event *dispatch;
};

static void client_dispatch(evutil_socket_t fd, short what, void *arg);
static void call_finished(struct evhttp_request *request, void *arg);

Client *
client_open(struct event_base *base, const char *host, int port, int connections, int timeout_ms)
{
	Client		  *client = calloc(1, sizeof(Client));
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

	client->base = base;
	client->nconnections = connections;
	client->connections = calloc((size_t) connections, sizeof(Connection));
	client->dispatch = event_new(base, -1, 0, client_dispatch, client);
	snprintf(client->host_header, sizeof(client->host_header), "%s:%d", host, port);
	TAILQ_INIT(&client->idle);
	TAILQ_INIT(&client->waiting);
	for (int i = 0; i < connections; i++)
	{
		Connection *connection = &client->connections[i];

		connection->client = client;
		connection->http =
			evhttp_connection_base_bufferevent_new(base, NULL, NULL, host, (unsigned short) port);
		evhttp_connection_set_timeout_tv(connection->http, &timeout);
		TAILQ_INSERT_TAIL(&client->idle, connection, next_idle);
	}
	return client;
}

void
client_close(Client *client)
{
	Call *call;

	while ((call = TAILQ_FIRST(&client->waiting)) != NULL)
	{
		TAILQ_REMOVE(&client->waiting, call, next);
		evhttp_request_free(call->request);
		free(call);
	}
	event_free(client->dispatch);
	for (int i = 0; i < client->nconnections; i++)
		evhttp_connection_free(client->connections[i].http);
	free(client->connections);
	free(client);
}

static enum evhttp_cmd_type
method_of(const char *name)
{
	if (strcmp(name, "POST") == 0)
		return EVHTTP_REQ_POST;
	return strcmp(name, "DELETE") == 0 ? EVHTTP_REQ_DELETE : EVHTTP_REQ_GET;
}

void
client_send(Client *client, const ClientRequest *request, ClientDone done, void *arg)
{
	Call			 *call = malloc(sizeof(Call) + strlen(request->path) + 1);
	struct evkeyvalq *headers;

	*call = (Call){.done = done, .arg = arg, .method = method_of(request->method)};
	memcpy(call->path, request->path, strlen(request->path) + 1);
	call->request = evhttp_request_new(call_finished, call);
	headers = evhttp_request_get_output_headers(call->request);
	evhttp_add_header(headers, "Host", client->host_header);
	for (const ClientHeader *header = request->headers; header->name != NULL; header++)
		evhttp_add_header(headers, header->name, header->value);
	if (request->body != NULL)
	{
		evhttp_add_header(headers, "Content-Type", "application/json");
		evbuffer_add(evhttp_request_get_output_buffer(call->request), request->body,
					 strlen(request->body));
	}
	TAILQ_INSERT_TAIL(&client->waiting, call, next);
	event_active(client->dispatch, EV_TIMEOUT, 0);
}

/* Runs from the loop, never inside a reply's callback: evhttp is then done with the connection. */
static void
client_dispatch(evutil_socket_t fd, short what, void *arg)
{
	Client	   *client = arg;
	Connection *connection;
	Call	   *call;

	(void) fd;
	(void) what;
	while ((connection = TAILQ_FIRST(&client->idle)) != NULL &&
		   (call = TAILQ_FIRST(&client->waiting)) != NULL)
	{
		TAILQ_REMOVE(&client->idle, connection, next_idle);
		TAILQ_REMOVE(&client->waiting, call, next);
		call->connection = connection;
		if (evhttp_make_request(connection->http, call->request, call->method, call->path) != 0)
		{
			evhttp_request_free(call->request);
			call_finished(NULL, call);
		}
	}
}

/*
 * evhttp says NULL, or a request without a response, when the connection failed or the time was
 * over.
 */
static void
call_finished(struct evhttp_request *request, void *arg)
{
	Call	   *call = arg;
	Client	   *client = call->connection->client;
	ClientReply reply = {.body = ""};

	if (request != NULL && evhttp_request_get_response_code(request) != 0)
	{
		struct evbuffer	 *body = evhttp_request_get_input_buffer(request);
		struct evkeyvalq *headers = evhttp_request_get_input_headers(request);

		evbuffer_add(body, "", 1);
		reply.status = evhttp_request_get_response_code(request);
		reply.body_bytes = evbuffer_get_length(body) - 1;
		reply.body = (const char *) evbuffer_pullup(body, -1);
		reply.etag = evhttp_find_header(headers, "ETag");
		reply.cache_control = evhttp_find_header(headers, "Cache-Control");
		reply.retry_after = evhttp_find_header(headers, "Retry-After");
	}
	TAILQ_INSERT_HEAD(&client->idle, call->connection, next_idle);
	event_active(client->dispatch, EV_TIMEOUT, 0);
	call->done(call->arg, &reply);
	free(call);
}
