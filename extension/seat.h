/* SPDX-License-Identifier: PostgreSQL */
/* Seats, as the rest of the extension sees them; see seat.c. */
#ifndef CONCERT_SEAT_H
#define CONCERT_SEAT_H

#include "history.h"

/*
 * Tells what the house did to seats of a date: the act in the history, and the event seat.ACTION.
 * Between plan_begin() and plan_end().
 */
extern void seat_tell(const Act *act);

#endif /* CONCERT_SEAT_H */
