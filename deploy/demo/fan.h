/* SPDX-License-Identifier: PostgreSQL */
/*
 * One fan: joins the queue, asks for the place until admitted, looks at the seat map, has the
 * wallet charged at the box office (which this program plays too), reserves, thinks and pays.
 * Habits make fans differ: some leave the queue, click twice, use two tabs, never pay, cancel,
 * or have too little money; some pay through the provider, all of it or half. A step is one request; it is sent again under the same idempotency
 * key until it has an answer, a bounded number of times. A fan's choices come from the seed and
 * its number alone.
 */
#ifndef DEMO_FAN_H
#define DEMO_FAN_H

#include "sale.h"

typedef struct Fan Fan;

Fan *fan_new(Sale *sale, int number);
void fan_free(Fan *fan);
void fan_arrive(Fan *fan, int after_ms);
void fan_hear_sold_out(Fan *fan);

#endif
