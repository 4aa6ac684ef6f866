/* SPDX-License-Identifier: PostgreSQL */
/* The events of a payment; see payment_event.c. */
#ifndef CONCERT_PAYMENT_EVENT_H
#define CONCERT_PAYMENT_EVENT_H

#include "refund_store.h"

/* What an event says beside the payment itself; all of it may be NULL or 0. */
typedef struct PaymentNews
{
	const Refund	*refund;	  /* then amount and currency are the refund's */
	const pg_uuid_t *transfer_id; /* by which points were moved */
	int64			 points;	  /* that are beside the amount */
	TimestampTz		 expires_at;
	const char		*cause;
} PaymentNews;

/* Tells of the payment, keyed by its booking: payment.begun, authorized, captured, failed, refund_due, refunded. */
extern void payment_event(const char *type, const Payment *payment, const PaymentNews *news,
						  const char *correlation_id);

#endif /* CONCERT_PAYMENT_EVENT_H */
