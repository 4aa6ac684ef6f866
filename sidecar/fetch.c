/* SPDX-License-Identifier: PostgreSQL */
/*
 * libcurl says which sockets it waits for and how long; the loop tells it when one is ready or the
 * time is over, and asks what is finished then. Nothing of libcurl is called from inside its own
 * callbacks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "clock.h"
#include "fetch.h"
#include "log.h"

#define USER_AGENT "concertd/" CONCERT_VERSION
#define ANSWER_FIRST_BYTES 1024

typedef struct Exchange
{
	TAILQ_ENTRY(Exchange) link;
	CURL			  *easy;
	struct curl_slist *headers;
	char			  *body;
	size_t			   len;
	size_t			   size;
	FetchDone		   done;
	void			  *arg;
	char			   errstr[CURL_ERROR_SIZE];
} Exchange;

struct Fetch
{
	struct event_base *base;
	CURLM			  *multi;
	struct event	  *timer;
	char			  *ca_file;
	TAILQ_HEAD(, Exchange) exchanges;
};

static int	fetch_want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);
static int	fetch_want_timer(CURLM *multi, long timeout_ms, void *arg);
static void fetch_socket_ready(evutil_socket_t fd, short what, void *arg);
static void fetch_timer(evutil_socket_t fd, short what, void *arg);
static void fetch_take_finished(Fetch *fetch);
static bool exchange_set_up(Fetch *fetch, Exchange *exchange, const FetchRequest *request);
static size_t exchange_take_bytes(char *bytes, size_t one, size_t count, void *arg);
static void	  exchange_finish(Fetch *fetch, Exchange *exchange, CURLcode code);
static void	  exchange_free(Exchange *exchange);

Fetch *
fetch_open(struct event_base *base, const char *ca_file, int connections_max)
{
	Fetch	*fetch = calloc(1, sizeof(Fetch));
	CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);

	if (fetch == NULL || code != CURLE_OK)
	{
		log_event(LOG_ERROR_LEVEL, "fetch_unusable", NULL, "{s:s}", "why",
				  curl_easy_strerror(code));
		free(fetch);
		return NULL;
	}
	TAILQ_INIT(&fetch->exchanges);
	fetch->base = base;
	fetch->ca_file = strdup(ca_file);
	fetch->timer = evtimer_new(base, fetch_timer, fetch);
	fetch->multi = curl_multi_init();
	if (fetch->ca_file == NULL || fetch->timer == NULL || fetch->multi == NULL)
	{
		fetch_close(fetch);
		return NULL;
	}
	curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, fetch_want_socket);
	curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
	curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, fetch_want_timer);
	curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
	curl_multi_setopt(fetch->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) connections_max);
	return fetch;
}

void
fetch_close(Fetch *fetch)
{
	Exchange *exchange;

	if (fetch == NULL)
		return;
	while ((exchange = TAILQ_FIRST(&fetch->exchanges)) != NULL)
		exchange_finish(fetch, exchange, CURLE_ABORTED_BY_CALLBACK);
	if (fetch->multi != NULL)
		curl_multi_cleanup(fetch->multi);
	if (fetch->timer != NULL)
		event_free(fetch->timer);
	free(fetch->ca_file);
	free(fetch);
	curl_global_cleanup();
}

bool
fetch_send(Fetch *fetch, const FetchRequest *request, FetchDone done, void *arg)
{
	Exchange *exchange = calloc(1, sizeof(Exchange));

	if (exchange == NULL)
		return false;
	exchange->done = done;
	exchange->arg = arg;
	if (!exchange_set_up(fetch, exchange, request) ||
		curl_multi_add_handle(fetch->multi, exchange->easy) != CURLM_OK)
	{
		exchange_free(exchange);
		return false;
	}
	TAILQ_INSERT_TAIL(&fetch->exchanges, exchange, link);
	return true;
}

/* socket_arg is the event of the socket, once it has one. */
static int
fetch_want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	Fetch		 *fetch = arg;
	struct event *event = socket_arg;
	short		  events = EV_PERSIST;

	(void) easy;
	if (event != NULL)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE)
	{
		if ((what & CURL_POLL_IN) != 0)
			events |= EV_READ;
		if ((what & CURL_POLL_OUT) != 0)
			events |= EV_WRITE;
		event = event_new(fetch->base, fd, events, fetch_socket_ready, fetch);
		if (event == NULL || event_add(event, NULL) != 0)
			return -1;
	}
	curl_multi_assign(fetch->multi, fd, event);
	return 0;
}

static int
fetch_want_timer(CURLM *multi, long timeout_ms, void *arg)
{
	Fetch *fetch = arg;

	(void) multi;
	if (timeout_ms < 0)
		event_del(fetch->timer);
	else
		clock_wait(fetch->timer, (double) timeout_ms / 1000);
	return 0;
}

static void
fetch_socket_ready(evutil_socket_t fd, short what, void *arg)
{
	Fetch *fetch = arg;
	int	   ready = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
		((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(fetch->multi, fd, ready, &running);
	fetch_take_finished(fetch);
}

static void
fetch_timer(evutil_socket_t fd, short what, void *arg)
{
	Fetch *fetch = arg;
	int	   running;

	(void) fd;
	(void) what;
	curl_multi_socket_action(fetch->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	fetch_take_finished(fetch);
}

static void
fetch_take_finished(Fetch *fetch)
{
	CURLMsg *message;
	int		 left;

	while ((message = curl_multi_info_read(fetch->multi, &left)) != NULL)
	{
		char *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
		exchange_finish(fetch, (Exchange *) exchange, message->data.result);
	}
}

static bool
exchange_set_up(Fetch *fetch, Exchange *exchange, const FetchRequest *request)
{
	CURL *easy = exchange->easy = curl_easy_init();

	if (easy == NULL)
		return false;
	for (int i = 0; i < FETCH_HEADERS_MAX && request->headers[i] != NULL; i++)
	{
		struct curl_slist *grown = curl_slist_append(exchange->headers, request->headers[i]);

		if (grown == NULL)
			return false;
		exchange->headers = grown;
	}
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->errstr);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (fetch->ca_file[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_CAINFO, fetch->ca_file);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, exchange_take_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	return (request->body == NULL ||
			curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK) &&
		curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;
}

/* Anything but all of it ends the transfer. */
static size_t
exchange_take_bytes(char *bytes, size_t one, size_t count, void *arg)
{
	Exchange *exchange = arg;
	size_t	  needed = exchange->len + one * count;
	size_t	  size = exchange->size > 0 ? exchange->size : ANSWER_FIRST_BYTES;

	if (needed > FETCH_ANSWER_BYTES_MAX)
		return 0;
	while (size < needed)
		size *= 2;
	if (size > exchange->size)
	{
		char *grown = realloc(exchange->body, size);

		if (grown == NULL)
			return 0;
		exchange->body = grown;
		exchange->size = size;
	}
	memcpy(exchange->body + exchange->len, bytes, one * count);
	exchange->len = needed;
	return one * count;
}

static void
exchange_finish(Fetch *fetch, Exchange *exchange, CURLcode code)
{
	FetchReply reply = {.outcome = FETCH_BROKEN,
						.body = exchange->len > 0 ? exchange->body : "",
						.body_len = exchange->len};
	long	   status = 0;

	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	switch (code)
	{
		case CURLE_OK:
			reply.outcome = FETCH_ANSWERED;
			reply.status = (int) status;
			break;
		case CURLE_OPERATION_TIMEDOUT:
			reply.outcome = FETCH_TIMEOUT;
			break;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
			reply.outcome = FETCH_UNREACHABLE;
			break;
		default:
			break;
	}
	if (code != CURLE_OK)
		reply.errstr = exchange->errstr[0] != '\0' ? exchange->errstr : curl_easy_strerror(code);
	TAILQ_REMOVE(&fetch->exchanges, exchange, link);
	curl_multi_remove_handle(fetch->multi, exchange->easy);
	exchange->done(exchange->arg, &reply);
	exchange_free(exchange);
}

static void
exchange_free(Exchange *exchange)
{
	if (exchange->easy != NULL)
		curl_easy_cleanup(exchange->easy);
	curl_slist_free_all(exchange->headers);
	free(exchange->body);
	free(exchange);
}
