/* SPDX-License-Identifier: PostgreSQL */
/*
 * The role "provider": asks the payment provider what the database says is to be asked, and takes
 * its answers as messages. Nothing is queued here: it claims no more than may be sent at once, by
 * provider.in_flight_max, provider.rate and the breaker. What gets no answer is claimed again, by
 * whichever copy, when its lease is over, and is sent under the same Idempotency-Key; so neither a
 * crash nor a lost answer needs anybody. Any number of copies may run.
 */
#ifndef CONCERTD_PROVIDER_H
#define CONCERTD_PROVIDER_H

#include <event2/event.h>

#include "secret.h"

typedef struct Provider Provider;

/* keys stay the caller's; NULL: none are shown to the provider. NULL: the cause is logged. */
Provider *provider_open(struct event_base *base, const Secrets *keys);

/* Asks nothing new; drained is called once when nothing is in flight (maybe at once). */
void provider_drain(Provider *provider, void (*drained)(void *arg), void *arg);
void provider_close(Provider *provider);

#endif
