/* SPDX-License-Identifier: PostgreSQL */
#include "payment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRIES_MAX 10
#define RETRY_MS 300 /* times the number of the retry */
#define LOOK_MS 700
#define STUCK_SECONDS 90

static void payment_begin(evutil_socket_t fd, short what, void *arg);
static void payment_begun(void *arg, const ClientReply *reply);
static void payment_look(evutil_socket_t fd, short what, void *arg);
static void payment_seen(void *arg, const ClientReply *reply);

static void
payment_after(Payment *payment, int ms, event_callback_fn step)
{
	struct timeval pause = {ms / 1000, ms % 1000 * 1000};

	event_base_once(payment->sale->base, -1, EV_TIMEOUT, step, payment, &pause);
}

/* True: the reply was no answer, and the step comes again (or the payment is given up). */
static bool
payment_retries(Payment *payment, const ClientReply *reply, event_callback_fn step)
{
	if (!sale_no_answer(reply))
	{
		payment->retries = 0;
		return false;
	}
	sale_count(payment->sale, TALLY_RETRIES, 1);
	if (++payment->retries > RETRIES_MAX)
		payment->done(payment->arg, PAYMENT_STUCK);
	else
		payment_after(payment, payment->retries * RETRY_MS, step);
	return true;
}

void
payment_make(Payment *payment)
{
	payment->retries = 0;
	payment->begun_us = sale_now_us();
	payment_begin(-1, 0, payment);
}

static void
payment_begin(evutil_socket_t fd, short what, void *arg)
{
	Payment	   *payment = arg;
	char		path[128];
	char		body[128];
	SaleRequest request = {.client = payment->sale->client,
						   .method = "POST",
						   .path = path,
						   .body = body,
						   .user_id = payment->user_id,
						   .key = payment->key};

	(void) fd;
	(void) what;
	snprintf(path, sizeof(path), "/v1/bookings/%s/payments", payment->booking_id);
	snprintf(body, sizeof(body), "{\"provider\":\"%s\",\"points\":%lld}", payment->sale->provider,
			 (long long) payment->points);
	sale_send(payment->sale, &request, payment_begun, payment);
}

static void
payment_begun(void *arg, const ClientReply *reply)
{
	Payment *payment = arg;
	json_t	*answer;

	if (payment_retries(payment, reply, payment_begin))
		return;
	if (reply->status != 202)
	{
		payment->done(payment->arg, reply->status == 402 ? PAYMENT_FAILED : PAYMENT_REFUSED);
		return;
	}
	answer = sale_answer(reply);
	snprintf(payment->id, sizeof(payment->id), "%s", sale_text(answer, "payment_id"));
	json_decref(answer);
	payment_after(payment, LOOK_MS, payment_look);
}

static void
payment_look(evutil_socket_t fd, short what, void *arg)
{
	Payment	   *payment = arg;
	char		path[128];
	SaleRequest request = {.client = payment->sale->client,
						   .method = "GET",
						   .path = path,
						   .user_id = payment->user_id};

	(void) fd;
	(void) what;
	snprintf(path, sizeof(path), "/v1/payments/%s", payment->id);
	sale_send(payment->sale, &request, payment_seen, payment);
}

static void
payment_seen(void *arg, const ClientReply *reply)
{
	Payment	   *payment = arg;
	json_t	   *answer;
	const char *status;
	bool		refunds;
	bool		paid;
	bool		returned;
	bool		failed;

	if (payment_retries(payment, reply, payment_look))
		return;
	answer = sale_answer(reply);
	status = sale_text(answer, "status");
	refunds = json_integer_value(json_object_get(answer, "refunded")) > 0;
	failed = strcmp(status, "failed") == 0;
	returned = refunds && strcmp(sale_text(answer, "refund_status"), "settled") == 0;
	paid = !refunds && strcmp(status, "captured") == 0 &&
		strcmp(sale_text(answer, "booking_status"), "confirmed") == 0;
	json_decref(answer);
	if (paid || returned || failed)
		payment->done(payment->arg,
					  paid			 ? PAYMENT_PAID
						  : returned ? PAYMENT_RETURNED
									 : PAYMENT_FAILED);
	else if (sale_now_us() - payment->begun_us > STUCK_SECONDS * INT64_C(1000000))
		payment->done(payment->arg, PAYMENT_STUCK);
	else
		payment_after(payment, LOOK_MS, payment_look);
}
