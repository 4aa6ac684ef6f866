/* SPDX-License-Identifier: PostgreSQL */
/* Money that a provider has captured; see settle.c. */
#ifndef CONCERT_SETTLE_H
#define CONCERT_SETTLE_H

#include "payment_store.h"

/* What the provider says that it has. */
typedef struct Capture
{
	int64		amount;
	const char *currency;
	const char *correlation_id;
} Capture;

/*
 * Under the lock of the payment's booking: makes the money the booking's, or gives it back. All is
 * written with it: the payment, the act, what is confirmed, moved, refunded and told. Refused, with
 * nothing written, as busy or frozen: then it may be tried again.
 */
extern Reason settle(Payment *payment, const Capture *capture, PaymentAct *act);

#endif /* CONCERT_SETTLE_H */
