/* SPDX-License-Identifier: PostgreSQL */
/*
 * Re-taking the seats of a booking whose time is over, for money that came late: all of them, at
 * their old prices and in the same booking, or none.
 *
 * Unlike reserving it waits for the seats' locks, in id order, so that a taker who is at work on one
 * is waited for and not answered 'busy'. Locks, under the booking's: user's limit, seats, bookings
 * of other expired pendings (tried).
 */
#ifndef CONCERT_RETAKE_H
#define CONCERT_RETAKE_H

#include "taking.h"

typedef struct Retake
{
	Taking	taking;
	Booking booking;
} Retake;

/*
 * REASON_NONE: they can be had and are locked. Otherwise none of them is: busy may be tried again.
 * The user's limit counts, and that the date has not begun; sale window, admission and orphan rule
 * do not.
 */
extern Reason retake_decide(Retake *ret_retake, const Booking *expired, const char *correlation_id);

/* Gives the seats' locks back after a REASON_NONE that is not made use of. */
extern void retake_release(const Retake *retake);

/* Makes the booking pending again, in retake->booking, and tells it. */
extern void retake_take(Retake *retake);

#endif /* CONCERT_RETAKE_H */
