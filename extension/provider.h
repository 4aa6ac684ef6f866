/* SPDX-License-Identifier: PostgreSQL */
/* Payments by a provider: what its messages make of them; see provider.c. */
#ifndef CONCERT_PROVIDER_H
#define CONCERT_PROVIDER_H

#include "payment_store.h"

/*
 * A message of which no money comes, and its act, applied to a payment under its booking's lock:
 * the payment and the act are written and told.
 */
extern void provider_apply(Payment *payment, PaymentMessage message, PaymentAct *act);

/*
 * The answer to a message about the payment, in the context answers; with a reason, nothing is
 * known but it.
 */
extern Datum provider_answer(FunctionCallInfo fcinfo, const Payment *payment, Reason reason,
							 MemoryContext answers);

#endif /* CONCERT_PROVIDER_H */
