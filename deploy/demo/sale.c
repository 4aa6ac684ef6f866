/* SPDX-License-Identifier: PostgreSQL */
#include "sale.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void
sale_send(Sale *sale, const SaleRequest *request, ClientDone done, void *arg)
{
	ClientRequest http = {.method = request->method, .path = request->path, .body = request->body};
	int			  n = 0;

	http.headers[n++] = (ClientHeader){"X-User-Id", request->user_id};
	if (request->key != NULL)
		http.headers[n++] = (ClientHeader){"Idempotency-Key", request->key};
	if (request->extra.name != NULL)
		http.headers[n++] = request->extra;
	sale_count(sale, TALLY_REQUESTS, 1);
	client_send(request->client, &http, done, arg);
}

void
sale_count(Sale *sale, TallyId id, long count)
{
	tally_add(sale->tally, id, count);
}

void
sale_seats_paid(Sale *sale, int number, const int *seats, int nseats, int map_seats)
{
	if (sale->owners == NULL)
	{
		sale->nowners = map_seats;
		sale->owners = malloc(sizeof(int) * (size_t) map_seats);
		for (int i = 0; i < map_seats; i++)
			sale->owners[i] = -1;
	}
	sale_count(sale, TALLY_PAID, 1);
	sale_count(sale, TALLY_SOLD, nseats);
	for (int i = 0; i < nseats; i++)
	{
		if (seats[i] >= sale->nowners || sale->owners[seats[i]] >= 0)
			sale_count(sale, TALLY_SOLD_TWICE, 1);
		else
			sale->owners[seats[i]] = number;
	}
}

int64_t
sale_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool
sale_no_answer(const ClientReply *reply)
{
	return reply->status == 0 || reply->status == 429 || reply->status >= 500;
}

json_t *
sale_answer(const ClientReply *reply)
{
	return json_loadb(reply->body, reply->body_bytes, 0, NULL);
}

const char *
sale_text(const json_t *answer, const char *name)
{
	const char *text = json_string_value(json_object_get(answer, name));

	return text != NULL ? text : "";
}
