/* SPDX-License-Identifier: PostgreSQL */
/*
 * For tests: a Redis node that plays a script in the test's own event loop. CLUSTER SLOTS is
 * answered by the current map whenever it is asked, so that a script holds only what matters:
 *
 *   EXPECT text   the next command, its words joined by blanks; "*" at the end stands for any rest
 *   SEND text     is sent as it stands, with CR LF
 *   DROP          closes the connection
 *
 * A node without further steps answers nothing.
 */
#ifndef CONCERT_TEST_FAKE_REDIS_H
#define CONCERT_TEST_FAKE_REDIS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>

#define FAKE_STEPS_MAX 32
#define FAKE_CONNECTIONS_MAX 16

typedef struct FakeRedis FakeRedis;

typedef struct FakeConnection
{
	FakeRedis		   *fake;
	struct bufferevent *stream;
	redisReader		   *reader;
} FakeConnection;

struct FakeRedis
{
	struct event_base	  *base;
	struct evconnlistener *listener;
	int					   port;
	int					   slots_port; /* whom the map names as the master of all slots */
	int					   maps_sent;
	int					   commands; /* seen, without CLUSTER SLOTS */
	int					   connections_made;
	char				   steps[FAKE_STEPS_MAX][256];
	int					   step_count;
	int					   step;
	char				   wrong[512]; /* the first command that was not expected */
	FakeConnection		   connections[FAKE_CONNECTIONS_MAX];
};

static inline void
fake_step(FakeRedis *fake, const char *text)
{
	snprintf(fake->steps[fake->step_count++], sizeof(fake->steps[0]), "%s", text);
}

static inline bool
fake_finished(const void *arg)
{
	const FakeRedis *fake = arg;

	return fake->step == fake->step_count;
}

static inline void
fake_close_connection(FakeConnection *connection)
{
	if (connection->stream == NULL)
		return;
	bufferevent_free(connection->stream);
	redisReaderFree(connection->reader);
	connection->stream = NULL;
}

static inline void
fake_send_map(FakeConnection *connection)
{
	connection->fake->maps_sent++;
	evbuffer_add_printf(bufferevent_get_output(connection->stream),
						"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$1\r\nx\r\n",
						connection->fake->slots_port);
}

static inline bool
fake_matches(const char *pattern, const char *command)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(pattern, command, len - 1) == 0;
	return strcmp(pattern, command) == 0;
}

/* false when the script closed the connection. */
static inline bool
fake_play(FakeConnection *connection, const char *command)
{
	FakeRedis *fake = connection->fake;

	fake->commands++;
	if (fake->step == fake->step_count)
		return true;
	if (strncmp(fake->steps[fake->step], "EXPECT ", 7) != 0 ||
		!fake_matches(fake->steps[fake->step] + 7, command))
	{
		if (fake->wrong[0] == '\0')
			snprintf(fake->wrong, sizeof(fake->wrong), "got \"%.200s\", script says \"%.200s\"",
					 command, fake->steps[fake->step]);
		return true;
	}
	fake->step++;
	for (; fake->step < fake->step_count; fake->step++)
	{
		const char *step = fake->steps[fake->step];

		if (strncmp(step, "SEND ", 5) == 0)
			evbuffer_add_printf(bufferevent_get_output(connection->stream), "%s\r\n", step + 5);
		else if (strcmp(step, "DROP") == 0)
		{
			fake->step++;
			fake_close_connection(connection);
			return false;
		}
		else
			break;
	}
	return true;
}

static inline void
fake_read(struct bufferevent *stream, void *arg)
{
	FakeConnection *connection = arg;
	char			bytes[16384];
	size_t			len;
	void		   *reply;

	while ((len = bufferevent_read(stream, bytes, sizeof(bytes))) > 0)
		redisReaderFeed(connection->reader, bytes, len);
	while (redisReaderGetReply(connection->reader, &reply) == REDIS_OK && reply != NULL)
	{
		redisReply *words = reply;
		char		command[4096] = "";
		bool		open = true;

		for (size_t i = 0; i < words->elements; i++)
		{
			size_t used = strlen(command);

			snprintf(command + used, sizeof(command) - used, "%s%s", i > 0 ? " " : "",
					 words->element[i]->str);
		}
		freeReplyObject(words);
		if (strcmp(command, "CLUSTER SLOTS") == 0)
			fake_send_map(connection);
		else
			open = fake_play(connection, command);
		if (!open)
			return;
	}
}

static inline void
fake_event(struct bufferevent *stream, short what, void *arg)
{
	(void) stream;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		fake_close_connection(arg);
}

static inline void
fake_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
			int address_len, void *arg)
{
	FakeRedis *fake = arg;

	(void) listener;
	(void) address;
	(void) address_len;
	fake->connections_made++;
	for (int i = 0; i < FAKE_CONNECTIONS_MAX; i++)
	{
		FakeConnection *connection = &fake->connections[i];

		if (connection->stream != NULL)
			continue;
		connection->fake = fake;
		connection->reader = redisReaderCreate();
		connection->stream = bufferevent_socket_new(fake->base, fd, BEV_OPT_CLOSE_ON_FREE);
		bufferevent_setcb(connection->stream, fake_read, NULL, fake_event, connection);
		bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
		return;
	}
	evutil_closesocket(fd);
}

static inline FakeRedis *
fake_start(struct event_base *base)
{
	FakeRedis		  *fake = calloc(1, sizeof(FakeRedis));
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t		   len = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fake->base = base;
	fake->listener =
		evconnlistener_new_bind(base, fake_accept, fake, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
								-1, (struct sockaddr *) &address, sizeof(address));
	getsockname(evconnlistener_get_fd(fake->listener), (struct sockaddr *) &address, &len);
	fake->port = ntohs(address.sin_port);
	fake->slots_port = fake->port;
	return fake;
}

static inline void
fake_stop(FakeRedis *fake)
{
	for (int i = 0; i < FAKE_CONNECTIONS_MAX; i++)
		fake_close_connection(&fake->connections[i]);
	evconnlistener_free(fake->listener);
	free(fake);
}

#endif
