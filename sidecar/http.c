/* SPDX-License-Identifier: PostgreSQL */
/*
 * The server: libmicrohttpd's epoll descriptor and its next time-out are events of the loop. Each
 * request comes in through http_access(), is suspended there while its handler waits for something,
 * and leaves through http_completed().
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "http_private.h"
#include "log.h"
#include "metrics.h"
#include "options.h"

#define LISTEN_BACKLOG 4096
#define READY_CHECKS_MAX 32
#define READY_DETAIL_BYTES 256

static struct
{
	const char	  *name;
	HttpReadyCheck check;
	void		  *arg;
} ready_checks[READY_CHECKS_MAX];
static int ready_check_count;

static bool				  http_address(const char *listen, struct addrinfo **ret_address);
static struct MHD_Daemon *http_start(Http *http, const struct addrinfo *address);
static void				  http_run(evutil_socket_t fd, short what, void *arg);
static void				  http_check_drained(Http *http);
static HttpResult		  http_access(void *cls, struct MHD_Connection *connection, const char *url,
									  const char *method, const char *version, const char *upload_data,
									  size_t *upload_data_size, void **con_cls);
static void http_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
						   enum MHD_RequestTerminationCode code);
static void http_mhd_log(void *arg, const char *fmt, va_list args);

Http *
http_open(struct event_base *base, const HttpRoute *routes, int route_count, void *arg)
{
	const Options			   *options = options_current();
	const union MHD_DaemonInfo *info;
	struct addrinfo			   *address;
	Http					   *http;

	if (!http_address(options->api_listen, &address))
		return NULL;
	http = calloc(1, sizeof(Http));
	if (http != NULL)
	{
		http->base = base;
		http->routes = routes;
		http->route_count = route_count;
		http->arg = arg;
		TAILQ_INIT(&http->requests);
		http->daemon = http_start(http, address);
	}
	freeaddrinfo(address);
	info = http != NULL && http->daemon != NULL
		? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)
		: NULL;
	if (info == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "http_not_started", NULL, "{s:s, s:s}", "listen",
				  options->api_listen, "why", strerror(errno));
		free(http);
		return NULL;
	}
	http->readable = event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, http_run, http);
	http->timer = evtimer_new(base, http_run, http);
	event_add(http->readable, NULL);
	log_event(LOG_INFO_LEVEL, "http_listening", NULL, "{s:s, s:i}", "listen", options->api_listen,
			  "port", http_port(http));
	return http;
}

/*
 * Requests whose handler has not answered yet lose their connection here and are freed by that
 * answer.
 */
void
http_close(Http *http)
{
	HttpRequest *request;

	if (http == NULL)
		return;
	http->closing = true;
	TAILQ_FOREACH(request, &http->requests, link)
	if (request->suspended && request->connection != NULL)
	{
		request->suspended = false;
		MHD_resume_connection(request->connection);
	}
	MHD_run(http->daemon);
	MHD_stop_daemon(http->daemon);
	TAILQ_FOREACH(request, &http->requests, link)
	request->http = NULL;
	event_free(http->readable);
	event_free(http->timer);
	free(http);
}

void
http_drain(Http *http, void (*drained)(void *arg), void *arg)
{
	MHD_socket listener;

	if (http->draining)
		return;
	http->draining = true;
	http->drained = drained;
	http->drained_arg = arg;
	listener = MHD_quiesce_daemon(http->daemon);
	if (listener != MHD_INVALID_SOCKET)
		close(listener);
	http_check_drained(http);
}

int
http_port(const Http *http)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info != NULL ? info->port : 0;
}

void
http_ready_check(const char *name, HttpReadyCheck check, void *arg)
{
	if (ready_check_count == READY_CHECKS_MAX)
	{
		log_event(LOG_ERROR_LEVEL, "too_many_ready_checks", NULL, "{s:s}", "check", name);
		return;
	}
	ready_checks[ready_check_count].name = name;
	ready_checks[ready_check_count].check = check;
	ready_checks[ready_check_count++].arg = arg;
}

json_t *
http_ready_report(bool *ret_ready)
{
	json_t *checks = json_object();
	bool	all = true;

	for (int i = 0; i < ready_check_count; i++)
	{
		char detail[READY_DETAIL_BYTES] = "";
		bool ready = ready_checks[i].check(ready_checks[i].arg, detail, sizeof(detail));

		all = all && ready;
		json_object_set_new(checks, ready_checks[i].name,
							json_pack("{s:b, s:s}", "ready", ready, "detail", detail));
	}
	*ret_ready = all;
	return json_pack("{s:b, s:o}", "ready", all, "checks", checks);
}

/* "host:port" or "[v6]:port"; the port is what follows the last colon. */
static bool
http_address(const char *listen, struct addrinfo **ret_address)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	const char *colon = strrchr(listen, ':');
	char		host[256];
	int			rc;

	if (colon == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "http_not_started", NULL, "{s:s, s:s}", "listen", listen, "why",
				  "no port: expected host:port");
		return false;
	}
	if (listen[0] == '[' && colon > listen && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int) (colon - listen - 2), listen + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int) (colon - listen), listen);
	rc = getaddrinfo(host[0] != '\0' && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints,
					 ret_address);
	if (rc != 0)
		log_event(LOG_ERROR_LEVEL, "http_not_started", NULL, "{s:s, s:s}", "listen", listen, "why",
				  gai_strerror(rc));
	return rc == 0;
}

static struct MHD_Daemon *
http_start(Http *http, const struct addrinfo *address)
{
	const Options *options = options_current();
	unsigned	   flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_DUAL_STACK;
	errno = 0;
	return MHD_start_daemon(flags, 0, NULL, NULL, http_access, http, MHD_OPTION_EXTERNAL_LOGGER,
							http_mhd_log, NULL, MHD_OPTION_SOCK_ADDR, address->ai_addr,
							MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned) LISTEN_BACKLOG,
							MHD_OPTION_CONNECTION_LIMIT, (unsigned) options->api_worker_connections,
							MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							(size_t) options->api_connection_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
							(unsigned) options->api_idle_seconds, MHD_OPTION_STRICT_FOR_CLIENT, 1,
							MHD_OPTION_UNESCAPE_CALLBACK, request_unescape, NULL,
							MHD_OPTION_NOTIFY_COMPLETED, http_completed, NULL, MHD_OPTION_END);
}

static void
http_run(evutil_socket_t fd, short what, void *arg)
{
	Http				  *http = arg;
	MHD_UNSIGNED_LONG_LONG wait_ms;

	(void) fd;
	(void) what;
	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		clock_wait_ms(http->timer, (int64_t) wait_ms);
	else
		event_del(http->timer);
}

/* Once in this turn of the loop, however many answers ask for it. */
void
http_wake(Http *http)
{
	event_active(http->timer, EV_TIMEOUT, 0);
}

static void
http_check_drained(Http *http)
{
	void (*drained)(void *arg) = http->drained;

	if (!http->draining || http->open_requests > 0 || drained == NULL)
		return;
	http->drained = NULL;
	drained(http->drained_arg);
}

/*
 * Called once when the headers are in, for each piece of the body, at its end, and again after a
 * resume.
 */
static HttpResult
http_access(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
			const char *version, const char *upload_data, size_t *upload_data_size, void **con_cls)
{
	Http		*http = cls;
	HttpRequest *request = *con_cls;

	(void) version;
	if (request == NULL)
	{
		request = *con_cls = request_begin(http, connection, url, method);
		if (request == NULL)
			return MHD_NO;
		return request->status != 0 ? request_send(request) : MHD_YES;
	}
	if (*upload_data_size > 0)
		return request_take_body(request, upload_data, upload_data_size);
	if (!request->complete)
		request_handle(request);
	if (request->status != 0)
		return request_send(request);
	if (http->closing)
		return MHD_NO;
	request->suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void
http_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			   enum MHD_RequestTerminationCode code)
{
	HttpRequest *request = *con_cls;
	Http		*http;

	(void) cls;
	(void) connection;
	if (request == NULL)
		return;
	*con_cls = NULL;
	http = request->http;
	http->open_requests--;
	if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		metric_add(METRIC_HTTP_CLIENT_GONE, NULL, 1);
	request->connection = NULL;
	request->suspended = false;
	if (!request->handling)
		request_free(request);
	http_check_drained(http);
}

static void
http_mhd_log(void *arg, const char *fmt, va_list args)
{
	char text[256];

	(void) arg;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\r\n")] = '\0';
	log_event(LOG_DEBUG_LEVEL, "libmicrohttpd", NULL, "{s:s}", "message", text);
}
