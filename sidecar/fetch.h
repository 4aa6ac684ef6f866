/* SPDX-License-Identifier: PostgreSQL */
/*
 * HTTP out: libcurl's multi interface inside the libevent loop. Connections are kept and bounded,
 * so is the size of an answer; every request has a deadline, waiting for a connection included, and
 * is answered exactly once. TLS is always verified; redirects are not followed.
 */
#ifndef CONCERTD_FETCH_H
#define CONCERTD_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#define FETCH_HEADERS_MAX 6
#define FETCH_ANSWER_BYTES_MAX 65536

typedef struct Fetch Fetch;

typedef enum FetchOutcome
{
	FETCH_ANSWERED,
	FETCH_TIMEOUT,	  /* what became of the request is not known, nor with FETCH_BROKEN */
	FETCH_BROKEN,	  /* the connection was lost, or the answer is no HTTP or too long */
	FETCH_UNREACHABLE /* the request was not sent */
} FetchOutcome;

/* Everything is copied. */
typedef struct FetchRequest
{
	const char *url;
	const char *body;						/* JSON, which makes it a POST; NULL: GET */
	const char *headers[FETCH_HEADERS_MAX]; /* "Name: value"; NULL ends them */
	int			timeout_ms;
} FetchRequest;

typedef struct FetchReply
{
	FetchOutcome outcome;
	int			 status; /* 0 unless answered */
	const char	*body;
	size_t		 body_len;
	const char	*errstr; /* NULL if answered */
} FetchReply;

/* What it points at is valid during the call, which may send new requests. */
typedef void (*FetchDone)(void *arg, const FetchReply *reply);

/* ca_file "": the system's authorities. NULL: the cause is logged. */
Fetch *fetch_open(struct event_base *base, const char *ca_file, int connections_max);

/* What is under way is answered as FETCH_BROKEN before it returns. */
void fetch_close(Fetch *fetch);

/* false: no memory, and done is never called. Otherwise it is called later, from the loop. */
bool fetch_send(Fetch *fetch, const FetchRequest *request, FetchDone done, void *arg)
	__attribute__((warn_unused_result));

#endif
