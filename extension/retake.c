/* SPDX-License-Identifier: PostgreSQL */
/* Re-taking the seats of an expired booking; see retake.h. */
#include "retake.h"

#include "lock.h"

#define RETAKE_READS_MAX 3

static void
retake_release_waited(const Retake *retake)
{
	for (int i = 0; i < retake->taking.count; i++)
		lock_release(LOCK_SEAT, lock_name_uuid(&retake->taking.seats[i].row.id));
}

static int
reservation_compare_seats(const void *a, const void *b)
{
	return uuid_compare(&((const Reservation *) a)->seat_id, &((const Reservation *) b)->seat_id);
}

/*
 * Seats and reservations in one order. False, and nothing is locked, when an id was changed while it was
 * waited for.
 */
static bool
retake_lock_seats(Retake *retake, const char *correlation_id)
{
	Booking	  *booking = &retake->booking;
	Taking	  *taking = &retake->taking;
	pg_uuid_t *seat_ids = palloc(sizeof(pg_uuid_t) * booking->count);

	qsort(booking->reservations, booking->count, sizeof(Reservation), reservation_compare_seats);
	for (int i = 0; i < booking->count; i++)
		seat_ids[i] = booking->reservations[i].seat_id;
	*taking = (Taking){
		.date_id = booking->date_id,
		.user_id = booking->user_id,
		.correlation_id = correlation_id,
		.is_paid = true,
	};
	taking_set_seats(taking, seat_ids, booking->count);
	(void) taking_lock_limit(taking);
	for (int i = 0; i < taking->count; i++)
		lock_wait(LOCK_SEAT, lock_name_uuid(&taking->seats[i].row.id));
	if (!booking_follow_ids(booking))
		return true;
	retake_release_waited(retake);
	return false;
}

Reason
retake_decide(Retake *ret_retake, const Booking *expired, const char *correlation_id)
{
	Reason reason;
	int	   reads = 0;

	*ret_retake = (Retake){.booking = *expired};
	while (!retake_lock_seats(ret_retake, correlation_id))
		if (++reads == RETAKE_READS_MAX)
			return REASON_BUSY;
	reason = taking_decide(&ret_retake->taking);
	if (reason != REASON_NONE)
		retake_release_waited(ret_retake);
	return reason;
}

void
retake_release(const Retake *retake)
{
	taking_release(&retake->taking);
	retake_release_waited(retake);
}

void
retake_take(Retake *retake)
{
	taking_take_again(&retake->taking, &retake->booking);
}
