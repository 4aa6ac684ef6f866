/* SPDX-License-Identifier: PostgreSQL */
/*
 * One payment by the provider: begins it, and watches it until it has come to an end. The provider
 * may take its time and be wrong, so a payment is done only when there is a ticket, or no money was
 * taken, or it is back; one that is none of it for too long is stuck.
 */
#ifndef DEMO_PAYMENT_H
#define DEMO_PAYMENT_H

#include "sale.h"

#define PAYMENT_KEY_BYTES 32

typedef enum PaymentEnd
{
	PAYMENT_PAID,
	PAYMENT_FAILED,	  /* no money was taken */
	PAYMENT_RETURNED, /* it was, and is back */
	PAYMENT_REFUSED,  /* it did not begin */
	PAYMENT_STUCK
} PaymentEnd;

typedef struct Payment
{
	Sale *sale;
	void (*done)(void *arg, PaymentEnd end);
	void	   *arg;
	const char *user_id;
	const char *booking_id;
	char		key[PAYMENT_KEY_BYTES];
	int64_t		points; /* paid beside the provider's money */

	int		retries;
	int64_t begun_us;
	char	id[ID_BYTES];
} Payment;

/* The fields above the gap are set by the caller. */
void payment_make(Payment *payment);

#endif
