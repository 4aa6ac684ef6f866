/* SPDX-License-Identifier: PostgreSQL */
/*
 * The HTTP API: the route table and the short handlers. What takes several steps has a file of its
 * own (booking, seatmap, web). Handlers trust nothing of a request but what http, caller and the
 * database have checked.
 */
#ifndef CONCERTD_API_H
#define CONCERTD_API_H

#include <event2/event.h>

#include "db.h"
#include "hold.h"
#include "room.h"
#include "secret.h"

typedef struct Api Api;

typedef struct ApiParts
{
	Db			  *db; /* NULL, and the others too: only /metrics, /healthz and /readyz */
	Hold		  *hold;
	const Secrets *provider_secrets; /* of its messages; NULL: none come in here */
	Room		  *room;			 /* NULL: there are no keys to sign places with */
} ApiParts;

/* NULL: the cause is logged. */
Api *api_open(struct event_base *base, const ApiParts *parts);
void api_drain(Api *api, void (*drained)(void *arg), void *arg);
void api_close(Api *api); /* after the Db, the Hold and the Room: every request is answered then */

#endif
