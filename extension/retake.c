/* SPDX-License-Identifier: PostgreSQL */
/* Re-taking the seats of an expired booking; see retake.h. */
#include "retake.h"

#include "lock.h"

static void
retake_release_waited(const Retake *retake)
{
	for (int i = 0; i < retake->taking.count; i++)
		lock_release(LOCK_SEAT, lock_name_uuid(&retake->taking.seats[i].row.id));
}

Reason
retake_decide(Retake *ret_retake, const Booking *expired, const char *correlation_id)
{
	Taking	  *taking = &ret_retake->taking;
	pg_uuid_t *seat_ids = palloc(sizeof(pg_uuid_t) * expired->count);
	Reason	   reason;

	for (int i = 0; i < expired->count; i++)
		seat_ids[i] = expired->reservations[i].seat_id;
	*ret_retake = (Retake){
		.booking = *expired,
		.taking =
			{
				.date_id = expired->date_id,
				.user_id = expired->user_id,
				.correlation_id = correlation_id,
				.is_paid = true,
			},
	};
	taking_set_seats(taking, seat_ids, expired->count);
	(void) taking_lock_limit(taking);
	for (int i = 0; i < taking->count; i++)
		lock_wait(LOCK_SEAT, lock_name_uuid(&taking->seats[i].row.id));
	reason = taking_decide(taking);
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
