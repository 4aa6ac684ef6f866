/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: every request is answered once and bounded, whatever it is, also when it waits for its
 * answer, when its client leaves meanwhile and while the server drains. The server runs in a thread
 * of its own; the tests are its clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/thread.h>

#include "http.h"
#include "options.h"
#include "problem.h"

#define ANSWER_BYTES 65536
#define WAIT_SECONDS 10

static struct event_base *base;
static Http				 *http;
static int				  port;
static pthread_t		  server;
static char				  answer[ANSWER_BYTES];
static atomic_int		  handled;
static atomic_int		  answered_late;
static atomic_bool		  drained;

static void
answer_late(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	http_reply_text(arg, 200, "text/plain", "late", 4);
	atomic_fetch_add(&answered_late, 1);
}

static void
handle_now(HttpRequest *request, void *arg)
{
	(void) arg;
	atomic_fetch_add(&handled, 1);
	http_set_header(request, "Concert-Test", "yes");
	http_reply_text(request, 200, "text/plain", "now", 3);
}

static void
handle_late(HttpRequest *request, void *arg)
{
	struct timeval delay = {.tv_usec = 100000};

	(void) arg;
	atomic_fetch_add(&handled, 1);
	event_base_once(base, -1, EV_TIMEOUT, answer_late, request, &delay);
}

static void
handle_body(HttpRequest *request, void *arg)
{
	json_t *body = http_body_object(request);

	(void) arg;
	if (body != NULL)
		http_reply_json(request, 201,
						json_pack("{s:o, s:s?, s:b}", "body", body, "key",
								  http_idempotency_key(request), "trusted", http_trusted(request)));
}

static const HttpRoute routes[] = {
	{"GET", "/now", "now", handle_now, 0},
	{"GET", "/late", "late", handle_late, 0},
	{"POST", "/body", "body", handle_body, HTTP_NEEDS_KEY},
	{"POST", "/late/{id}", "late_post", handle_late, 0},
};

static void *
serve(void *arg)
{
	(void) arg;
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static int
connect_to_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	struct timeval	   wait = {.tv_sec = WAIT_SECONDS};
	int				   fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
	{
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Sends one request and reads until the server closes; returns the status, 0 for a closed
 * connection.
 */
static int
ask_bytes(const char *text, size_t len)
{
	int		fd = connect_to_server();
	size_t	got = 0;
	ssize_t n;

	assert_true(fd >= 0);
	n = send(fd, text, len, MSG_NOSIGNAL);
	while (n >= 0 && got + 1 < sizeof(answer) &&
		   (n = recv(fd, answer + got, sizeof(answer) - got - 1, 0)) > 0)
		got += (size_t) n;
	answer[got] = '\0';
	close(fd);
	return got > 12 ? atoi(answer + 9) : 0;
}

static int
ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

#define GET(path, headers) \
	"GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" headers "\r\n"
#define POST(path, headers, body) \
	"POST " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" headers "\r\n" body

static void
expect(const char *part)
{
	if (strstr(answer, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, answer);
}

static void
answers_come_at_once_or_later(void **state)
{
	(void) state;
	assert_int_equal(ask(GET("/now", "")), 200);
	expect("Concert-Test: yes\r\n");
	expect("\r\n\r\nnow");
	assert_int_equal(ask(GET("/late", "")), 200);
	expect("\r\n\r\nlate");
	assert_int_equal(ask("HEAD /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
	assert_null(strstr(answer, "\r\n\r\nnow"));
}

static void
what_no_route_takes_is_a_problem(void **state)
{
	(void) state;
	assert_int_equal(ask(GET("/nothing", "")), 404);
	expect("Content-Type: application/problem+json\r\n");
	expect("\"type\":\"urn:concert:problem:not_found\"");
	assert_int_equal(ask("DELETE /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 405);
	expect("Allow: GET\r\n");
	assert_int_equal(ask(GET("/%ff", "")), 400);
	assert_int_equal(ask(GET("/now%00", "")), 400);
	assert_int_equal(ask(GET("/n%0aow", "")), 400);
}

static void
bodies_are_checked(void **state)
{
	(void) state;
	assert_int_equal(
		ask(POST("/body",
				 "Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 7\r\n",
				 "{\"a\":1}")),
		201);
	expect("{\"body\":{\"a\":1},\"key\":\"k\",\"trusted\":true}");
	assert_int_equal(ask(POST("/body", "Idempotency-Key: k\r\nContent-Length: 0\r\n", "")), 201);
	assert_int_equal(
		ask(POST("/body",
				 "Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 2\r\n",
				 "[]")),
		400);
	assert_int_equal(
		ask(POST("/body",
				 "Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 9\r\n",
				 "{\"a\":\"\xff\"}")),
		400);
	assert_int_equal(
		ask(POST("/body",
				 "Idempotency-Key: k\r\nContent-Type: application/jsonx\r\nContent-Length: 2\r\n",
				 "{}")),
		415);
	assert_int_equal(ask(POST("/body", "Idempotency-Key: k\r\nContent-Length: 2\r\n", "{}")), 415);
	assert_int_equal(ask(POST("/body", "Content-Length: 0\r\n", "")), 400);
	expect("key_missing");
}

static void
large_bodies_are_refused(void **state)
{
	size_t size = 1024 * 1024;
	char  *text = malloc(size);
	size_t len = (size_t) sprintf(text, "%s",
								  POST("/body",
									   "Idempotency-Key: k\r\nTransfer-Encoding: chunked\r\n"
									   "Content-Type: application/json\r\n",
									   ""));

	(void) state;
	assert_int_equal(ask(POST("/body",
							  "Idempotency-Key: k\r\nContent-Type: application/json\r\n"
							  "Content-Length: 999999\r\n",
							  "")),
					 413);
	for (int i = 0; i < 20; i++)
	{
		len += (size_t) sprintf(text + len, "1000\r\n%04096d\r\n", 0);
	}
	len += (size_t) sprintf(text + len, "0\r\n\r\n");
	assert_int_equal(ask_bytes(text, len), 413);
	free(text);
}

static void
ambiguous_headers_are_refused(void **state)
{
	(void) state;
	assert_int_equal(ask(GET("/now", "X-User-Id: a\r\nX-User-Id: b\r\n")), 400);
	assert_int_equal(ask(GET("/now", "X-Role: operator\r\nx-role: fan\r\n")), 400);
	assert_int_equal(
		ask(POST("/body", "Idempotency-Key: k\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
				 "{}")),
		400);
	assert_int_equal(
		ask(POST("/body",
				 "Idempotency-Key: k\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
				 "0\r\n\r\n")),
		400);
}

static void
correlation_ids_are_taken_over(void **state)
{
	(void) state;
	ask(GET("/now", "X-Request-Id: mine-1\r\n"));
	expect("X-Request-Id: mine-1\r\n");
	ask(GET("/now", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"));
	expect("X-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n");
	ask(GET("/now", "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n"));
	assert_null(strstr(answer, "X-Request-Id: 0000"));
	ask(GET(
		"/now",
		"X-Request-Id: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"));
	assert_null(strstr(answer, "X-Request-Id: 0123456789"));
}

static void
a_client_that_leaves_harms_nobody(void **state)
{
	const struct linger at_once = {.l_onoff = 1};
	int					before = atomic_load(&answered_late);

	(void) state;
	for (int i = 0; i < 20; i++)
	{
		int			fd = connect_to_server();
		const char *text =
			i % 2 == 0 ? GET("/late", "") : POST("/late/1", "Content-Length: 50\r\n", "{");
		int seen = atomic_load(&handled);

		assert_true(fd >= 0);
		assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0);
		for (int turn = 0; i % 2 == 0 && turn < 1000 && atomic_load(&handled) == seen; turn++)
			usleep(1000);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
	for (int turn = 0; turn < 5000 && atomic_load(&answered_late) < before + 10; turn++)
		usleep(1000);
	assert_int_equal(atomic_load(&answered_late), before + 10);
	assert_int_equal(ask(GET("/now", "")), 200);
}

static void
note_drained(void *arg)
{
	(void) arg;
	atomic_store(&drained, true);
}

static void
start_draining(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	http_drain(http, note_drained, NULL);
}

/* The last test: the server takes no connection after it. */
static void
draining_finishes_what_is_in_flight(void **state)
{
	const char	  *text = "GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
	int			   fd = connect_to_server();
	int			   seen = atomic_load(&handled);
	struct timeval now = {0};
	size_t		   got = 0;
	ssize_t		   n;

	(void) state;
	assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0);
	for (int turn = 0; turn < 1000 && atomic_load(&handled) == seen; turn++)
		usleep(1000);
	event_base_once(base, -1, EV_TIMEOUT, start_draining, NULL, &now);
	while ((n = recv(fd, answer + got, sizeof(answer) - got - 1, 0)) > 0)
		got += (size_t) n;
	answer[got] = '\0';
	close(fd);
	expect("HTTP/1.1 200 OK\r\n");
	expect("Connection: close\r\n");
	expect("late");
	for (int turn = 0; turn < 1000 && !atomic_load(&drained); turn++)
		usleep(1000);
	assert_true(atomic_load(&drained));
	assert_int_equal(connect_to_server(), -1);
}

static int
set_up(void **state)
{
	char  path[] = "/tmp/unit_http_XXXXXX";
	int	  fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	char  errstr[OPTIONS_ERROR_BYTES];

	(void) state;
	fputs("[api]\nlisten = 127.0.0.1:0\nbody_bytes = 65536\n[log]\nlevel = error\n", file);
	fclose(file);
	if (!options_load(path, errstr, sizeof(errstr)) || unlink(path) != 0 ||
		evthread_use_pthreads() != 0)
		return -1;
	base = event_base_new();
	http = http_open(base, routes, (int) (sizeof(routes) / sizeof(routes[0])), NULL);
	if (http == NULL)
		return -1;
	port = http_port(http);
	return pthread_create(&server, NULL, serve, NULL);
}

static int
tear_down(void **state)
{
	(void) state;
	event_base_loopbreak(base);
	pthread_join(server, NULL);
	http_close(http);
	event_base_free(base);
	libevent_global_shutdown();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_at_once_or_later),
		cmocka_unit_test(what_no_route_takes_is_a_problem),
		cmocka_unit_test(bodies_are_checked),
		cmocka_unit_test(large_bodies_are_refused),
		cmocka_unit_test(ambiguous_headers_are_refused),
		cmocka_unit_test(correlation_ids_are_taken_over),
		cmocka_unit_test(a_client_that_leaves_harms_nobody),
		cmocka_unit_test(draining_finishes_what_is_in_flight),
	};

	return cmocka_run_group_tests_name("http", tests, set_up, tear_down);
}
