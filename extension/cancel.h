/* SPDX-License-Identifier: PostgreSQL */
/* Naming seats of a booking that are given back; see cancel.c. */
#ifndef CONCERT_CANCEL_H
#define CONCERT_CANCEL_H

#include "reservation.h"

/*
 * Leaves in *booking the seats that are named. When one is not in it to be given back, every such
 * seat goes to out, an open array, with its reason, and the first one's is returned.
 */
extern Reason cancel_choose(Booking *booking, const pg_uuid_t *seat_ids, int count, Json *out);

/* A booking and seats of it as a request's content; the order of the seats does not count. */
extern char *cancel_content(const pg_uuid_t *booking_id, const pg_uuid_t *seat_ids, int count);

#endif /* CONCERT_CANCEL_H */
